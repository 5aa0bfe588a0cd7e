"""The metrics by name, and what is done to rows before the engine sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import OptionError

__all__ = ["METRICS", "Metric", "metric_named"]


@dataclass(frozen=True)
class Metric:
    """A metric: the engine's word for it, and how rows become its operands u = t(x) - c."""

    name: str
    kernel: str
    """What the engine works out: a distance of rows u, or ``dot``."""
    transform: str = "raw"
    """t: rows as they are, at length 1 (``unit``), or centred and at length 1 (``unit_centred``)."""
    shifted: bool = True
    """c lies amid the t(x): distances do not see it, and products of rows near it lose nothing to rounding."""
    whitened: bool = False
    """Rows are whitened by their covariance first."""
    highest: float = math.inf
    """The largest value there can be; the smallest is 0, save for ``dot``."""

    @property
    def squares(self) -> bool:
        """Values come from products of operands, whose squares must be in range."""
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
    if not isinstance(name, str) or name not in METRICS:
        raise OptionError(f"metric must be one of {', '.join(METRICS)}: got {name!r}.")
    return METRICS[name]
