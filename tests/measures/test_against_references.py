"""Every measure, by every backend, against the data-space definitions of tests/helpers."""

from __future__ import annotations

import pytest

from pyrepsim import compare
from pyrepsim.core.errors import DegenerateError
from pyrepsim.measures import (
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
)
from tests.helpers import references as ref
from tests.helpers.assertions import assert_relative
from tests.helpers.backends import runs
from tests.helpers.data import CASES

MEASURES = {
    CCA(): ref.cca,
    CCA(ridge=0.1): lambda X, Y: ref.ridge_cca(X, Y, 0.1),
    SVCCA(): lambda X, Y: ref.svcca(X, Y, variance=0.99),
    SVCCA(variance=0.5): lambda X, Y: ref.svcca(X, Y, variance=0.5),
    SVCCA(components=3): lambda X, Y: ref.svcca(X, Y, components=3),
    PWCCA(): lambda X, Y: ref.pwcca(X, Y, weights="x"),
    PWCCA(weights="y"): lambda X, Y: ref.pwcca(X, Y, weights="y"),
    PWCCA(weights="mean"): lambda X, Y: ref.pwcca(X, Y, weights="mean"),
    LinearCKA(): ref.linear_cka,
    LinearCKA(debiased=True): ref.debiased_cka,
    RV2(): ref.rv2,
    Procrustes(): lambda X, Y: ref.procrustes(X, Y).similarity,
    ShapeMetric(): lambda X, Y: ref.shape_metric(X, Y, 1.0).angle,
    ShapeMetric(alpha=0.5): lambda X, Y: ref.shape_metric(X, Y, 0.5).angle,
    ShapeMetric(alpha=0.0): lambda X, Y: ref.shape_metric(X, Y, 0.0).angle,
    LinearPredictivity(): lambda X, Y: ref.linear_predictivity(X, Y, direction="y_from_x"),
    LinearPredictivity(direction="x_from_y"): lambda X, Y: ref.linear_predictivity(X, Y, direction="x_from_y"),
    GULP(): lambda X, Y: ref.gulp(X, Y, 1e-2),
    MaxCorrelation(): ref.max_correlation,
    **{
        RSA(metric=metric, compare=compare_): (lambda X, Y, m=metric, c=compare_: ref.rsa(X, Y, m, c))
        for metric in ("dot", "cosine", "correlation", "sqeuclidean", "sqmahalanobis")
        for compare_ in ("pearson", "cosine", "cosine_cov")
        if (metric, compare_) != ("dot", "cosine_cov")
    },
}


@pytest.mark.parametrize(("name", "backend"), runs(CASES, ["rogue", "fewer_rows_than_features", "repeated_rows"]))
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_value(measure, name, backend):
    case = CASES[name]
    if isinstance(measure, PWCCA) and not case.distinct_rho:
        pytest.skip("PWCCA is defined up to rotation only where some correlations coincide")
    try:
        value = compare(case.X, case.Y, measure, backend=backend).value
    except DegenerateError as error:
        if measure.transform == "unit_centred" and 1 in (case.X.shape[1], case.Y.shape[1]):
            return  # one number has no correlation across features
        # whitened rows with n <= d are all equally far apart: nothing to correlate
        assert "must differ" in str(error)
        assert measure == RSA(metric="sqmahalanobis")
        assert min(ref.rdm_spread(case.X, "sqmahalanobis"), ref.rdm_spread(case.Y, "sqmahalanobis")) < 1e-9
        return
    expected = MEASURES[measure](case.X, case.Y)
    # angles lose half the digits near zero, distances of predictors near equal ones: absolute there
    scale = 1.0 if isinstance(measure, ShapeMetric | GULP) else None
    assert_relative(value, expected, 1e-10 if case.well_posed else 1e-7, scale=scale)
