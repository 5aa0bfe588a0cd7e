"""Sums of rows that are rounded to integers of 24 bits, straight from the definition, and exact scatters.

Whole numbers are Python integers, and powers of two are found by trying, so nothing is rounded but the last sum.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

LARGEST = 127 * (1 + 256 + 256**2)
BLOCK = 256


def _integers(column: np.ndarray) -> tuple[list[int], Fraction]:
    """Whole numbers and the power of two that one is worth, for a column of a block."""
    most = Fraction(float(np.abs(column).max()))
    if most == 0:
        return [0] * len(column), Fraction(0)
    unit = Fraction(1)
    while most / unit > LARGEST:
        unit *= 2
    while most / (unit / 2) <= LARGEST:
        unit /= 2
    return [round(Fraction(float(x)) / unit) for x in column], unit  # Python rounds ties to even


def sums_of_integers(U: np.ndarray, V: np.ndarray) -> np.ndarray:
    """The products of two sets of rows, block by block: each sum is an exact integer, rounded to float64 once."""
    total = np.zeros((U.shape[1], V.shape[1]))
    for start in range(0, len(U), BLOCK):
        left = [_integers(column) for column in U[start : start + BLOCK].T]
        right = [_integers(column) for column in V[start : start + BLOCK].T]
        v, w = (np.array([whole for whole, _ in side], dtype=object) for side in (left, right))
        sums = v.dot(w.T)
        for i, (_, unit) in enumerate(left):
            for j, (_, other) in enumerate(right):
                total[i, j] += float(sums[i, j]) * float(unit) * float(other)
    return total


def transformed_rows(rows: np.ndarray, transform: str) -> np.ndarray:
    """Rows after their transform, in extended precision."""
    exact = rows.astype(np.longdouble)
    if transform == "unit_centred":
        exact = exact - exact.mean(axis=1, keepdims=True)
    return exact if transform == "raw" else exact / np.sqrt((exact**2).sum(axis=1, keepdims=True))


def exact_scatter(X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """The centred products, in extended precision."""
    u, v = (rows.astype(np.longdouble) for rows in (X, Y))
    return ((u - u.mean(axis=0)).T @ (v - v.mean(axis=0))).astype(np.float64)
