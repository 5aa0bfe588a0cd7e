"""The depth at which a tuned model's score arises, from early exits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ...runner import select
from .estimates import Estimate
from .replicates import Replicates
from .rows import Row, by_seed, estimate_of

__all__ = ["EXIT_DEPTH", "depth_of_exits", "depth_of_scores", "depth_over_groups"]

EXIT_DEPTH = "depth of the score"
"""Name in the rows of `depth_of_exits`, before the name of the score."""


def depth_of_exits(scores: Mapping[int, float]) -> float:
    """The mean block at which the score arises, from the scores a_k of a head that reads block k.

    With exits at k_1 < ... < k_n: sum_{i > 1} k_i (a_i - a_{i-1}) / (a_n - a_1), from k_2, if all of the gain comes
    with the second exit, to k_n, if it comes with the last. NaN if the last exit does not score above the first.
    """
    exits = sorted(scores)
    return float(_depth(np.array([scores[k] for k in exits]), exits))


def _depth(scores: np.ndarray, exits: Sequence[int]) -> np.ndarray:
    gains = np.diff(scores, axis=-1)
    total = gains.sum(axis=-1)
    return gains @ np.array(exits[1:]) / np.where(total > 0, total, math.nan)


def depth_over_groups(scores: Mapping[int, np.ndarray], cases: np.ndarray) -> Estimate | None:
    """`depth_of_exits` with its jackknife interval over groups of items, which are left out of all exits at once.

    `scores` has for each exit the sum of the scores of each group, (n_groups,), and `cases` the number of cases of each
    group. None if the depth is not defined.
    """
    exits = sorted(scores)
    curve = Replicates.of_documents(np.array([scores[k] for k in exits]).T, cases)
    depth = curve.map(lambda values: _depth(values, exits))
    return depth.estimate() if depth.finite else None


def depth_of_scores(rows: Sequence[Row], task: str) -> list[Estimate]:
    """`depth_of_exits` of each seed of a task, with its interval over the items of the dev data; empty if missing."""
    measured = [row for row in select(rows, experiment="exit", kind="value", task=task) if _of_depth(row)]
    first = [row for row in measured if row.get("metric") == measured[0].get("metric")]
    return [estimate_of(of_seed[0]) for of_seed in by_seed(first).values()]


def _of_depth(row: Row) -> bool:
    return str(row.get("metric")).startswith(EXIT_DEPTH)
