"""Distances between all pairs of rows: computed in tiles and reduced at once, for measures without a closed form."""

from .comparators import COMPARATORS, compare_rdms
from .distances import cdist, pdist
from .engine import Estimate, Packed, PairwiseEngine
from .metrics import METRICS, Metric
from .neighbours import knn
from .noise import noise_covariance
from .ranks import RANK_COMPARATORS, median_entry, rank_correlations
from .rdms import rdm
from .resampled import RDMSample, RDMSampler
from .sums import PairSums, gaussian_map, pair_sums

__all__ = [
    "COMPARATORS",
    "METRICS",
    "RANK_COMPARATORS",
    "Estimate",
    "Metric",
    "Packed",
    "PairSums",
    "PairwiseEngine",
    "RDMSample",
    "RDMSampler",
    "cdist",
    "compare_rdms",
    "gaussian_map",
    "knn",
    "median_entry",
    "noise_covariance",
    "pair_sums",
    "pdist",
    "rank_correlations",
    "rdm",
]
