"""One representation by itself: norms, dimensionality, rogue dimensions."""

from __future__ import annotations

import numpy as np

from .references_base import LONG, as_float64, centre, svd_of_data


def row_norms(X) -> tuple[float, float]:
    """Mean and standard deviation (ddof 1) of the Euclidean lengths of the raw rows."""
    X = as_float64(X).astype(LONG)
    lengths = np.sqrt(np.sum(X * X, axis=1))
    return float(lengths.mean()), float(lengths.std(ddof=1))


def effective_rank(X) -> float:
    """exp of the entropy of s / sum(s), s the singular values of the centred data (Roy & Vetterli 2007).

    Singular values, not eigenvalues; natural logarithm; 0 log 0 = 0. In [1, rank].
    """
    s = svd_of_data(X)[1]
    p = s / s.sum()
    p = p[p > 0]
    return float(np.exp(-np.sum(p * np.log(p))))


def participation_ratio(X) -> float:
    """(sum lambda)^2 / sum lambda^2, lambda = s^2 the eigenvalues of the scatter matrix."""
    s = svd_of_data(X)[1]
    return float(np.sum(s**2) ** 2 / np.sum(s**4))


def feature_means(X) -> np.ndarray:
    """(d,) column means."""
    return as_float64(X).astype(LONG).mean(axis=0).astype(np.float64)


def feature_sds(X) -> np.ndarray:
    """(d,) column standard deviations, ddof 1; exactly 0 where a column is constant."""
    Xc = centre(X)
    return np.sqrt(np.sum(Xc**2, axis=0) / (len(Xc) - 1))


def rogue_dimensions(X, threshold: float = 6.0) -> np.ndarray:
    """Indices of features whose |mean| or sd exceeds the median by more than threshold robust deviations.

    Robust deviation: 1.4826 * median absolute deviation over features, at least 0.01 of the median sd, so
    that rounding noise among equal features is never called an outlier.
    """
    sds = feature_sds(X)
    is_rogue = np.zeros(len(sds), dtype=bool)
    for values in (np.abs(feature_means(X)), sds):
        median = np.median(values)
        spread = max(1.4826 * np.median(np.abs(values - median)), 0.01 * np.median(sds))
        is_rogue |= values - median > threshold * spread
    return np.flatnonzero(is_rogue)
