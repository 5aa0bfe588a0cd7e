"""Conditions of a representational dissimilarity matrix: mean patterns, noise whitening and crossnobis distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DegenerateError, DTypeError, NonFiniteError, ShapeError

__all__ = ["condition_patterns", "crossnobis", "noise_whitening"]


def condition_patterns(rows: np.ndarray, conditions: Any) -> np.ndarray:
    """Mean row of each condition, (n_conditions, d) in float64, in sorted order of the labels."""
    _, place = _labels(conditions, len(rows), "conditions")
    return _means(rows, place)


def crossnobis(rows: np.ndarray, conditions: Any, folds: Any) -> np.ndarray:
    """Cross-validated squared distances between conditions, condensed. The rows must be whitened already.

    With the patterns p^k of fold k of K, the mean over k != l of (p_a^k - p_b^k).(p_a^l - p_b^l) equals
    (|sum_k (p_a^k - p_b^k)|^2 - sum_k |p_a^k - p_b^k|^2) / (K (K - 1)).
    """
    if not np.isfinite(rows).all():
        raise NonFiniteError("X must be finite: got NaN or infinity. Drop or repair such rows.")
    names, place = _labels(conditions, len(rows), "conditions")
    parts, fold = _labels(folds, len(rows), "folds")
    if len(names) < 2 or len(parts) < 2:
        raise DegenerateError(
            f"crossnobis needs at least two conditions and two folds: got {len(names)} and {len(parts)}."
        )
    patterns = []
    for k, part in enumerate(parts):
        absent = np.setdiff1d(np.arange(len(names)), place[fold == k])
        if len(absent):
            raise DegenerateError(
                f"crossnobis needs every condition in every fold: fold {part} has no row of condition "
                f"{names[absent[0]]}. Leave that condition or fold out."
            )
        patterns.append(_means(rows[fold == k], place[fold == k]))
    first, second = np.triu_indices(len(names), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        differences = np.stack(patterns)[:, first] - np.stack(patterns)[:, second]
        total = differences.sum(axis=0)
        products = np.sum(total * total, axis=1) - np.sum(differences * differences, axis=(0, 2))
    if not np.isfinite(products).all():
        raise NonFiniteError("X must have values whose squares float64 can hold: those of X overflow. Rescale them.")
    return products / (len(parts) * (len(parts) - 1))


def noise_whitening(noise: Any, n_features: int) -> np.ndarray:
    """W with W W^T = N^-1 for the noise covariance N."""
    given = np.asarray(noise)
    if given.dtype.kind not in "fiu":
        raise DTypeError(f"noise must be a covariance, an array of numbers: got {noise!r:.40}.")
    covariance = given.astype(np.float64)
    if covariance.shape != (n_features, n_features):
        raise ShapeError(f"noise must be a covariance of shape ({n_features}, {n_features}): got {covariance.shape}.")
    size = float(np.abs(covariance).max())
    if not np.isfinite(size) or not np.allclose(covariance, covariance.T, rtol=1e-8, atol=1e-10 * size):
        raise NonFiniteError("noise must be a symmetric matrix of finite numbers. Pass e.g. np.cov(residuals.T).")
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    if not values[0] > 1e-12 * values[-1]:
        raise DegenerateError(
            f"noise must be positive definite: its eigenvalues go from {values[0]:.3g} to {values[-1]:.3g}. "
            "Shrink it, e.g. 0.9 * S + 0.1 * np.diag(np.diag(S))."
        )
    return vectors / np.sqrt(values)


def _labels(labels: Any, n_rows: int, argument: str) -> tuple[np.ndarray, np.ndarray]:
    given = np.asarray(labels)
    if given.ndim != 1 or len(given) != n_rows:
        raise ShapeError(f"{argument} must hold one label for each of the {n_rows} rows: got shape {given.shape}.")
    if given.dtype.kind == "O" and len({type(label) for label in given}) > 1:
        raise DTypeError(f"{argument} must be labels of one type: got {sorted({type(v).__name__ for v in given})}.")
    if given.dtype.kind not in "biufUSOM" or any(label is None or label != label for label in given.tolist()):
        raise DTypeError(f"{argument} must name a label in every row: got None, NaN or labels of type {given.dtype}.")
    names, place = np.unique(given, return_inverse=True)
    return names, place.reshape(-1)


def _means(rows: np.ndarray, place: np.ndarray) -> np.ndarray:
    counts = np.bincount(place)[:, None]

    def total(parts: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(counts), rows.shape[1]))
        np.add.at(sums, place, parts)
        return sums

    with np.errstate(over="ignore", invalid="ignore"):
        sums = total(rows.astype(np.float64))
    return sums / counts if np.isfinite(sums).all() else total(rows / counts[place])
