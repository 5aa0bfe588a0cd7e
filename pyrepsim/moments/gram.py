"""Moments of fewer rows than features, from n x n matrices of inner products instead of d x d scatters.

With X the centred rows of a representation, (n, d), K = X X^T has the trace, the squared norm and the eigenvalues
(other than 0) of S_xx = X^T X, and <K, L> = |S_xy|_F^2. What needs S_xy itself gets it in other coordinates: X = A Q^T
with orthonormal columns of Q, from the QR decomposition of X^T, so that A (n, n) has the rows of X after a rotation.
Measures that do not depend on rotations of the features have the same value for A as for X.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from ..backends.checks import check_directions, check_finite
from ..backends.directions import any_direction, shared_direction
from ..core.blas import one_blas_thread
from ..core.lazy import lazy
from .accumulators import MomentsSet
from .centred import EPSILON, refuse_size
from .gram_tiles import TilePair, TileSide
from .pair import LEAST_SCALED, count_above

__all__ = ["GramMoments", "GramPair", "GramSide"]


_LEAST_REST = 2.0**-51
"""Rounding of a mean that is subtracted, as a fraction of it: below what `Side.varying` counts as constant."""


class GramMoments:
    """The pairs of representations whose rows are in memory; what is computed for a side serves all its pairs.

    Parameters
    ----------
    layers : sequence of ndarray of shape (n_samples, n_features)
        Indexing may read them from disk.
    labels : sequence of str
        Their names in messages.
    precision, n_threads, memory
        As in `MomentsSet`.
    backend : module
        A backend that reads rows in the memory of the CPU.
    """

    def __init__(
        self,
        layers: Sequence[np.ndarray],
        labels: Sequence[str],
        *,
        precision: str,
        backend: ModuleType,
        n_threads: int,
        memory: int | str | None = None,
    ) -> None:
        self._layers, self._labels, self._backend = layers, labels, backend
        self._options = {"precision": precision, "n_threads": n_threads, "memory": memory}
        self._sides: dict[tuple[int, str], GramSide] = {}

    def between(self, i: int, j: int, transform: str = "raw") -> GramPair:
        """Moments of representations i and j in this order."""
        return GramPair(self.side(i, transform), self.side(j, transform))

    def side(self, index: int, transform: str = "raw") -> GramSide:
        """Moments of one representation."""
        if (index, transform) not in self._sides:
            self._sides[index, transform] = self._new_side(index, transform)
        return self._sides[index, transform]

    def _new_side(self, index: int, transform: str) -> GramSide:
        view, label = self._layers[index], self._labels[index]
        n_threads, precision = self._options["n_threads"], self._options["precision"]
        check_finite(self._backend, view, label, n_threads, int)
        check_directions(self._backend, view, transform, label, n_threads, int)
        direction = None if transform == "raw" else shared_direction(view, transform, any_direction(view.shape[1]))
        rows, mean = centred_rows(view, transform)
        squares = np.einsum("nd,nd->d", rows, rows)
        refuse_size(
            float(squares.sum()),
            len(rows),
            rows,
            precision=precision,
            label=label,
            one_direction=direction is not None,
        )
        sums = MomentsSet([len(rows)], labels=[label], backend=self._backend.name, **self._options)
        sums.add([rows.T])  # of checked rows
        (gram,) = sums.state().around((np.zeros(len(rows)),)).products
        return GramSide(
            gram,
            mean,
            squares,
            lambda: centred_rows(self._layers[index], transform)[0],
            epsilon=EPSILON[precision],
            label=label,
            one_direction=direction is not None,
        )


def centred_rows(rows: np.ndarray, transform: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the transformed rows minus their mean, in float64 and C order for any memory layout, and the mean."""
    x = np.array(rows, dtype=np.float64, order="C")
    with np.errstate(over="ignore", invalid="ignore"):  # rows that are too large are refused later
        if transform != "raw":
            x /= np.max(np.abs(x), axis=1, keepdims=True)  # squares of rows near 1e200 would overflow
            if transform == "unit_centred":
                x -= np.mean(x, axis=1, keepdims=True)
            x /= np.sqrt(np.einsum("nd,nd->n", x, x))[:, None]
        mean = np.mean(x, axis=0)
        x -= mean
        rest = np.mean(x, axis=0)  # the rounding of the mean; small ones change sums by their squares only
        if (np.abs(rest) > _LEAST_REST * np.abs(mean)).any():
            x -= rest
    return x, mean + rest


class GramSide(TileSide):
    """Moments of one representation with fewer rows than features; its axes are those of a rotation of the features."""

    def __init__(
        self,
        gram: np.ndarray,
        mean: np.ndarray,
        squares: np.ndarray,
        read: Callable[[], np.ndarray],
        **described: Any,
    ) -> None:
        vars(self).update(n_samples=len(gram), mean=mean, copies=0.0, norms=None, **described)
        vars(self).update(gram=gram, squares=squares, _read=read)

    gram: np.ndarray
    """K, (n, n)."""
    squares: np.ndarray
    """Sums of squares of the centred features, (d,)."""
    _read: Callable[[], np.ndarray]
    """Reads the centred rows, (n, d)."""

    @lazy
    def norm_sq(self) -> float:
        return float(np.vdot(self.gram, self.gram))

    @lazy
    def total(self) -> float:
        return float(self.gram.trace())

    @lazy
    def squared_norms(self) -> np.ndarray:
        """|x - m|^2 of each row, (n,)."""
        return self.gram.diagonal()

    @lazy
    def along_mean(self) -> np.ndarray:
        """(x - m) . m of each row, (n,)."""
        return np.einsum("nd,d->n", self._read(), self.mean)

    @lazy
    def rotated(self) -> np.ndarray:
        """The centred rows after a rotation, (n, min(n, d))."""
        rows = self._read()
        if rows.shape[1] <= len(rows):
            return rows
        with one_blas_thread():
            return np.asarray(np.linalg.qr(rows.T, mode="r")).T

    @lazy
    def scatter(self) -> np.ndarray:
        return self.rotated.T @ self.rotated

    @lazy
    def _scaled_spectrum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = self._read()
        rows *= np.where(self.varying, 1.0 / np.sqrt(np.where(self.varying, self.squares, 1.0)), 0.0)
        wide = rows.shape[1] > len(rows)
        values = np.linalg.eigvalsh(rows @ rows.T if wide else rows.T @ rows)[::-1]
        return values, np.empty((0, 0)), np.empty(0)

    @lazy
    def rank(self) -> int:
        values = self._scaled_spectrum[0]
        return min(self.rank_of(values), count_above(values, LEAST_SCALED * values.item(0)))

    def with_itself(self) -> GramPair:
        return GramPair(self, self)


class GramPair(TilePair):
    """Moments of two representations with fewer rows than features; see `GramSide`."""

    x: GramSide
    y: GramSide

    def __init__(self, x: GramSide, y: GramSide, mirror: GramPair | None = None) -> None:
        vars(self).update(x=x, y=y, mirror=mirror, norms=None)

    @lazy
    def cross(self) -> np.ndarray:
        return self.x.scatter if self.x is self.y else self.x.rotated.T @ self.y.rotated

    @lazy
    def cross_sq(self) -> float:
        return self.x.norm_sq if self.x is self.y else float(np.vdot(self.x.gram, self.y.gram))

    def swapped(self) -> GramPair:
        return GramPair(self.y, self.x, mirror=self)
