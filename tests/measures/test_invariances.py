"""Each measure has the invariances that it declares, and no others."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim
from pyrepsim.measures import (
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
    DocumentCKA,
    DocumentRSA,
    EigenspaceOverlap,
    Invariance,
    JaccardKNN,
    KernelCKA,
    LinearCKA,
    LinearPredictivity,
    Magnitude,
    Matching,
    MaxCorrelation,
    MetricSpaceMagnitude,
    MutualKNN,
    Procrustes,
    RankSimilarity,
    SecondOrderCosine,
    ShapeMetric,
    Uniformity,
    all_measures,
    parse_measure,
)
from tests.helpers.backends import CUDA
from tests.helpers.data import correlated_pair, invertible, rotation

MEASURES = [
    CCA(),
    CCA(ridge=0.1),
    GULP(),
    PWCCA(),
    PWCCA(weights="y"),
    PWCCA(weights="mean"),
    RV2(),
    SVCCA(variance=0.9),
    LinearCKA(),
    LinearCKA(debiased=True),
    LinearPredictivity(),
    LinearPredictivity(direction="x_from_y"),
    MaxCorrelation(),
    Procrustes(),
    ShapeMetric(),
    ShapeMetric(alpha=0.5),
    ShapeMetric(alpha=0.0),
    *(RSA(metric=metric) for metric in ("dot", "cosine", "correlation", "sqeuclidean", "sqmahalanobis")),
    RSA(compare="cosine"),
    RSA(compare="cosine_cov"),
    RSA(metric="sqeuclidean", compare="cosine_cov"),
    EigenspaceOverlap(),
    EigenspaceOverlap(centred=True),
    Matching(),
    Matching(kind="soft", signed=False),
    *(MutualKNN(k=15, metric=m) for m in ("cosine", "correlation", "euclidean", "manhattan", "chebyshev", "dot")),
    JaccardKNN(),
    RankSimilarity(metric="euclidean"),
    CycleKNN(),
    CKNNA(),
    CKNNA(metric="dot"),
    SecondOrderCosine(),
    Concentricity(),
    Magnitude(),
    MetricSpaceMagnitude(),
    MetricSpaceMagnitude(t=0.5, relative=False),
    Uniformity(),
    Uniformity(t=0.1, unit=False),
    RSA(metric="sqeuclidean", compare="corr_cov"),
    RSA(metric="cosine", method="tiles"),
    *(RSA(metric=metric) for metric in ("euclidean", "angular", "manhattan", "chebyshev", "mahalanobis")),
    *(
        RSA(metric="manhattan", compare=comparator)
        for comparator in ("spearman", "kendall", "tau-a", "rho-a", "cosine")
    ),
    *(RSA(metric="euclidean", compare=comparator) for comparator in ("cosine_cov", "corr_cov", "euclidean")),
    RSA(metric="angular", compare="euclidean"),
    RSA(metric="chebyshev", compare="cosine_cov"),
    RSA(metric="dot", compare="spearman"),
    RSA(metric="correlation", sample=120, draws=2),
    RSA(metric="sqmahalanobis", sample=150, seed=3),
    KernelCKA(),
    KernelCKA(fraction=0.5, debiased=True),
    KernelCKA(bandwidth=4.0),
    DistanceCorrelation(),
    DistanceCorrelation(debiased=True),
    DocumentCKA(),
    DocumentCKA(sampled_features=True),
    *(DocumentRSA(metric=metric) for metric in ("cosine", "correlation", "dot")),
]


def compare(X, Y, measure, backend="auto"):
    """All in float64, because these tests check invariances, not the rounding of tiles."""
    return pyrepsim.compare(X, Y, measure, precision="fp64", backend=backend)


def _maps(d: int) -> dict[Invariance, object]:
    rng = np.random.default_rng(5)
    order = rng.permutation(d)
    turn, mix = rotation(d, seed=1), invertible(d, condition=20.0, seed=2)
    offset = 2.0 * rng.standard_normal(d)
    return {
        Invariance.TRANSLATION: lambda X: X + offset,
        Invariance.SCALING: lambda X: 3.7 * X,
        Invariance.PERMUTATION: lambda X: X[:, order],
        Invariance.ORTHOGONAL: lambda X: X @ turn,
        Invariance.INVERTIBLE: lambda X: X @ mix,
    }


@pytest.fixture(scope="module")
def pair():
    X, Y = correlated_pair(400, 18, 13, seed=3)
    stretch = np.geomspace(0.3, 3.0, 18)  # features of unequal size, so that a rotation changes the value
    return X * stretch, Y * stretch[::-1][:13]


def test_every_measure_is_here():
    assert {str(m).partition("(")[0] for m in MEASURES} == set(all_measures())


@pytest.mark.parametrize("side", ["x", "y"])
@pytest.mark.parametrize("kind", list(Invariance), ids=lambda kind: kind.name.lower())
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_declared_invariances_hold_and_the_others_do_not(measure, kind, side, pair):
    X, Y = pair
    before = compare(X, Y, measure).value
    mapped = _maps((X if side == "x" else Y).shape[1])[kind]
    after = compare(mapped(X), Y, measure).value if side == "x" else compare(X, mapped(Y), measure).value
    declared = measure.invariant_x if side == "x" else measure.invariant_y
    change = abs(after - before) / abs(before)
    if kind in declared:
        assert change <= 1e-9
    else:
        assert change > 1e-4


@pytest.mark.parametrize("backend", CUDA)
@pytest.mark.parametrize("measure", {type(m): m for m in MEASURES}.values(), ids=str)
def test_invariances_on_the_gpu(measure, backend, pair):
    """One of each kind of measure: the invariances that it declares for X, and most of the others."""
    X, Y = (side[:160] for side in pair)
    before = compare(X, Y, measure, backend).value
    assert before == pytest.approx(compare(X, Y, measure, "reference").value, rel=1e-9)
    maps, declared = _maps(X.shape[1]), measure.invariant_x
    for kind in [*declared][:1] + [k for k in Invariance if k not in declared][-1:]:
        change = abs(compare(maps[kind](X), Y, measure, backend).value - before) / abs(before)
        assert change <= 1e-9 if kind in declared else change > 1e-4


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_declared_symmetry(measure, pair):
    X, Y = pair
    forward, backward = compare(X, Y, measure).value, compare(Y, X, measure).value
    assert (abs(forward - backward) <= 1e-12 * abs(forward)) == measure.symmetric


@pytest.mark.parametrize("measure", MEASURES, ids=str)
@pytest.mark.parametrize("related", [True, False])
def test_declared_range(measure, related, pair):
    X, Y = pair
    Y = Y if related else np.random.default_rng(9).standard_normal(Y.shape)
    low, high = measure.range
    assert low - 1e-12 <= compare(X, Y, measure).value <= high + 1e-12


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_identical_inputs_have_the_theoretical_value(measure, pair):
    X, _ = pair
    value = compare(X, X.copy(), measure).value
    assert (abs(value) <= 1e-7) == measure.is_distance
    if isinstance(measure, ShapeMetric):
        assert abs(value) <= 1e-7  # an angle near zero has half the digits of its cosine
    elif isinstance(measure, GULP):
        assert abs(value) <= 1e-10
    elif isinstance(measure, Concentricity | Magnitude | MetricSpaceMagnitude | Uniformity):
        assert value == 0.0  # differences
    elif isinstance(measure, CycleKNN):
        assert 0.5 < value < 1.0  # not symmetric
    elif isinstance(measure, RSA) and measure.compare == "euclidean":
        assert value == 0.0
    elif isinstance(measure, LinearCKA | RV2):
        assert value == 1.0
    elif measure == DocumentCKA(sampled_features=True):
        assert value > 1.0  # features of two independent samples would give 1
    elif measure == CCA(ridge=0.1):
        assert 0.1 < value < 1.0  # a ridge shrinks every correlation
    else:
        assert abs(value - 1.0) <= 1e-12


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_a_measure_is_written_as_it_prints(measure):
    assert parse_measure(str(measure)) == measure
