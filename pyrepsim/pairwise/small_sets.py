"""Distances within many small sets of rows in one call of the engine, and the sets that need the way of single sets."""

from __future__ import annotations

from typing import Any

import numpy as np

from .engine import FEW_FEATURES, PairwiseEngine
from .metrics import Metric
from .sizes import SIZES

__all__ = ["fill_small_sets"]

_MOST_ELEMENTS = 1 << 20
"""Of a set: larger ones are packed by several threads."""


def fill_small_sets(
    engine: PairwiseEngine, rows: Any, metric: Metric, out: Any, features: list[np.ndarray] | None = None
) -> list[int]:
    """Fill ``out`` with the condensed distances of each set, with the bits that `PairwiseEngine.panels` would give.

    Parameters
    ----------
    engine : PairwiseEngine
    rows : array of shape (n, d) for one set, or (n_sets, n, d); (n, d) with ``features``
    metric : Metric
    out : ndarray of shape (n_sets, n (n - 1) / 2)
    features : list of ndarray of int64, optional
        The features of ``rows`` that each set has.

    Returns
    -------
    list of int
        The sets that are not filled: all of them for another backend, precision or metric, and for larger sets;
        otherwise those whose rows may be degenerate, not finite or out of the range of the precision.
    """
    n_sets = len(features) if features is not None else 1 if rows.ndim == 2 else len(rows)
    n = rows.shape[-2]
    widest = rows.shape[-1] if features is None else max(len(chosen) for chosen in features)
    usable = engine.precision in ("fp32", "fp64") and not metric.whitened and n * widest <= _MOST_ELEMENTS
    if not usable or not 2 <= n <= engine.backend.most_rows_of_small_sets:
        return list(range(n_sets))
    sets = engine.backend.SmallSets(
        rows,
        None if features is None else np.concatenate(features),
        None if features is None else np.cumsum([len(chosen) for chosen in features]),
        metric=metric.kernel,
        transform=metric.transform,
        shifted=metric.shifted,
        precision=engine.precision,
        few_features=FEW_FEATURES,
        sizes=SIZES[engine.precision],
        out=out,
    )
    return engine.run(sets, f"{metric.name} distances")
