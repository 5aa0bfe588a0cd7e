"""Complete distance matrices: condensed, between two sets of rows, or as an RDM of conditions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..core.errors import DTypeError, ShapeError
from .engine import PairwiseEngine
from .metrics import Metric, metric_named
from .small_sets import fill_small_sets

__all__ = ["cdist", "condensed", "distances_within", "n_rows_of", "output", "pdist", "square_matrix", "sweep_within"]


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
    return distances_within(engine, rows, metric, out)


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
    filled, given = output(engine, (left.n_rows, right.n_rows), out)
    sweep = engine.backend.DistanceSweep(left, right, metric=metric_named(metric).kernel, out=filled)
    engine.run(sweep, f"{metric} distances")
    return given


def condensed(engine: PairwiseEngine, panels: Any, metric: str) -> np.ndarray:
    """`pdist` of rows that are already packed."""
    filled, given = output(engine, (panels.n_rows * (panels.n_rows - 1) // 2,), None)
    sweep_within(engine, panels, metric_named(metric), filled)
    return given


def distances_within(engine: PairwiseEngine, rows: Any, metric: str, out: Any = None, label: str = "X") -> Any:
    """`pdist` of rows that the engine's backend has checked."""
    chosen = metric_named(metric)
    filled, given = output(engine, (len(rows) * (len(rows) - 1) // 2,), out)
    if fill_small_sets(engine, rows, chosen, filled):
        sweep_within(engine, engine.panels(rows, metric, label=label), chosen, filled)
    return given


def sweep_within(engine: PairwiseEngine, panels: Any, metric: Metric, filled: Any) -> None:
    """Fill an array with the condensed distances of packed rows."""
    sweep = engine.backend.DistanceSweep(panels, None, metric=metric.kernel, out=filled)
    engine.run(sweep, f"{metric.name} distances")


def square_matrix(vectors: np.ndarray, diagonals: np.ndarray) -> np.ndarray:
    """The symmetric matrices (..., n, n) with these condensed forms (..., n (n - 1) / 2) and diagonals (..., n)."""
    n = diagonals.shape[-1]
    matrices, begin = np.empty((*diagonals.shape, n), vectors.dtype), 0
    for i in range(n):
        row = vectors[..., begin : begin + n - 1 - i]
        matrices[..., i, i + 1 :] = matrices[..., i + 1 :, i] = row
        begin += n - 1 - i
    matrices[..., np.arange(n), np.arange(n)] = diagonals
    return matrices


def n_rows_of(vector: np.ndarray) -> int:
    """n for a condensed vector of n (n - 1) / 2 entries."""
    return round((1 + (1 + 8 * len(vector)) ** 0.5) / 2)


def output(engine: PairwiseEngine, shape: tuple[int, ...], out: Any) -> tuple[Any, Any]:
    """The array that the backend writes to and the one that the caller gets: ``out``, checked, or a new array."""
    if out is None:
        dtype = np.dtype(engine.entry_type)
        needed = math.prod(shape) * dtype.itemsize
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
