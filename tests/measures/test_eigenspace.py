"""Eigenspace overlap: against bases from the SVD of the data, and on planted subspaces."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim import compare
from pyrepsim.measures import CCA, EigenspaceOverlap
from tests.helpers import references_geometry as ref
from tests.helpers.assertions import assert_relative
from tests.helpers.data import CASES, correlated_pair
from tests.helpers.references_base import RANK_TOL, centre


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_value_and_ranks(name, centred):
    case = CASES[name]
    score = compare(case.X, case.Y, EigenspaceOverlap(centred=centred))
    expected = ref.eigenspace_overlap(case.X, case.Y, centred=centred)
    assert_relative(score.value, expected, 1e-10 if case.well_posed else 1e-7)
    ranks = [rank_of(centre(side) if centred else side) for side in (case.X, case.Y)]
    assert [score.details["rank_x"], score.details["rank_y"]] == ranks


def test_axes_by_hand():
    # column spaces: of X the first two axes, of Y the second and third; one in two is shared
    frame = np.eye(6)
    assert compare(frame[:, :2], frame[:, 1:3], EigenspaceOverlap()).value == pytest.approx(0.5, rel=1e-14)
    assert compare(frame[:, :2], frame[:, 1:5], EigenspaceOverlap()).value == pytest.approx(0.25, rel=1e-14)


def test_centred_it_is_made_of_canonical_correlations():
    X, Y = correlated_pair(150, 9, 6, seed=2)
    rho = compare(X, Y, CCA()).details["correlations"]
    assert compare(X, Y, EigenspaceOverlap(centred=True)).value == pytest.approx(np.sum(rho**2) / 9, rel=1e-12)


def test_a_constant_feature_adds_the_constant_direction(rng):
    X, Y = rng.standard_normal((60, 4)), rng.standard_normal((60, 3))
    ones = np.full((60, 1), 0.3)
    score = compare(np.hstack([X, ones]), np.hstack([ones, Y]), EigenspaceOverlap())
    assert (score.details["rank_x"], score.details["rank_y"]) == (5, 4)
    assert score.details["overlap"] > 1 - 1e-12  # both hold the constant
    zeros = compare(np.hstack([X, 0 * ones]), np.hstack([0 * ones, Y]), EigenspaceOverlap())
    assert (zeros.details["rank_x"], zeros.details["rank_y"]) == (4, 3)


def test_a_combination_of_features_that_is_constant_counts_as_one(rng):
    # as after a LayerNorm with an offset: the features add up to 2 in every row
    X = rng.standard_normal((80, 5))
    X[:, 4] = 2.0 - X[:, :4].sum(axis=1)
    Y = rng.standard_normal((80, 3))
    score = compare(X, Y, EigenspaceOverlap())
    assert score.details["rank_x"] == 5
    assert score.value == pytest.approx(ref.eigenspace_overlap(X, Y), rel=1e-10)
    X[:, 4] -= 2.0
    assert compare(X, Y, EigenspaceOverlap()).details["rank_x"] == 4


@pytest.mark.parametrize("offset", [1e2, 1e5, 1e8])
def test_a_large_mean_does_not_reduce_accuracy(offset):
    X, Y = correlated_pair(120, 6, 5, seed=6)
    # offsets along one direction: the column space tends to (the rest of X, and the constant)
    X, Y = X + offset * np.arange(1, 7), Y - offset
    score = compare(X, Y, EigenspaceOverlap())
    assert (score.details["rank_x"], score.details["rank_y"]) == (6, 5)
    basis = []
    for side in (X, Y):
        rest = (side - side.mean(axis=0)) @ of_mean_zero(side)
        basis.append(np.linalg.qr(np.column_stack([np.ones(120), rest]))[0])
    limit = np.sum((basis[0].T @ basis[1]) ** 2) / 6
    assert score.value == pytest.approx(limit, abs=max(30 / offset, 1e-6))


def rank_of(rows):
    """Rank of the columns at unit length."""
    norms = np.linalg.norm(rows, axis=0)
    values = np.linalg.svd(rows[:, norms > 0] / norms[norms > 0], compute_uv=False)
    return int(np.count_nonzero(values > RANK_TOL * values[0]))


def of_mean_zero(side):
    """Combinations (d, d - 1) whose mean is zero."""
    mean = side.mean(axis=0, keepdims=True)
    return np.linalg.svd(mean)[2][1:].T


def test_fewer_rows_than_features_give_one_and_the_ranks_show_it(rng):
    score = compare(rng.standard_normal((12, 20)), rng.standard_normal((12, 30)), EigenspaceOverlap())
    assert score.value == pytest.approx(1.0, abs=1e-10)
    assert (score.details["rank_x"], score.details["rank_y"]) == (12, 12)


def test_two_rows(rng):
    score = compare(rng.standard_normal((2, 1)), rng.standard_normal((2, 3)), EigenspaceOverlap())
    assert (score.details["rank_x"], score.details["rank_y"]) == (1, 2)
    assert score.value == pytest.approx(0.5, rel=1e-10)
