"""Distances between conditions by products of two kinds of patterns: cross-validated over folds, and of Poisson rates.

All are sums over features of differences of one pattern times differences of another, (a_i - a_j).(b_i - b_j): the
patterns of two folds, or rates and their logarithms. For folds k of K, the mean over k != l of
(a_i^k - a_j^k).(b_i^l - b_j^l) is the product of the sums over folds minus that of the patterns of all folds side by
side, divided by K (K - 1).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError, OptionError
from .distances import distances_within
from .engine import PairwiseEngine
from .noise import noise_whitening
from .patterns import Cells

__all__ = [
    "crossnobis",
    "crossnobis_of_noises",
    "poisson",
    "poisson_of_rows",
    "poisson_over_folds",
    "rates",
    "weighted_by_rows",
]


def crossnobis(engine: PairwiseEngine, patterns: np.ndarray, label: str) -> np.ndarray:
    """Mean over k != l of (p_a^k - p_b^k).(p_a^l - p_b^l), condensed.

    Parameters
    ----------
    engine : PairwiseEngine
        Of precision fp64.
    patterns : ndarray of shape (n_conditions, n_folds, n_features)
        Whitened, float64; their values change.
    label : str
        Name of the patterns in error messages.
    """
    sums, beside = _over_folds(patterns)
    of_sums = distances_within(engine, sums, "sqeuclidean", label=label)
    return _per_pair(of_sums - distances_within(engine, beside, "sqeuclidean", label=label), patterns.shape[1])


def crossnobis_of_noises(
    engine: PairwiseEngine, patterns: np.ndarray, covariances: np.ndarray, label: str
) -> np.ndarray:
    """Mean over k < l of (p_a^k - p_b^k)^T M_kl^-1 (p_a^l - p_b^l), with M_kl = (N_k + N_l) / 2, condensed."""
    pairs = list(combinations(range(len(covariances)), 2))
    total = np.zeros(len(patterns) * (len(patterns) - 1) // 2)
    for k, l in pairs:  # noqa: E741 - two folds
        with one_blas_thread():
            matrix = noise_whitening((covariances[k] + covariances[l]) / 2)
            a, b = patterns[:, k] @ matrix, patterns[:, l] @ matrix
        total += _product(engine, a, b, label)
    return total / len(pairs)


def rates(rows: np.ndarray, prior: Any, label: str) -> np.ndarray:
    """Rows as Poisson rates, (x + lambda w) / (1 + w), or DegenerateError if one is not above 0."""
    if not (
        isinstance(prior, tuple | list)
        and len(prior) == 2
        and all(isinstance(part, int | float | np.number) and 0 <= part < np.inf for part in prior)
    ):
        raise OptionError(f"prior must be two numbers of at least 0, a rate and its weight: got {prior!r}.")
    level, weight = prior
    wide = (rows.astype(np.float64) + level * weight) / (1 + weight)
    if not wide.min() > 0:
        raise DegenerateError(
            f"Poisson distances need counts whose rates are above 0: the least of {label} is {wide.min():.3g} with "
            f"prior={prior}. Pass counts or firing rates that are not negative, and a prior of weight above 0."
        )
    return wide


def poisson(engine: PairwiseEngine, rows: np.ndarray, label: str) -> np.ndarray:
    """Symmetric Kullback-Leibler divergence of Poisson rates, sum_k (r_ik - r_jk) (log r_ik - log r_jk), condensed."""
    return np.maximum(_product(engine, rows, np.log(rows), label), 0.0)


def poisson_over_folds(engine: PairwiseEngine, patterns: np.ndarray, label: str) -> np.ndarray:
    """Mean over k != l of (r_a^k - r_b^k).(log r_a^l - log r_b^l), condensed; patterns as in `crossnobis`."""
    (log_sums, log_beside), (sums, beside) = _over_folds(np.log(patterns)), _over_folds(patterns)
    of_sums = _product(engine, sums, log_sums, label)
    return _per_pair(of_sums - _product(engine, beside, log_beside, label), patterns.shape[1])


def poisson_of_rows(engine: PairwiseEngine, rows: np.ndarray, cells: Cells, label: str) -> np.ndarray:
    """(r_a - r_b).(l_a - l_b) of the mean rates r and the mean logarithms of rates l of conditions, condensed."""
    counts = np.bincount(cells.condition)[:, None]
    rate, log = (_sums(x, cells.condition, len(counts)) / counts for x in (rows, np.log(rows)))
    return _product(engine, rate, log, label)


def weighted_by_rows(rows: np.ndarray, cells: Cells, *, logarithms: bool) -> np.ndarray:
    """d_ab = s_aa + s_bb - 2 s_ab with s_ab the mean over rows i of a and j of b in different folds, condensed.

    Of x_i . x_j, or with ``logarithms`` of -(x_i - x_j).(log x_i - log x_j) / 2.
    """
    ones = np.ones((len(rows), 1))
    n_pairs = _different_folds(cells, ones, ones)
    if not n_pairs.min() > 0:
        a, b = divmod(int(np.argmin(n_pairs)), len(n_pairs))
        names = cells.conditions[a] if a == b else f"{cells.conditions[a]} and {cells.conditions[b]}"
        raise DegenerateError(
            f"each condition, and each pair of them, needs rows in different folds: {names} has none. "
            "Leave a condition out."
        )
    with one_blas_thread():
        if logarithms:
            logs = np.log(rows)
            own = _different_folds(cells, np.sum(rows * logs, axis=1, keepdims=True), ones)
            cross = _different_folds(cells, rows, logs)
            similar = (cross + cross.T - own - own.T) / 2
        else:
            similar = _different_folds(cells, rows, rows)
    similar /= n_pairs
    diagonal = np.diag(similar)
    return (diagonal + diagonal[:, None] - 2 * similar)[np.triu_indices(len(similar), 1)]


def _different_folds(cells: Cells, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums of a_x . b_y over rows x of condition i and y of condition j in different folds, (n, n).

    The product of the sums over all rows, minus the pairs within a fold, which are products of the sums of its cells.
    """
    n, n_folds = len(cells.conditions), len(cells.folds)
    places, cell = np.unique(cells.cell, return_inverse=True)
    if 2 * len(places) >= n * n_folds:  # most conditions occur in most folds: the sums of the folds side by side
        a, b = (_sums(x, cells.cell, n * n_folds).reshape(n, n_folds, -1) for x in (a, b))
        within = a.reshape(n, -1) @ b.reshape(n, -1).T
        a, b = (x.sum(axis=1) for x in (a, b))
        return a @ b.T - within
    condition, fold = np.divmod(places, n_folds)
    a, b = (_sums(x, cell, len(places)) for x in (a, b))
    within = np.zeros((n, n))
    alone = np.bincount(fold)[fold] == 1
    np.add.at(within, (condition[alone], condition[alone]), np.einsum("ij,ij->i", a[alone], b[alone]))
    order = np.flatnonzero(~alone)[np.argsort(fold[~alone], kind="stable")]
    for part in np.split(order, np.flatnonzero(np.diff(fold[order])) + 1):
        within[np.ix_(condition[part], condition[part])] += a[part] @ b[part].T
    a, b = (_sums(x, condition, n) for x in (a, b))
    return a @ b.T - within


def _sums(rows: np.ndarray, place: np.ndarray, n_places: int) -> np.ndarray:
    """Sums of the rows of each place, in their order."""
    sums = np.zeros((n_places, rows.shape[1]))
    np.add.at(sums, place, rows)
    return sums


def _over_folds(patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums over folds, and the patterns of all folds side by side, around the mean of each fold; in place."""
    patterns -= patterns.mean(axis=0)  # differences within a fold do not change
    return patterns.sum(axis=1), patterns.reshape(len(patterns), -1)


def _per_pair(total: np.ndarray, n_folds: int) -> np.ndarray:
    return total / (n_folds * (n_folds - 1))


def _product(engine: PairwiseEngine, a: np.ndarray, b: np.ndarray, label: str) -> np.ndarray:
    """(a_i - a_j).(b_i - b_j), condensed, as (|u_i - u_j|^2 - |v_i - v_j|^2) / 4 with u = s a + b / s, v = s a - b / s.

    s gives both sides the same size in each feature, so that little cancels. It is exactly 0 for equal rows.
    """
    sides = [x - x.mean(axis=0) for x in (a, b)]
    sizes = [np.abs(x).max(axis=0) for x in sides]
    usable = (sizes[0] > 0) & (sizes[1] > 0)
    scale = np.sqrt(np.divide(sizes[1], sizes[0], out=np.ones_like(sizes[0]), where=usable))
    left, right = sides[0] * scale, sides[1] / scale
    plus, minus = (distances_within(engine, x, "sqeuclidean", label=label) for x in (left + right, left - right))
    return (plus - minus) / 4
