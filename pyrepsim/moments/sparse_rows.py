"""Sparse rows as a source of tiles: see gram_tiles.py. What is subtracted to centre them is never stored.

With x the rows after the row transform, m their mean and a_i = x_i . m,

    (x_i - m) . (x_j - m) = x_i . x_j - a_i - a_j + |m|^2,

where x_i . x_j are sparse products. The right side has an error of about 1e-15 times the mean of |x|^2, so the mean of
|x|^2 may be at most 10^4 times the mean of |x - m|^2: rows of features that are mostly 0 are far below that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.directions import round_off
from ..core.errors import DegenerateError, OptionError
from ..core.sparse import column_moments
from .centred import EPSILON, refuse_size
from .gram_tiles import TileSide

__all__ = ["SparseRows"]

_MOST_OFFSET = 1e4
"""The largest mean of |x|^2, as a multiple of the mean of |x - m|^2."""


class SparseRows:
    """Sparse rows of one representation after a row transform; a `BlockRows`.

    Parameters
    ----------
    rows : scipy.sparse.csr_array of shape (n_rows, n_features)
        As `sparse_rows` returns them.
    transform : {"raw", "unit"}
    label : str
        Its name in messages.
    """

    def __init__(self, rows: Any, transform: str, label: str) -> None:
        if transform not in ("raw", "unit"):
            raise OptionError(
                "sparse rows are compared as they are or at length 1: correlation distances subtract the mean of the "
                f"features of {label}, which are then not sparse. Use metric='cosine', or pass {label}.toarray()."
            )
        self.n_rows, self.n_features = rows.shape
        self._rows, self._transform, self._label = rows, transform, label
        self._along = np.zeros(0)
        self._mean_sq = 0.0

    def side(self) -> TileSide:
        n, rows = self.n_rows, self._rows.astype(np.float64)
        counts, unit = np.diff(rows.indptr), round_off(self._rows.dtype)
        if self._transform == "unit":
            if not counts.all():
                raise DegenerateError(
                    f"row {int(np.argmin(counts))} of {self._label} is all zero and has no direction, so its cosine is "
                    "undefined. Leave such rows out, or use a metric that does not divide by row norms (euclidean, "
                    "sqeuclidean, dot)."
                )
            largest = np.maximum.reduceat(np.abs(rows.data), rows.indptr[:-1])  # squares near 1e200 would overflow
            rows.data /= np.repeat(largest, counts)
            rows.data /= np.repeat(np.sqrt(np.add.reduceat(rows.data**2, rows.indptr[:-1])), counts)
        self._rows = rows
        of_row = np.repeat(np.arange(n), counts)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, squares = column_moments(rows)
            at = mean[rows.indices]
            deviations = (rows.data - at) ** 2
            self._mean_sq = float(mean @ mean)
            norms = np.bincount(of_row, deviations - at**2, n) + self._mean_sq
            self._along = np.bincount(of_row, rows.data * at, n)
            total, size = float(squares.sum()), float(rows.data @ rows.data)
        # the bound of backends/directions.py, with the features that are not 0
        error = 4 * unit + (counts.max() / 2 + 6) * 2.0**-53
        one_direction = self._transform == "unit" and total <= n * error**2
        refuse_size(
            total, n, deviations=rows.data - at, precision="fp64", label=self._label, one_direction=one_direction
        )
        if not one_direction and total and size > _MOST_OFFSET * total:
            raise DegenerateError(
                f"sparse rows must vary by at least 1 % of their size: those of {self._label} have {total / size:.2g} "
                f"of their squares around the mean. Pass {self._label}.toarray(), which is centred first."
            )
        return TileSide(
            mean=mean,
            squares=squares,
            squared_norms=np.maximum(norms, 0.0),
            along_mean=self._along - self._mean_sq,
            epsilon=EPSILON["fp64"],
            label=self._label,
            one_direction=one_direction,
        )

    def block(self, start: int, stop: int, /) -> tuple[Any, np.ndarray]:
        return self._rows[start:stop], self._along[start:stop]

    def product(self, first: Any, second: Any, out: np.ndarray, /) -> None:
        (x, along_x), (y, along_y) = first, second
        (x @ y.T).toarray(out=out)
        out -= along_x[:, None]
        out -= along_y
        out += self._mean_sq
