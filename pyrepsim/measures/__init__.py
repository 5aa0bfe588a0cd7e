"""Measures: functions of two representations, one file per family.

To add one: write a frozen dataclass that subclasses `Measure` in the file of its family, declare what it is invariant
to, and name it here. Tests, the command line and the README's table read the declarations.
"""

from .base import Invariance, Measure, all_measures, parse_measure
from .cca import CCA, PWCCA, SVCCA
from .cka import RV2, LinearCKA
from .distance_correlation import DistanceCorrelation
from .eigenspace import EigenspaceOverlap
from .geometry import Concentricity, Magnitude, Uniformity
from .kernel import KernelCKA
from .matching import Matching
from .metric_space import MetricSpaceMagnitude
from .neighbour_values import CKNNA, SecondOrderCosine
from .neighbours import CycleKNN, JaccardKNN, MutualKNN, RankSimilarity
from .neurons import MaxCorrelation
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
    "Concentricity",
    "CycleKNN",
    "DistanceCorrelation",
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
    "MutualKNN",
    "Procrustes",
    "RankSimilarity",
    "SecondOrderCosine",
    "ShapeMetric",
    "Uniformity",
    "all_measures",
    "parse_measure",
]
