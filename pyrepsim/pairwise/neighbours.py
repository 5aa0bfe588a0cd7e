"""Exact nearest neighbours of every row, selected from the tiles."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from ..core.errors import OptionError
from .engine import PairwiseEngine
from .metrics import metric_named

__all__ = ["knn"]


def knn(
    X: Any,
    k: int,
    metric: str = "cosine",
    *,
    Y: Any = None,
    include_self: bool = False,
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    progress: bool | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of Y for each row of X, exactly; without Y the k nearest other rows of X.

    Needs memory for the rows in float32 (2.5 times that where the processor multiplies bfloat16, which is faster and
    gives the same bits) and for the result. Results come in the order of scikit-learn, faiss and cuVS.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    k : int
        Number of neighbours, at most the number of rows of Y, or n_samples - 1 without Y.
    metric : str, default "cosine"
        As in `pdist`. With ``"dot"`` the largest products come first.
    Y : array of shape (n_samples_y, n_features), optional
    include_self : bool, default False
        Without Y: whether each row is its own first neighbour, at distance 0, also where other rows are equal to it. It
        is one of the k, which are then at most n_samples. Not for ``"dot"``.
    backend, n_threads, precision, progress
        As in `PairwiseEngine`.

    Returns
    -------
    distances : ndarray of shape (n_samples, k)
        Nearest first; float32, or float64 with ``precision="fp64"``.
    indices : ndarray of shape (n_samples, k), int64
        Ties are ordered by index.

    Raises
    ------
    OptionError
        If k is not within its limits, or for ``include_self`` with Y or ``"dot"``.
    ShapeError, DTypeError, NonFiniteError, DegenerateError
        As in `pdist`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> distances, indices = rs.knn(X, 1, "euclidean", precision="fp64")
    >>> distances.ravel(), indices.ravel()
    (array([1., 1., 2.]), array([1, 0, 1]))
    >>> rs.knn(X, 2, "euclidean", include_self=True, precision="fp64")[1]
    array([[0, 1],
           [1, 0],
           [2, 1]])
    """
    engine = PairwiseEngine(backend=backend, n_threads=n_threads, precision=precision, progress=progress)
    x, y = engine.backend.rows_view(X, "X"), None if Y is None else engine.backend.rows_view(Y, "Y")
    if include_self and (y is not None or metric == "dot"):
        raise OptionError(
            "include_self is for distances between the rows of X: got it with "
            f"{'Y' if y is not None else 'metric=' + repr(metric)}. Leave it out."
        )
    most = len(x) - (not include_self) if y is None else len(y)
    if isinstance(k, bool) or not isinstance(k, Integral) or not 1 <= k <= most:
        what = "rows of Y" if y is not None else "rows of X" if include_self else "other rows"
        raise OptionError(f"k must be a whole number from 1 to the {most} {what}: got {k!r}.")
    if y is None:
        left, right = engine.panels(x, metric), None
    else:
        left, right = engine.panels_of([x, y], metric, ["X", "Y"])
    if include_self and k == 1:
        indices, distances = np.zeros((len(x), 0), np.int64), np.zeros((len(x), 0))
    else:
        n_others = int(k) - bool(include_self)
        sweep = engine.backend.NeighbourSweep(left, right, metric=metric_named(metric).kernel, k=n_others)
        indices, distances = engine.run(sweep, "neighbours")
    if include_self:
        indices = np.column_stack([np.arange(len(x)), indices])
        distances = np.column_stack([np.zeros(len(x)), distances])
    return distances.astype(engine.entry_type, copy=False), indices
