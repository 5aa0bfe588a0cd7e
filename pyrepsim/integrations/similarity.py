"""similarity-repository (the package `similarity` of nacloos): our measures under its standard names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from ..comparison import compare
from ..core.errors import MissingExtraError, OptionError
from ..measures import (
    CCA,
    PWCCA,
    RSA,
    RV2,
    CycleKNN,
    KernelCKA,
    LinearCKA,
    Measure,
    MutualKNN,
    Procrustes,
    ShapeMetric,
)
from ..pairwise import compare_rdms, rdm
from ..results import Score
from . import resi
from .patching import calls, count

__all__ = ["register_all"]


def register_all(*, precision: str = "fp64", n_threads: int | None = None) -> list[str]:
    """Register pyrepsim's measures as ``measure/pyrepsim/<standard name>``, with what the repository derives of them.

    The repository derives one choice of value from another, with its own pre- and postprocessing: from
    ``procrustes-score`` for example ``procrustes-distance=angular`` and ``nbs-distance=squared_euclidean``, and from
    ``cka-kernel=linear-hsic=gretton-score`` its ``-distance=angular``.

    Parameters
    ----------
    precision : {"fp64", "fp32"}, default "fp64"
        As in `compare`.
    n_threads : int, optional
        By default one thread for each core.

    Returns
    -------
    list of str
        The names, sorted. ``similarity.make(name)`` returns the function of X and Y, each (n_samples, n_features).
        Parameters in braces are keyword arguments: ``sigma``, ``alpha`` and ``topk``.

    Raises
    ------
    MissingExtraError
        If the repository cannot be imported.
    """
    host, standard = _host()
    own = {
        f"measure/pyrepsim/{name}": replace(function, name=name, precision=precision, n_threads=n_threads)
        for name, function in _functions().items()
    }
    shapes = {name: function for name, function in own.items() if "shape_metric" in name}
    derived: dict[str, Any] = {}
    for part in (shapes, {name: own[name] for name in own.keys() - shapes.keys()}):  # CCA is not that of a shape metric
        derived |= standard.derive_measures(part, standard.transforms, standard.compositions)
    derived = {name: function for name, function in derived.items() if name not in own}
    for name, function in {**own, **derived}.items():
        host.register(name, function)
    host.registration.DERIVED_MEASURES.update(derived)
    return sorted({**own, **derived})


def _host() -> tuple[ModuleType, Any]:
    try:
        return importlib.import_module("similarity"), importlib.import_module("similarity.standardization")
    except ImportError as error:
        raise MissingExtraError(
            "pyrepsim.integrations.similarity needs the package similarity of "
            f"github.com/nacloos/similarity-repository: {error}. Install it as its README says."
        ) from error


@dataclass(frozen=True)
class _Function:
    """A measure as a function of two arrays, with the options that its standard name has in braces."""

    measure: Measure
    value: str | Callable[[Score], float] | None = None
    options: tuple[tuple[str, str], ...] = ()
    """Keyword argument, and option of the measure."""
    name: str = ""
    precision: str = "fp64"
    n_threads: int | None = None

    def __call__(self, X: Any, Y: Any, **given: Any) -> float:
        count(calls, f"similarity.{self.name}")
        chosen = replace(self.measure, **_renamed(self.name, given, dict(self.options)))
        score: Any = compare(X, Y, chosen, precision=self.precision, n_threads=self.n_threads, progress=False)
        return self.value(score) if callable(self.value) else score.quantity(self.value)


@dataclass(frozen=True)
class _OfRDMs:
    """A comparison of two RDMs that `RSA` does not have."""

    metric: str
    compare: str
    name: str = ""
    precision: str = "fp64"
    n_threads: int | None = None

    def __call__(self, X: Any, Y: Any) -> float:
        count(calls, f"similarity.{self.name}")
        per_feature = self.metric == "sqeuclidean"  # as rsatoolbox, whose names these are
        settings: dict[str, Any] = {"precision": self.precision, "n_threads": self.n_threads, "progress": False}
        one, other = (rdm(side, self.metric, per_feature=per_feature, **settings) for side in (X, Y))
        clip = {"clip_negative": True} if "bures" in self.compare else {}
        return float(compare_rdms(one, other, self.compare, **clip))


def _renamed(name: str, given: dict[str, Any], options: dict[str, str]) -> dict[str, Any]:
    if unknown := sorted(given.keys() - options.keys()):
        raise OptionError(f"options of {name} are {', '.join(options) or 'none'}: got {', '.join(unknown)}.")
    return {options[option]: value for option, value in given.items()}


def _mean_square(score: Score) -> float:
    return float(np.mean(np.square(score.details["correlations"])))


def _functions() -> dict[str, Any]:
    sigma, alpha, topk = (("sigma", "bandwidth"),), (("alpha", "alpha"),), (("topk", "k"),)
    found: dict[str, Any] = {
        "cka-kernel=linear-hsic=gretton-score": _Function(LinearCKA()),
        "cka-kernel=linear-hsic=lange-score": _Function(RV2()),
        "cka-kernel=linear-hsic=song-score": _Function(LinearCKA(debiased=True)),
        "cka-kernel=(rbf-sigma={sigma})-hsic=gretton-score": _Function(KernelCKA(bandwidth=1.0), options=sigma),
        "cka-kernel=(rbf-sigma={sigma})-hsic=song-score": _Function(
            KernelCKA(bandwidth=1.0, debiased=True), options=sigma
        ),
        "cca-score": _Function(CCA()),
        "cca-squared_score": _Function(CCA(), _mean_square),
        "pwcca-score": _Function(PWCCA()),
        "procrustes-score": _Function(Procrustes()),
        "procrustes-distance=angular": _Function(Procrustes(), "angle"),
        "procrustes-distance=euclidean": _Function(Procrustes(), "euclidean"),
        "bures_distance": _Function(Procrustes(), "euclidean"),
        "shape_metric-alpha={alpha}-distance=angular": _Function(ShapeMetric(), options=alpha),
        "mutual_knn-topk={topk}": _Function(MutualKNN(metric="dot"), options=topk),
        "cycle_knn-topk={topk}": _Function(CycleKNN(metric="dot"), options=topk),
    }
    for name, theirs in _OF_RESI.items():
        found[name] = _Function(*resi.MEASURES[theirs])
    for metric, compared in ((m, c) for m in _METRICS for c in _COMPARED):
        found[f"rsa-rdm={metric}-compare={compared}"] = _Function(RSA(_METRICS[metric], _COMPARED[compared]))
    for metric in ("correlation", "euclidean"):  # squared distances would depend on the number of features
        found[f"rsa-rdm={metric}-compare=euclidean"] = _Function(RSA(metric, "euclidean"))
    for metric in ("correlation", "squared_euclidean"):
        for compared in ("bures", "bures_metric"):
            found[f"rsa-rdm={metric}-compare={compared}"] = _OfRDMs(_METRICS[metric], compared)
    for compared in _COMPARED:
        found[f"rsa-rdm=poisson-compare={compared}"] = _OfRDMs("poisson", _COMPARED[compared])
    return found


_METRICS = {
    "correlation": "correlation",
    "cosine": "cosine",
    "euclidean": "euclidean",
    "squared_euclidean": "sqeuclidean",
}
_COMPARED = {
    "pearson": "pearson",
    "spearman": "spearman",
    "kendall": "kendall",
    "tau_a": "tau-a",
    "tau_b": "kendall",
    "rho_a": "rho-a",
    "cosine": "cosine",
    "cosine_cov": "cosine_cov",
    "corr_cov": "corr_cov",
}
_OF_RESI = {
    "aligned_cosine_similarity": "AlignedCosineSimilarity",
    "concentricity_difference": "ConcentricityDifference",
    "distance_correlation": "DistanceCorrelation",
    "eigenspace_overlap_score": "EigenspaceOverlapScore",
    "gulp": "Gulp",
    "hard_correlation_match": "HardCorrelationMatch",
    "jaccard_similarity": "JaccardSimilarity",
    "linear_regression": "LinearRegression",
    "magnitude_difference": "MagnitudeDifference",
    "orthogonal_angular_shape_metric_centered": "OrthogonalAngularShapeMetricCentered",
    "orthogonal_procrustes_centered_and_normalized": "OrthogonalProcrustesCenteredAndNormalized",
    "permutation_procrustes": "PermutationProcrustes",
    "rank_similarity": "RankSimilarity",
    "rsm_norm_difference": "RSMNormDifference",
    "second_order_cosine_similarity": "SecondOrderCosineSimilarity",
    "soft_correlation_match": "SoftCorrelationMatch",
    "uniformity_difference": "UniformityDifference",
}
"""Standard names of ReSi's measures: name in ReSi."""
