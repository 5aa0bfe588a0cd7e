"""C4, C5 and C8: how much fine-tuning changed, in which layers, and how deep for each task.

All three use curves of similarity between the base encoder and fine-tuned ones, on one text that all tasks share; C8
also the scores of early exits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...runner import select
from .claim import Claim, TaskVerdict
from .curves import CENTRE, MEAN, MIDDLE, SHARE, Curves
from .estimates import (
    LEAST_DOCUMENTS,
    NOT_TESTED,
    UNDECIDED,
    Estimate,
    above,
    agreed_verdict,
    below,
    difference,
    for_verdict,
    joint_verdict,
    mean,
    over_seeds,
    units_needed,
    with_enough_documents,
    with_seeds,
)
from .exits import depth_of_scores
from .rows import Row, measures_of, plain_name

__all__ = ["HALFWAY", "MOST_OF_THE_CHANGE", "PARSING", "RECONFIGURED", "judge_depth", "judge_top_layers"]

MOST_OF_THE_CHANGE = 0.5
"""Fraction of the drop in the top third. "Primarily affects the top layers" (abstract) is read as more than half: more
there than in all other layers together. A drop spread evenly over the blocks has 1/3 there."""

RECONFIGURED = 0.9
"""Mean similarity of the middle third. "Reconfigures most of the model" (abstract) is read as: the blocks of the middle
third, and so two thirds of the model, differ more from those of the base than neighbouring blocks of a pre-trained BERT
differ from each other, whose similarity is 0.905 to 0.942 (CKA; Wu et al. 2020)."""

HALFWAY = "half-way"
"""Name in the rows of the value half-way between a model that shares nothing with the base, and the base itself (1).
"Conservative" (abstract) is read as nearer to the base than to that model."""

PARSING, _SHALLOW = "dependency", ("mnli", "squad")
_VARIANTS = {"tuned": "after full training", "equal": "after equal numbers of updates"}

_OF_DOCUMENTS = f"Intervals add the variation over documents and over seeds; {LEAST_DOCUMENTS} documents are needed."
_C4 = Claim(
    "C4",
    "Fine-tuning is conservative and primarily affects the top layers.",
    "share of the change in the top third",
    "For MNLI and SQuAD, by RSA to the base encoder on text outside the domains: the share of the whole drop in the "
    f"top third of the blocks lies above {MOST_OF_THE_CHANGE:g}, more than in all other layers together, and the mean "
    "similarity of the blocks lies above the value half-way from that of an unrelated or random model (0 if there is "
    f"none) to 1. {_OF_DOCUMENTS} Parsing is shown but not counted: see C5.",
    "similarity_by_layer",
)
_C5 = Claim(
    "C5",
    "Dependency parsing reconfigures most of the model; MNLI and SQuAD are shallower.",
    "similarity, minus that after parsing",
    "The mean similarity (RSA) to the base in the middle third of the blocks is, after parsing, below "
    f"{RECONFIGURED:g}, less than that of neighbouring blocks of BERT, and higher after MNLI, and after SQuAD, than "
    "after parsing: the interval of the difference lies above 0. Both hold after full training and after equal numbers "
    f"of updates. {_OF_DOCUMENTS}",
    "similarity_by_layer",
)
_C8 = Claim(
    "C8",
    "How deep the change reaches depends on the task: deep for parsing, near the top for MNLI and SQuAD.",
    "layers",
    "RSA and ablations agree. RSA: the centre of change, the sum of l times the drop at layer l over the sum of drops, "
    "is higher for MNLI, and for SQuAD, than for parsing, both after full training and after equal numbers of updates. "
    "Early exit: the mean block at which a tuned model's score arises is higher too. All intervals of differences lie "
    f"above 0; undecided if they disagree or one is missing. {_OF_DOCUMENTS}",
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
                found = _conservative_at_top(other, task)
                share = "" if found.effect is None else f" ({found.effect.value:.2f})"
                others.append(f"{plain_name(measure)} {found.verdict}{share}")
        if others:
            verdict = replace(verdict, why=f"{verdict.why} By other measures: {', '.join(others)}.")
        verdicts.append(verdict.not_counted() if task == PARSING else verdict)
    return _C4.judge(verdicts)


def judge_depth(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """C5 and C8."""
    measures = _measures(rows)
    curves = Curves.on_shared_text(rows, measures[0]) if measures else None
    if curves is None or PARSING not in curves.tasks:
        return [_C5.judge([]), _C8.judge([])]
    tasks = [task for task in _SHALLOW if task in curves.tasks]
    return [
        _C5.judge([_shallower(curves, task) for task in tasks]),
        _C8.judge([_nearer_to_the_top(curves, task, rows) for task in tasks]),
    ]


def _measures(rows: Sequence[Row]) -> list[str]:
    return measures_of(select(rows, experiment="similarity", variant="tuned", kind="value"))


def _conservative_at_top(curves: Curves, task: str) -> TaskVerdict:
    seeds = curves.of_task(task)
    share, own = curves.statistic(task, SHARE), curves.statistic(task, MEAN)
    if own is None:
        return TaskVerdict(task, NOT_TESTED, f"not every layer was compared on {curves.text}.")
    if share is None:
        return TaskVerdict(task, NOT_TESTED, f"nothing changed on {curves.text}, so there is no change to locate.")
    nearer, baseline = _nearer_than_halfway(curves, task, own)
    n = curves.n_documents(task)
    conditions = [(for_verdict(share, len(seeds)), MOST_OF_THE_CHANGE), (for_verdict(nearer, len(seeds)), 0.0)]
    verdict = with_enough_documents(joint_verdict(above(*one) for one in conditions), n)
    last = over_seeds([curve[-1] for curve in seeds.values()])
    parts = [
        f"a share of {share.text()} of the drop is in the top third; {plain_name(curves.measure)} falls to "
        f"{last.text(3)} ({curves.text}, {_n_seeds(len(seeds))})",
        baseline,
    ]
    if between := [curve[-1] for curve in curves.of_task(task, "seeds").values()]:
        parts.append(f"the similarity between seeds at the top is {over_seeds(between).text(3)}")
    is_open = conditions[0] if above(*conditions[0]) == UNDECIDED else conditions[1]
    wanted = units_needed(verdict, *is_open, documents=n, seeds=len(seeds))
    return TaskVerdict(task, verdict, f"{'; '.join(parts)}.", share, needed=wanted)


def _nearer_than_halfway(curves: Curves, task: str, own: Estimate) -> tuple[Estimate, str]:
    """The mean similarity `own` of the blocks minus the value half-way from the baseline's to 1, and a phrase."""
    measured = curves.compared(task, MEAN, HALFWAY)
    baseline = curves.baseline()
    if baseline is None:
        return own - Estimate(0.5, 0.5, 0.5), f"the mean similarity of the blocks is {own.text(3)}"
    of_baseline = mean(baseline[1][1:])
    half = of_baseline.complement().times(0.5).complement()
    model = {"unrelated": "an unrelated model", "random": "random weights"}[baseline[0]]
    words = f"the mean similarity of the blocks is {own.text(3)}, of {model} {of_baseline.text(3)}"
    return own - half if measured is None else measured, words


@dataclass(frozen=True)
class _Depth:
    """A statistic of the curves of a task and of parsing, and their difference, for one kind of training."""

    own: Estimate
    parsing: Estimate
    difference: Estimate
    n_seeds: tuple[int, int]

    @classmethod
    def of(cls, curves: Curves, task: str, name: str, variant: str) -> _Depth | None:
        own, parsing = (curves.statistic(one, name, variant) for one in (task, PARSING))
        if own is None or parsing is None:
            return None
        n_seeds = [len(curves.of_seeds(one, name, variant)) for one in (task, PARSING)]
        found = curves.compared(task, name, PARSING, variant)
        return cls(own, parsing, own - parsing if found is None else found, (n_seeds[0], n_seeds[1]))

    def text(self, digits: int) -> str:
        seeds = f"{self.n_seeds[0]} and {self.n_seeds[1]} seeds"
        if min(self.n_seeds) == 1:
            seeds += ", so of these models only"
        numbers = [one.text(digits) for one in (self.own, self.parsing, self.difference)]
        return f"{numbers[0]}, after parsing {numbers[1]}: difference {numbers[2]} ({seeds})"


def _shallower(curves: Curves, task: str) -> TaskVerdict:
    """C5 for one task."""
    found = {variant: _Depth.of(curves, task, MIDDLE, variant) for variant in _VARIANTS}
    verdicts = [
        UNDECIDED if one is None else joint_verdict([above(one.difference, 0.0), below(one.parsing, RECONFIGURED)])
        for one in found.values()
    ]
    return _of_both_trainings(curves, task, found, joint_verdict(verdicts), "the similarity of the middle third is", 3)


def _nearer_to_the_top(curves: Curves, task: str, rows: Sequence[Row]) -> TaskVerdict:
    """C8 for one task."""
    found = {variant: _Depth.of(curves, task, CENTRE, variant) for variant in _VARIANTS}
    verdicts = [UNDECIDED if one is None else above(one.difference, 0.0) for one in found.values()]
    exits = [depth_of_scores(rows, one) for one in (task, PARSING)]
    if not all(exits):
        verdicts.append(UNDECIDED)
        words = "early exits of both tasks are missing"
    else:
        deeper = with_seeds(difference(*(mean(one) for one in exits)), [(1.0, [e.value for e in one]) for one in exits])
        verdicts.append(above(deeper, 0.0))
        numbers = [mean(one).text(1) for one in exits]
        words = f"by early exit the score arises at block {numbers[0]}, of parsing {numbers[1]}: {deeper.text(1)}"
        if min(map(len, exits)) == 1:
            words += ", of these models only"
    verdict = _of_both_trainings(curves, task, found, agreed_verdict(verdicts), "the centre of change is layer", 2)
    return replace(verdict, why=f"{verdict.why.removesuffix('.')}; {words}.")


def _of_both_trainings(
    curves: Curves, task: str, found: dict[str, _Depth | None], verdict: str, words: str, digits: int
) -> TaskVerdict:
    full = found["tuned"]
    if full is None:
        why = "the task or parsing changed the model too little to locate the change."
        return TaskVerdict(task, NOT_TESTED, why)
    parts = [
        f"{name} {f'{words} {one.text(digits)}' if one else 'there are no models'}"
        for name, one in ((_VARIANTS[variant], one) for variant, one in found.items())
    ]
    n = curves.n_documents(task)
    verdict = with_enough_documents(verdict, n)
    weakest = min((one for one in found.values() if one), key=lambda one: one.difference.value)
    wanted = ""
    if above(weakest.difference, 0.0) == UNDECIDED:
        wanted = units_needed(verdict, weakest.difference, 0.0, documents=n, seeds=min(weakest.n_seeds))
    why = f"{'; '.join(parts)}, on {curves.text} by {plain_name(curves.measure)}."
    return TaskVerdict(task, verdict, why, weakest.difference, needed=wanted)


def _n_seeds(n: int) -> str:
    return "1 seed, so of this model only" if n == 1 else f"{n} seeds"
