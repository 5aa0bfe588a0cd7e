"""What training does to a network's representations, measured exactly: extract, compare, probe, ablate.

>>> import pyrepsim as rs
>>> rs.compare(X, Y, rs.LinearCKA())
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .version import __version__ as __version__

if TYPE_CHECKING:
    from .comparison import StreamingComparison, compare, differences, over_seeds, permutation_test
    from .extraction import compare_models, extract, plan_extraction, read_texts
    from .measures import (
        CCA,
        CKNNA,
        GULP,
        PWCCA,
        RSA,
        RV2,
        SVCCA,
        Concentricity,
        CycleKNN,
        DistanceCorrelation,
        EigenspaceOverlap,
        JaccardKNN,
        KernelCKA,
        LinearCKA,
        LinearPredictivity,
        Magnitude,
        Matching,
        MaxCorrelation,
        Measure,
        MetricSpaceMagnitude,
        MutualKNN,
        Procrustes,
        RankSimilarity,
        SecondOrderCosine,
        ShapeMetric,
        Uniformity,
        parse_measure,
    )
    from .pairwise import PairwiseEngine, cdist, compare_rdms, knn, pdist, rdm
    from .probes.edge import edge_probe
    from .probes.mdl import description_lengths
    from .probes.structural import structural_probe
    from .probes.verdict import verdicts
    from .profiling import profile
    from .recipes import Ablation, Recipe
    from .report.study import study_report
    from .results import Score, Scores
    from .stats import Bootstrap, Jackknife, MomentsSet, PairedMoments
    from .store import ActivationStore, StoreWriter, open_store, paired_chunks, write_store
    from .studies.probing import plan_probing, probe_edge, probe_mdl, probe_structural, probing_table
    from .studies.running import plan_study, run_study, study_status
    from .training import Run, ablate, early_exit, finetune, open_run, plan_finetuning, weight_distance

# Each name is imported from its room when it is first asked for: `import pyrepsim` costs milliseconds, and what needs
# torch waits until it is used. No room has the name of a function, which its import would replace.
_ROOMS = {
    "comparison": ("StreamingComparison", "compare", "differences", "over_seeds", "permutation_test"),
    "extraction": ("compare_models", "extract", "plan_extraction", "read_texts"),
    "measures": (
        "CCA",
        "CKNNA",
        "GULP",
        "PWCCA",
        "RSA",
        "RV2",
        "SVCCA",
        "DistanceCorrelation",
        "KernelCKA",
        "Concentricity",
        "CycleKNN",
        "EigenspaceOverlap",
        "JaccardKNN",
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
        "parse_measure",
    ),
    "pairwise": ("PairwiseEngine", "cdist", "compare_rdms", "knn", "pdist", "rdm"),
    "profiling": ("profile",),
    "probes.edge": ("edge_probe",),
    "probes.mdl": ("description_lengths",),
    "probes.structural": ("structural_probe",),
    "probes.verdict": ("verdicts",),
    "recipes": ("Ablation", "Recipe"),
    "report.study": ("study_report",),
    "results": ("Score", "Scores"),
    "stats": ("Bootstrap", "Jackknife", "MomentsSet", "PairedMoments"),
    "store": ("ActivationStore", "StoreWriter", "open_store", "paired_chunks", "write_store"),
    "studies.probing": ("plan_probing", "probe_edge", "probe_mdl", "probe_structural", "probing_table"),
    "studies.running": ("plan_study", "run_study", "study_status"),
    "training": ("Run", "ablate", "early_exit", "finetune", "open_run", "plan_finetuning", "weight_distance"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "CCA",
    "CKNNA",
    "GULP",
    "PWCCA",
    "RSA",
    "RV2",
    "SVCCA",
    "Ablation",
    "ActivationStore",
    "Bootstrap",
    "Concentricity",
    "CycleKNN",
    "DistanceCorrelation",
    "EigenspaceOverlap",
    "JaccardKNN",
    "Jackknife",
    "KernelCKA",
    "LinearCKA",
    "LinearPredictivity",
    "Magnitude",
    "Matching",
    "MaxCorrelation",
    "Measure",
    "MetricSpaceMagnitude",
    "MomentsSet",
    "MutualKNN",
    "PairedMoments",
    "PairwiseEngine",
    "Procrustes",
    "RankSimilarity",
    "Recipe",
    "Run",
    "Score",
    "Scores",
    "SecondOrderCosine",
    "ShapeMetric",
    "StoreWriter",
    "StreamingComparison",
    "Uniformity",
    "ablate",
    "cdist",
    "compare",
    "compare_models",
    "compare_rdms",
    "description_lengths",
    "differences",
    "early_exit",
    "edge_probe",
    "extract",
    "finetune",
    "knn",
    "open_run",
    "open_store",
    "over_seeds",
    "paired_chunks",
    "parse_measure",
    "pdist",
    "permutation_test",
    "plan_extraction",
    "plan_finetuning",
    "plan_probing",
    "plan_study",
    "probe_edge",
    "probe_mdl",
    "probe_structural",
    "probing_table",
    "profile",
    "rdm",
    "read_texts",
    "run_study",
    "structural_probe",
    "study_report",
    "study_status",
    "verdicts",
    "weight_distance",
    "write_store",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_ROOM_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
