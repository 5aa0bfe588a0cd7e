"""Values that can be derived by hand, and theorems that relate two measures."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pyrepsim import compare
from pyrepsim.core.errors import DegenerateError, OptionError
from pyrepsim.measures import (
    CCA,
    GULP,
    PWCCA,
    RSA,
    RV2,
    SVCCA,
    KernelCKA,
    LinearCKA,
    LinearPredictivity,
    MaxCorrelation,
    Procrustes,
    ShapeMetric,
    parse_measure,
)
from tests.helpers.backends import EVERY
from tests.helpers.data import correlated_pair, known_correlations, rotation

RHO = [0.95, 0.7, 0.4, 0.1]


@pytest.fixture(scope="module")
def known():
    return known_correlations(500, 7, 4, RHO)


def test_planted_canonical_correlations(known):
    score = compare(*known, CCA())
    np.testing.assert_allclose(score.details["correlations"], RHO, rtol=1e-12)
    assert score.value == pytest.approx(np.mean(RHO), rel=1e-12)
    assert (score.details["rank_x"], score.details["rank_y"]) == (7, 4)


def test_two_points_by_hand():
    # X = (1, -1, 0, 0), Y = (1, -1, 1, -1): S_xx = 2, S_yy = 4, S_xy = 2, so every cosine of the two is 1/sqrt(2)
    X = np.array([[1.0], [-1.0], [0.0], [0.0]])
    Y = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    for measure in (CCA(), SVCCA(), PWCCA(), Procrustes(), MaxCorrelation()):
        assert compare(X, Y, measure).value == pytest.approx(1 / math.sqrt(2), rel=1e-14)
    for measure in (LinearCKA(), LinearPredictivity()):
        assert compare(X, Y, measure).value == pytest.approx(0.5, rel=1e-14)
    assert compare(X, Y, Procrustes()).details["angle"] == pytest.approx(math.pi / 4, rel=1e-14)
    # off-diagonal products: X: -1 once; Y: four of -1, two of 1; together 1 of 6 pairs
    assert compare(X, Y, RV2()).value == pytest.approx(1 / math.sqrt(1 * 6), rel=1e-14)


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("debiased", [False, True])
@pytest.mark.parametrize("fraction", [1e3, 1e4, 1e8])
def test_a_wide_kernel_is_linear_cka_in_float32_too(fraction, debiased, backend):
    X, Y = correlated_pair(150, 20, 12, seed=5)
    value = compare(X, Y, KernelCKA(fraction=fraction, debiased=debiased), precision="fp32", backend=backend).value
    assert value == pytest.approx(compare(X, Y, LinearCKA(debiased=debiased)).value, rel=1e-5)


def test_svcca_with_all_variance_is_cca(known):
    assert compare(*known, SVCCA(variance=1.0)).value == pytest.approx(compare(*known, CCA()).value, rel=1e-12)


def test_shape_metric_ends_at_procrustes_and_cca():
    X, Y = correlated_pair(300, 9, 9)
    assert compare(X, Y, ShapeMetric()).value == pytest.approx(compare(X, Y, Procrustes()).details["angle"], rel=1e-12)
    assert math.cos(compare(X, Y, ShapeMetric(alpha=0)).value) == pytest.approx(compare(X, Y, CCA()).value, rel=1e-12)


def test_whitened_cosine_of_squared_distances_is_linear_cka(known):
    whitened = compare(*known, RSA(metric="sqeuclidean", compare="cosine_cov")).value
    assert whitened == pytest.approx(compare(*known, LinearCKA()).value, rel=1e-13)


def test_gulp_without_much_ridge_counts_what_cca_does_not_explain(known):
    expected = 7 + 4 - 2 * sum(r * r for r in RHO)
    assert compare(*known, GULP(ridge=1e-9)).value == pytest.approx(expected, rel=1e-6)


def test_predictivity_of_a_linear_map_is_one_way(rng):
    X = rng.standard_normal((200, 6))
    Y = X[:, :2] @ rng.standard_normal((2, 5)) + 3.0
    assert compare(X, Y, LinearPredictivity()).value == pytest.approx(1.0, abs=1e-12)
    assert compare(X, Y, LinearPredictivity(direction="x_from_y")).value < 0.6


def test_debiased_cka_of_independent_data_is_zero_on_average_and_biased_is_not(rng):
    debiased, biased = [], []
    for _ in range(60):
        X, Y = rng.standard_normal((50, 40)), rng.standard_normal((50, 40))
        scores = compare(X, Y, [LinearCKA(debiased=True), LinearCKA()])
        debiased.append(scores[0].value)
        biased.append(scores[1].value)
    standard_error = np.std(debiased, ddof=1) / math.sqrt(len(debiased))
    assert abs(np.mean(debiased)) < 4 * standard_error
    assert np.mean(biased) > 0.3


def test_cca_with_fewer_rows_than_features_is_one_and_details_have_the_ranks(rng):
    score = compare(rng.standard_normal((20, 30)), rng.standard_normal((20, 25)), CCA())
    assert score.value == pytest.approx(1.0, abs=1e-9)
    assert (score.details["rank_x"], score.details["rank_y"]) == (19, 19)


def test_constant_features_are_left_out_and_counted(rng):
    X = rng.standard_normal((100, 5))
    padded = np.hstack([X, np.full((100, 2), 0.1), np.zeros((100, 1))])
    for measure in (CCA(), MaxCorrelation()):
        plain, with_constants = (
            compare(X, X @ rotation(5), measure),
            compare(padded, X @ rotation(5), measure),
        )
        assert with_constants.value == pytest.approx(plain.value, rel=1e-12)
        assert with_constants.details["constant_features_x"] == 3


def test_a_whitened_rdm_without_variety_is_refused(rng):
    with pytest.raises(DegenerateError, match="must differ"):
        compare(rng.standard_normal((10, 12)), rng.standard_normal((10, 12)), RSA(metric="sqmahalanobis"))


@pytest.mark.parametrize(
    "make",
    [
        lambda: CCA(ridge=-1.0),
        lambda: SVCCA(variance=0.0),
        lambda: SVCCA(variance=1.5),
        lambda: SVCCA(components=0),
        lambda: SVCCA(variance=0.5, components=3),
        lambda: PWCCA(weights="z"),
        lambda: ShapeMetric(alpha=2),
        lambda: GULP(ridge=0),
        lambda: LinearPredictivity(direction="both"),
        lambda: RSA(metric="hamming"),
        lambda: RSA(compare="spear"),
        lambda: RSA(metric="dot", compare="cosine_cov"),
        lambda: parse_measure("NoSuchThing()"),
        lambda: parse_measure("CCA(ridge=open('x'))"),
        lambda: parse_measure("CCA(rigde=1)"),
        lambda: parse_measure("__import__('os').system('true')"),
    ],
)
def test_options_out_of_their_domain_are_named(make):
    with pytest.raises(OptionError):
        make()
