"""Resampling, intervals and p-values: arithmetic on values, independent of any measure."""

from .differences import differences, over_seeds
from .p_values import holm, max_statistic_p, permutation_p
from .resampling import Bootstrap, Jackknife

__all__ = ["Bootstrap", "Jackknife", "differences", "holm", "max_statistic_p", "over_seeds", "permutation_p"]
