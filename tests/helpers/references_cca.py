"""CCA, ridge CCA, SVCCA and PWCCA by orthonormal bases of the data (Bjoerck & Golub 1973), no covariances."""

from __future__ import annotations

import numpy as np

from .references_base import RANK_TOL, centre, column_space, rank, svd_of_data


def cca_correlations(X, Y, rank_tol: float = RANK_TOL) -> np.ndarray:
    """min(rx, ry) canonical correlations rho = svd(Qx^T Qy), Q orthonormal bases of the centred columns.

    Hotelling 1936; Bjoerck & Golub 1973, "Numerical methods for computing angles between linear subspaces".
    Where rx + ry > n - 1, at least rx + ry - (n - 1) of them are 1 whatever the data.
    """
    return np.linalg.svd(column_space(X, rank_tol).T @ column_space(Y, rank_tol), compute_uv=False)


def cca(X, Y, rank_tol: float = RANK_TOL) -> float:
    """Mean canonical correlation over min(rx, ry)."""
    return float(cca_correlations(X, Y, rank_tol).mean())


def ridge_cca_correlations(X, Y, ridge: float, rank_tol: float = RANK_TOL) -> np.ndarray:
    """The min(rx, ry) largest of svd((Sxx + lx I)^-1/2 Sxy (Syy + ly I)^-1/2), l = ridge * tr(S) / d.

    Data form: QR of the data with sqrt(l) I stacked below; the upper n rows of Q are Xc R^-1.
    d is the full width, constant columns included. Correlations beyond min(rx, ry) are zero and left out, so
    that the mean tends to that of plain CCA as ridge -> 0.
    """
    tops = []
    for side in (X, Y):
        Xc = centre(side)
        n, d = Xc.shape
        penalty = ridge * np.sum(Xc**2) / d
        Q, _ = np.linalg.qr(np.vstack([Xc, np.sqrt(penalty) * np.eye(d)]))
        tops.append(Q[:n])
    k = min(rank(X, rank_tol), rank(Y, rank_tol))
    return np.linalg.svd(tops[0].T @ tops[1], compute_uv=False)[:k]


def ridge_cca(X, Y, ridge: float, rank_tol: float = RANK_TOL) -> float:
    """Mean ridge correlation over min(rx, ry)."""
    return float(ridge_cca_correlations(X, Y, ridge, rank_tol).mean())


def components_for_variance(X, variance: float, rank_tol: float = RANK_TOL) -> int:
    """Smallest k with s_1^2 + ... + s_k^2 >= variance * sum of all s^2; at most the numerical rank.

    s are the singular values of the centred data in its own units, so the cut depends on the units.
    """
    s = svd_of_data(X)[1]
    r = int(np.sum(s > rank_tol * s[0]))
    if variance >= 1.0:
        return r
    return min(r, int(np.argmax(np.cumsum(s**2) >= variance * np.sum(s**2))) + 1)


def svcca_correlations(
    X, Y, *, variance: float | None = None, components: int | None = None, rank_tol: float = RANK_TOL
) -> np.ndarray:
    """CCA between the leading left singular vectors of each side: rho = svd(Ux_k^T Uy_l); min(k, l) of them.

    Raghu et al. 2017. Give either variance (a fraction of squared singular values) or components.
    """
    if (variance is None) == (components is None):
        raise ValueError("give either variance or components")
    bases = []
    for side in (X, Y):
        U, s, _ = svd_of_data(side)
        if variance is not None:
            k = components_for_variance(side, variance, rank_tol)
        else:
            k = min(components, int(np.sum(s > rank_tol * s[0])))
        bases.append(U[:, :k])
    return np.linalg.svd(bases[0].T @ bases[1], compute_uv=False)


def svcca(X, Y, *, variance: float | None = None, components: int | None = None, rank_tol: float = RANK_TOL) -> float:
    """Mean of svcca_correlations over min(k, l)."""
    return float(svcca_correlations(X, Y, variance=variance, components=components, rank_tol=rank_tol).mean())


def pwcca_weights(X, Y, rank_tol: float = RANK_TOL) -> tuple[np.ndarray, np.ndarray]:
    """(alpha, rho), min(rx, ry) each: alpha_i = sum_j |<h_i, x_j>|, not normalised.

    h_i are the unit-norm canonical variates of X, x_j its centred columns (Morcos, Raghu & Bengio 2018,
    section 3).
    """
    Qx, Qy = column_space(X, rank_tol), column_space(Y, rank_tol)
    P, rho, _ = np.linalg.svd(Qx.T @ Qy, full_matrices=False)
    variates = Qx @ P
    return np.abs(variates.T @ centre(X)).sum(axis=1), rho


def pwcca(X, Y, weights: str = "x", rank_tol: float = RANK_TOL) -> float:
    """sum alpha_i rho_i / sum alpha_i with the weights of X, of Y, or the mean of these two scores.

    Where some canonical correlations coincide and others do not, the variates of that block are defined only
    up to rotation; so are their weights, and so is the score.
    """
    if weights == "mean":
        return 0.5 * (pwcca(X, Y, "x", rank_tol) + pwcca(X, Y, "y", rank_tol))
    alpha, rho = pwcca_weights(*((X, Y) if weights == "x" else (Y, X)), rank_tol)
    return float(alpha @ rho / alpha.sum())
