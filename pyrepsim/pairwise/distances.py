"""Distances in full, for any tool: condensed, between two sets, or an RDM of conditions.

FOLDED: Rows by condition and fold: mean patterns, noise whitening, crossnobis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import rows_view
from ..core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError
from .engine import PairwiseEngine
from .metrics import METRICS, metric_named

__all__ = ["cdist", "condensed", "condition_patterns", "crossnobis", "noise_whitening", "pdist", "rdm"]


def condition_patterns(rows: np.ndarray, conditions: Any) -> np.ndarray:
    """Mean row of each condition, (c, d) float64, in sorted order of the labels."""
    _, place = _labels(conditions, len(rows), "conditions")
    return _means(rows, place)


def crossnobis(rows: np.ndarray, conditions: Any, folds: Any) -> np.ndarray:
    """Cross-validated squared distances of the conditions, condensed; the rows are whitened already.

    With p^k the patterns of fold k and K folds, the mean over k != l of (p_a^k - p_b^k).(p_a^l - p_b^l) is
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
    differences = np.stack(patterns)[:, first] - np.stack(patterns)[:, second]
    total = differences.sum(axis=0)
    products = np.sum(total * total, axis=1) - np.sum(differences * differences, axis=(0, 2))
    return products / (len(parts) * (len(parts) - 1))


def noise_whitening(noise: Any, n_features: int) -> np.ndarray:
    """W with W W^T = N^-1 for a noise covariance N."""
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


def _labels(labels: Any, n_rows: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    given = np.asarray(labels)
    if given.ndim != 1 or len(given) != n_rows:
        raise ShapeError(f"{what} must hold one label for each of the {n_rows} rows: got shape {given.shape}.")
    if given.dtype.kind == "O" and len({type(label) for label in given}) > 1:
        raise DTypeError(f"{what} must be labels of one type: got {sorted({type(v).__name__ for v in given})}.")
    if given.dtype.kind not in "biufUSOM" or any(label is None or label != label for label in given.tolist()):
        raise DTypeError(f"{what} must name a label in every row: got None, NaN or labels of type {given.dtype}.")
    names, place = np.unique(given, return_inverse=True)
    return names, place.reshape(-1)


def _means(rows: np.ndarray, place: np.ndarray) -> np.ndarray:
    sums = np.zeros((place.max() + 1, rows.shape[1]))
    np.add.at(sums, place, rows.astype(np.float64))
    return sums / np.bincount(place)[:, None]


def pdist(
    X: Any,
    metric: str = "cosine",
    *,
    out: Any = None,
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    progress: bool | None = None,
) -> Any:
    """Distances of all pairs of rows i < j of X (n, d): condensed, n (n - 1) / 2 entries in scipy's order.

    metric : ``"cosine"`` (1 - cos), ``"correlation"`` (1 - Pearson across features), ``"angular"`` (arccos(cos) / pi),
        ``"sqeuclidean"``, ``"euclidean"``, ``"manhattan"``, ``"chebyshev"``, ``"mahalanobis"`` and ``"sqmahalanobis"``
        (rows whitened by their own covariance, as scipy does), or ``"dot"`` (x_i . x_j, a similarity).
    out : array to fill, float32 or float64, such as a memory map; with ``backend="cuda"`` also one on the GPU (torch,
        CuPy), which is complete when this returns. It is what is returned; without it, a new one of the tiles' type.
    precision : ``"fp32"`` (the default), about 1e-6 relative, products of up to 32 features in float64 for its sake;
        ``"fp64"``; ``"bf16"`` for dot products of bfloat16 rows;
        on a GPU ``"fast"``, rows rounded to half precision after shift and scaling.

    Equal rows are exactly 0 apart, and as far as each other from all others. Angular distances near 1, of rows that
    point opposite ways, are within 4e-4 (fp64: 2e-8): there the angle is as the root of what the cosine lacks of -1.

    Raises ShapeError (out of another size, or n < 2), DTypeError, NonFiniteError, DegenerateError or OptionError.
    """
    engine = PairwiseEngine(backend=backend, n_threads=n_threads, precision=precision, progress=progress)
    rows = engine.backend.rows_view(X, "X")
    if len(rows) < 2:
        raise ShapeError("X must have at least two rows for there to be a distance: got 1.")
    return condensed(engine, engine.panels(rows, metric), metric, out)


def cdist(
    X: Any,
    Y: Any,
    metric: str = "cosine",
    *,
    out: Any = None,
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    progress: bool | None = None,
) -> Any:
    """Distances (n, m) of the rows of X (n, d) to the rows of Y (m, d). Options as for `pdist`.

    Mahalanobis distances take the covariance of the rows of both together, as scipy does.
    """
    engine = PairwiseEngine(backend=backend, n_threads=n_threads, precision=precision, progress=progress)
    left, right = engine.panels_of([X, Y], metric, ["X", "Y"])
    filled, given = _space(engine, (left.n_rows, right.n_rows), out)
    sweep = engine.backend.DistanceSweep(left, right, metric=metric_named(metric).kernel, out=filled)
    engine.run(sweep, f"{metric} distances")
    return given


def condensed(engine: PairwiseEngine, panels: Any, metric: str, out: Any = None) -> Any:
    """`pdist` of packed rows."""
    filled, given = _space(engine, (panels.n_rows * (panels.n_rows - 1) // 2,), out)
    sweep = engine.backend.DistanceSweep(panels, None, metric=metric_named(metric).kernel, out=filled)
    engine.run(sweep, f"{metric} distances")
    return given


def rdm(
    X: Any,
    metric: str = "cosine",
    *,
    conditions: Any = None,
    folds: Any = None,
    noise: Any = None,
    square: bool = True,
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    progress: bool | None = None,
) -> np.ndarray:
    """The representational dissimilarity matrix of the rows, or of conditions among them.

    X : (n, d). metric : as for `pdist`, or ``"crossnobis"``: the cross-validated squared Mahalanobis distance
        d_ab = mean over ordered pairs of folds k != l of (p_a^k - p_b^k)^T N^-1 (p_a^l - p_b^l), p_a^k the mean row of
        condition a in fold k. Unbiased: 0 in expectation for conditions that do not differ, so it can be negative.
    conditions : a label for each row; the RDM is then that of the conditions' mean rows, in sorted order of labels.
    folds : a label for each row, for crossnobis; every condition must occur in every fold.
    noise : covariance of the noise, (d, d), positive definite: rows are whitened by it first; None: identity.
    square : a symmetric matrix (c, c), zero diagonal (``"dot"``: the products); otherwise condensed, i < j.

    References: Kriegeskorte et al. (2008); crossnobis: Walther et al. (2016), NeuroImage 137, equation 6; not divided
    by the number of features.
    """
    rows = rows_view(X, "X")
    if metric != "crossnobis" and metric not in METRICS:
        raise OptionError(f"metric must be one of {', '.join(METRICS)} or crossnobis: got {metric!r}.")
    if (metric == "crossnobis") != (folds is not None) or (metric == "crossnobis" and conditions is None):
        given = [name for name, labels in (("conditions", conditions), ("folds", folds)) if labels is not None]
        raise OptionError(
            "crossnobis needs conditions and folds, and no other metric takes folds: got "
            f"metric={metric!r} with {' and '.join(given) or 'neither'}."
        )
    engine = PairwiseEngine(backend=backend, n_threads=n_threads, precision=precision, progress=progress)
    engine.refuse_nonfinite(rows, "X")
    if noise is not None:
        rows = rows.astype(np.float64) @ noise_whitening(noise, rows.shape[1])
    if metric == "crossnobis":
        vector = crossnobis(rows, conditions, folds)
        return _squared(vector, np.zeros(_side(len(vector)))) if square else vector
    if conditions is not None:
        rows = condition_patterns(rows, conditions)
    if len(rows) < 2:
        raise DegenerateError("an RDM needs at least two rows or conditions: got 1. Pass more.")
    label = "X" if conditions is None else "the conditions' means"
    vector = condensed(engine, engine.panels(rows, metric, label=label), metric)
    if not square:
        return vector
    own = np.zeros(len(rows)) if metric != "dot" else np.sum(rows.astype(np.float64) ** 2, axis=1)
    return _squared(vector, own)


def _squared(vector: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    n = len(diagonal)
    matrix = np.zeros((n, n), vector.dtype)
    matrix[np.triu_indices(n, 1)] = vector
    matrix += matrix.T
    np.fill_diagonal(matrix, diagonal)
    return matrix


def _side(n_pairs: int) -> int:
    return round((1 + (1 + 8 * n_pairs) ** 0.5) / 2)


def _space(engine: PairwiseEngine, shape: tuple[int, ...], out: Any) -> tuple[Any, Any]:
    """Where distances go, what was given if it fits or a new array: for the backend to write, and for the caller."""
    if out is None:
        dtype = np.dtype(engine.entry_type)
        needed = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
        engine.refuse_what_does_not_fit(
            needed, f"{' x '.join(map(str, shape))} distances", "Pass out=, a memory map, or fewer rows."
        )
        new = np.zeros(shape, dtype)
        return new, new
    array = out if isinstance(out, np.ndarray) else engine.backend.writable_on_device(out, "out")
    if array is None or array.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
        kind = type(out).__name__ if array is None else array.dtype
        raise DTypeError(f"out must be a NumPy array of float32 or float64, or one on the backend's GPU: got {kind}.")
    read_only, strided = not getattr(array.flags, "writeable", True), not array.flags.c_contiguous
    if array.shape != shape or read_only or strided:
        raise ShapeError(
            f"out must be writeable, contiguous and of shape {shape}: got shape {array.shape}"
            f"{', read-only' if read_only else ''}{', strided' if strided else ''}."
        )
    return array, out
