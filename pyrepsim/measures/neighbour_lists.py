"""The k nearest neighbours of every row, and the base classes of the measures that use them.

Neighbours are exact; a row is never its own neighbour. Of equally near rows, the one with the lower index comes first:
with duplicated rows the lists therefore depend on the order of the rows. ``Score.details`` counts such ties
(``ties_x``, ``ties_y``).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..pairwise import METRICS, PairwiseEngine, pair_sums
from .base import SIMILARITY, Invariance, Result, RowMeasure, one_of, per_layer
from .rows import mean_square

__all__ = ["Common", "Lists", "NeighbourMeasure", "TwoListMeasure", "common"]

_SAME_ORIGIN = Invariance.SCALING | Invariance.PERMUTATION | Invariance.ORTHOGONAL
_INVARIANT = {
    "cosine": _SAME_ORIGIN,
    "dot": _SAME_ORIGIN,
    "correlation": Invariance.SCALING | Invariance.PERMUTATION,
    "euclidean": SIMILARITY,
    "manhattan": SIMILARITY & ~Invariance.ORTHOGONAL,
    "chebyshev": SIMILARITY & ~Invariance.ORTHOGONAL,
}
_CLEARLY_APART, _FEW_ROWS = 1e-3, 64
"""Distances of nearest neighbours that differ by more than this, relatively, are not all equal in any precision."""


class Lists(NamedTuple):
    """The neighbours of every row of one representation."""

    indices: np.ndarray
    """(n, k), nearest first."""
    ties: int
    """Number of rows whose list, or its order, was decided by the index."""
    gram: np.ndarray
    """Similarity of each neighbour, (n, k), or empty if the measure does not use it."""


class Common(NamedTuple):
    """Neighbours that are in both lists of a row, ascending by row."""

    row: np.ndarray
    place_x: np.ndarray
    """Place in X's list, from 0."""
    place_y: np.ndarray


def common(x: np.ndarray, y: np.ndarray) -> Common:
    """Return the entries that row i of `x` (n, k) shares with row i of `y` (n, k); no row has an entry twice."""
    k = x.shape[1]
    both = np.concatenate([x, y], axis=1)
    order = np.argsort(both, axis=1, kind="stable")  # of two equal entries, the one of X comes first
    both = np.take_along_axis(both, order, axis=1)
    row, at = np.nonzero(both[:, 1:] == both[:, :-1])
    return Common(row, order[row, at], order[row, at + 1] - k)


@dataclass(frozen=True)
class NeighbourMeasure(RowMeasure):
    """A measure of the k nearest neighbours of every row."""

    k: int = 10

    list_metric: ClassVar[str] = "cosine"
    """The metric by which rows are near."""
    ordered: ClassVar[bool] = False
    """Whether the order within a list matters."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise OptionError(f"{type(self).__name__}: k must be a whole number >= 1: got {self.k!r}.")

    @property
    def invariant_x(self) -> Invariance:
        return _INVARIANT[self.list_metric]

    def _all_lists(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> dict[int, Lists]:
        """Return the neighbours of every row, for each layer that is in a pair."""
        return per_layer(layers, pairs, lambda x, label: self._lists(x, label, engine))

    def _lists(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> Lists:
        n = len(x)
        if n <= self.k:
            raise DegenerateError(
                f"{self} needs more than k rows, since a row is not its own neighbour: got k={self.k} and {n} rows. "
                "Pass more samples or a smaller k."
            )
        # one neighbour more shows whether the last place is a tie
        metric, k = self.list_metric, min(self.k + 1, n - 1)
        panels = engine.panels(x, metric, label=label)
        if engine.one_direction(metric, x):
            self.refuse_one_direction(label, metric)
        sweep = engine.backend.NeighbourSweep(panels, None, metric=METRICS[metric].kernel, k=k)
        indices, values = engine.run(sweep, "neighbours")
        self._refuse_equal_entries(x, values, label, engine)
        equal = values[:, 1:] == values[:, :-1]
        ties = int(np.count_nonzero(equal.any(axis=1) if self.ordered else equal[:, self.k - 1 :].any(axis=1)))
        indices = np.ascontiguousarray(indices[:, : self.k])
        return Lists(indices, ties, self._similarities(x, indices))

    def _refuse_equal_entries(self, x: np.ndarray, values: np.ndarray, label: str, engine: PairwiseEngine) -> None:
        """Raise DegenerateError if all rows are equally near each other up to rounding.

        Neighbours that are not equally near need no second sweep over all pairs of rows.
        """
        low, high = float(values.min()), float(values.max())
        size = mean_square(x[:_FEW_ROWS]) if self.list_metric == "dot" else high
        if high - low > _CLEARLY_APART * size:
            return
        packed = engine.packed(x, self.list_metric, label=label)
        if high - low > 2 * packed.error or len(x) < 3:
            return
        (sums,) = pair_sums(engine, [packed], [(0, 0)])
        sums.refuse_constant(str(self))

    def _similarities(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Return the similarity of each row with its neighbours, for measures that use it."""
        return np.empty((0, 0))

    def _list_details(self, x: Lists, y: Lists) -> dict[str, Any]:
        return {"k": self.k, "metric": self.list_metric, "ties_x": x.ties, "ties_y": y.ties}


@dataclass(frozen=True)
class TwoListMeasure(NeighbourMeasure):
    """A measure of two sets of neighbour lists, with the metric as an option."""

    metric: str = "cosine"

    metrics: ClassVar[tuple[str, ...]] = tuple(_INVARIANT)
    """Metrics to choose from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "metric", self.metrics)

    @property
    def list_metric(self) -> str:
        return self.metric

    def evaluate(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        lists = self._all_lists(layers, pairs, engine)
        results = []
        for i, j in pairs:
            value, details = self._compare(lists[i], lists[j])
            results.append((value, {**details, **self._list_details(lists[i], lists[j])}))
        return results

    @abstractmethod
    def _compare(self, x: Lists, y: Lists) -> Result:
        """Return the value, and details other than k, metric and ties."""
