"""What training does to a network's representations, measured exactly: extract, compare, probe, ablate.

>>> import pyrepsim as rs
>>> rs.compare(X, Y, rs.LinearCKA())
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

from .compare import StreamingComparison, compare
from .measures import (
    CCA,
    GULP,
    PWCCA,
    RSA,
    RV2,
    SVCCA,
    LinearCKA,
    LinearPredictivity,
    MaxCorrelation,
    Procrustes,
    ShapeMetric,
    parse_measure,
)
from .profile import profile
from .results import Score, Scores
from .stats import MomentsSet, PairedMoments
from .store import ActivationStore, open_store, paired_chunks, write_store

# What needs torch is imported when it is first asked for.
_LAZY = {"compare_models": ".extraction", "extract": ".extraction", "plan_extraction": ".extraction"}

__all__ = [
    "CCA",
    "GULP",
    "PWCCA",
    "RSA",
    "RV2",
    "SVCCA",
    "ActivationStore",
    "LinearCKA",
    "LinearPredictivity",
    "MaxCorrelation",
    "MomentsSet",
    "PairedMoments",
    "Procrustes",
    "Score",
    "Scores",
    "ShapeMetric",
    "StreamingComparison",
    "compare",
    "compare_models",
    "extract",
    "open_store",
    "paired_chunks",
    "parse_measure",
    "plan_extraction",
    "profile",
    "write_store",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
