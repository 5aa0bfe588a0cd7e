"""Whitening of rows, after which Euclidean distances are Mahalanobis distances."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import numpy as np

from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError, NonFiniteError
from ..moments.pair import LEAST_SCALED, scaled_spectrum

__all__ = ["whiten"]

_CHUNK = 4096
_EPSILON = 2.0**-53
_LEAST_SQUARED = 1e-150


def whiten(sides: Sequence[np.ndarray], backend: ModuleType, n_threads: int, dtype: type) -> list[np.ndarray]:
    """(x - m) W for every row x of every side, with W^T C W = I over the numerical range of C.

    m is the mean and C the covariance (divisor n - 1, as in SciPy) of the rows of all sides together. Constant features
    and directions of rounding errors are left out, by the rule of `moments.Side`. Equal rows stay equal.
    """
    n = sum(len(side) for side in sides)
    moments = backend.Moments([sides[0].shape[1]], [], transform="raw", precision="fp64")
    for side in sides:
        for start in range(0, len(side), _CHUNK):
            moments.update([side[start : start + _CHUNK]], n_threads)
    sums = moments.get_state(complete=True)
    mean = sums["weighted"][0][0] / n
    with np.errstate(over="ignore", invalid="ignore"):  # overflow is reported below
        scatter = sums["products"][0] - n * np.outer(mean, mean)
    mean = sums["shift"][0] + mean
    # one thread: the same bits for any number of cores
    with one_blas_thread():
        matrix = np.sqrt(n - 1) * _whitening(scatter, mean, n)
        return [_apply(side, mean, matrix, dtype) for side in sides]


def _whitening(scatter: np.ndarray, mean: np.ndarray, n: int) -> np.ndarray:
    d = len(mean)
    sd = np.sqrt(np.maximum(np.diag(scatter), 0.0) / n)
    finite = bool(np.isfinite(sd).all())
    if not finite or (not sd.any() and 0 < np.abs(mean).max() < _LEAST_SQUARED):
        what = "are 0" if finite else "overflow"
        raise NonFiniteError(
            f"Mahalanobis distances need rows whose squares float64 can hold: those of these rows {what}. "
            "Rescale them to sizes near 1."
        )
    varying = sd > 8 * _EPSILON * np.abs(mean)
    if not varying.any() or n < 2:
        raise DegenerateError(
            f"Mahalanobis distances need features that vary: all {d} are constant over the {n} rows. "
            "Check the layer and the row selection."
        )
    values, vectors, scale = scaled_spectrum(scatter, varying)
    kept = values > max(max(d, 100) * _EPSILON, LEAST_SCALED) * values[0]
    rank = min(int(np.count_nonzero(kept)), n - 1)
    return scale[:, None] * vectors[:, :rank] / np.sqrt(values[:rank])


def _apply(side: np.ndarray, mean: np.ndarray, matrix: np.ndarray, dtype: type) -> np.ndarray:
    rows = np.ascontiguousarray(side)
    whole = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).reshape(-1)
    # a matrix product may round a row differently at another place, so equal rows are multiplied once
    _, first, place = np.unique(whole, return_index=True, return_inverse=True)
    distinct = len(first) == len(rows)
    out = np.empty((len(first), matrix.shape[1]), dtype)
    for start in range(0, len(first), _CHUNK):
        part = rows[start : start + _CHUNK] if distinct else rows[first[start : start + _CHUNK]]
        out[start : start + len(part)] = (part.astype(np.float64) - mean) @ matrix
    return out if distinct else out[place.reshape(-1)]
