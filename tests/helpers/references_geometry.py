"""Matchings of single features, overlap of subspaces, and statistics of one representation."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment, linprog

from .references_base import LONG, RANK_TOL, as_float64, centre
from .references_pairwise import condensed, distances


def signed_feature_correlations(X, Y) -> np.ndarray:
    """Pearson correlation of each varying feature of X with each varying feature of Y."""
    sides = []
    for side in (X, Y):
        Xc = centre(side)
        norms = np.linalg.norm(Xc, axis=0)
        sides.append(Xc[:, norms > 0] / norms[norms > 0])
    return sides[0].T @ sides[1]


def matching_hard(X, Y, *, absolute: bool = False) -> float:
    """Largest mean correlation over one-to-one pairings of min(d_x, d_y) features (Li et al. 2016, bipartite)."""
    table = signed_feature_correlations(X, Y)
    table = np.abs(table) if absolute else table
    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].mean())


def matching_semi(X, Y, *, absolute: bool = False) -> float:
    """Mean of both one-sided matchings, each feature to its best partner (Li et al. 2016; ReSi's soft)."""
    table = signed_feature_correlations(X, Y)
    table = np.abs(table) if absolute else table
    return float((table.max(axis=1).mean() + table.max(axis=0).mean()) / 2)


def matching_transport(X, Y, *, absolute: bool = False) -> float:
    """Soft matching correlation: max sum_ij P_ij corr(x_i, y_j), P with row sums 1/d_x and column sums 1/d_y.

    Khosla and Williams 2024 (arXiv:2311.09466), by linear programming. With d_x = d_y it is the hard matching.
    """
    table = signed_feature_correlations(X, Y)
    table = np.abs(table) if absolute else table
    a, b = table.shape
    rows, columns = np.kron(np.eye(a), np.ones((1, b))), np.kron(np.ones((1, a)), np.eye(b))
    sums = np.concatenate([np.full(a, 1 / a), np.full(b, 1 / b)])
    solution = linprog(-table.ravel(), A_eq=np.vstack([rows, columns]), b_eq=sums, method="highs")
    return float(-solution.fun)


def _basis(X, centred: bool) -> np.ndarray:
    rows = centre(X) if centred else as_float64(X)
    norms = np.linalg.norm(rows, axis=0)
    U, s, _ = np.linalg.svd(rows[:, norms > 0] / norms[norms > 0], full_matrices=False)
    return U[:, s > RANK_TOL * s[0]]


def eigenspace_overlap(X, Y, *, centred: bool = False) -> float:
    """|U_x^T U_y|_F^2 / max(rank X, rank Y), U the left singular vectors (May et al. 2019, definition 1)."""
    U, V = _basis(X, centred), _basis(Y, centred)
    return float(np.sum((U.T @ V) ** 2) / max(U.shape[1], V.shape[1]))


def uniformity(X, t: float = 2.0, *, unit: bool = True, diagonal: bool = False) -> float:
    """log of the mean of exp(-t |u_i - u_j|^2), u the unit rows (Wang and Isola 2020: over i != j).

    diagonal: over all n^2 pairs, as Klabunde et al. have it. unit=False: of the rows as they are.
    """
    D = 2 * distances(X, "cosine") if unit else distances(X, "sqeuclidean")
    return float(np.log(np.mean(np.exp(-t * (D if diagonal else condensed(D))))))


def concentricity(X) -> float:
    """Mean cosine of the rows with their mean row (Wang et al. 2020)."""
    rows = as_float64(X).astype(LONG)
    mean = rows.mean(axis=0)
    return float(np.mean(rows @ mean / np.sqrt(np.sum(rows * rows, axis=1)) / np.sqrt(mean @ mean)))


def magnitude(X) -> float:
    """Euclidean length of the mean row (Wang et al. 2020)."""
    mean = as_float64(X).astype(LONG).mean(axis=0)
    return float(np.sqrt(mean @ mean))


def metric_space_magnitude(X, t: float, *, relative: bool = True) -> float:
    """Sum of the inverse of exp(-t d / s) over the distinct rows; s the root mean square of d over all pairs, or 1."""
    D = distances(X, "euclidean")
    s = np.sqrt(np.mean(condensed(D) ** 2)) if relative else 1.0
    distinct = sorted(np.unique(as_float64(X), axis=0, return_index=True)[1])
    return float(np.linalg.inv(np.exp(-t / s * D[np.ix_(distinct, distinct)])).sum())
