"""Arithmetic on rows in float64, a few MiB at a time: means, sizes, and Gram entries of chosen pairs of rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

__all__ = [
    "chunks",
    "cosines_with",
    "entries",
    "float64_rows",
    "mean_and_largest",
    "mean_row",
    "mean_square",
    "unit_rows",
]

_CHUNK_ELEMENTS = 1 << 20
"""Elements of a float64 buffer (8 MiB): a constant, so that sums are made in the same order on every machine."""
_IN_CACHE = 16
"""Divides that buffer, for arithmetic that takes less time than reading memory."""
_LEAST_SQUARE = 1e-200
"""Squared lengths between this and its inverse have lost nothing to underflow or overflow."""


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


def mean_and_largest(x: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the mean of the rows, (d,), and the largest absolute value of an element, in float64."""
    total, largest = np.zeros(x.shape[1]), 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for part in chunks(len(x), _IN_CACHE * x.shape[1]):
            rows = float64_rows(x[part])
            total += np.sum(rows, axis=0)
            largest = max(largest, float(np.max(rows)), -float(np.min(rows)))
    return total / len(x) if np.isfinite(total).all() else mean_row(x), largest


def cosines_with(x: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Return the cosine of each row with a row of length 1, (n,), in float64."""
    cosines = np.empty(len(x))
    for part in chunks(len(x), _IN_CACHE * x.shape[1]):
        rows = float64_rows(x[part])
        with np.errstate(over="ignore", under="ignore"):
            squares = np.einsum("nd,nd->n", rows, rows)
        if not ((squares > _LEAST_SQUARE) & (squares < 1 / _LEAST_SQUARE)).all():
            rows, squares = unit_rows(rows), np.ones(len(rows))
        cosines[part] = np.einsum("nd,d->n", rows, towards) / np.sqrt(squares)
    return cosines


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
