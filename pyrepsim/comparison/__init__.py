"""Comparison of two arrays, two layers or two stores: one pass over the rows, then a score per measure and pair."""

from .comparing import compare
from .options import as_measures
from .permutation import permutation_test
from .streaming import StreamingComparison

__all__ = ["StreamingComparison", "as_measures", "compare", "permutation_test"]
