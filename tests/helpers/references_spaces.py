"""Subspace overlap, matchings of features and statistics of one space, from their definitions."""

from __future__ import annotations

import numpy as np

from .references_base import RANK_TOL, as_float64, column_space
from .references_knn import unit
from .references_regression import feature_correlations


def uncentred_column_space(X, rank_tol: float = RANK_TOL) -> np.ndarray:
    """Orthonormal basis of the space that the columns span, scaled to unit length first."""
    X = as_float64(X)
    norms = np.linalg.norm(X, axis=0)
    U, s, _ = np.linalg.svd(X[:, norms > 0] / norms[norms > 0], full_matrices=False)
    return U[:, s > rank_tol * s[0]]


def eigenspace_overlap(X, Y, centred: bool = False) -> float:
    """|U^T V|_F^2 over the larger rank (May et al. 2019, definition 1)."""
    U, V = (column_space(side) if centred else uncentred_column_space(side) for side in (X, Y))
    return float(np.sum((U.T @ V) ** 2) / max(U.shape[1], V.shape[1]))


def _varying(X, Y) -> np.ndarray:
    table = feature_correlations(X, Y)
    return table[~np.isnan(table).all(axis=1)][:, ~np.isnan(table).all(axis=0)]


def hard_matching(X, Y, signed: bool = True) -> float:
    """Mean correlation of the best one-to-one pairs, by SciPy's assignment."""
    from scipy.optimize import linear_sum_assignment

    table = _varying(X, Y) if signed else np.abs(_varying(X, Y))
    return float(table[linear_sum_assignment(table, maximize=True)].mean())


def soft_matching(X, Y, signed: bool = True) -> float:
    """max <P, corr> over P >= 0 with row sums 1/d_x and column sums 1/d_y, by SciPy's linear programming."""
    from scipy.optimize import linprog

    table = _varying(X, Y) if signed else np.abs(_varying(X, Y))
    m, n = table.shape
    sums = np.vstack([np.kron(np.eye(m), np.ones(n)), np.kron(np.ones(m), np.eye(n))])
    totals = np.concatenate([np.full(m, 1 / m), np.full(n, 1 / n)])
    return float(-linprog(-table.ravel(), A_eq=sums, b_eq=totals).fun)


def magnitude(X) -> float:
    """Length of the mean row."""
    return float(np.linalg.norm(as_float64(X).mean(axis=0)))


def concentricity(X) -> float:
    """Mean cosine with the mean row."""
    mean = as_float64(X).mean(axis=0)
    return float(np.mean(unit(X) @ mean / np.linalg.norm(mean)))


def uniformity(X, t: float = 2.0, on_sphere: bool = True) -> float:
    """log mean exp(-t |x_i - x_j|^2) over all n^2 pairs."""
    X = unit(X) if on_sphere else as_float64(X)
    return float(np.log(np.mean([np.exp(-t * np.sum((X - row) ** 2, axis=1)) for row in X])))


def metric_space_magnitude(X, t: float, relative: bool = True) -> float:
    """Sum of the inverse of exp(-t d / s) over the distinct rows; s the root mean square of d over all pairs."""
    X = as_float64(X)
    D = np.sqrt(np.sum((X[:, None] - X[None]) ** 2, axis=2))
    s = np.sqrt(np.mean(D[np.triu_indices(len(D), 1)] ** 2)) if relative else 1.0
    distinct = sorted(np.unique(X, axis=0, return_index=True)[1])
    return float(np.linalg.inv(np.exp(-t / s * D[np.ix_(distinct, distinct)])).sum())
