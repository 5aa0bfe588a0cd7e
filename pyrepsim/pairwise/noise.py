"""Covariance of the noise of features, and the whitening of rows by it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DegenerateError, DTypeError, NonFiniteError, ShapeError

__all__ = ["checked_noise", "noise_whitening"]


def checked_noise(noise: Any, n_features: int) -> np.ndarray:
    """The covariance, float64, or ShapeError, DTypeError or NonFiniteError."""
    given = np.asarray(noise)
    if given.dtype.kind not in "fiu":
        raise DTypeError(f"noise must be a covariance, an array of numbers: got {noise!r:.40}.")
    covariance = given.astype(np.float64)
    if covariance.shape != (n_features, n_features):
        raise ShapeError(f"noise must be a covariance of shape ({n_features}, {n_features}): got {covariance.shape}.")
    size = float(np.abs(covariance).max())
    if not np.isfinite(size) or not np.allclose(covariance, covariance.T, rtol=1e-8, atol=1e-10 * size):
        raise NonFiniteError("noise must be a symmetric matrix of finite numbers. Pass e.g. np.cov(residuals.T).")
    return (covariance + covariance.T) / 2


def noise_whitening(covariance: np.ndarray) -> np.ndarray:
    """W with W W^T = N^-1 for the noise covariance N."""
    values, vectors = np.linalg.eigh(covariance)
    if not values[0] > 1e-12 * values[-1]:
        raise DegenerateError(
            f"noise must be positive definite: its eigenvalues go from {values[0]:.3g} to {values[-1]:.3g}. "
            "Shrink it, e.g. 0.9 * S + 0.1 * np.diag(np.diag(S))."
        )
    return vectors / np.sqrt(values)
