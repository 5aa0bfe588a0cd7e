"""C4, C5 and C8: how much fine-tuning changed, in which layers, and how deep for each task.

All three use curves of similarity between the base encoder and fine-tuned ones, on one text that all tasks share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...runner import select
from .claim import Claim, TaskVerdict
from .curves import CENTRE, LEAST_CHANGE, MIDDLE, SHARE, Curves
from .estimates import NOT_TESTED, UNDECIDED, Estimate, above, below, joint_verdict, mean, over_seeds, ratio
from .rows import Row, measures_of, plain_name

__all__ = ["MOST_OF_THE_CHANGE", "WAY_TO_UNRELATED", "judge_depth", "judge_top_layers"]

MOST_OF_THE_CHANGE = 0.5
"""Fraction of the drop in the top third. "Primarily affects the top layers" (abstract) is read as more than half; a
drop spread evenly over the blocks has 1/3 there."""

WAY_TO_UNRELATED = 0.5
"""Mean change over the blocks as a fraction of the change to a model that shares nothing with the base. "Conservative"
(abstract) is read as nearer to the base than to that model."""

_DEPENDENCY, _SHALLOW = "dependency", ("mnli", "squad")

_C4 = Claim(
    "C4",
    "Fine-tuning is conservative and primarily affects the top layers.",
    "share of the change in the top third",
    "For MNLI and SQuAD, by RSA to the base encoder: the interval of the share of the whole drop in the top third of "
    f"the blocks lies above {MOST_OF_THE_CHANGE:g}, and the interval of the mean change over the blocks, as a fraction "
    f"of the change to an unrelated or random model, lies below {WAY_TO_UNRELATED:g}. Parsing is shown but not "
    "counted: see C5.",
    "similarity_by_layer",
)
_C5 = Claim(
    "C5",
    "Dependency parsing reconfigures most of the model; MNLI and SQuAD are shallower.",
    "similarity, minus that after parsing",
    "The mean similarity (RSA) to the base in the middle third of the blocks is higher after MNLI, and after SQuAD, "
    "than after parsing: the interval of the difference lies above 0.",
    "similarity_by_layer",
)
_C8 = Claim(
    "C8",
    "How deep the change reaches depends on the task: deep for parsing, near the top for MNLI and SQuAD.",
    "layers",
    "The centre of change (RSA), the sum of l times the drop at layer l over the sum of drops, is higher for MNLI, and "
    "for SQuAD, than for parsing: the interval of the difference lies above 0.",
    "similarity_by_layer",
)


def judge_top_layers(rows: Sequence[Row]) -> dict[str, Any]:
    """C4."""
    measures = _measures(rows)
    curves = Curves.on_shared_text(rows, measures[0]) if measures else None
    if curves is None:
        return _C4.judge([])
    verdicts = []
    for task in curves.tasks:
        verdict = _conservative_at_top(curves, task)
        others = []
        for measure in measures[1:]:
            other = Curves.on_shared_text(rows, measure)
            if other is not None and task in other.tasks:
                others.append(f"{plain_name(measure)} {_conservative_at_top(other, task).verdict}")
        if others:
            verdict = replace(verdict, why=f"{verdict.why} By other measures: {', '.join(others)}.")
        verdicts.append(verdict.not_counted() if task == _DEPENDENCY else verdict)
    return _C4.judge(verdicts)


def judge_depth(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """C5 and C8."""
    measures = _measures(rows)
    curves = Curves.on_shared_text(rows, measures[0]) if measures else None
    claims = (
        (_C5, MIDDLE, "the similarity of the middle third is", 3),
        (_C8, CENTRE, "the centre of change is layer", 2),
    )
    if curves is None or _DEPENDENCY not in curves.tasks:
        return [claim.judge([]) for claim, *_ in claims]
    judged = []
    for claim, statistic, words, digits in claims:
        parsing = curves.statistic(_DEPENDENCY, statistic)
        verdicts = []
        for task in (task for task in _SHALLOW if task in curves.tasks):
            own = curves.statistic(task, statistic)
            if own is None or parsing is None:
                why = "the task or parsing changed the model too little to locate the change."
                verdicts.append(TaskVerdict(task, NOT_TESTED, why))
                continue
            difference = own - parsing
            seeds = f"{len(curves.of_task(task))} and {len(curves.of_task(_DEPENDENCY))} seeds"
            why = (
                f"{words} {own.text(digits)}, after parsing {parsing.text(digits)}: difference "
                f"{difference.text(digits)}, on {curves.text} by {plain_name(curves.measure)}, {seeds}."
            )
            verdicts.append(TaskVerdict(task, above(difference, 0.0), why, difference))
        judged.append(claim.judge(verdicts))
    return judged


def _measures(rows: Sequence[Row]) -> list[str]:
    return measures_of(select(rows, experiment="similarity", variant="tuned", kind="value"))


def _conservative_at_top(curves: Curves, task: str) -> TaskVerdict:
    seeds = curves.of_task(task)
    share = curves.statistic(task, SHARE)
    if share is None:
        return TaskVerdict(task, NOT_TESTED, f"nothing changed on {curves.text}, so there is no change to locate.")
    fraction, baseline = _change_relative_to_baseline(curves, list(seeds.values()))
    conservative = UNDECIDED if fraction is None else below(fraction, WAY_TO_UNRELATED)
    verdict = joint_verdict([above(share, MOST_OF_THE_CHANGE), conservative])
    last = over_seeds([curve[-1] for curve in seeds.values()])
    parts = [
        f"a share of {share.text()} of the drop is in the top third; {plain_name(curves.measure)} falls to "
        f"{last.text(3)} ({curves.text}, {_n_seeds(len(seeds))})",
        baseline,
    ]
    if between := [curve[-1] for curve in curves.of_task(task, "seeds").values()]:
        parts.append(f"the similarity between seeds at the top is {over_seeds(between).text(3)}")
    return TaskVerdict(task, verdict, f"{'; '.join(parts)}.", share)


def _change_relative_to_baseline(curves: Curves, seeds: Sequence[Sequence[Estimate]]) -> tuple[Estimate | None, str]:
    """Mean change over the blocks as a fraction of the baseline model's, and a phrase that says so."""
    baseline = curves.baseline()
    if baseline is None or any(len(curve) != len(baseline[1]) for curve in seeds):
        return None, "there is no unrelated or random model to compare the change with"
    change = mean([one.complement() for one in baseline[1][1:]])
    if change.value < LEAST_CHANGE:
        return None, "the unrelated or random model is as similar to the base as the base itself"
    fraction = over_seeds([ratio(mean([one.complement() for one in curve[1:]]), change) for curve in seeds])
    model = {"unrelated": "an unrelated model", "random": "random weights"}[baseline[0]]
    return fraction, f"the mean change over the blocks is {fraction.text()} of the change to {model}"


def _n_seeds(n: int) -> str:
    return "1 seed, with the interval over texts alone" if n == 1 else f"{n} seeds"
