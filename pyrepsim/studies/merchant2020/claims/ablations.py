"""C7: what it costs to leave two thirds of the blocks as they were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .depth import thirds
from .estimates import HOLDS, UNDECIDED, Estimate, above, below, difference, over_seeds
from .record import Claim, Finding
from .table import Row, by_seed, estimate_of, pick, tasks_of

__all__ = ["NOTABLE_DROP", "SPREAD_OF_RUNS", "top_third_is_enough"]

NOTABLE_DROP = 1.0
"""Points: a "notable drop" (PAPER section 11: score(k = 8) >= score(0) - ~1 point for MNLI and SQuAD)."""

SPREAD_OF_RUNS = 0.3
"""Points: standard deviation of a score over fine-tuning seeds, supposed where there is one seed alone. Of BERT-base it
is 0.17 for SQuAD F1, and 0.11 to 0.23 for parsing (PAPER sections 2.2 and 7.2, five seeds each)."""

_NORMAL_95 = 1.959964
_PAPERS = ("mnli", "squad")

_C7 = Claim(
    "C7",
    "MNLI and SQuAD lose little when the bottom two thirds of the blocks are frozen.",
    "points lost",
    "The score with nothing frozen less that with two thirds of the blocks frozen is at most "
    f"{NOTABLE_DROP:g} point for MNLI and SQuAD: its interval over the seeds, paired, lies below. With one seed the "
    f"interval is that of the evaluation data and of a supposed spread of {SPREAD_OF_RUNS:g} points a run. Undecided "
    "where freezing all blocks costs no more either: then the task shows nothing of the blocks.",
    "freezing",
    weakest="high",
)


def top_third_is_enough(rows: Sequence[Row]) -> dict[str, Any]:
    """C7."""
    freezing = pick(rows, experiment="freezing", kind="value")
    findings = []
    for task in tasks_of(freezing):
        finding = _cost(pick(freezing, task=task), pick(rows, experiment="finetuning", kind="value", task=task), task)
        if finding is not None:
            findings.append(finding if task in _PAPERS else finding.beside())
    return _C7.judged(findings)


def _cost(frozen: Sequence[Row], whole: Sequence[Row], task: str) -> Finding | None:
    metric = next((row.get("metric") for row in frozen), None)  # a task's headline comes first
    mine = [row for row in pick(frozen, metric=metric) if row.get("k") is not None]
    numbers = sorted({row["k"] for row in mine})
    if not numbers or numbers[-1] == 0:
        return None
    deepest = numbers[-1]
    two_thirds = thirds(deepest).top.start - 1
    k = min((n for n in numbers if n >= max(two_thirds, 1)), default=deepest)
    free = pick(mine, k=0) or pick(whole, metric=metric)
    lost, n_seeds = _lost(free, pick(mine, k=k))
    if lost is None:
        return None
    verdict = below(lost, NOTABLE_DROP)
    why = f"freezing {k} of {deepest} blocks costs {lost.words()} points of {metric} ({_seeds(n_seeds, lost)})"
    if k < deepest:
        all_lost, _ = _lost(free, pick(mine, k=deepest))
        if all_lost is not None:
            why += f", freezing all {all_lost.words()}"
            if verdict == HOLDS and above(all_lost, NOTABLE_DROP) != HOLDS:
                verdict = UNDECIDED
    return Finding(task, verdict, f"{why}.", lost)


def _lost(free: Sequence[Row], frozen: Sequence[Row]) -> tuple[Estimate | None, int]:
    """Points lost, paired by seed, and over how many seeds."""
    before, after = (
        {seed: estimate_of(of_seed[0]) for seed, of_seed in by_seed(rows).items()} for rows in (free, frozen)
    )
    shared = [seed for seed in before if seed in after]
    if len(shared) > 1:
        shared = [seed for seed in shared if seed is not None]
    drops = [difference(before[seed], after[seed]) for seed in shared]
    if len(drops) > 1:
        # Both scores of a seed are on the same data: the spread over seeds of their difference is all that counts.
        return over_seeds([Estimate(one.value) for one in drops]), len(drops)
    if not drops:
        return None, 0
    return _with_spread_of_runs(drops[0]), 1


def _with_spread_of_runs(drop: Estimate) -> Estimate:
    if drop.ends is None:
        return drop
    supposed = _NORMAL_95 * math.sqrt(2) * SPREAD_OF_RUNS
    low, high = (math.hypot(end - drop.value, supposed) for end in drop.ends)
    return replace(drop, low=drop.value - low, high=drop.value + high)


def _seeds(n: int, lost: Estimate) -> str:
    if n > 1:
        return f"{n} seeds, paired"
    return "1 seed" if lost.ends else "1 seed, and no interval known"
