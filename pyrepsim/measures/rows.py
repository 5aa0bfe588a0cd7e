"""Arithmetic on rows in float64, a few MiB at a time: means, sizes, and Gram entries of chosen pairs of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = [
    "chunks",
    "entries",
    "float64_rows",
    "mean_row",
    "mean_square",
    "unit_rows",
]

_CHUNK_ELEMENTS = 1 << 20
"""Elements of a float64 buffer (8 MiB): a constant, so that sums are made in the same order on every machine."""


def chunks(n_rows: int, elements_per_row: int) -> Iterator[slice]:
    """Yield slices of the rows whose buffers have a few MiB."""
    step = max(1, _CHUNK_ELEMENTS // max(1, elements_per_row))
    for begin in range(0, n_rows, step):
        yield slice(begin, min(begin + step, n_rows))


def float64_rows(rows: np.ndarray) -> np.ndarray:
    """Return a C-ordered float64 copy, so that sums have the same order for every memory layout."""
    return np.array(rows, dtype=np.float64, order="C")


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Return x / |x| along the last axis, in float64."""
    rows = float64_rows(rows)
    largest = np.max(np.abs(rows), axis=-1, keepdims=True)  # squares of rows near 1e200 would overflow
    rows /= np.where(largest > 0, largest, 1.0)
    length = np.sqrt(np.einsum("...d,...d->...", rows, rows))[..., None]
    return np.divide(rows, length, out=rows, where=length > 0)


def mean_row(x: np.ndarray, *, unit: bool = False, absolute: bool = False) -> np.ndarray:
    """Return the mean of the rows, of the rows at unit length, or of the magnitudes in the rows, (d,), in float64."""

    def total(divisor: float) -> np.ndarray:
        sums = np.zeros(x.shape[1])
        for part in chunks(len(x), x.shape[1]):
            rows = (unit_rows(x[part]) if unit else float64_rows(x[part])) / divisor
            sums += np.sum(np.abs(rows) if absolute else rows, axis=0)
        return sums

    with np.errstate(over="ignore", invalid="ignore"):
        sums = total(1.0)
    return sums / len(x) if np.isfinite(sums).all() else total(len(x))


def mean_square(x: np.ndarray, size: float = 1.0) -> float:
    """Return the mean of |x / size|^2 over the rows, in float64."""
    return sum(float(np.sum(np.square(float64_rows(x[part]) / size))) for part in chunks(*x.shape)) / len(x)


def entries(x: np.ndarray, columns: np.ndarray, *, unit: bool, centred: bool = False) -> np.ndarray:
    """Return K_ij = x_i . x_j for each row i and the rows j in ``columns[i]``, (n, m); cosines with ``unit=True``.

    With ``centred=True`` the mean of row i of K over all n columns, x_i . m, is subtracted; m is the mean row.
    """
    n, d = x.shape
    shift = mean_row(x, unit=unit) if centred else np.zeros(d)
    result = np.empty(columns.shape)
    for part in chunks(n, columns.shape[1] * d):
        near = x[columns[part]]
        left, right = (unit_rows(x[part]), unit_rows(near)) if unit else (float64_rows(x[part]), float64_rows(near))
        result[part] = np.einsum("nd,nmd->nm", left, right - shift)
    return result
