"""C4, C5 and C8: how much fine-tuning changed, in which layers, and for which task deeper.

All three read the curves of similarity between a base encoder and the one tuned from it, on one text that all tasks
share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import depth
from .curves import CENTRE, MIDDLE, SHARE, Curves
from .estimates import NOT_TESTED, UNDECIDED, Estimate, above, below, joint_verdict, mean, over_seeds, ratio
from .record import Claim, Finding
from .table import Row, measures_of, pick, plain_name

__all__ = ["MOST_OF_THE_CHANGE", "WAY_TO_UNRELATED", "at_the_top", "deeper_for_parsing"]

MOST_OF_THE_CHANGE = 0.5
"""Share of the drop in the top third: "primarily affects the top layers" (abstract) read as the greater part of it; a
drop spread evenly over the blocks has 1/3 there."""

WAY_TO_UNRELATED = 0.5
"""Mean change over the blocks as a part of that of a model with nothing in common: "conservative" (abstract) read as
nearer to the base than to that floor."""

_DEPENDENCY, _SHALLOW = "dependency", ("mnli", "squad")

_C4 = Claim(
    "C4",
    "Fine-tuning is conservative and primarily affects the top layers.",
    "share of the change in the top third",
    "For MNLI and SQuAD, by RSA to the base encoder: the interval of the share of the whole drop that falls in the "
    f"top third of the blocks lies above {MOST_OF_THE_CHANGE:g}, and that of the mean change over the blocks, as a "
    f"part of the change to an unrelated or random model, below {WAY_TO_UNRELATED:g}. Parsing stands beside it: C5.",
    "similarity_by_layer",
)
_C5 = Claim(
    "C5",
    "Dependency parsing reconfigures most of the model; MNLI and SQuAD are shallower.",
    "similarity kept, more than under parsing",
    "The mean similarity (RSA) to the base of the middle third of the blocks is higher after MNLI, and after SQuAD, "
    "than after parsing: the interval of the difference lies above 0.",
    "similarity_by_layer",
)
_C8 = Claim(
    "C8",
    "How deep the change reaches depends on the task: deep for parsing, near the top for MNLI and SQuAD.",
    "layers",
    "The centre of change (RSA), sum of l times the drop at layer l over the sum of drops, lies higher for MNLI, and "
    "for SQuAD, than for parsing: the interval of the difference lies above 0.",
    "similarity_by_layer",
)


def at_the_top(rows: Sequence[Row]) -> dict[str, Any]:
    """C4."""
    measures = _measures(rows)
    curves = Curves.shared_text(rows, measures[0]) if measures else None
    if curves is None:
        return _C4.judged([])
    findings = []
    for task in curves.tasks:
        found = _conservative_at_top(curves, task)
        others = []
        for measure in measures[1:]:
            other = Curves.shared_text(rows, measure)
            if other is not None and task in other.tasks:
                others.append(f"{plain_name(measure)} {_conservative_at_top(other, task).verdict}")
        if others:
            found = Finding(
                found.task, found.verdict, f"{found.why} By other measures: {', '.join(others)}.", found.effect
            )
        findings.append(found.beside() if task == _DEPENDENCY else found)
    return _C4.judged(findings)


def deeper_for_parsing(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """C5 and C8."""
    measures = _measures(rows)
    curves = Curves.shared_text(rows, measures[0]) if measures else None
    claims = (
        (_C5, MIDDLE, "the middle third keeps a similarity of", 3),
        (_C8, CENTRE, "the change is centred at layer", 2),
    )
    if curves is None or _DEPENDENCY not in curves.tasks:
        return [claim.judged([]) for claim, *_ in claims]
    judged = []
    for claim, statistic, what, digits in claims:
        parsing = curves.statistic(_DEPENDENCY, statistic)
        findings = []
        for task in (task for task in _SHALLOW if task in curves.tasks):
            ours = curves.statistic(task, statistic)
            if ours is None or parsing is None:
                findings.append(Finding(task, NOT_TESTED, "one of both models changed too little to place a change."))
                continue
            apart = ours - parsing
            seeds = f"{len(curves.of_task(task))} and {len(curves.of_task(_DEPENDENCY))} seeds"
            why = (
                f"{what} {ours.words(digits)}, under parsing {parsing.words(digits)}: {apart.words(digits)} apart on "
                f"{curves.text} by {plain_name(curves.measure)}, {seeds}."
            )
            findings.append(Finding(task, above(apart, 0.0), why, apart))
        judged.append(claim.judged(findings))
    return judged


def _measures(rows: Sequence[Row]) -> list[str]:
    return measures_of(pick(rows, experiment="similarity", variant="tuned", kind="value"))


def _conservative_at_top(curves: Curves, task: str) -> Finding:
    by_seed = curves.of_task(task)
    share = curves.statistic(task, SHARE)
    if share is None:
        return Finding(task, NOT_TESTED, f"nothing changed on {curves.text}: there is no change to place.")
    way, of_floor = _way_to_floor(curves, list(by_seed.values()))
    verdict = joint_verdict(
        [above(share, MOST_OF_THE_CHANGE), UNDECIDED if way is None else below(way, WAY_TO_UNRELATED)]
    )
    last = over_seeds([curve[-1] for curve in by_seed.values()])
    parts = [
        f"{share.words()} of the drop is in the top third, where {plain_name(curves.measure)} falls to {last.words(3)} "
        f"({curves.text}, {_seeds(len(by_seed))})",
        of_floor,
    ]
    if noise := _between_seeds(curves, task):
        parts.append(noise)
    return Finding(task, verdict, f"{'; '.join(parts)}.", share)


def _way_to_floor(curves: Curves, seeds: Sequence[Sequence[Estimate]]) -> tuple[Estimate | None, str]:
    """Mean change over the blocks as a part of the floor's, and what to say of it."""
    floor = curves.floor()
    if floor is None or any(len(curve) != len(floor[1]) for curve in seeds):
        return None, "no unrelated or random model to hold it against"
    to_floor = mean([one.complement() for one in floor[1][1:]])
    if to_floor.value < depth.LEAST_CHANGE:
        return None, "the floor is no lower than the base itself"
    way = over_seeds([ratio(mean([one.complement() for one in curve[1:]]), to_floor) for curve in seeds])
    model = {"unrelated": "an unrelated model", "random": "random weights"}[floor[0]]
    return way, f"the mean change over the blocks is {way.words()} of that to {model}"


def _between_seeds(curves: Curves, task: str) -> str | None:
    """How alike seeds are at the top: a change no greater than that could be any training's."""
    found = [one[-1] for one in curves.of_task(task, "seeds").values()]
    return f"seeds agree among themselves to {over_seeds(found).words(3)}" if found else None


def _seeds(n: int) -> str:
    return "1 seed, whose interval is that of the texts alone" if n == 1 else f"{n} seeds"
