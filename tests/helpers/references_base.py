"""Functions that every reference needs: exact centring, singular values of the data, numerical rank.

Everything works on the data (n, d), never on a d x d covariance, so that no step is shared with the engine.
"""

from __future__ import annotations

import numpy as np

RANK_TOL = 1e-7
"""Relative singular value below which a direction counts as absent (an eigenvalue ratio of 1e-14)."""

LONG = np.longdouble


def as_float64(X) -> np.ndarray:
    """Any float or integer array as float64; float16, bfloat16 and float32 convert without error."""
    X = np.asarray(X).astype(np.float64)
    if X.ndim != 2:
        raise ValueError(f"references take (n, d) arrays, got shape {X.shape}")
    return X


def centre(X) -> np.ndarray:
    """Rows minus the column means, subtracted in long double: an offset of 1e4 loses no accuracy.

    A column whose values are all equal comes out as exact zeros, also where its mean is not representable.
    """
    X = as_float64(X)
    long = X.astype(LONG)
    centred = (long - long.mean(axis=0)).astype(np.float64)
    centred[:, X.max(axis=0) == X.min(axis=0)] = 0.0
    return centred


def svd_of_data(X) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thin SVD U, s, Vt of the centred data, in its own units."""
    return np.linalg.svd(centre(X), full_matrices=False)


def column_space(X, rank_tol: float = RANK_TOL) -> np.ndarray:
    """Orthonormal basis (n, r) of the space that the centred columns span.

    Columns are first scaled to unit length, which leaves their span alone: so features are counted even if
    their units differ by many decades. r counts the singular values above rank_tol * the largest.
    """
    Xc = centre(X)
    norms = np.linalg.norm(Xc, axis=0)
    Xc = Xc[:, norms > 0] / norms[norms > 0]
    if Xc.shape[1] == 0:
        return np.zeros((Xc.shape[0], 0))
    U, s, _ = np.linalg.svd(Xc, full_matrices=False)
    return U[:, s > rank_tol * s[0]]


def rank(X, rank_tol: float = RANK_TOL) -> int:
    """Numerical rank of the centred data, with columns scaled to unit length."""
    return column_space(X, rank_tol).shape[1]


def unit_frobenius(X) -> np.ndarray:
    """Centred data scaled to Frobenius norm 1."""
    Xc = centre(X)
    return Xc / np.linalg.norm(Xc)
