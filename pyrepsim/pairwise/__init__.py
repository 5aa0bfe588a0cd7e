"""Pairs of rows: what has no closed form, on tiles of n x n matrices that are reduced as they are made."""

from .comparators import COMPARATORS, compare_rdms
from .distances import cdist, pdist, rdm
from .engine import Estimate, Packed, PairwiseEngine
from .metrics import METRICS, Metric
from .neighbours import knn, nearest
from .ranks import RANK_COMPARATORS, median_entry, rank_correlations
from .sums import PairSums, pair_sums

__all__ = [
    "COMPARATORS",
    "METRICS",
    "RANK_COMPARATORS",
    "Estimate",
    "Metric",
    "Packed",
    "PairSums",
    "PairwiseEngine",
    "cdist",
    "compare_rdms",
    "knn",
    "median_entry",
    "nearest",
    "pair_sums",
    "pdist",
    "rank_correlations",
    "rdm",
]
