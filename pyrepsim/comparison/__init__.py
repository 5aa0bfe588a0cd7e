"""Comparison of two arrays, two layers or two stores.

`compare` reads the rows of both sides once and returns a score for each measure and pair of layers; `compare_all`
compares every representation of a list with every other one, `permutation_test` adds p-values, `closer_to` compares two
with a third, `StreamingComparison` takes rows chunk by chunk, and `Drift` compares the same inputs with a reference
again and again.
"""

from .alignment import CCADirections, FeatureMatching, LinearMap, ProcrustesAlignment
from .closer import closer_to
from .comparing import compare
from .drift import Drift
from .many import compare_all
from .options import ExecutionOptions, as_measures
from .permutation import permutation_test
from .sparse_features import FiringDrift, NearestFeatures, firing_drift, nearest_features
from .streaming import StreamingComparison

__all__ = [
    "CCADirections",
    "Drift",
    "ExecutionOptions",
    "FeatureMatching",
    "FiringDrift",
    "LinearMap",
    "NearestFeatures",
    "ProcrustesAlignment",
    "StreamingComparison",
    "as_measures",
    "closer_to",
    "compare",
    "compare_all",
    "firing_drift",
    "nearest_features",
    "permutation_test",
]
