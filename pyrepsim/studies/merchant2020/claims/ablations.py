"""C7: the cost of freezing two thirds of the blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...runner import select
from .claim import Claim, TaskVerdict
from .curves import thirds
from .estimates import HOLDS, UNDECIDED, Estimate, above, below, difference, over_seeds
from .rows import Row, by_seed, estimate_of, tasks_of

__all__ = ["NOTABLE_DROP", "SPREAD_OF_RUNS", "judge_freezing"]

NOTABLE_DROP = 0.01
"""A "notable drop" of a score, as a fraction. The paper finds that with 8 of 12 blocks frozen, MNLI and SQuAD lose no
more than about one point."""

SPREAD_OF_RUNS = 0.003
"""Standard deviation of a score over fine-tuning seeds, as a fraction, assumed if there is only one seed. BERT-base has
0.0017 for SQuAD F1, and 0.0011 to 0.0023 for parsing (five seeds each)."""

_NORMAL_95 = 1.959964
_TASKS = ("mnli", "squad")

_C7 = Claim(
    "C7",
    "MNLI and SQuAD lose little when the bottom two thirds of the blocks are frozen.",
    "score lost",
    "The score with nothing frozen minus that with two thirds of the blocks frozen is at most "
    f"{100 * NOTABLE_DROP:g} point for MNLI and SQuAD: its interval over the seeds, paired, lies below. With one seed "
    f"the interval combines that of the evaluation data and an assumed standard deviation of {100 * SPREAD_OF_RUNS:g} "
    "points for each run. Undecided if freezing all blocks costs no more either: then the task does not depend on the "
    "blocks.",
    "freezing",
    weakest="high",
    in_points=True,
)


def judge_freezing(rows: Sequence[Row]) -> dict[str, Any]:
    """C7."""
    freezing = select(rows, experiment="freezing", kind="value")
    finetuning = select(rows, experiment="finetuning", kind="value")
    verdicts = []
    for task in tasks_of(freezing):
        verdict = _cost(select(freezing, task=task), select(finetuning, task=task), task)
        if verdict is not None:
            verdicts.append(verdict if task in _TASKS else verdict.not_counted())
    return _C7.judge(verdicts)


def _cost(frozen: Sequence[Row], full: Sequence[Row], task: str) -> TaskVerdict | None:
    metric = next((row.get("metric") for row in frozen), None)  # the main score of a task comes first
    mine = [row for row in select(frozen, metric=metric) if row.get("k") is not None]
    numbers = sorted({row["k"] for row in mine})
    if not numbers or numbers[-1] == 0:
        return None
    deepest = numbers[-1]
    two_thirds = thirds(deepest).top.start - 1
    k = min((n for n in numbers if n >= max(two_thirds, 1)), default=deepest)
    unfrozen = select(mine, k=0) or select(full, metric=metric)
    lost, n_seeds = _lost(unfrozen, select(mine, k=k))
    if lost is None:
        return None
    verdict = below(lost, NOTABLE_DROP)
    why = f"freezing {k} of {deepest} blocks costs {lost.percent()} points of {metric} ({_n_seeds(n_seeds, lost)})"
    if k < deepest:
        all_lost, _ = _lost(unfrozen, select(mine, k=deepest))
        if all_lost is not None:
            why += f", freezing all {all_lost.percent()}"
            if verdict == HOLDS and above(all_lost, NOTABLE_DROP) != HOLDS:
                verdict = UNDECIDED
    return TaskVerdict(task, verdict, f"{why}.", lost)


def _lost(unfrozen: Sequence[Row], frozen: Sequence[Row]) -> tuple[Estimate | None, int]:
    """The score lost, paired by seed, and the number of seeds."""
    before, after = (
        {seed: estimate_of(of_seed[0]) for seed, of_seed in by_seed(rows).items()} for rows in (unfrozen, frozen)
    )
    shared = [seed for seed in before if seed in after]
    if len(shared) > 1:
        shared = [seed for seed in shared if seed is not None]
    losses = [difference(before[seed], after[seed]) for seed in shared]
    if len(losses) > 1:
        # Both scores of a seed are on the same data, so only the spread of their differences over seeds counts.
        return over_seeds([Estimate(one.value) for one in losses]), len(losses)
    if not losses:
        return None, 0
    return _with_spread_of_runs(losses[0]), 1


def _with_spread_of_runs(lost: Estimate) -> Estimate:
    """Widen the interval of one seed by the spread of two runs."""
    if lost.ends is None:
        return lost
    spread = _NORMAL_95 * math.sqrt(2) * SPREAD_OF_RUNS
    low, high = (math.hypot(end - lost.value, spread) for end in lost.ends)
    return replace(lost, low=lost.value - low, high=lost.value + high)


def _n_seeds(n: int, lost: Estimate) -> str:
    if n > 1:
        return f"{n} seeds, paired"
    return "1 seed" if lost.ends else "1 seed, no interval known"
