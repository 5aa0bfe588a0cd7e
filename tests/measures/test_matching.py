"""Matching of features: against SciPy's solvers, by hand, and invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pyrepsim import compare
from pyrepsim.core.errors import DegenerateError, OptionError
from pyrepsim.measures import Matching, MaxCorrelation
from tests.helpers import references_geometry as ref
from tests.helpers.assertions import assert_relative
from tests.helpers.data import CASES, correlated_pair, rotation


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("name", CASES)
def test_value(name, kind, signed):
    case = CASES[name]
    expected = {"hard": ref.matching_hard, "soft": ref.matching_transport}[kind](case.X, case.Y, absolute=not signed)
    value = compare(case.X, case.Y, Matching(kind=kind, signed=signed)).value
    assert_relative(value, expected, 1e-10 if case.well_posed else 1e-7, scale=1.0)


def test_a_permutation_with_signs_is_found(rng):
    X = rng.standard_normal((60, 6))
    order, signs = rng.permutation(6), np.array([1, -1, 1, -1, 1, 1])
    Y = (X * signs)[:, order] * 3.0 + 5.0
    unsigned = compare(X, Y, Matching(signed=False))
    assert unsigned.value == pytest.approx(1.0, abs=1e-14)
    assert np.array_equal(order[unsigned.details["features_y"]], unsigned.details["features_x"])
    # a feature and its negative do not match: with signs the four others still do
    matched = compare(X, Y, Matching()).details["correlations"]
    assert np.count_nonzero(matched > 1 - 1e-12) == 4


def test_the_wider_side_has_features_left_over(rng):
    X = rng.standard_normal((80, 4))
    Y = np.hstack([rng.standard_normal((80, 3)), X[:, ::-1]])
    score = compare(X, Y, Matching())
    assert score.value == pytest.approx(1.0, abs=1e-14)
    assert score.details["features_y"].tolist() == [6, 5, 4, 3]
    # softly matched, the three unrelated features count too: 4/7 of the mass is matched to the same feature
    soft = compare(X, Y, Matching(kind="soft"))
    assert 4 / 7 - 0.05 < soft.value < 4 / 7 + 0.3
    assert soft.details["correlations"].shape == (4,)
    assert soft.value == pytest.approx(np.mean(soft.details["correlations"]), rel=1e-13)


def test_both_kinds_agree_at_equal_widths_and_stay_below_max_correlation():
    X, Y = correlated_pair(200, 12, 12, seed=3)
    hard, soft, free = (compare(X, Y, m).value for m in (Matching(), Matching(kind="soft"), MaxCorrelation()))
    assert hard == pytest.approx(soft, rel=1e-13)
    assert hard < free


def test_soft_matching_is_the_transport_distance_of_unit_features():
    X, Y = correlated_pair(50, 5, 5, seed=4)
    Xn, Yn = ((side - side.mean(axis=0)) / np.linalg.norm(side - side.mean(axis=0), axis=0) for side in (X, Y))
    costs = np.sum((Xn[:, :, None] - Yn[:, None, :]) ** 2, axis=0)
    from itertools import permutations

    least = min(sum(costs[i, p[i]] for i in range(5)) / 5 for p in permutations(range(5)))
    assert 2 - 2 * compare(X, Y, Matching(kind="soft")).value == pytest.approx(least, rel=1e-12)


def test_constant_features_are_left_out_and_counted(rng):
    X, Y = rng.standard_normal((50, 4)), rng.standard_normal((50, 3))
    plain = compare(X, Y, Matching())
    padded = compare(np.insert(X, 1, 0.1, axis=1), np.insert(Y, 0, -7.0, axis=1), Matching())
    assert padded.value == pytest.approx(plain.value, rel=1e-13)
    assert (padded.details["constant_features_x"], padded.details["constant_features_y"]) == (1, 1)
    assert 1 not in padded.details["features_x"]
    assert 0 not in padded.details["features_y"]


def test_a_rotation_lowers_the_value(rng):
    X = rng.standard_normal((200, 8))
    assert compare(X, X @ rotation(8), Matching(signed=False)).value < 0.9


def test_one_feature_against_its_negative():
    X = np.array([[0.0], [1.0], [3.0]])
    assert compare(X, -X, Matching()).value == pytest.approx(-1.0, abs=1e-15)
    assert compare(X, -X, Matching(signed=False)).value == pytest.approx(1.0, abs=1e-15)


def test_degenerate_input_is_refused(rng):
    with pytest.raises(DegenerateError, match="constant"):
        compare(np.ones((10, 3)), rng.standard_normal((10, 3)), Matching())
    with pytest.raises(DegenerateError, match="two rows"):
        compare(np.ones((1, 3)), np.ones((1, 3)), Matching())
    with pytest.raises(OptionError, match="kind"):
        Matching(kind="fuzzy")


def test_two_rows_give_correlations_of_one():
    X, Y = np.array([[0.0, 1.0], [1.0, 3.0]]), np.array([[2.0, 5.0, 1.0], [4.0, 9.0, 0.0]])
    assert math.isclose(compare(X, Y, Matching()).value, 1.0, abs_tol=1e-14)
