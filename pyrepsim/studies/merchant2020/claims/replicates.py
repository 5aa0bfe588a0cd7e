"""Numbers of one text with their values without each block of documents, and sums and differences of them.

What is computed from all numbers at once, such as a difference between two models, is computed again without each
block: its jackknife interval then accounts for how the numbers vary together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ....core.errors import OptionError
from ....inference.differences import error_of_difference
from ....inference.p_values import two_sided_p
from ....inference.resampling import jackknife_interval, t_quantile
from ....results import Score, Scores
from .estimates import Estimate

__all__ = ["Difference", "Replicates", "difference_of_texts", "mean_of", "weighted"]


@dataclass(frozen=True)
class Replicates:
    """Values of shape (k,), and without each block of documents, (n_blocks, k)."""

    values: np.ndarray
    without: np.ndarray

    @classmethod
    def of_documents(cls, sums: np.ndarray, sizes: np.ndarray | None = None) -> Replicates:
        """Means over documents, each of which is a block: from the sums (n, k) of each and its size (default 1)."""
        n = np.ones(len(sums)) if sizes is None else sizes
        total, rest = sums.sum(axis=0), n.sum() - n
        return cls(total / n.sum(), (total - sums) / rest[:, None])

    @classmethod
    def of_scores(cls, scores: Scores, measure: str) -> Replicates:
        """The layers of a measure, in order; OptionError if their intervals did not keep the values."""
        curve = [score for score in scores if score.measure == measure]
        without = [_without_block(score) for score in curve]
        return cls(np.array([score.value for score in curve]), np.array(without).T)

    def map(self, function: Callable[[np.ndarray], np.ndarray]) -> Replicates:
        """One number of all values, (1,); the function gets the values in the last axis."""
        return Replicates(function(self.values)[None], function(self.without)[:, None])

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.values).all() and np.isfinite(self.without).all())

    def estimate(self, place: int = 0) -> Estimate:
        """A value with its interval: value -+ t SE, as by `Jackknife`, without Fisher's z."""
        value = float(self.values[place])
        return Estimate(value, *jackknife_interval(value, self.without[:, place]))


@dataclass(frozen=True)
class Difference:
    """A difference between two texts: its interval, and the two-sided p-value of no difference."""

    estimate: Estimate
    p: float


def weighted(parts: Iterable[tuple[float, Replicates]]) -> Replicates:
    """The sum of weights times numbers of the same text: each block is left out of all at once."""
    weights, numbers = zip(*parts, strict=True)
    shapes = {one.without.shape for one in numbers}
    if len(shapes) > 1:
        raise OptionError(f"Numbers of one text have the same blocks and layers: got {sorted(shapes)}.")
    return Replicates(
        sum(w * one.values for w, one in zip(weights, numbers, strict=True)),
        sum(w * one.without for w, one in zip(weights, numbers, strict=True)),
    )


def mean_of(numbers: Sequence[Replicates]) -> Replicates:
    """The mean of several models on the same text."""
    return weighted([(1 / len(numbers), one) for one in numbers])


def difference_of_texts(first: Replicates, second: Replicates, place: int = 0) -> Difference:
    """First - second for two texts, whose documents are independent.

    value -+ t sqrt(SE_1^2 + SE_2^2) with the jackknife standard errors of both, t of the degrees of freedom of Welch &
    Satterthwaite.
    """
    value = float(first.values[place] - second.values[place])
    error, dof = error_of_difference(first.without[:, place], second.without[:, place])
    half = t_quantile(0.95, dof) * error
    p = two_sided_p(value, error, dof)
    return Difference(Estimate(value, value - half, value + half), p)


def _without_block(score: Score) -> Any:
    interval = score.details.get("interval", {})
    if "without_block" not in interval:
        raise OptionError(
            "Statistics of curves need the values without each block of documents: the scores of "
            f"{score.measure} have none. Compare with interval=rs.Jackknife() or rs.Bootstrap()."
        )
    return np.asarray(interval["without_block"], dtype=np.float64)
