"""Linear predictivity, GULP and MaxCorrelation, by explicit projections of the data."""

from __future__ import annotations

import numpy as np

from .references_base import RANK_TOL, centre, column_space, unit_frobenius


def linear_predictivity(X, Y, direction: str = "y_from_x", rank_tol: float = RANK_TOL) -> float:
    """R^2 of least squares with intercept, variance-weighted: 1 - |residual|^2 / |centred target|^2."""
    source, target = (X, Y) if direction == "y_from_x" else (Y, X)
    Q, Tc = column_space(source, rank_tol), centre(target)
    return float(1 - np.sum((Tc - Q @ (Q.T @ Tc)) ** 2) / np.sum(Tc**2))


def ridge_smoother(X, ridge: float, rank_tol: float = RANK_TOL) -> np.ndarray:
    """H (n, n), targets -> ridge predictions; X centred, of Frobenius norm sqrt(n), penalty n * ridge."""
    if ridge == 0.0:
        Q = column_space(X, rank_tol)
        return Q @ Q.T
    X = unit_frobenius(X) * np.sqrt(len(X))
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    return (U * (s**2 / (s**2 + len(X) * ridge))) @ U.T


def gulp(X, Y, ridge: float, rank_tol: float = RANK_TOL) -> float:
    """Squared GULP distance |Hx - Hy|_F^2 between ridge smoothers (Boix-Adsera et al. 2022, plug-in).

    = tr[(Sx^-l Sx)^2] + tr[(Sy^-l Sy)^2] - 2 tr[Sx^-l Sxy Sy^-l Syx], with S = Xc^T Xc / n of trace 1,
    S^-l = (S + ridge I)^-1, ridge absolute in these units. ridge = 0: rx + ry - 2 sum rho^2.
    """
    return float(np.sum((ridge_smoother(X, ridge, rank_tol) - ridge_smoother(Y, ridge, rank_tol)) ** 2))


def feature_correlations(X, Y) -> np.ndarray:
    """Pearson correlations (d_x, d_y) between features; NaN where a feature is constant."""
    table = np.full((X.shape[1], Y.shape[1]), np.nan)
    Xc, Yc = centre(X), centre(Y)
    for i, x in enumerate(Xc.T):
        for j, y in enumerate(Yc.T):
            if np.any(x) and np.any(y):
                table[i, j] = x @ y / (np.linalg.norm(x) * np.linalg.norm(y))
    return table


def max_correlation(X, Y) -> float:
    """Mean over features of X of the largest |Pearson| with a feature of Y (Bau et al. 2019; Wu et al. 2020).

    Constant features have no correlation: they leave the mean on the X side and cannot match on the Y side.
    Not symmetric.
    """
    table = np.abs(feature_correlations(X, Y))
    table = table[~np.all(np.isnan(table), axis=1)]
    return float(np.nanmax(table, axis=1).mean())
