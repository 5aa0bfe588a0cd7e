"""Every measure that reads pairs of rows, by every backend and precision, against its definition on n x n matrices."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from pyrepsim import compare
from pyrepsim.core.errors import DegenerateError, NonFiniteError
from pyrepsim.measures import (
    CKNNA,
    RSA,
    Concentricity,
    CycleKNN,
    DistanceCorrelation,
    EigenspaceOverlap,
    JaccardKNN,
    KernelCKA,
    Magnitude,
    Matching,
    MutualKNN,
    RankSimilarity,
    SecondOrderCosine,
    Uniformity,
)
from tests.helpers import references_comparators as comparators
from tests.helpers import references_dependence as dependence
from tests.helpers import references_geometry as geometry
from tests.helpers import references_neighbours as neighbours
from tests.helpers import references_pairwise as pairwise
from tests.helpers.assertions import assert_relative
from tests.helpers.backends import runs
from tests.helpers.data_pairwise import PAIRS

TOLERANCE = {"fp32": 1e-6, "fp64": 1e-10}
RSA_COMPARE = ["pearson", "spearman", "rho-a", "kendall", "tau-a", "cosine", "cosine_cov", "corr_cov", "euclidean"]
SMALL = ["few_rows", "integers_with_ties", "x_is_y"]
UNITS = ("tiny", "huge")


@cache
def _rdm(name: str, side: int, metric: str) -> np.ndarray:
    return pairwise.condensed(pairwise.distances(PAIRS[name][side], metric))


@cache
def _expected_rsa(name: str, metric: str, compare_: str) -> float:
    a, b = _rdm(name, 0, metric), _rdm(name, 1, metric)
    if compare_ in ("cosine_cov", "corr_cov"):  # of centred matrices: the same by theorem, for any number of rows
        vectors = (a - a.mean(), b - b.mean()) if compare_ == "corr_cov" else (a, b)
        return comparators.cosine(*(comparators.gram_of_rdm(v).ravel() for v in vectors))
    return comparators.RDM_COMPARATORS[compare_](*_ties(a, b) if compare_ in _RANKS else (a, b))


_RANKS = ("spearman", "rho-a", "kendall", "tau-a")
_EXACT = ("sqeuclidean", "euclidean", "manhattan", "chebyshev", "dot")  # of whole numbers


def _ties(*vectors: np.ndarray) -> list[np.ndarray]:
    """Entries that are equal in theory made equal: to twelve digits."""
    return [np.round(v / np.abs(v).max(), 12) for v in vectors]


def _refused(name: str, metric: str, precision: str) -> bool:
    """Squares of rows near 1e-30 are zero in float32."""
    return name == "tiny" and precision == "fp32" and metric in ("dot", "sqeuclidean", "euclidean")


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("metric", pairwise.METRICS)
@pytest.mark.parametrize(("name", "backend"), runs(PAIRS, ["integers_with_ties", "tiny", "huge"]))
def test_rsa_by_tiles(name, metric, precision, backend):
    x, y = PAIRS[name]
    measures = [
        RSA(metric=metric, compare=c, method="tiles")
        for c in RSA_COMPARE
        if not (metric == "dot" and c.endswith("_cov")) and (c not in ("kendall", "tau-a") or len(x) < 100)
    ]
    if metric == "angular" and name == "one_feature":
        pytest.skip("angles of 0 and pi alone: the arc cosine has no slope there")
    try:
        scores = compare(x, y, measures, backend=backend, precision=precision)
    except DegenerateError:
        few_rows = "mahalanobis" in metric and len(x) <= max(x.shape[1], y.shape[1]) + 1
        assert few_rows or (metric == "correlation" and 1 in (x.shape[1], y.shape[1]))
        return
    except NonFiniteError:
        assert _refused(name, metric, precision)
        return
    for score, measure in zip(scores, measures, strict=True):
        expected = _expected_rsa(name, metric, measure.compare)
        # a correlation is as uncertain as the spread of the RDM is small beside its entries
        scale = max(abs(expected), _largest(name, metric)) if measure.compare == "euclidean" else 1.0
        tolerance = TOLERANCE[precision] * _conditioning(name, metric, measure.compare)
        if measure.compare in _RANKS:
            tolerance += _unsettled(name, metric, precision)
        assert_relative(score.value, expected, tolerance, scale=scale)


def _largest(name: str, metric: str) -> float:
    return max(float(np.linalg.norm(_rdm(name, side, metric))) for side in (0, 1))


@cache
def _conditioning(name: str, metric: str, compare_: str) -> float:
    """Root mean square over standard deviation of the entries: how much centring enlarges their relative error."""
    if compare_ in ("cosine", "euclidean"):
        return 1.0
    vectors = [_rdm(name, side, metric) for side in (0, 1)]
    return max(float(np.sqrt(np.mean(v * v)) / v.std()) for v in vectors)


@cache
def _unsettled(name: str, metric: str, precision: str) -> float:
    """How much a rank correlation can change when entries within rounding of each other change places.

    Each such pair moves two ranks by one: by at most 12 / P^2 of a Spearman correlation, 4 / P^2 of Kendall's. Equal
    entries count only where float32 must split them: quotients and roots of whole numbers.
    """
    split = precision == "fp32" and name == "integers_with_ties" and metric not in _EXACT
    near, n_entries = 0, 0
    for vector in _ties(_rdm(name, 0, metric), _rdm(name, 1, metric)):
        ordered = np.sort(vector)
        width = 4e-6 if precision == "fp32" else 4e-12
        first = 0 if split else np.searchsorted(ordered, ordered, side="right")
        later = np.searchsorted(ordered, ordered + width, side="right") - np.maximum(first, np.arange(len(ordered)) + 1)
        near, n_entries = near + int(later.sum()), len(ordered)
    return 12 * near / n_entries**2


MEASURES = {
    KernelCKA(): lambda x, y: dependence.rbf_cka(x, y),
    KernelCKA(fraction=0.3): lambda x, y: dependence.rbf_cka(x, y, fraction=0.3),
    KernelCKA(debiased=True): lambda x, y: dependence.rbf_cka(x, y, debiased=True),
    KernelCKA(bandwidth=4.0): lambda x, y: dependence.rbf_cka(x, y, sigma=4.0),
    DistanceCorrelation(): dependence.distance_correlation,
    DistanceCorrelation(debiased=True): lambda x, y: dependence.distance_correlation_squared(x, y, unbiased=True),
    Matching(): geometry.matching_hard,
    Matching(signed=False): lambda x, y: geometry.matching_hard(x, y, absolute=True),
    Matching(kind="soft"): geometry.matching_transport,
    EigenspaceOverlap(): geometry.eigenspace_overlap,
    EigenspaceOverlap(centred=True): lambda x, y: geometry.eigenspace_overlap(x, y, centred=True),
    Uniformity(): lambda x, y: abs(geometry.uniformity(x, diagonal=True) - geometry.uniformity(y, diagonal=True)),
    Uniformity(t=0.01, unit=False): lambda x, y: abs(
        geometry.uniformity(x, 0.01, unit=False, diagonal=True)
        - geometry.uniformity(y, 0.01, unit=False, diagonal=True)
    ),
    Concentricity(): lambda x, y: abs(geometry.concentricity(x) - geometry.concentricity(y)),
    Magnitude(): lambda x, y: abs(geometry.magnitude(x) - geometry.magnitude(y)),
}
MOMENTS = (Matching, EigenspaceOverlap, Magnitude, Concentricity)


@cache
def _expected(measure, name: str) -> float:
    return MEASURES[measure](*PAIRS[name])


@pytest.mark.parametrize(("name", "backend"), runs(PAIRS, ["rogue", "duplicated_rows"]))
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_value(measure, name, backend):
    x, y = PAIRS[name]
    if name in UNITS and measure in (KernelCKA(bandwidth=4.0), Uniformity(t=0.01, unit=False)):
        pytest.skip("a bandwidth in units of the rows")
    expected = _expected(measure, name)
    for precision, tolerance in TOLERANCE.items():
        if isinstance(measure, MOMENTS) and precision == "fp32":
            continue
        try:
            value = compare(x, y, measure, backend=backend, precision=precision).value
        except NonFiniteError:
            assert _refused(name, "euclidean", precision)
            continue
        size = geometry.magnitude(x) if isinstance(measure, Magnitude) else 1.0
        assert_relative(value, expected, tolerance, scale=max(abs(expected), size))


NEIGHBOURS = {
    MutualKNN: neighbours.mutual_knn,
    JaccardKNN: neighbours.jaccard_knn,
    RankSimilarity: neighbours.rank_similarity,
    CycleKNN: neighbours.cycle_knn,
    CKNNA: lambda x, y, k, metric: neighbours.cknna(x, y, k, kernel=metric),
    SecondOrderCosine: neighbours.second_order_cosine,
}
CHOICES = [
    (kind, metric)
    for kind in NEIGHBOURS
    for metric in ("cosine", "dot", "correlation", "euclidean", "manhattan", "chebyshev")
    if metric in (("cosine",) if kind is SecondOrderCosine else kind().metrics)
]


@cache
def _gap(name: str, metric: str) -> float:
    return min(neighbours.least_gap(side, 8, metric) for side in PAIRS[name])


@cache
def _expected_of_lists(kind, name: str, metric: str) -> float:
    return NEIGHBOURS[kind](*PAIRS[name], 7, metric)


@pytest.mark.parametrize(("name", "backend"), runs(PAIRS, ["integers_with_ties", "bfloat16"]))
@pytest.mark.parametrize(("kind", "metric"), CHOICES, ids=str)
def test_neighbour_measures(kind, metric, name, backend):
    x, y = PAIRS[name]
    if metric == "correlation" and 1 in (x.shape[1], y.shape[1]):
        pytest.skip("one number has no correlation across features")
    gap = _gap(name, metric)
    for precision, tolerance in TOLERANCE.items():
        if gap <= 2 * tolerance and not (metric in _EXACT and name == "integers_with_ties"):
            continue  # equally near up to rounding: several lists are correct
        try:
            measure = kind(k=7) if kind is SecondOrderCosine else kind(k=7, metric=metric)
            value = compare(x, y, measure, backend=backend, precision=precision).value
        except NonFiniteError:
            assert _refused(name, metric, precision)
            continue
        assert_relative(value, _expected_of_lists(kind, name, metric), 1e-10, scale=1.0)


def test_most_cases_have_one_right_list():
    decided = [
        min(neighbours.least_gap(side, 8, metric) for side in PAIRS[name]) > 2 * TOLERANCE["fp64"]
        for name in PAIRS
        for metric in ("cosine", "euclidean", "manhattan")
    ]
    assert sum(decided) >= 0.6 * len(decided)
