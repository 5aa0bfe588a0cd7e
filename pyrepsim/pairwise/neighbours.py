"""Exact nearest neighbours of every row, selected from the tiles."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from ..core.errors import OptionError
from .engine import PairwiseEngine
from .metrics import metric_named

__all__ = ["knn", "nearest"]


def knn(
    X: Any,
    k: int,
    metric: str = "cosine",
    *,
    Y: Any = None,
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    progress: bool | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of Y for each row of X, exactly; without Y the k nearest other rows of X.

    Needs memory for the rows in float32 (2.5 times that where the processor multiplies bfloat16, which is faster and
    gives the same bits) and for the result.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    k : int
        Number of neighbours, at most the number of rows of Y, or n_samples - 1 without Y.
    metric : str, default "cosine"
        As in `pdist`. With ``"dot"`` the largest products come first.
    Y : array of shape (n_samples_y, n_features), optional
    backend, n_threads, precision, progress
        As in `PairwiseEngine`.

    Returns
    -------
    indices : ndarray of shape (n_samples, k), int64
        Nearest first; ties are ordered by index.
    distances : ndarray of shape (n_samples, k)
        float32, or float64 with ``precision="fp64"``.

    Raises
    ------
    OptionError
        If k is not within its limits.
    ShapeError, DTypeError, NonFiniteError, DegenerateError
        As in `pdist`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> indices, distances = rs.knn(np.array([[0.0], [1.0], [3.0]]), 1, "euclidean", precision="fp64")
    >>> indices.ravel(), distances.ravel()
    (array([1, 0, 1]), array([1., 1., 2.]))
    """
    engine = PairwiseEngine(backend=backend, n_threads=n_threads, precision=precision, progress=progress)
    gate = engine.backend.rows_view
    return nearest(engine, gate(X, "X"), k, metric, None if Y is None else gate(Y, "Y"))


def nearest(
    engine: PairwiseEngine, x: Any, k: int, metric: str = "cosine", y: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """`knn` with an existing engine.

    Parameters
    ----------
    engine : PairwiseEngine
    x, y : array of shape (n_samples, n_features)
        Rows that the engine's backend has checked; without ``y`` neighbours are other rows of ``x``.
    k, metric
        As in `knn`.

    Returns
    -------
    indices, distances : ndarray of shape (n_samples, k)

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rs.pairwise.nearest(rs.PairwiseEngine(), np.array([[0.0], [1.0], [3.0]]), 1, "euclidean")[0].ravel()
    array([1, 0, 1])
    """
    most = len(x) - 1 if y is None else len(y)
    if isinstance(k, bool) or not isinstance(k, Integral) or not 1 <= k <= most:
        others = f"{most} other rows" if y is None else f"{most} rows of Y"
        raise OptionError(f"k must be a whole number from 1 to the {others}: got {k!r}.")
    if y is None:
        left, right = engine.panels(x, metric), None
    else:
        left, right = engine.panels_of([x, y], metric, ["X", "Y"])
    sweep = engine.backend.NeighbourSweep(left, right, metric=metric_named(metric).kernel, k=int(k))
    indices, values = engine.run(sweep, "neighbours")
    return indices, values.astype(engine.entry_type, copy=False)
