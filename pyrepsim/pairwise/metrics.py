"""The metrics by name, and the point that is subtracted from all rows before the engine multiplies them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core.errors import OptionError

__all__ = ["METRICS", "Metric", "centre_on_grid", "metric_named", "root_mean_square"]

_FINEST = 2.0**-5
"""The grid is 1/32 to 1/16 of the spread; subtracting the rounded median makes rows about as small as the exact one."""


def centre_on_grid(few: np.ndarray) -> np.ndarray:
    """The median c of each feature over ``few`` rows (m, d), rounded to a power of two near 1/32 of its spread.

    x - c is then exact in float32 for integers, float16 and bfloat16, so equal distances stay equal (the low bits of
    a mean would round each row differently). Medians are robust to a few huge rows. For a constant feature c is its
    value.
    """
    m, kind = len(few), np.float64 if few.dtype == np.float64 else np.float32
    ordered = np.sort(np.ascontiguousarray(few.T, dtype=kind), axis=1)  # float32 sorts ten times as fast as float64
    least, low, high, most = (ordered[:, i].astype(np.float64) for i in (0, m // 4, m - 1 - m // 4, m - 1))
    centre = sum(0.5 * ordered[:, i].astype(np.float64) for i in ((m - 1) // 2, m // 2))
    constant, flat = least == most, low == high
    with np.errstate(over="ignore", invalid="ignore"):  # huge rows keep their median
        spread = high - low
        spread[flat] = few[:, flat].astype(np.float64).std(axis=0)
        usable = ~constant & (spread > 0) & np.isfinite(spread)
        grid = np.ldexp(_FINEST, np.frexp(np.where(usable, spread, 1.0))[1])
        rounded = np.where(usable & (np.abs(centre) < grid * 2.0**52), np.round(centre / grid) * grid, centre)
    return np.where(constant, least, rounded)


@dataclass(frozen=True)
class Metric:
    """A metric: its kernel in the engine, and how rows x become its operands u = t(x) - c."""

    name: str
    kernel: str
    """What the engine computes: a distance of rows u, or ``dot``."""
    transform: str = "raw"
    """t: identity (``raw``), scaling to length 1 (``unit``), or centring and scaling to length 1 (``unit_centred``)."""
    shifted: bool = True
    """Whether c is near the mean of t(x), which reduces rounding errors and does not change distances; otherwise c =
    0."""
    whitened: bool = False
    """Rows are whitened by their covariance first."""
    highest: float = math.inf
    """The largest possible value; the smallest is 0, except for ``dot``."""

    @property
    def squares(self) -> bool:
        """Whether values come from products of operands, whose squares must not over- or underflow."""
        return self.kernel not in ("manhattan", "chebyshev")


METRICS = {
    metric.name: metric
    for metric in (
        Metric("cosine", "cosine", "unit", highest=2.0),
        Metric("correlation", "correlation", "unit_centred", highest=2.0),
        Metric("angular", "angular", "unit", highest=1.0),
        Metric("sqeuclidean", "sqeuclidean"),
        Metric("euclidean", "euclidean"),
        Metric("manhattan", "manhattan"),
        Metric("chebyshev", "chebyshev"),
        Metric("mahalanobis", "euclidean", shifted=False, whitened=True),
        Metric("sqmahalanobis", "sqeuclidean", shifted=False, whitened=True),
        Metric("dot", "dot", shifted=False),
    )
}
"""Name -> metric. cosine: 1 - cos; correlation: 1 - Pearson across features; angular: arccos(cos) / pi; chebyshev:
largest difference; mahalanobis: Euclidean distance of rows whitened by their own covariance; dot: a similarity."""


def metric_named(name: str) -> Metric:
    """The metric called ``name``, or OptionError."""
    if not isinstance(name, str) or name not in METRICS:
        raise OptionError(f"metric must be one of {', '.join(METRICS)}: got {name!r}.")
    return METRICS[name]


def root_mean_square(rows: np.ndarray, shift: np.ndarray | None) -> float:
    """The root mean square of rows - shift; infinite if they overflow."""
    with np.errstate(over="ignore"):
        values = rows.astype(np.float64) if shift is None else rows.astype(np.float64) - shift
    largest = float(np.abs(values).max())
    if largest in (0.0, np.inf):
        return largest
    return largest * float(np.sqrt(np.mean((values / largest) ** 2)))
