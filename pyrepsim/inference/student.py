"""Student's t for whole degrees of freedom, from its finite series."""

from __future__ import annotations

import math

__all__ = ["t_central", "t_quantile"]


def t_central(t: float, dof: int) -> float:
    """P(|T| < t) for t >= 0 with ``dof`` >= 1 degrees of freedom (Abramowitz & Stegun 26.7.3 and 26.7.4)."""
    return _central(math.atan(t / math.sqrt(dof)), dof)


def t_quantile(level: float, dof: int) -> float:
    """The t >= 0 with P(|T| < t) = level, 0 < level < 1."""
    low, high = 0.0, math.pi / 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _central(middle, dof) < level else (low, middle)
    return math.sqrt(dof) * math.tan(low)


def _central(theta: float, dof: int) -> float:
    """The same of t = sqrt(dof) tan theta: sums of powers of cos theta, up to dof - 2."""
    cos, odd = math.cos(theta), dof % 2
    term, total = (cos if odd else 1.0), 0.0
    for power in range(odd, dof - 1, 2):
        total += term
        term *= cos * cos * (power + 1) / (power + 2)
    return 2 / math.pi * (theta + math.sin(theta) * total) if odd else math.sin(theta) * total
