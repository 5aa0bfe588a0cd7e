"""How large the rounding error of an entry of an RDM can be: entries that differ by less are equal.

With e the unit round-off of the tiles (2^-24 in float32, 2^-53 in float64; 2^-11 for ``fast``, which rounds rows to
half precision), d features in runs of r = min(d, 128), and an RDM whose entries are all about as large as their mean m,
the error of an entry is at most (csrc/tiles/README.md, "Numerics")

    E m,                          E = 2 (r + d / r + 5) e, for distances of rows as they are;
    E m + 2 b sqrt(2 m) + 2 b^2   for cosine and correlation distances of rows of length 1 that are known up to b;
    E m + 2 b                     for angular distances;
    E mean |x|^2 / 2              for dot products, which may cancel.

b is the bound of backends/directions.py without the rounding of stored numbers: it is of the computation alone. Means
are those of at most 512 rows.
"""

from __future__ import annotations

import math

import numpy as np

from ..backends.directions import row_error
from .metrics import Metric

__all__ = ["entry_error"]

_ROUND_OFF = {"fp64": 2.0**-53, "fp32": 2.0**-24, "bf16": 2.0**-24, "fast": 2.0**-11}
_RUN = 128
_FEW = 64


def entry_error(metric: Metric, precision: str, rows: np.ndarray, entries: np.ndarray) -> float:
    """The largest rounding error of an entry.

    Parameters
    ----------
    metric : Metric
    precision : str
        Of the tiles.
    rows : ndarray of shape (n_rows, n_features)
        A few rows.
    entries : ndarray of shape (n_rows (n_rows - 1) / 2,)
        The entries between them.
    """
    d = rows.shape[1]
    run = min(d, _RUN)
    relative = 2 * (run + math.ceil(d / run) + 5) * _ROUND_OFF[precision]
    if metric.kernel == "dot":
        return relative / 2 * float(np.mean(np.sum(np.square(rows.astype(np.float64)), axis=1)))
    mean = float(np.mean(entries)) if len(entries) else 0.0
    if metric.transform == "raw":
        return relative * mean
    of_row = row_error(rows[:_FEW], metric.transform)
    if metric.kernel == "angular":
        return relative * mean + 2 * of_row
    return relative * mean + 2 * of_row * math.sqrt(2 * mean) + 2 * of_row**2
