"""Whether all rows have one direction up to rounding: their distances are then 0, and what is computed is rounding.

Cosine, angular and correlation distances are those of rows t(x) of length 1 (t: ``unit`` or ``unit_centred``). A
computed row y differs from the exact one by at most b for each feature k, with u the unit round-off of the elements of
x (float16: 2^-11, bfloat16: 2^-8, float32: 2^-24, float64: 2^-53), s their smallest positive number, U = 2^-53, d the
number of features, and z = x, or z = x - mean x for ``unit_centred``:

    a_k = 2 u |x_k| + s                                  x was computed and stored with two roundings
    a_k += mean a + (d + 2) U mean |x|                   only for unit_centred: rounding of the mean, in any order
    b_k = (a_k + |a| |y_k|) / (|z| - |a|) + (d / 2 + 6) U |y_k|      rounding of the length, in any order

All rows have one direction if a row v exists with |y_k - v_k| <= b_k for all rows and features. So this does not depend
on the order of the rows, nor on how distances are computed and compared later, and a single feature that differs is
enough to tell two directions from each other. Distances of two rows beyond that are exact up to b, relatively: rows
whose directions differ by 100 b have distances with a relative error of about 1/50 at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["any_direction", "both_directions", "first_row_of_rounding", "round_off", "row_error", "shared_direction"]

_DOUBLE = 2.0**-53
_ELEMENTS = {
    "float16": (2.0**-11, 2.0**-24),
    "bfloat16": (2.0**-8, 2.0**-133),
    "float32": (2.0**-24, 2.0**-149),
    "float64": (_DOUBLE, 2.0**-1074),
}
"""Unit round-off and smallest positive number of the element types of rows."""
_FIRST_ROWS = 2
"""Two rows show that directions differ, except for rows near one another; then more are read at a time."""
_MOST_ELEMENTS = 1 << 20


def round_off(dtype: np.dtype) -> float:
    """The unit round-off of the elements of rows."""
    return _ELEMENTS[dtype.name][0]


def any_direction(n_features: int) -> np.ndarray:
    """The range that `shared_direction` begins with, (2, n_features): it holds every row of length 1."""
    return np.array([[-2.0], [2.0]]).repeat(n_features, axis=1)


def shared_direction(rows: Any, transform: str, so_far: np.ndarray | None) -> np.ndarray | None:
    """The rows v that agree with all of ``rows`` up to rounding, within those that ``so_far`` allows.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        Finite, without rows that the transform cannot normalise; on a device they are copied until two of them differ.
    transform : {"unit", "unit_centred"}
    so_far : ndarray of shape (2, n_features), or None
        The lowest and the highest v_k that the rows before allow, or `any_direction`.

    Returns
    -------
    ndarray of shape (2, n_features), or None if no v agrees with all rows.
    """
    begin, step = 0, _FIRST_ROWS
    while so_far is not None and begin < len(rows):
        y, bound = _unit_rows(np.asarray(rows[begin : begin + step]), transform)
        so_far = both_directions(so_far, np.stack([np.max(y - bound, axis=0), np.min(y + bound, axis=0)]))
        begin, step = begin + step, min(8 * step, max(1, _MOST_ELEMENTS // y.shape[1]))
    return so_far


def both_directions(a: np.ndarray | None, b: np.ndarray | None) -> np.ndarray | None:
    """The rows v that two ranges allow, or None."""
    if a is None or b is None:
        return None
    low, high = np.maximum(a[0], b[0]), np.minimum(a[1], b[1])
    return np.stack([low, high]) if (low <= high).all() else None


def first_row_of_rounding(rows: Any, transform: str) -> int | None:
    """The number of the first row whose features are equal up to the rounding of their mean; for ``unit_centred``.

    Such a row has |z| <= |a| = c mean |x| with c = sqrt(d) (d + 2) U, for exact x, and so |x_2 - x_1| <= 2 c |x_1|: the
    first two features tell nearly all rows apart. Elements of less than 53 bits always differ by more.
    """
    d = rows.shape[1]
    if transform != "unit_centred" or rows.dtype != np.float64 or d < 2:
        return None
    one, two = (np.asarray(rows[:, k]) for k in (0, 1))
    with np.errstate(over="ignore"):  # of huge rows
        near = np.flatnonzero(np.abs(two - one) <= 2 * np.sqrt(d) * (d + 2) * _DOUBLE * np.abs(one))
    for row in near.tolist():
        _, bound = _unit_rows(np.asarray(rows[row : row + 1]), transform, exact=True)
        if np.isinf(bound).any():
            return row
    return None


def row_error(rows: np.ndarray, transform: str) -> float:
    """The largest length of b over the rows, for numbers x that are exact: the error of the computation alone."""
    _, bound = _unit_rows(rows, transform, exact=True)
    return float(np.max(np.linalg.norm(bound, axis=1)))


def _unit_rows(rows: np.ndarray, transform: str, *, exact: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """y = t(x) and its bound b, which is infinite for a row whose direction is unknown."""
    unit, least = (0.0, 0.0) if exact else _ELEMENTS[rows.dtype.name]
    x = rows.astype(np.float64)
    d = x.shape[1]
    largest = np.max(np.abs(x), axis=1, keepdims=True)
    x /= largest  # squares of rows near 1e200 would overflow
    size = np.abs(x)
    error = 2 * unit * size + least / largest
    if transform == "unit_centred":
        x -= np.mean(x, axis=1, keepdims=True)
        error += np.mean(error + (d + 2) * _DOUBLE * size, axis=1, keepdims=True)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    error_length = np.linalg.norm(error, axis=1, keepdims=True)
    known = length > error_length
    y = np.divide(x, length, out=np.zeros_like(x), where=known)
    bound = np.full_like(x, np.inf)
    np.divide(error + error_length * np.abs(y), length - error_length, out=bound, where=known)
    return y, bound + (d / 2 + 6) * _DOUBLE * np.abs(y)
