"""The k nearest neighbours of every row, and what the measures that read them share.

They are found exactly, by tiles; a row is never its own neighbour. Where rows are equally near, the one with the lower
index comes first: with duplicated rows the lists then depend on the order of the rows, and ``details`` counts how
often that decided (ties_x, ties_y).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..pairwise import METRICS, PairwiseEngine
from .base import SIMILARITY, Invariance, Measure, Result, one_of, per_layer

__all__ = ["Common", "Lists", "common"]

_SAME_ORIGIN = Invariance.SCALING | Invariance.PERMUTATION | Invariance.ORTHOGONAL
_INVARIANT = {
    "cosine": _SAME_ORIGIN,
    "dot": _SAME_ORIGIN,
    "correlation": Invariance.SCALING | Invariance.PERMUTATION,
    "euclidean": SIMILARITY,
    "manhattan": SIMILARITY & ~Invariance.ORTHOGONAL,
    "chebyshev": SIMILARITY & ~Invariance.ORTHOGONAL,
}


class Lists(NamedTuple):
    """The neighbours of every row of one representation."""

    indices: np.ndarray
    """(n, k), nearest first."""
    ties: int
    """Rows whose list, or its order, was settled by the index."""
    gram: np.ndarray
    """What the measure keeps of each neighbour, (n, k), or empty."""


class Common(NamedTuple):
    """Neighbours that both lists of a row name, ascending by row."""

    row: np.ndarray
    place_x: np.ndarray
    """Place in X's list, from 0."""
    place_y: np.ndarray


def common(x: np.ndarray, y: np.ndarray) -> Common:
    """The entries that row i of ``x`` (n, k) shares with row i of ``y`` (n, k), each free of repeats."""
    k = x.shape[1]
    both = np.concatenate([x, y], axis=1)
    order = np.argsort(both, axis=1, kind="stable")  # of two equal entries X's comes first
    both = np.take_along_axis(both, order, axis=1)
    row, at = np.nonzero(both[:, 1:] == both[:, :-1])
    return Common(row, order[row, at], order[row, at + 1] - k)


@dataclass(frozen=True)
class _NeighbourMeasure(Measure):
    """A measure that reads the k nearest neighbours of every row."""

    k: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.k < 1:
            raise OptionError(f"{type(self).__name__}: k must be a whole number >= 1: got {self.k!r}.")

    @property
    def reads(self) -> str:
        return "rows"

    @property
    def near(self) -> str:
        """The metric that says which rows are near."""
        return "cosine"

    @property
    def invariant_x(self) -> Invariance:
        return _INVARIANT[self.near]

    @property
    def ordered(self) -> bool:
        """True when the order within a list matters, and not only who is in it."""
        return False

    def _all_lists(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> dict[int, Lists]:
        """The neighbours of every row, in each layer that is in a pair."""
        return per_layer(layers, pairs, lambda x, label: self._lists(x, label, engine))

    def _lists(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> Lists:
        n = len(x)
        if n <= self.k:
            raise DegenerateError(
                f"{self} needs more than k rows, since a row is not its own neighbour: got k={self.k} and {n} rows. "
                "Pass more samples or a smaller k."
            )
        # one neighbour more, where there is one, shows whether the last place was shared
        sweep = engine.backend.NeighbourSweep(
            engine.panels(x, self.near, label=label), None, metric=METRICS[self.near].kernel, k=min(self.k + 1, n - 1)
        )
        indices, values = engine.run(sweep, "neighbours")
        equal = values[:, 1:] == values[:, :-1]
        ties = int(np.count_nonzero(equal.any(axis=1) if self.ordered else equal[:, self.k - 1 :].any(axis=1)))
        indices = np.ascontiguousarray(indices[:, : self.k])
        return Lists(indices, ties, self._keep(x, indices))

    def _keep(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return np.empty((0, 0))

    def _about(self, x: Lists, y: Lists) -> dict[str, Any]:
        return {"k": self.k, "metric": self.near, "ties_x": x.ties, "ties_y": y.ties}


@dataclass(frozen=True)
class _ByMetric(_NeighbourMeasure):
    """A measure of two sets of lists, by a metric of choice."""

    metric: str = "cosine"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "metric", self.metrics)

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(_INVARIANT)

    @property
    def near(self) -> str:
        return self.metric

    def evaluate_layers(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        lists = self._all_lists(layers, pairs, engine)
        results = []
        for i, j in pairs:
            value, details = self._compare(lists[i], lists[j])
            results.append((value, {**details, **self._about(lists[i], lists[j])}))
        return results

    @abstractmethod
    def _compare(self, x: Lists, y: Lists) -> Result:
        """The value, and details beyond k, metric and ties."""
