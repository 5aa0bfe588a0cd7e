"""Exact nearest neighbours: the k best of every row, kept while the tiles go by."""

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
    """The k nearest rows of Y for each row of X, exactly; without Y the nearest other rows of X.

    X : (n, d) and Y : (m, d), whatever the input gate takes. ``k`` is at most m, or n - 1 without Y.
    metric : a name in `pdist`; with ``"dot"`` the largest products come first.

    Returns indices (n, k), int64, and distances (n, k), float32 or with precision="fp64" float64; nearest first, ties
    by the lower index. Memory is that of the rows in float32 (2.5 times that where bfloat16 products say first which
    distances can matter: the result has the same bits) and of the result.

    Raises ShapeError, DTypeError, NonFiniteError, DegenerateError (a row without direction) or OptionError.
    """
    engine = PairwiseEngine(backend=backend, n_threads=n_threads, precision=precision, progress=progress)
    gate = engine.backend.rows_view
    return nearest(engine, gate(X, "X"), k, metric, None if Y is None else gate(Y, "Y"))


def nearest(
    engine: PairwiseEngine, x: Any, k: int, metric: str = "cosine", y: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """`knn` on an engine that is there."""
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
