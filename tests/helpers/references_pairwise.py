"""Every distance as a full matrix, by differences, and crossnobis by its definition over folds. Slow and simple."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np

from .references_base import LONG, RANK_TOL, as_float64, centre, column_space

PRODUCT_METRICS = ("dot", "cosine", "correlation", "sqeuclidean", "euclidean", "angular")
METRICS = (*PRODUCT_METRICS, "manhattan", "chebyshev", "mahalanobis", "sqmahalanobis")

# scipy's names, where they differ
SCIPY_NAME = {"manhattan": "cityblock"}


def _unit(rows: np.ndarray) -> np.ndarray:
    norms = np.sqrt(np.sum(rows * rows, axis=1, keepdims=True))
    if not np.all(norms > 0):
        raise ValueError("a row has zero length: its angle with others is undefined")
    return rows / norms


def _prepared(X, metric: str, work: Any) -> np.ndarray:
    rows = as_float64(X).astype(LONG)
    if metric == "correlation":
        rows = rows - rows.mean(axis=1, keepdims=True)
    if metric in ("cosine", "correlation", "angular"):
        rows = _unit(rows)
    return rows.astype(work)


def distances(X, metric: str, Y=None, *, work: Any = LONG) -> np.ndarray:
    """(n, m) matrix of distances of rows of X to rows of Y (default: X), computed in ``work``, returned as float64.

    dot: x . y, a similarity. cosine: 1 - x . y / (|x| |y|) = |u - v|^2 / 2 of the unit rows u, v. correlation: the
    same after the mean of each row over its features is subtracted. angular: acos(cos) / pi in [0, 1], by
    2 asin(|u - v| / 2) / pi. sqeuclidean, euclidean. manhattan: sum |x - y|. chebyshev: max |x - y|.
    mahalanobis: see `whitened`. Between X and itself the diagonal is exactly zero (dot: the squared norms).
    """
    if metric in ("mahalanobis", "sqmahalanobis"):
        if Y is not None:
            raise ValueError("mahalanobis is defined here within one set of rows, whose covariance it takes")
        return distances(whitened(X), "euclidean" if metric == "mahalanobis" else "sqeuclidean", work=work)
    a = _prepared(X, metric, work)
    b = a if Y is None else _prepared(Y, metric, work)
    if metric == "dot":
        return np.stack([b @ row for row in a]).astype(np.float64)
    rows = []
    for row in a:
        difference = b - row
        if metric == "manhattan":
            rows.append(np.abs(difference).sum(axis=1))
        elif metric == "chebyshev":
            rows.append(np.abs(difference).max(axis=1))
        else:
            squared = np.sum(difference * difference, axis=1)
            if metric in ("cosine", "correlation"):
                rows.append(squared / 2)
            elif metric == "angular":
                rows.append(2 * np.arcsin(np.minimum(np.sqrt(squared) / 2, 1)) / np.pi)
            elif metric == "sqeuclidean":
                rows.append(squared)
            elif metric == "euclidean":
                rows.append(np.sqrt(squared))
            else:
                raise ValueError(f"unknown metric {metric!r}")
    return np.stack(rows).astype(np.float64)


def whitened(X, rank_tol: float = RANK_TOL) -> np.ndarray:
    """Rows whose Euclidean distances are Mahalanobis distances: sqrt(n - 1) times left singular vectors.

    (x - y)^T C^+ (x - y), C the covariance of the rows with n - 1 (scipy's convention), C^+ by numerical rank.
    """
    return np.sqrt(len(X) - 1.0) * column_space(X, rank_tol)


def condensed(square: np.ndarray) -> np.ndarray:
    """Entries i < j, row by row: scipy's order."""
    return square[np.triu_indices(len(square), 1)]


def square(vector: np.ndarray) -> np.ndarray:
    """The symmetric matrix with a zero diagonal whose condensed form is given."""
    n = round((1 + np.sqrt(1 + 8 * len(vector))) / 2)
    D = np.zeros((n, n), dtype=np.asarray(vector).dtype)
    D[np.triu_indices(n, 1)] = vector
    return D + D.T


def condition_means(X, conditions) -> tuple[np.ndarray, np.ndarray]:
    """Sorted condition labels, and the mean row of each."""
    labels, which = np.unique(np.asarray(conditions), return_inverse=True)
    rows = as_float64(X).astype(LONG)
    return labels, np.stack([rows[which == k].mean(axis=0) for k in range(len(labels))]).astype(np.float64)


def crossnobis(X, conditions, folds, noise_covariance=None, *, per_feature: bool = False) -> np.ndarray:
    """(C, C) crossvalidated squared Mahalanobis distances between conditions; off-diagonal entries may be negative.

    d_ab = mean over ordered pairs of folds m != l of (p_a^m - p_b^m)^T S^-1 (p_a^l - p_b^l), p_a^m the mean of the
    rows of condition a in fold m, S the noise covariance (default: identity). Walther et al. 2016 (their
    training set is the mean of the other folds: the same average). Every condition must be in every fold.
    per_feature: divided by the number of features, as rsatoolbox and Diedrichsen et al. have it; Walther do not.
    """
    rows, conditions, folds = as_float64(X), np.asarray(conditions), np.asarray(folds)
    inverse = np.eye(rows.shape[1]) if noise_covariance is None else np.linalg.inv(noise_covariance)
    patterns = [condition_means(rows[folds == fold], conditions[folds == fold])[1] for fold in np.unique(folds)]
    n = len(patterns[0])
    D = np.zeros((n, n))
    for first, second in permutations(range(len(patterns)), 2):
        for a in range(n):
            for b in range(n):
                D[a, b] += (
                    (patterns[first][a] - patterns[first][b]) @ inverse @ (patterns[second][a] - patterns[second][b])
                )
    D /= len(patterns) * (len(patterns) - 1)
    return D / rows.shape[1] if per_feature else D


def residual_covariance(X, conditions, folds=None, *, shrinkage: float = 0.0) -> np.ndarray:
    """Covariance of rows around the mean of their condition (within fold), with n - groups degrees of freedom.

    shrinkage: weight of the diagonal, (1 - s) S + s diag(S) (Schaefer and Strimmer 2005, target D).
    """
    rows = as_float64(X)
    folds = np.zeros(len(rows), int) if folds is None else np.asarray(folds)
    groups = sorted(set(zip(np.asarray(conditions).tolist(), folds.tolist(), strict=True)))
    residuals = np.concatenate([centre(rows[(np.asarray(conditions) == c) & (folds == f)]) for c, f in groups])
    S = residuals.T @ residuals / (len(rows) - len(groups))
    return (1 - shrinkage) * S + shrinkage * np.diag(np.diag(S))
