"""Measures: functions of two representations, one file per family.

To add one: write a frozen dataclass that subclasses `Measure` in the file of its family, declare what it is invariant
to, and name it here. Tests, the command line and the README's table read the declarations.
"""

from .base import Invariance, Measure, all_measures, parse_measure
from .cca import CCA, PWCCA, SVCCA
from .cka import RV2, LinearCKA
from .distance_correlation import DistanceCorrelation
from .kernel import KernelCKA
from .neurons import MaxCorrelation
from .regression import GULP, LinearPredictivity
from .rsa import RSA
from .shape import Procrustes, ShapeMetric

__all__ = [
    "CCA",
    "GULP",
    "PWCCA",
    "RSA",
    "RV2",
    "SVCCA",
    "DistanceCorrelation",
    "Invariance",
    "KernelCKA",
    "LinearCKA",
    "LinearPredictivity",
    "MaxCorrelation",
    "Measure",
    "Procrustes",
    "ShapeMetric",
    "all_measures",
    "parse_measure",
]
