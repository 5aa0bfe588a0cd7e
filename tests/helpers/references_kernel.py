"""Linear CKA, its debiased form and RV2 from explicit n x n Gram matrices."""

from __future__ import annotations

import numpy as np

from .references_base import LONG, centre


def gram(X) -> np.ndarray:
    """Gram matrix Xc Xc^T of the centred data, long double."""
    Xc = centre(X).astype(LONG)
    return Xc @ Xc.T


def _without_diagonal(K: np.ndarray) -> np.ndarray:
    K = K.copy()
    np.fill_diagonal(K, 0)
    return K


def linear_cka(X, Y) -> float:
    """Biased linear CKA <K, L> / (|K| |L|) of centred Gram matrices (Kornblith et al. 2019, eq. 4)."""
    K, L = gram(X), gram(Y)
    return float(np.sum(K * L) / np.sqrt(np.sum(K * K) * np.sum(L * L)))


def hsic_unbiased(X, Y) -> float:
    """HSIC_1 of Song et al. 2012, eq. 5, on Gram matrices with a zero diagonal.

    [tr(K L) + 1'K1 1'L1 / ((n-1)(n-2)) - 2/(n-2) 1'K L1] / (n (n-3)); needs n >= 4.
    The estimator does not see a shift of the data; centred Grams are used because they round less.
    """
    K, L = _without_diagonal(gram(X)), _without_diagonal(gram(Y))
    n = len(K)
    if n < 4:
        raise ValueError("unbiased HSIC needs n >= 4")
    all_pairs = K.sum() * L.sum() / ((n - 1) * (n - 2))
    shared_row = K.sum(axis=0) @ L.sum(axis=1) / (n - 2)
    return float((np.sum(K * L) + all_pairs - 2 * shared_row) / (n * (n - 3)))


def debiased_cka(X, Y) -> float:
    """HSIC_1(K, L) / sqrt(HSIC_1(K, K) HSIC_1(L, L)): unbiased above and below. May be negative."""
    return hsic_unbiased(X, Y) / float(np.sqrt(LONG(hsic_unbiased(X, X)) * LONG(hsic_unbiased(Y, Y))))


def rv2(X, Y) -> float:
    """Cosine of the centred Gram matrices with zeroed diagonals (Smilde et al. 2009). In [-1, 1]."""
    K, L = _without_diagonal(gram(X)), _without_diagonal(gram(Y))
    return float(np.sum(K * L) / np.sqrt(np.sum(K * K) * np.sum(L * L)))
