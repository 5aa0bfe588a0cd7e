"""ReSi (the package `repsim` of mklabunde/resi): its measures, and any other one of ours, as objects of its classes."""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from ..comparison import compare
from ..core.errors import DegenerateError, MissingExtraError
from ..measures import (
    PWCCA,
    RSA,
    SVCCA,
    Concentricity,
    DistanceCorrelation,
    EigenspaceOverlap,
    Invariance,
    JaccardKNN,
    LinearCKA,
    LinearPredictivity,
    Magnitude,
    Measure,
    MomentMeasure,
    Procrustes,
    RankSimilarity,
    RowMeasure,
    SecondOrderCosine,
    Uniformity,
    parse_measure,
)
from ..measures.base import AFFINE, Result, per_layer
from ..measures.matching import feature_correlations
from ..measures.rows import entries
from ..moments import Pair
from ..pairwise import PairwiseEngine
from ..pairwise.distances import condensed, square_matrix
from .patching import calls, count

__all__ = ["measure", "measures"]


def measures(*, precision: str = "fp64", n_threads: int | None = None) -> dict[str, Any]:
    """Return ReSi's measures, computed by pyrepsim, by their names.

    Each is an object of ReSi's own class, with its declarations, its `__call__` and its treatment of the shapes nd,
    ntd and nchw. ``repsim.measures.ALL_MEASURES.update(measures())`` lets ReSi's experiments use them.

    Parameters
    ----------
    precision : {"fp64", "fp32"}, default "fp64"
        As in `compare`. ReSi computes most measures in the type of the arrays: "fp32" has that precision for float32.
    n_threads : int, optional
        By default one thread for each core. Takes the place of `n_jobs`, which has no effect.

    Returns
    -------
    dict of str to RepresentationalSimilarityMeasure
        Names of ReSi have its values. "pyrepsim.SVCCA" and "pyrepsim.PWCCA" have the values of the papers, which ReSi's
        `SVCCA` and `PWCCA` do not have. `GeometryScore`, `IMDScore` and `RTD` are not computed by pyrepsim.

    Raises
    ------
    MissingExtraError
        If ReSi cannot be imported.
    """
    host, found = _host(), {}
    for name, (computed, value) in MEASURES.items():
        found[name] = getattr(host, name.removeprefix("pyrepsim."))()
        found[name].name, found[name].sim_func = name, _Function(name, computed, value, precision, n_threads)
    return found


def measure(measure: Measure | str, *, precision: str = "fp64", n_threads: int | None = None) -> Any:
    """Return any measure of pyrepsim as an object of ReSi, with a name such as "pyrepsim.MutualKNN(k=5)".

    Parameters
    ----------
    measure : Measure or str
    precision, n_threads
        As in `measures`.

    Raises
    ------
    MissingExtraError
        If ReSi cannot be imported.
    """
    computed = parse_measure(measure) if isinstance(measure, str) else measure
    both, name = computed.invariant_x & computed.invariant_y, f"pyrepsim.{computed}"
    made = _host().RepresentationalSimilarityMeasure(
        sim_func=_Function(name, computed, None, precision, n_threads),
        larger_is_more_similar=not computed.is_distance,
        is_symmetric=computed.symmetric,
        invariant_to_affine=Invariance.INVERTIBLE | Invariance.TRANSLATION in both,
        invariant_to_invertible_linear=Invariance.INVERTIBLE in both,
        invariant_to_ortho=Invariance.ORTHOGONAL in both,
        invariant_to_permutation=Invariance.PERMUTATION in both,
        invariant_to_isotropic_scaling=Invariance.SCALING in both,
        invariant_to_translation=Invariance.TRANSLATION in both,
    )
    made.name = name
    return made


@dataclass(frozen=True)
class _Function:
    """The `sim_func` of an object: rows of a shape of ReSi, and options of its `__call__`."""

    name: str
    measure: Measure
    value: str | None
    precision: str
    n_threads: int | None

    def __call__(self, R: Any, Rp: Any, shape: str, n_jobs: int | None = None, **options: Any) -> float:
        del n_jobs
        count(calls, f"repsim.measures.{self.name}")
        if shape != "nd":
            R, Rp = importlib.import_module("repsim.measures.utils").flatten(R, Rp, shape=shape)
        named = {_OPTIONS.get(option, option): value for option, value in options.items()}
        chosen = replace(self.measure, **named) if named else self.measure
        score: Any = compare(R, Rp, chosen, precision=self.precision, n_threads=self.n_threads, progress=False)
        return score.quantity(self.value)


_OPTIONS = {"inner": "metric"}


def _host() -> ModuleType:
    try:
        host = importlib.import_module("repsim.measures")
        host.ALL_MEASURES  # noqa: B018 - another library on PyPI has the name `repsim` too
    except (ImportError, AttributeError) as error:
        raise MissingExtraError(
            f"pyrepsim.integrations.resi needs ReSi, the package repsim of github.com/mklabunde/resi: {error}. Clone "
            "it, install einops, loguru, scikit-learn and torch, and put its folder on PYTHONPATH."
        ) from error
    return host


# What ReSi computes in another way than our measure of the same idea.


class _Named:
    """A measure with the name that ReSi gives it."""

    @property
    def public_name(self) -> str:
        return type(self).__name__.strip("_")


@dataclass(frozen=True)
class _Gulp(_Named, MomentMeasure):
    """GULP without a ridge: rank X + rank Y - 2 sum_i rho_i^2."""

    range = (0.0, np.inf)
    is_distance = True
    invariant_x = AFFINE

    def evaluate(self, pair: Pair) -> Result:
        correlations = pair.x.whitening.T @ pair.cross @ pair.y.whitening  # up to rotations
        return pair.x.rank + pair.y.rank - 2 * float(np.sum(correlations**2)), {}


@dataclass(frozen=True)
class _EigenspaceOverlapScore(_Named, EigenspaceOverlap):
    """The overlap over the larger number of features, in place of the larger rank."""

    def evaluate(self, pair: Pair) -> Result:
        _, found = super().evaluate(pair)
        return found["overlap"] / max(pair.x.n_features, pair.y.n_features), found


def _correlations(pair: Pair) -> np.ndarray:
    """Return the correlations of all features, (d_x, d_y): those of a constant feature are 0."""
    if pair.x.varying.all() and pair.y.varying.all():
        return feature_correlations(pair)
    found = np.zeros((pair.x.n_features, pair.y.n_features))
    found[np.ix_(pair.x.varying, pair.y.varying)] = feature_correlations(pair)
    return found


@dataclass(frozen=True)
class _HardCorrelationMatch(_Named, MomentMeasure):
    """Mean correlation of features that are matched one to one, constant ones included."""

    range = (-1.0, 1.0)
    reads = "variances"
    invariant_x = Invariance.TRANSLATION | Invariance.SCALING | Invariance.PERMUTATION

    def evaluate(self, pair: Pair) -> Result:
        from scipy.optimize import linear_sum_assignment

        found = _correlations(pair)
        return float(np.mean(found[linear_sum_assignment(found, maximize=True)])), {}


@dataclass(frozen=True)
class _SoftCorrelationMatch(_HardCorrelationMatch):
    """Mean of the largest signed correlation of each feature, averaged over both sides."""

    def evaluate(self, pair: Pair) -> Result:
        found = _correlations(pair)
        return float(np.mean(found.max(axis=1)) + np.mean(found.max(axis=0))) / 2, {}


@dataclass(frozen=True)
class _SecondOrderCosineSimilarity(_Named, SecondOrderCosine):
    """Second-order cosine of cosine distances, in place of cosines."""

    def _vectors(self, rows: np.ndarray, union: np.ndarray) -> np.ndarray:
        return 1.0 - entries(rows, union, unit=True)


class _OfRows(_Named, RowMeasure):
    """A value that is computed from what is read of each layer of a pair, in the precision of the engine."""

    def evaluate(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        read = per_layer(layers, pairs, lambda x, label: self._read(x, label, engine))
        return [(self._value(read[i], read[j]), {}) for i, j in pairs]

    def _read(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> np.ndarray:
        engine.refuse_nonfinite(x, label)
        return np.ascontiguousarray(x, dtype=engine.entry_type)  # one layout: the same bits for all layouts

    @abstractmethod
    def _value(self, x: np.ndarray, y: np.ndarray) -> float: ...


@dataclass(frozen=True)
class _AlignedCosineSimilarity(_OfRows):
    """Mean cosine of the rows of X with those of Y after the best rotation of X, without centring.

    Rows of zeros are left out. Directions in which X and Y have no common part, up to rounding, add 0.
    """

    range = (-1.0, 1.0)
    invariant_x = Invariance.SCALING | Invariance.PERMUTATION | Invariance.ORTHOGONAL

    def _value(self, x: np.ndarray, y: np.ndarray) -> float:
        left, sizes, right = np.linalg.svd(x.T @ y, full_matrices=False)
        kept = sizes > max(x.shape) * np.finfo(x.dtype).eps * sizes[0]
        products = np.einsum("nk,nk->n", x @ left[:, kept], y @ right[kept].T)
        lengths = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
        if not lengths.any():
            raise DegenerateError(f"{self} needs rows other than 0 in both layers: got none. Check the row selection.")
        return float(np.mean(products[lengths > 0] / lengths[lengths > 0]))


@dataclass(frozen=True)
class _PermutationProcrustes(_OfRows):
    """|X P - Y|_F with the best permutation P of the features, without centring; the narrower side gets zeros."""

    range = (0.0, np.inf)
    is_distance = True
    invariant_x = Invariance.PERMUTATION

    def _value(self, x: np.ndarray, y: np.ndarray) -> float:
        from scipy.optimize import linear_sum_assignment

        i, j = linear_sum_assignment(x.T @ y, maximize=True)  # i ascends: all features of the narrower side
        rest = (np.delete(x, i, axis=1), np.delete(y, j, axis=1))
        matched = x if len(i) == x.shape[1] else x[:, i]
        return float(np.sqrt(sum(np.sum(part**2) for part in (matched - y[:, j], *rest))))


@dataclass(frozen=True)
class _RSMNormDifference(_OfRows):
    """Spectral norm of the difference of the n x n matrices of distances."""

    metric: str = "euclidean"

    range = (0.0, np.inf)
    is_distance = True
    invariant_x = Invariance.TRANSLATION | Invariance.PERMUTATION | Invariance.ORTHOGONAL

    def _read(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> np.ndarray:
        distances = condensed(engine, engine.panels(x, self.metric, label=label), self.metric)
        return square_matrix(distances, np.zeros(len(x), distances.dtype))

    def _value(self, x: np.ndarray, y: np.ndarray) -> float:
        return float(np.abs(np.linalg.eigvalsh(x - y)).max())


MEASURES: dict[str, tuple[Measure, str | None]] = {
    "AlignedCosineSimilarity": (_AlignedCosineSimilarity(), None),
    "CKA": (LinearCKA(), None),
    "ConcentricityDifference": (Concentricity(), None),
    "DistanceCorrelation": (DistanceCorrelation(), None),
    "EigenspaceOverlapScore": (_EigenspaceOverlapScore(), None),
    "Gulp": (_Gulp(), None),
    "HardCorrelationMatch": (_HardCorrelationMatch(), None),
    "JaccardSimilarity": (JaccardKNN(), None),
    "LinearRegression": (LinearPredictivity(direction="x_from_y"), None),
    "MagnitudeDifference": (Magnitude(), None),
    "OrthogonalAngularShapeMetricCentered": (Procrustes(), "angle"),
    "OrthogonalProcrustesCenteredAndNormalized": (Procrustes(), "distance"),
    "PermutationProcrustes": (_PermutationProcrustes(), None),
    "ProcrustesSizeAndShapeDistance": (Procrustes(), "euclidean"),
    "RSA": (RSA(metric="correlation", compare="spearman"), None),
    "RSMNormDifference": (_RSMNormDifference(), None),
    "RankSimilarity": (RankSimilarity(), None),
    "SecondOrderCosineSimilarity": (_SecondOrderCosineSimilarity(), None),
    "SoftCorrelationMatch": (_SoftCorrelationMatch(), None),
    "UniformityDifference": (Uniformity(unit=False), None),
    "pyrepsim.PWCCA": (PWCCA(), None),
    "pyrepsim.SVCCA": (SVCCA(), None),
}
