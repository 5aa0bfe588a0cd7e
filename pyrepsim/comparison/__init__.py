"""Where stores, moments and measures meet: what the measures need, one pass over the rows, scores."""

from .api import compare
from .bands import differences, over_seeds
from .permutation import permutation_test
from .scoring import as_measures
from .streaming import StreamingComparison

__all__ = ["StreamingComparison", "as_measures", "compare", "differences", "over_seeds", "permutation_test"]
