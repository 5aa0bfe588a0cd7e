"""The magnitude of a metric space, compared between representations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError, OptionError
from ..pairwise import PairwiseEngine
from ..pairwise.distances import condensed
from .base import RIGID, SIMILARITY, Invariance
from .geometry import _Difference

__all__ = ["MetricSpaceMagnitude"]

MOST_ROWS = 5_000
"""Rows whose similarity matrix (200 MB; with its factors and the distances 0.7 GB) is solved in seconds."""
_LEAST_ACCURACY = 1e-6


@dataclass(frozen=True)
class MetricSpaceMagnitude(_Difference):
    """Difference of metric space magnitudes, the effective numbers of points.

    value = |M(X) - M(Y)|, M(X) = sum_ij (Z^-1)_ij with Z_ij = exp(-t d_ij / s) and Euclidean distances d; symmetric.
    Rows whose similarity is 1 in float64 count as one point. M tends to 1 for small t and to the number of points for
    large t.

    Needs the inverse of an n x n matrix: at most 5,000 rows, seconds and 0.7 GB there.

    t : > 0, the scale.
    relative : s is the root mean square distance of the representation, so that its size does not matter. False: s = 1.

    ``details``: magnitude_x, magnitude_y, distinct_x, distinct_y (points), accuracy_x, accuracy_y (about how much of a
    magnitude may be rounding, as a fraction), precision ("fp64").

    References: Leinster (2013), The magnitude of metric spaces, Documenta Mathematica 18, section 2;
    Limbeck et al. (2024), arXiv:2311.16054, who integrate the difference over t.
    """

    t: float = 10.0
    relative: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.t < math.inf:
            raise OptionError(f"MetricSpaceMagnitude: t must be a number > 0: got {self.t!r}.")

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY if self.relative else RIGID

    def _statistics(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> dict[str, float]:
        n = len(x)
        if n > MOST_ROWS:
            raise DegenerateError(
                f"{self} solves an n x n system: at most {MOST_ROWS:,} rows, got {n:,} of {label}. Take a sample."
            )
        exact = PairwiseEngine(
            backend=engine.backend.name, n_threads=engine.n_threads, precision="fp64", progress=False
        )
        distances = condensed(exact, exact.panels(x, "euclidean", label=label), "euclidean")
        scale = (self.relative and math.sqrt(float(np.mean(np.square(distances))))) or 1.0
        similarity, distinct = _similarity(distances, n, self.t / scale)
        with one_blas_thread():  # the same bits however many threads there are
            magnitude, error = _total_weight(similarity[np.ix_(distinct, distinct)])
        accuracy = error / abs(magnitude)
        if not accuracy < _LEAST_ACCURACY:
            raise DegenerateError(
                f"{self} needs a similarity matrix that can be inverted: the magnitude came out as {magnitude:.6g} "
                f"with relative error {accuracy:.2g}. Rows are too near one another for the scale: take a larger t."
            )
        return {"magnitude": magnitude, "distinct": float(np.count_nonzero(distinct)), "accuracy": accuracy}


def _similarity(distances: np.ndarray, n: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """exp(-rate d) as an (n, n) matrix, of condensed distances; and a mask of rows that no earlier row is like."""
    similarity, distinct = np.ones((n, n)), np.ones(n, dtype=bool)
    begin = 0
    for i in range(n - 1):
        later = distances[begin : begin + n - 1 - i]
        similarity[i, i + 1 :] = similarity[i + 1 :, i] = np.exp(-rate * later)
        distinct[i + 1 :] &= similarity[i, i + 1 :] < 1
        begin += len(later)
    return similarity, distinct


def _total_weight(similarity: np.ndarray) -> tuple[float, float]:
    """sum w with Z w = 1, Z positive definite, and a bound on its error to first order.

    With w' computed and r = 1 - Z w', the error is w . r; and a change E of Z's entries, rounded, moves it by w . E w.
    """
    try:
        weights = np.linalg.solve(similarity, np.ones(len(similarity)))
    except np.linalg.LinAlgError:
        return math.nan, math.inf
    residual = 1 - np.einsum("ij,j->i", similarity, weights)
    spread = float(np.sum(np.abs(weights)))
    return float(np.sum(weights)), spread * float(np.max(np.abs(residual))) + 2.0**-52 * spread**2
