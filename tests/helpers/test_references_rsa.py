"""RSA and profile references: values derived by hand, published identities, SciPy and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from . import references as ref
from .assertions import assert_relative
from .data import CASES, centred_frame, correlated_pair

SMALL = correlated_pair(14, 5, 4, seed=20)
PLAIN = CASES["different_widths"]


@pytest.mark.parametrize("metric", ["cosine", "correlation", "sqeuclidean", "euclidean", "mahalanobis"])
def test_rdm_agrees_with_scipy(metric):
    assert_relative(ref.rdm(PLAIN.X, metric).astype(float), pdist(PLAIN.X, metric), 1e-11)


def test_dot_rdm_and_squared_mahalanobis():
    products = PLAIN.X @ PLAIN.X.T
    assert_relative(ref.rdm(PLAIN.X, "dot").astype(float), products[np.triu_indices(len(products), 1)], 1e-13)
    squared = ref.rdm(PLAIN.X, "sqmahalanobis").astype(float)
    assert_relative(squared, pdist(PLAIN.X, "mahalanobis") ** 2, 1e-11)


def test_rdm_of_three_rows_by_hand():
    rows = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
    assert_relative(ref.rdm(rows, "cosine").astype(float), [1.0, 1 - 0.6, 1 - 0.8], 1e-15)
    assert_relative(ref.rdm(rows, "sqeuclidean").astype(float), [5.0, 20.0, 13.0], 1e-15)
    assert_relative(ref.rdm(rows, "dot").astype(float), [0.0, 3.0, 8.0], 1e-15)
    assert_relative(ref.anisotropy(rows), 1.4 / 3, 1e-15)
    assert_relative(ref.cosine_contributions(rows), [0.6 / 3, 0.8 / 3], 1e-15)


@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine", "euclidean"])
def test_whitened_cosine_by_pinv_of_v_equals_the_doubly_centred_form(metric):
    a, b = (ref.rdm(side, metric) for side in SMALL)
    assert_relative(ref.compare_cosine_cov_brute(a, b), ref.compare_cosine_cov(a, b), 1e-11)


def test_whitened_cosine_is_cka_of_the_matching_representation():
    assert_relative(ref.rsa(PLAIN.X, PLAIN.Y, "sqeuclidean", "cosine_cov"), ref.linear_cka(PLAIN.X, PLAIN.Y), 1e-13)
    unit = ref.linear_cka(ref.centred_for_cka(PLAIN.X), ref.centred_for_cka(PLAIN.Y))
    assert_relative(ref.rsa(PLAIN.X, PLAIN.Y, "cosine", "cosine_cov"), unit, 1e-13)
    rho = ref.cca_correlations(PLAIN.X, PLAIN.Y)
    whitened = ref.rsa(PLAIN.X, PLAIN.Y, "sqmahalanobis", "cosine_cov")
    assert_relative(whitened, np.sum(rho**2) / np.sqrt(19 * 11), 1e-12)


def test_comparators_agree_with_numpy():
    a, b = (ref.rdm(side, "cosine").astype(float) for side in (PLAIN.X, PLAIN.Y))
    assert_relative(ref.rsa(PLAIN.X, PLAIN.Y), np.corrcoef(a, b)[0, 1], 1e-12)
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert_relative(ref.rsa(PLAIN.X, PLAIN.Y, compare="cosine"), cosine, 1e-13)


def test_squared_mahalanobis_is_constant_where_rows_do_not_exceed_features():
    assert ref.rdm_spread(CASES["fewer_rows_than_features"].X, "sqmahalanobis") < 1e-13


# ---- profile ---------------------------------------------------------------------------------------------


def test_dimensionality_by_hand():
    frame = centred_frame(20, 4, seed=2)
    assert_relative(ref.effective_rank(frame * 5 + 3), 4.0, 1e-13)
    assert_relative(ref.participation_ratio(frame * 5 + 3), 4.0, 1e-13)
    two = frame[:, :2] * [3.0, 1.0]  # p = 3/4, 1/4; lambda = 9, 1
    assert_relative(ref.effective_rank(two), 4 / 3**0.75, 1e-13)
    assert_relative(ref.participation_ratio(two), 100 / 82, 1e-13)


def test_rogue_dimensions_are_the_ones_put_in_and_contribute_most():
    case = CASES["rogue"]
    assert ref.rogue_dimensions(case.X).tolist() == [1, 5, 9]
    assert ref.rogue_dimensions(CASES["equal_widths"].X).size == 0
    contributions = ref.cosine_contributions(case.X)
    assert_relative(contributions.sum(), ref.anisotropy(case.X), 1e-13)
    assert sorted(np.argsort(contributions)[-3:]) == [1, 5, 9]
    assert ref.anisotropy(case.X) > 0.9


def test_row_norms_and_feature_moments_agree_with_numpy():
    lengths = np.linalg.norm(PLAIN.X, axis=1)
    assert_relative(ref.row_norms(PLAIN.X), [lengths.mean(), lengths.std(ddof=1)], 1e-13)
    assert_relative(ref.feature_sds(PLAIN.X), PLAIN.X.std(axis=0, ddof=1), 1e-13)
    assert ref.feature_sds(CASES["constant_columns"].X)[2] == 0.0
