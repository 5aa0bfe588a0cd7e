"""RSA with explicit RDM vectors (i < j, row by row), in long double throughout."""

from __future__ import annotations

import numpy as np

from .references_base import LONG, RANK_TOL, as_float64, centre, column_space


def _unit_rows(X: np.ndarray) -> np.ndarray:
    norms = np.sqrt(np.sum(X * X, axis=1, keepdims=True))
    if not np.all(norms > 0):
        raise ValueError("a row has zero length: its cosine with others is undefined")
    return X / norms


def _half_squared(X: np.ndarray) -> np.ndarray:
    """|x_i - x_j|^2 / 2 over i < j, by differences: no cancellation however large the common offset."""
    return np.concatenate([np.sum((X[i + 1 :] - X[i]) ** 2, axis=1) / 2 for i in range(len(X) - 1)])


def rdm(X, metric: str, rank_tol: float = RANK_TOL) -> np.ndarray:
    """RDM vector of n (n - 1) / 2 entries.

    dot: x_i . x_j of the raw rows (a similarity). cosine: 1 - cos. correlation: 1 - Pearson of the two rows.
    sqeuclidean, euclidean. mahalanobis: sqrt((xi-xj)^T C^+ (xi-xj)), C the covariance of this side, ddof 1
    (scipy's convention); sqmahalanobis: its square. C^+ by the numerical rank, from left singular vectors.
    """
    if metric in ("sqmahalanobis", "mahalanobis"):
        whitened = (np.sqrt(LONG(len(X) - 1)) * column_space(X, rank_tol)).astype(LONG)
        squared = 2 * _half_squared(whitened)
        return squared if metric == "sqmahalanobis" else np.sqrt(squared)
    rows = as_float64(X).astype(LONG)
    if metric == "dot":
        return np.concatenate([rows[i + 1 :] @ rows[i] for i in range(len(rows) - 1)])
    if metric == "cosine":
        return _half_squared(_unit_rows(rows))
    if metric == "correlation":
        return _half_squared(_unit_rows(rows - rows.mean(axis=1, keepdims=True)))
    if metric in ("sqeuclidean", "euclidean"):
        squared = 2 * _half_squared(rows)
        return squared if metric == "sqeuclidean" else np.sqrt(squared)
    raise ValueError(f"unknown metric {metric!r}")


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b)))


def compare_pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two RDM vectors."""
    return _cosine(a - a.mean(), b - b.mean())


def compare_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two RDM vectors, no centring."""
    return _cosine(a, b)


def _square_form(vector: np.ndarray) -> np.ndarray:
    n = int((1 + np.sqrt(1 + 8 * len(vector))) / 2)
    D = np.zeros((n, n), dtype=vector.dtype)
    D[np.triu_indices(n, 1)] = vector
    return D + D.T


def compare_cosine_cov(a: np.ndarray, b: np.ndarray) -> float:
    """Whitened cosine as the cosine of the doubly centred matrices -1/2 H D H (Diedrichsen et al. 2021)."""
    centred = []
    for vector in (a, b):
        D = _square_form(vector.astype(LONG))
        centred.append(-(D - D.mean(axis=0) - D.mean(axis=1)[:, None] + D.mean()) / 2)
    return _cosine(*centred)


def compare_cosine_cov_brute(a: np.ndarray, b: np.ndarray) -> float:
    """a' V^-1 b / sqrt(a' V^-1 a b' V^-1 b), V = (C C^T) squared elementwise, C all pair contrasts.

    Diedrichsen et al. 2021, for independent noise of equal variance. V has n^4 / 4 entries: small n only.
    """
    n = int((1 + np.sqrt(1 + 8 * len(a))) / 2)
    first, second = np.triu_indices(n, 1)
    C = np.zeros((len(a), n))
    C[np.arange(len(a)), first], C[np.arange(len(a)), second] = 1, -1
    whiten = np.linalg.pinv((C @ C.T) ** 2)
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(a @ whiten @ b / np.sqrt((a @ whiten @ a) * (b @ whiten @ b)))


COMPARATORS = {"pearson": compare_pearson, "cosine": compare_cosine, "cosine_cov": compare_cosine_cov}


def rsa(X, Y, metric: str = "cosine", compare: str = "pearson", rank_tol: float = RANK_TOL) -> float:
    """RSA score: the two RDM vectors, compared."""
    return COMPARATORS[compare](rdm(X, metric, rank_tol), rdm(Y, metric, rank_tol))


def rdm_spread(X, metric: str, rank_tol: float = RANK_TOL) -> float:
    """Coefficient of variation of the RDM: if it is tiny, Pearson is ill-conditioned; if it is 0, undefined."""
    vector = rdm(X, metric, rank_tol)
    return float(vector.std() / np.abs(vector).mean())


def anisotropy(X) -> float:
    """Mean cosine between distinct rows of the raw data (Ethayarajh 2019)."""
    return float(1 - rdm(X, "cosine").mean())


def cosine_contributions(X) -> np.ndarray:
    """(d,) mean of u_if u_jf over i != j, u the unit rows; sums to anisotropy (Timkey & van Schijndel 2021).

    The paper's share of feature f is this divided by the anisotropy.
    """
    unit = _unit_rows(as_float64(X).astype(LONG))
    n = len(unit)
    total = np.zeros(unit.shape[1], dtype=LONG)
    for i in range(n - 1):
        total += (unit[i + 1 :] * unit[i]).sum(axis=0)
    return (total / (n * (n - 1) / 2)).astype(np.float64)


def centred_for_cka(X) -> np.ndarray:
    """Unit rows, then centred columns: linear CKA of these is RSA(metric="cosine", compare="cosine_cov")."""
    return centre(_unit_rows(as_float64(X).astype(LONG)).astype(np.float64))
