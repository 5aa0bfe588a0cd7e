"""Measures: functions of two representations, one file for each family.

To add a measure, write a frozen dataclass that subclasses `MomentMeasure` or `RowMeasure` in the file of its family,
declare its properties, and add its name here. The tests and the command line read the declarations.
"""

from .base import BlockSumMeasure, Invariance, Measure, MomentMeasure, RowMeasure
from .cca import CCA, PWCCA, SVCCA
from .cka import RV2, DistanceCorrelation, KernelCKA, LinearCKA
from .document_pairs import DocumentCKA, DocumentRSA
from .eigenspace import EigenspaceOverlap
from .geometry import Concentricity, Magnitude, MetricSpaceMagnitude, Uniformity
from .matching import Matching, MaxCorrelation
from .names import all_measures, parse_measure
from .neighbours import CKNNA, CycleKNN, JaccardKNN, MutualKNN, RankSimilarity, SecondOrderCosine
from .regression import GULP, LinearPredictivity
from .rsa import RSA
from .shape import Procrustes, ShapeMetric

__all__ = [
    "CCA",
    "CKNNA",
    "GULP",
    "PWCCA",
    "RSA",
    "RV2",
    "SVCCA",
    "BlockSumMeasure",
    "Concentricity",
    "CycleKNN",
    "DistanceCorrelation",
    "DocumentCKA",
    "DocumentRSA",
    "EigenspaceOverlap",
    "Invariance",
    "JaccardKNN",
    "KernelCKA",
    "LinearCKA",
    "LinearPredictivity",
    "Magnitude",
    "Matching",
    "MaxCorrelation",
    "Measure",
    "MetricSpaceMagnitude",
    "MomentMeasure",
    "MutualKNN",
    "Procrustes",
    "RankSimilarity",
    "RowMeasure",
    "SecondOrderCosine",
    "ShapeMetric",
    "Uniformity",
    "all_measures",
    "parse_measure",
]
