"""Comparators of an RDM with several others at once: partial correlations and regression weights."""

from __future__ import annotations

import numpy as np

from ..core.errors import OptionError
from .rdm_stacks import Stack

__all__ = ["partial_correlations", "regression_weights"]

_EPSILON = 2.0**-53


def partial_correlations(x: Stack, y: Stack, centred_x: np.ndarray, centred_y: np.ndarray) -> np.ndarray:
    """Correlation of each RDM of x with each of y, the other RDMs of y held fixed.

    With the models M = Q R, weights w = R^-1 Q^T d of the data d and s = |d - M w|^2, the partial correlation with
    model j is w_j / sqrt(s (M^T M)^-1_jj + w_j^2).

    Parameters
    ----------
    x, y : Stack
        Data, and models: two or more.
    centred_x, centred_y : ndarray of shapes (a, p) and (b, p)
        Their entries, or ranks, with mean 0.
    """
    if len(y.rows) < 2:
        raise OptionError(
            "a partial correlation needs two or more models, as the stack b: got 1. Use compare='pearson'."
        )
    weights, q, inverse = _fit(y, centred_x, centred_y)
    size = np.sqrt(np.sum(inverse * inverse, axis=1))  # roots of (M^T M)^-1_jj
    residuals = centred_x - (centred_x @ q) @ q.T
    rest = np.sqrt(np.sum(residuals * residuals, axis=1))
    norm = np.sqrt(np.sum(centred_x * centred_x, axis=1))
    total = np.hypot(rest[:, None] * size, weights)
    # the rounding error of a weight, and of the residual: both unknown, so is the correlation
    bound = 8 * centred_x.shape[1] * _EPSILON * norm[:, None] * size
    undefined = ~(total > bound)
    if x.raises:  # otherwise only these values are NaN, not all of the data
        x.refuse(
            undefined.any(axis=1),
            lambda who, row: (
                f"a partial correlation needs data that the other models do not determine: {who} is a sum of them, up "
                f"to rounding, so it has none with model {int(np.argmax(undefined[row]))}. Leave models out."
            ),
        )
    return np.where(undefined, np.nan, weights / np.where(total > 0, total, 1.0))


def regression_weights(y: Stack, centred_x: np.ndarray, centred_y: np.ndarray) -> np.ndarray:
    """Least-squares weights of the RDMs of y in a sum that predicts each RDM of x, with an intercept."""
    return _fit(y, centred_x, centred_y)[0]


def _fit(y: Stack, centred_x: np.ndarray, centred_y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (a, b), Q (p, b), and R^-1 for models of length 1 divided by the lengths; NaN if models are dependent."""
    lengths = np.sqrt(np.sum(centred_y * centred_y, axis=1))
    models = (centred_y / np.where(lengths > 0, lengths, 1.0)[:, None]).T
    n_entries, n_models = models.shape
    dependent = np.ones(n_models, bool)
    if n_models <= n_entries:
        q, r = np.linalg.qr(models)
        # row j of R has the part of model j that those before it do not explain, known up to about p units of rounding
        dependent = ~(np.abs(np.diag(r)) > 8 * n_entries * _EPSILON)
    y.refuse(
        dependent,
        lambda who, _: (
            f"models must be linearly independent: {who} is a sum of those before it, up to rounding, or there are "
            f"more models than entries ({n_models} and {n_entries}). Leave models out."
        ),
    )
    if y.bad is not None:
        y.bad = np.ones(n_models, bool)  # the weight of a model depends on all models
        shape = len(centred_x), n_models
        return np.zeros(shape), np.zeros((n_entries, n_models)), np.ones((n_models, n_models))
    inverse = np.linalg.inv(r) / lengths[:, None]
    return (centred_x @ q) @ inverse.T, q, inverse
