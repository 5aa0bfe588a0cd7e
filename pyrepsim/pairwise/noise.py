"""Covariance of the noise of features, and the whitening of rows by it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import as_numpy, rows_view
from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError, check_choice

__all__ = ["checked_noise", "noise_covariance", "noise_whitening"]

_ROUNDING = 2.0**-50
"""A feature whose standard deviation is no more of its mean is constant up to rounding, as in `moments.Side`."""
_LEAST_RATIO = 1e-12
_SAFE_RATIO = 1e-10
"""Reciprocal condition number in the 1-norm, estimated: above it the eigenvalues of a matrix are not needed."""


def noise_covariance(residuals: Any, method: str = "shrinkage_diagonal", *, dof: float | None = None) -> np.ndarray:
    """The covariance of the noise of features, for `rdm`, from residuals.

    With n residuals x_i of mean 0 and S = sum_i x_i x_i^T / dof, the estimate is S, or S moved towards a simpler matrix
    by the share w that has the least expected squared error.

    Parameters
    ----------
    residuals : array of shape (n_residuals, n_features)
        For example rows minus the mean row of their condition and fold, or residuals of a linear model. The mean of
        each feature is subtracted.
    method : str, default "shrinkage_diagonal"
        ``"full"``: S.
        ``"diagonal"``: the variances alone.
        ``"shrinkage_diagonal"``: off-diagonal entries times 1 - w, for correlations r_jk as in Schaefer and Strimmer:
        w = sum_{j != k} Var(r_jk) / sum_{j != k} r_jk^2.
        ``"shrinkage_identity"``: (1 - w) S + w m I with m = tr S / d, as in Ledoit and Wolf:
        w = min(1, sum_i |x_i x_i^T - S|^2 / (n^2 |S - m I|^2)), with divisor n in S.
    dof : float, optional
        Degrees of freedom: n - 1 by default; for residuals of conditions n minus the number of conditions.

    Returns
    -------
    ndarray of shape (n_features, n_features), float64

    Raises
    ------
    ShapeError, DTypeError, NonFiniteError
        For arrays of wrong shape, type or content.
    OptionError
        For an unknown method, or degrees of freedom that are not positive.
    DegenerateError
        For a feature without noise, with shrinkage.

    References
    ----------
    Schaefer and Strimmer (2005), Statistical Applications in Genetics and Molecular Biology 4:32; Ledoit and Wolf
    (2004), Journal of Multivariate Analysis 88. The same estimates as `rsatoolbox.data.noise.cov_from_residuals`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> residuals = np.array([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    >>> rs.noise_covariance(residuals, "full", dof=4)
    array([[1., 0.],
           [0., 1.]])
    """
    check_choice("method", method, ("full", "diagonal", "shrinkage_diagonal", "shrinkage_identity"))
    rows = rows_view(residuals, "residuals").astype(np.float64)
    if not np.isfinite(rows).all():
        raise NonFiniteError("residuals must be finite: got NaN or infinity. Leave such rows out.")
    n, d = rows.shape
    freedom = n - 1 if dof is None else dof
    if isinstance(freedom, bool) or not isinstance(freedom, int | float | np.number) or not 0 < freedom < np.inf:
        raise OptionError(f"dof must be a number above 0: got {freedom!r} for {n} residuals. Pass more residuals.")
    mean = rows.mean(axis=0)
    rows -= mean
    with one_blas_thread():
        scatter = rows.T @ rows
    variances = np.diag(scatter) / freedom
    if method == "full":
        return scatter / freedom
    if method == "diagonal":
        return np.diag(variances)
    # sums over j and k of x_ij^2 x_ik^2 are squares of sums over j
    if method == "shrinkage_identity":
        covariance = scatter / n
        variance = np.trace(covariance) / d
        distance = np.sum((covariance - variance * np.eye(d)) ** 2)
        error = (np.mean(np.sum(rows**2, axis=1) ** 2) - np.sum(covariance**2)) / n
        share = min(error / distance, 1.0) if distance > 0 else 1.0
        return (share * variance * np.eye(d) + (1 - share) * covariance) * (n / freedom)
    varying = np.sqrt(np.diag(scatter) / n) > _ROUNDING * np.abs(mean)
    if not varying.all():
        feature = int(np.argmin(varying))
        raise DegenerateError(f"shrinkage needs noise in every feature: feature {feature} is constant. Leave it out.")
    squares = rows**2 / variances
    off_diagonal = ~np.eye(d, dtype=bool)
    correlations = scatter / np.sqrt(np.outer(variances, variances)) / (n - 1)
    of_squares = np.sum(np.sum(squares, axis=1) ** 2 - np.sum(squares**2, axis=1)) / (n - 1)
    total = np.sum(correlations[off_diagonal] ** 2)
    share = n / freedom**2 * (of_squares - total) / total if total > 0 else 1.0
    return np.where(off_diagonal, (1 - min(max(share, 0.0), 1.0)) * scatter, scatter) / freedom


def checked_noise(noise: Any, n_features: int, n_folds: int) -> np.ndarray:
    """The matrix, or the matrices of the folds, float64; or ShapeError, DTypeError or NonFiniteError."""
    given = as_numpy(noise, "noise")
    if given.dtype.kind not in "fiu":
        raise DTypeError(f"noise must be a covariance, an array of numbers: got {noise!r:.40}.")
    matrices = given.astype(np.float64)
    allowed = [(n_features, n_features)] + ([(n_folds, n_features, n_features)] if n_folds > 1 else [])
    if matrices.shape not in allowed:
        of_folds = f", or one of each fold, {allowed[1]}" if n_folds > 1 else ""
        raise ShapeError(f"noise must be a covariance of shape {allowed[0]}{of_folds}: got {matrices.shape}.")
    transposed = np.swapaxes(matrices, -1, -2)
    size = float(np.abs(matrices).max())
    if not np.isfinite(size) or not np.allclose(matrices, transposed, rtol=1e-8, atol=1e-10 * size):
        raise NonFiniteError("noise must be a symmetric matrix of finite numbers. Pass e.g. np.cov(residuals.T).")
    return (matrices + transposed) / 2


def noise_whitening(covariance: np.ndarray, *, inverted: bool = False) -> np.ndarray:
    """W with W W^T = N^-1 for the covariance N of noise, or for N^-1 if ``inverted``; lower or upper triangular."""
    from scipy.linalg import get_lapack_funcs

    potrf, pocon, trtri = get_lapack_funcs(("potrf", "pocon", "trtri"), (covariance,))
    factor, failed = potrf(covariance, lower=1, clean=1)
    ratio = 0.0 if failed else float(pocon(factor, np.abs(covariance).sum(axis=0).max(), uplo="L")[0])
    if not ratio > _SAFE_RATIO:
        values = np.linalg.eigvalsh(covariance)
        if failed or not values[0] > _LEAST_RATIO * values[-1]:
            raise DegenerateError(
                f"noise must be positive definite: its eigenvalues go from {values[0]:.3g} to {values[-1]:.3g}. "
                "Shrink it, e.g. 0.9 * S + 0.1 * np.diag(np.diag(S)), or use rs.noise_covariance."
            )
    return factor if inverted else trtri(factor, lower=1)[0].T
