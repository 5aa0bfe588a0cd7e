"""Resampling, intervals and p-values: arithmetic on values, independent of any measure."""

from .differences import differences, over_seeds
from .resampling import Bootstrap, Jackknife

__all__ = ["Bootstrap", "Jackknife", "differences", "over_seeds"]
