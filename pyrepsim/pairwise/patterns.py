"""Labels of conditions and folds, and distances between conditions that are cross-validated over folds."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.errors import DegenerateError, DTypeError, ShapeError
from .distances import distances_within
from .engine import PairwiseEngine

__all__ = ["balanced_cells", "crossnobis", "numbered"]


def numbered(labels: Any, n_rows: int, argument: str) -> tuple[np.ndarray, np.ndarray]:
    """The different labels, sorted, and the place of each row's label among them."""
    given = np.asarray(labels)
    if given.ndim != 1 or len(given) != n_rows:
        raise ShapeError(f"{argument} must hold one label for each of the {n_rows} rows: got shape {given.shape}.")
    if given.dtype.kind == "O" and len({type(label) for label in given}) > 1:
        raise DTypeError(f"{argument} must be labels of one type: got {sorted({type(v).__name__ for v in given})}.")
    if given.dtype.kind not in "biufUSOM" or any(label is None or label != label for label in given.tolist()):
        raise DTypeError(f"{argument} must name a label in every row: got None, NaN or labels of type {given.dtype}.")
    names, place = np.unique(given, return_inverse=True)
    return names, place.reshape(-1)


def balanced_cells(conditions: Any, folds: Any, n_rows: int) -> tuple[int, np.ndarray]:
    """The number of folds, and for each row the place of its fold and condition: fold * n_conditions + condition."""
    names, place = numbered(conditions, n_rows, "conditions")
    parts, fold = numbered(folds, n_rows, "folds")
    if len(names) < 2 or len(parts) < 2:
        raise DegenerateError(
            f"crossnobis needs at least two conditions and two folds: got {len(names)} and {len(parts)}."
        )
    cell = fold * len(names) + place
    absent = np.setdiff1d(np.arange(len(parts) * len(names)), cell)
    if len(absent):
        k, condition = divmod(int(absent[0]), len(names))
        raise DegenerateError(
            f"crossnobis needs every condition in every fold: fold {parts[k]} has no row of condition "
            f"{names[condition]}. Leave that condition or fold out."
        )
    return len(parts), cell


def crossnobis(engine: PairwiseEngine, patterns: np.ndarray, label: str) -> np.ndarray:
    """Cross-validated squared distances between conditions, condensed.

    With the patterns p^k of fold k of K, the mean over k != l of (p_a^k - p_b^k).(p_a^l - p_b^l) equals
    (|sum_k (p_a^k - p_b^k)|^2 - sum_k |p_a^k - p_b^k|^2) / (K (K - 1)): the squared distances of the sums over folds,
    minus those of the patterns of all folds side by side.

    Parameters
    ----------
    engine : PairwiseEngine
        Of precision fp64.
    patterns : ndarray of shape (n_folds, n_conditions, n_features)
        Whitened, float64.
    label : str
        Name of the patterns in error messages.
    """
    n_folds, n, _ = patterns.shape
    centred = patterns - patterns.mean(axis=1, keepdims=True)  # distances within a fold do not change
    beside = centred.transpose(1, 0, 2).reshape(n, -1)
    of_sums = distances_within(engine, centred.sum(axis=0), "sqeuclidean", label=label)
    return (of_sums - distances_within(engine, beside, "sqeuclidean", label=label)) / (n_folds * (n_folds - 1))
