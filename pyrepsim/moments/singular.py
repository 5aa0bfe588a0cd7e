"""Singular values and vectors from the eigendecomposition of A A^T, in half the time of LAPACK's SVD.

An eigenvalue s^2 of A A^T has an error of a few epsilon s_1^2, with s_1 the largest singular value, so s has that error
over 2 s. If the smallest s is so small that this matters, LAPACK's SVD is used. If vectors are wanted and only a few s
are small, their triplets are computed again from A, restricted to the complement of the other vectors.

A may be on a device. `read` brings the values to the host that decide between these ways (readback.py).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .readback import Reader, read_now

__all__ = ["column_products", "nuclear_norm", "singular_triplets", "singular_values"]

_ERROR = 3e-15
"""Largest error of a square s^2, as a fraction of s_1^2."""
_LEAST = 3e-5
"""Fraction of s_1 above which an error of 3e-15 s_1^2 in s^2 is less than 1e-10 s_1 in s."""
_NORM_ERROR = 1e-12
"""Largest error of a nuclear norm that is computed from squares, relative to the norm."""
_LEAST_AGAIN = 1e-7
"""The same for triplets that are computed again."""
_SMALL = 1e-2
"""Fraction of s_1 above which right vectors A^T l / s are orthogonal to 1e-11."""
_MOST_AGAIN = 1 / 4
"""Fraction of small singular values above which an SVD of A is not slower."""


def column_products(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """The diagonal of A^T B, without computing A^T B."""
    return np.einsum("ij,ij->j", A, B)


def singular_values(A: np.ndarray, read: Reader = read_now) -> np.ndarray:
    """Singular values in descending order, (min(A.shape),), with errors below 1e-10 of the largest."""
    squares = read("squares", lambda: np.linalg.eigvalsh(_smaller_gram(A))[::-1])
    if squares[-1] > _LEAST**2 * squares[0]:
        return np.sqrt(squares)
    return read("values", lambda: np.linalg.svd(A, compute_uv=False))


def nuclear_norm(A: np.ndarray, read: Reader = read_now) -> float:
    """The sum of the singular values, with an error below 1e-12 of it."""
    squares = read("squares", lambda: np.linalg.eigvalsh(_smaller_gram(A)))
    if squares[0] > 0:
        values = np.sqrt(squares)
        norm = float(values.sum())
        if _ERROR * squares[-1] * float((0.5 / values).sum()) <= _NORM_ERROR * norm:
            return norm
    return float(np.sum(read("values", lambda: np.linalg.svd(A, compute_uv=False))))


def _smaller_gram(A: np.ndarray) -> np.ndarray:
    return A @ A.T if A.shape[0] <= A.shape[1] else A.T @ A


def singular_triplets(
    A: np.ndarray, images: tuple[np.ndarray, np.ndarray] | None = None, read: Reader = read_now
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L (m, k), s (k,) and R (n, k) with A = L diag(s) R^T and k = min(m, n), in no particular order.

    With ``images`` = (M of shape (p, n), M A^T of shape (p, m)) the last result is M R (p, k) instead of R, which saves
    a product if no s is small.
    """
    if A.shape[0] > A.shape[1]:
        right, values, left = singular_triplets(A.T, None, read)
        return left, values, right if images is None else images[0] @ right
    squares, left, kept = read("eigh", lambda: _eigh(A @ A.T))
    if images is not None and squares[0] > _SMALL**2 * squares[-1]:
        values, loaded = np.sqrt(kept[0]), images[1] @ left
        loaded /= values  # M A^T l = s M r
        return left, values, loaded
    triplets = _with_right(A, left, read)
    if triplets is None:
        left, values, right = np.linalg.svd(A, full_matrices=False)
        triplets = left, values, right.T
    left, values, right = triplets
    return left, values, right if images is None else images[0] @ right


def _eigh(A: np.ndarray) -> tuple[Any, Any, Any]:
    """Eigenvalues, eigenvectors, and the eigenvalues as a row, which stays where A is."""
    values, vectors = np.linalg.eigh(A)
    return values, vectors, values[None]


def _with_right(A: np.ndarray, left: np.ndarray, read: Reader) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The triplets from the eigenvectors of A A^T, in ascending order; None if too many would have to be computed
    again.
    """
    right = A.T @ left  # its columns are s r, as A = sum_i l_i (A^T l_i)^T
    values = np.sqrt(column_products(right, right))
    seen = read("lengths", lambda: values)
    small = int(np.max(np.flatnonzero(seen <= _SMALL * seen.max()), initial=-1)) + 1
    if small > _MOST_AGAIN * len(seen):
        return None
    large = right[:, small:]
    large /= values[small:]
    if small == 0:
        return left, values, right
    rest = left[:, :small].T @ A
    for _ in range(2):  # twice, because of rounding
        rest -= (rest @ large) @ large.T
    rotation, values_again, right_again = np.linalg.svd(rest, full_matrices=False)
    seen_again = read("again", lambda: values_again)
    if seen_again[-1] < _LEAST_AGAIN * seen[-1]:
        return None
    left[:, :small] = left[:, :small] @ rotation
    right[:, :small], values[:small] = right_again.T, values_again
    return left, values, right
