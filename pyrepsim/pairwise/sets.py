"""The sets of rows of which there is an RDM each: one array, slices of one, or groups of its features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..core.arrays import as_floats, as_numpy, checked_rows
from ..core.blas import one_blas_thread
from ..core.errors import DTypeError, OptionError, ShapeError
from .engine import PairwiseEngine
from .noise import noise_whitening

__all__ = ["Sets", "sets_of", "whitened"]


@dataclass(frozen=True, eq=False)
class Sets:
    """Sets of rows."""

    rows: np.ndarray
    """(n_samples, n_features) of one set, (n_sets, n_samples, n_features), or all features of (n_samples, ...)."""
    features: list[np.ndarray] | None = None
    """The features of each set, int64."""
    label: str = "X"
    """Name of the rows in error messages."""

    @property
    def one(self) -> bool:
        """Whether results have no axis of sets."""
        return self.rows.ndim == 2 and self.features is None

    @property
    def n_sets(self) -> int:
        return 1 if self.one else len(self.rows if self.features is None else self.features)

    @property
    def n_rows(self) -> int:
        return self.rows.shape[-2]

    @cached_property
    def by_features(self) -> np.ndarray:
        """The rows, with the elements of a feature next to each other where sets are groups of features."""
        return self.rows if self.features is None else np.asfortranarray(self.rows)

    def set(self, index: int) -> tuple[np.ndarray, str]:
        """The rows of a set, and their name."""
        if self.one:
            return self.rows, self.label
        if self.features is None:
            rows = self.rows[index]
        else:  # contiguous, because sums by NumPy depend on the layout in the last bit
            rows = np.ascontiguousarray(self.rows[:, self.features[index]])
        return rows, f"set {index} of {self.label}"

    def means(self, place: np.ndarray, label: str) -> Sets:
        """The mean rows, float64, of the rows with each place 0, 1, 2, ..."""
        counts = np.bincount(place)
        order = np.argsort(place, kind="stable")
        occurrence = np.arange(len(place)) - (np.cumsum(counts) - counts)[place[order]]

        def total(divisors: np.ndarray | None) -> np.ndarray:
            sums = np.zeros((*self.rows.shape[:-2], len(counts), self.rows.shape[-1]))
            for index in range(counts.max()):  # the rows of a place one by one, in order
                chosen = order[occurrence == index]
                rows = self.rows[..., chosen, :].astype(np.float64, copy=False)
                sums[..., place[chosen], :] += rows if divisors is None else rows / divisors[chosen, None]
            return sums

        if counts.max() == 1:
            return Sets(self.rows[..., order, :].astype(np.float64, copy=False), self.features, label)
        with np.errstate(over="ignore", invalid="ignore"):
            sums = total(None)
        means, held = sums / counts[:, None], np.isfinite(sums).all(axis=(-1, -2), keepdims=True)
        if not held.all():
            means = np.where(held, means, total(counts[place]))
        return Sets(means, self.features, label)

    @property
    def widths(self) -> np.ndarray:
        """The number of features of each set; of one number if all have the same."""
        return np.array([self.rows.shape[-1]] if self.features is None else [len(f) for f in self.features])

    def check_finite(self, engine: PairwiseEngine) -> None:
        """Raise NonFiniteError for NaN or infinity in any row."""
        if self.rows.ndim == 2:
            engine.refuse_nonfinite(self.rows, self.label)
        else:
            for index in range(self.n_sets):
                engine.refuse_nonfinite(*self.set(index))


def sets_of(X: Any, features: Any) -> Sets:
    """The sets that the arguments of `rdm` describe, or ShapeError, DTypeError or OptionError."""
    array = as_floats(as_numpy(X, "X"))
    if features is None:
        if array.ndim != 3:
            return Sets(checked_rows(array, "X"))
        if not len(array):
            raise ShapeError(f"X must have at least one set of rows: got shape {array.shape}.")
        checked_rows(array[0], "X")
        return Sets(array)
    rows = checked_rows(array, "X")
    return Sets(rows, _indices(features, rows.shape[1]))


def _indices(features: Any, n_features: int) -> list[np.ndarray]:
    if isinstance(features, str) or not isinstance(features, Sequence | np.ndarray) or not len(features):
        raise OptionError(
            f"features must be a sequence with the columns of each set, e.g. [[0, 1], [1, 2]]: got {features!r:.60}."
        )
    lists = [np.asarray(columns) for columns in features]
    for index, columns in enumerate(lists):
        if columns.ndim != 1 or columns.dtype.kind not in "iu" or not len(columns):
            raise DTypeError(
                f"features must hold whole numbers, at least one a set: set {index} has {columns.dtype} of shape "
                f"{columns.shape}. Pass np.flatnonzero(mask) for a mask."
            )
    together = np.concatenate(lists)
    if together.min() < 0 or together.max() >= n_features:
        raise OptionError(
            f"features must be columns of X, 0 to {n_features - 1}: got {together.min()} to {together.max()}."
        )
    return [columns.astype(np.int64, copy=False) for columns in lists]


def whitened(sets: Sets, matrix: np.ndarray, *, inverted: bool) -> Sets:
    """The rows times W, with W W^T = N^-1 for the covariance N of the noise of their features; float64.

    ``matrix`` is that of all features: N, or N^-1 if ``inverted``.
    """
    rows = sets.rows.astype(np.float64)
    with one_blas_thread():
        if sets.features is None:
            w = noise_whitening(matrix, inverted=inverted)
            # one product a set, so that a set has the bits that it has on its own
            products = rows @ w if rows.ndim == 2 else np.stack([one @ w for one in rows])
            return Sets(products, None, sets.label)
        covariance = np.linalg.inv(matrix) if inverted else matrix
        each = [rows[:, f] @ noise_whitening(covariance[np.ix_(f, f)]) for f in sets.features]
    ends = np.cumsum([part.shape[1] for part in each])
    side_by_side = [np.arange(end - part.shape[1], end) for end, part in zip(ends, each, strict=True)]
    return Sets(np.hstack(each), side_by_side, sets.label)
