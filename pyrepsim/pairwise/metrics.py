"""The metrics by name."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..core.errors import OptionError

__all__ = ["METRICS", "Metric", "metric_named"]


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
