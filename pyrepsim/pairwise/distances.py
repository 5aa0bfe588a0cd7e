"""Complete distance matrices: condensed, between two sets of rows, or as an RDM of conditions."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.arrays import rows_view
from ..core.errors import DegenerateError, DTypeError, OptionError, ShapeError
from .engine import PairwiseEngine
from .metrics import METRICS, metric_named
from .patterns import condition_patterns, crossnobis, noise_whitening

__all__ = ["cdist", "condensed", "n_rows_of", "pdist", "rdm", "square_matrix"]


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
    """Distances between all pairs of rows i < j, in condensed form and in the order of `scipy.spatial.distance.pdist`.

    Equal rows have distance exactly 0, and the same distance from every other row. So have rows that all have one
    direction up to rounding, for the metrics cosine, correlation and angular.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        NumPy, PyTorch or CuPy; float16, bfloat16, float32 or float64.
    metric : str, default "cosine"
        ``"cosine"`` (1 - cos), ``"correlation"`` (1 - Pearson correlation across features), ``"angular"``
        (arccos(cos) / pi), ``"sqeuclidean"``, ``"euclidean"``, ``"manhattan"``, ``"chebyshev"``, ``"mahalanobis"`` and
        ``"sqmahalanobis"`` (rows whitened by their own covariance, as in SciPy), or ``"dot"`` (x_i . x_j, a
        similarity).
    out : array, optional
        Array to fill, float32 or float64, for example a memory map; with ``backend="cuda"`` also an array on the GPU.
    backend, n_threads, precision, progress
        As in `PairwiseEngine`. ``"fp32"`` has relative errors of about 1e-6; with up to 32 features its products are
        computed in float64.

    Returns
    -------
    array of shape (n_samples (n_samples - 1) / 2,)
        ``out`` if given, otherwise a new array of the type of the tiles (float32 unless ``precision="fp64"``).
        Angular distances near 1 (opposite directions) have errors up to 4e-4 (fp64: 2e-8), because the arccosine is
        steep there.

    Raises
    ------
    ShapeError
        For fewer than two rows, or ``out`` of another shape.
    DTypeError, NonFiniteError, OptionError
        For wrong element types, NaN or infinity, and unknown options.
    DegenerateError
        For a row of zeros (cosine, angular) or a constant row (correlation).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rs.pdist(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), "euclidean", precision="fp64")
    array([ 5., 10.,  5.])
    """
    engine = PairwiseEngine(backend=backend, n_threads=n_threads, precision=precision, progress=progress)
    rows = engine.backend.rows_view(X, "X")
    if len(rows) < 2:
        raise ShapeError("X must have at least two rows: got 1. Pass more rows.")
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
    """Distances of every row of X from every row of Y.

    Parameters
    ----------
    X : array of shape (n_samples_x, n_features)
    Y : array of shape (n_samples_y, n_features)
    metric, out, backend, n_threads, precision, progress
        As in `pdist`. Mahalanobis distances use the covariance of the rows of X and Y together, as SciPy does.

    Returns
    -------
    array of shape (n_samples_x, n_samples_y)

    Raises
    ------
    The errors of `pdist`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rs.cdist(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [6.0, 8.0]]), "euclidean", precision="fp64")
    array([[ 5., 10.]])
    """
    engine = PairwiseEngine(backend=backend, n_threads=n_threads, precision=precision, progress=progress)
    left, right = engine.panels_of([X, Y], metric, ["X", "Y"])
    filled, given = _output(engine, (left.n_rows, right.n_rows), out)
    sweep = engine.backend.DistanceSweep(left, right, metric=metric_named(metric).kernel, out=filled)
    engine.run(sweep, f"{metric} distances")
    return given


def condensed(engine: PairwiseEngine, panels: Any, metric: str, out: Any = None) -> Any:
    """`pdist` of rows that are already packed."""
    filled, given = _output(engine, (panels.n_rows * (panels.n_rows - 1) // 2,), out)
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
    """The representational dissimilarity matrix (RDM) of rows, or of conditions.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    metric : str, default "cosine"
        As in `pdist`, or ``"crossnobis"``, the cross-validated squared Mahalanobis distance: d_ab is the mean over
        ordered pairs of folds k != l of (p_a^k - p_b^k)^T N^-1 (p_a^l - p_b^l), with p_a^k the mean row of condition a
        in fold k. It is unbiased: 0 in expectation for conditions that do not differ, so values can be negative. It is
        not divided by the number of features.
    conditions : array-like of shape (n_samples,), optional
        A label for each row. The RDM is then that of the mean rows of the conditions, in sorted order of the labels.
    folds : array-like of shape (n_samples,), optional
        A label for each row, for crossnobis; every condition must occur in every fold.
    noise : ndarray of shape (n_features, n_features), optional
        Covariance of the noise, positive definite; rows are whitened by it first. By default the identity.
    square : bool, default True
        Whether to return a symmetric matrix instead of the condensed form i < j.
    backend, n_threads, precision, progress
        As in `PairwiseEngine`.

    Returns
    -------
    ndarray of shape (n, n), or (n (n - 1) / 2,) with ``square=False``
        n is the number of rows or conditions. The diagonal is 0 (``"dot"``: the squared norms).

    Raises
    ------
    OptionError
        For an unknown metric, or folds without crossnobis.
    DegenerateError
        For fewer than two rows or conditions, or rows that the metric cannot normalise.
    ShapeError, DTypeError, NonFiniteError
        For arrays of wrong shape, type or content.

    References
    ----------
    Kriegeskorte et al. (2008), Frontiers in Systems Neuroscience 2:4; crossnobis: Walther et al. (2016), NeuroImage
    137, equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rs.rdm(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), "euclidean", precision="fp64")
    array([[ 0.,  5., 10.],
           [ 5.,  0.,  5.],
           [10.,  5.,  0.]])
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
        return square_matrix(vector, np.zeros(n_rows_of(vector))) if square else vector
    if conditions is not None:
        rows = condition_patterns(rows, conditions)
    if len(rows) < 2:
        raise DegenerateError("an RDM needs at least two rows or conditions: got 1. Pass more.")
    label = "X" if conditions is None else "the conditions' means"
    vector = condensed(engine, engine.panels(rows, metric, label=label), metric)
    if not square:
        return vector
    own = np.zeros(len(rows)) if metric != "dot" else np.sum(rows.astype(np.float64) ** 2, axis=1)
    return square_matrix(vector, own)


def square_matrix(vector: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """The symmetric matrix with this condensed form and diagonal."""
    n = len(diagonal)
    matrix = np.zeros((n, n), vector.dtype)
    matrix[np.triu_indices(n, 1)] = vector
    matrix += matrix.T
    np.fill_diagonal(matrix, diagonal)
    return matrix


def n_rows_of(vector: np.ndarray) -> int:
    """n for a condensed vector of n (n - 1) / 2 entries."""
    return round((1 + (1 + 8 * len(vector)) ** 0.5) / 2)


def _output(engine: PairwiseEngine, shape: tuple[int, ...], out: Any) -> tuple[Any, Any]:
    """The array that the backend writes to and the one that the caller gets: ``out``, checked, or a new array."""
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
