"""Dependence of two sets of rows by n x n matrices: kernel CKA and distance correlation."""

from __future__ import annotations

import numpy as np

from .references_base import LONG
from .references_pairwise import condensed, distances


def rbf(X, sigma: float) -> np.ndarray:
    """K_ij = exp(-|x_i - x_j|^2 / (2 sigma^2)), long double."""
    return np.exp(-distances(X, "sqeuclidean").astype(LONG) / (2 * LONG(sigma) ** 2))


def median_distance(X) -> float:
    """Median of the Euclidean distances over i < j."""
    return float(np.median(condensed(distances(X, "euclidean"))))


def _doubly_centred(K: np.ndarray) -> np.ndarray:
    return K - K.mean(axis=0) - K.mean(axis=1)[:, None] + K.mean()


def hsic_biased(K: np.ndarray, L: np.ndarray) -> LONG:
    """tr(K H L H), the normalisation left out (Gretton et al. 2005)."""
    return np.sum(_doubly_centred(K) * _doubly_centred(L))


def hsic_debiased(K: np.ndarray, L: np.ndarray) -> LONG:
    """The U-statistic of Song et al. 2012 (JMLR 13), equation 5, term by term; needs n >= 4."""
    n = len(K)
    if n < 4:
        raise ValueError("unbiased HSIC needs n >= 4")
    products = everything_k = everything_l = shared = LONG(0)
    for i in range(n):
        row_k = row_l = LONG(0)
        for j in range(n):
            if i != j:
                products += K[i, j] * L[j, i]
                row_k += K[i, j]
                row_l += L[i, j]
        everything_k += row_k
        everything_l += row_l
        shared += row_k * row_l
    total = products + everything_k * everything_l / ((n - 1) * (n - 2)) - 2 * shared / (n - 2)
    return total / (n * (n - 3))


def kernel_cka(K: np.ndarray, L: np.ndarray, *, debiased: bool = False) -> float:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) (Cortes et al. 2012; Kornblith et al. 2019)."""
    if debiased:
        K, L = K - K.mean(), L - L.mean()  # the estimator does not see a constant; the sums then cancel less
        return float(hsic_debiased(K, L) / np.sqrt(hsic_debiased(K, K) * hsic_debiased(L, L)))
    return float(hsic_biased(K, L) / np.sqrt(hsic_biased(K, K) * hsic_biased(L, L)))


def rbf_cka(X, Y, *, fraction: float = 1.0, sigma: float | None = None, debiased: bool = False) -> float:
    """Kernel CKA with the RBF kernel; sigma = fraction x the side's median distance (Kornblith et al. 2019)."""
    K, L = (rbf(side, sigma if sigma is not None else fraction * median_distance(side)) for side in (X, Y))
    return kernel_cka(K, L, debiased=debiased)


def distance_covariance_squared(a: np.ndarray, b: np.ndarray, *, unbiased: bool) -> LONG:
    """From distance matrices: mean of A_ij B_ij after double centring (Szekely, Rizzo, Bakirov 2007, definition 4),
    or sum over i != j / (n (n - 3)) after U-centring (Szekely and Rizzo 2014)."""
    a, b = a.astype(LONG), b.astype(LONG)
    n = len(a)
    if not unbiased:
        return np.mean(_doubly_centred(a) * _doubly_centred(b))
    sides = []
    for d in (a, b):
        u = d - d.sum(axis=0) / (n - 2) - d.sum(axis=1)[:, None] / (n - 2) + d.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(u, 0)
        sides.append(u)
    return np.sum(sides[0] * sides[1]) / (n * (n - 3))


def distance_correlation_squared(X, Y, *, unbiased: bool = False) -> float:
    """dCov^2(X, Y) / sqrt(dVar^2(X) dVar^2(Y)); unbiased: the bias-corrected R*, which may be negative."""
    a, b = distances(X, "euclidean"), distances(Y, "euclidean")
    xy, xx, yy = (distance_covariance_squared(*sides, unbiased=unbiased) for sides in ((a, b), (a, a), (b, b)))
    return float(xy / np.sqrt(xx * yy))


def distance_correlation(X, Y) -> float:
    """dCor of Szekely, Rizzo, Bakirov 2007, definition 5: the square root, in [0, 1]."""
    return float(np.sqrt(distance_correlation_squared(X, Y)))
