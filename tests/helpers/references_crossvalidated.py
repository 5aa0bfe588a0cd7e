"""Distances between conditions over folds, and noise covariances, by loops over their definitions. Slow and simple."""

from __future__ import annotations

from itertools import combinations, permutations, product

import numpy as np

from .references_base import as_float64
from .references_pairwise import condition_means


def fold_patterns(X, conditions, folds) -> np.ndarray:
    """(n_folds, n_conditions, d): the mean row of each condition in each fold, labels in sorted order."""
    rows, conditions, folds = as_float64(X), np.asarray(conditions), np.asarray(folds)
    return np.stack([condition_means(rows[folds == k], conditions[folds == k])[1] for k in np.unique(folds)])


def crossnobis_of_noises(X, conditions, folds, noises) -> np.ndarray:
    """(C, C): mean over pairs of folds k < l of difference_k^T ((N_k + N_l) / 2)^-1 difference_l."""
    patterns = fold_patterns(X, conditions, folds)
    n = patterns.shape[1]
    D, pairs = np.zeros((n, n)), list(combinations(range(len(patterns)), 2))
    for k, m in pairs:
        inverse = np.linalg.inv((noises[k] + noises[m]) / 2)
        for a, b in product(range(n), repeat=2):
            D[a, b] += (patterns[k, a] - patterns[k, b]) @ inverse @ (patterns[m, a] - patterns[m, b])
    return D / len(pairs)


def poisson_rates(X, prior) -> np.ndarray:
    level, weight = prior
    return (np.asarray(X, np.float64) + level * weight) / (1 + weight)


def poisson(rows, prior) -> np.ndarray:
    """(n, n): KL(r_a || r_b) + KL(r_b || r_a) of Poisson variables, KL = sum r_a log(r_a / r_b) - r_a + r_b."""
    rates = poisson_rates(rows, prior)

    def divergence(r, s):
        return np.sum(r * np.log(r / s) - r + s)

    return np.array([[divergence(a, b) + divergence(b, a) for b in rates] for a in rates])


def poisson_over_folds(X, conditions, folds, prior) -> np.ndarray:
    """(C, C): mean over ordered pairs of folds k != l of sum (r_a^k - r_b^k) (log r_a^l - log r_b^l)."""
    rates = poisson_rates(fold_patterns(X, conditions, folds), prior)
    logs, n = np.log(rates), rates.shape[1]
    D, pairs = np.zeros((n, n)), list(permutations(range(len(rates)), 2))
    for k, m in pairs:
        for a, b in product(range(n), repeat=2):
            D[a, b] += (rates[k, a] - rates[k, b]) @ (logs[m, a] - logs[m, b])
    return D / len(pairs)


def weighted_by_rows(X, conditions, folds, similarity) -> np.ndarray:
    """(C, C): s_aa + s_bb - 2 s_ab, s_ab the mean of similarity(x, y) over rows of a and b in different folds.

    Without folds over all pairs of rows, also of a row with itself.
    """
    rows, names = as_float64(X), np.unique(conditions)
    S = np.zeros((len(names), len(names)))
    for a, b in product(range(len(names)), repeat=2):
        values = [
            similarity(rows[i], rows[j])
            for i, j in product(np.flatnonzero(conditions == names[a]), np.flatnonzero(conditions == names[b]))
            if folds is None or folds[i] != folds[j]
        ]
        S[a, b] = np.mean(values)
    return np.diag(S)[:, None] + np.diag(S) - 2 * S


def noise_covariance(residuals, method, dof=None) -> np.ndarray:
    """Sample covariance, its diagonal, or a shrinkage of it with the intensity summed entry by entry.

    shrinkage_diagonal: Schaefer and Strimmer (2005), equation 10 and table 2 target D, on standardised residuals;
    shrinkage_identity: Ledoit and Wolf (2004), lemma 3.2 to 3.4.
    """
    x = as_float64(residuals) - as_float64(residuals).mean(axis=0)
    n, d = x.shape
    dof = n - 1 if dof is None else dof
    S = sum(np.outer(row, row) for row in x) / dof
    if method == "full":
        return S
    if method == "diagonal":
        return np.diag(np.diag(S))
    if method == "shrinkage_identity":
        S = S * dof / n
        m = np.trace(S) / d
        distance = sum((S[j, k] - m * (j == k)) ** 2 for j, k in product(range(d), repeat=2))
        error = sum(np.sum((np.outer(row, row) - S) ** 2) for row in x) / n**2
        w = min(error, distance) / distance
        return (w * m * np.eye(d) + (1 - w) * S) * n / dof
    z = x / np.sqrt(np.diag(S))
    total = variance = 0.0
    for j, k in permutations(range(d), 2):
        products = z[:, j] * z[:, k]
        mean, mean_square = products.sum() / (n - 1), np.sum(products**2) / (n - 1)
        variance += n / dof**2 * (mean_square - mean**2)
        total += mean**2
    w = min(max(variance / total, 0.0), 1.0)
    return w * np.diag(np.diag(S)) + (1 - w) * S
