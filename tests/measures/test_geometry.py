"""Statistics of one space: against their definitions, at values known by hand, and on input without a value."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pyrepsim import compare
from pyrepsim.core.errors import DegenerateError, NonFiniteError, OptionError
from pyrepsim.measures import Concentricity, Magnitude, MetricSpaceMagnitude, RowMeasure, Uniformity
from pyrepsim.measures.geometry import _total_weight
from pyrepsim.pairwise import PairwiseEngine
from tests.helpers import references_geometry as ref
from tests.helpers.data import CASES, correlated_pair, rogue

MEASURES = {
    Concentricity(): ref.concentricity,
    Magnitude(): ref.magnitude,
    MetricSpaceMagnitude(): lambda X: ref.metric_space_magnitude(X, 10.0),
    MetricSpaceMagnitude(t=1.0): lambda X: ref.metric_space_magnitude(X, 1.0),
    MetricSpaceMagnitude(t=0.3, relative=False): lambda X: ref.metric_space_magnitude(X, 0.3, relative=False),
    Uniformity(): lambda X: ref.uniformity(X, diagonal=True),
    Uniformity(t=0.5): lambda X: ref.uniformity(X, 0.5, diagonal=True),
    Uniformity(t=0.1, unit=False): lambda X: ref.uniformity(X, 0.1, unit=False, diagonal=True),
}


def statistics(score):
    """The statistic of X and that of Y: the first two details."""
    return tuple(score.details.values())[:2]


@pytest.mark.parametrize("shape", [(2, 3, 4), (97, 16, 9), (150, 1, 40)])
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_value_and_statistics(measure, shape):
    X, Y = correlated_pair(*shape, seed=1)
    score = compare(X, Y, measure)
    expected = [MEASURES[measure](side) for side in (X, Y)]
    tolerance = 1e-6 if isinstance(measure, Uniformity) else 1e-10  # tiles in fp32
    assert statistics(score) == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert score.value == abs(statistics(score)[0] - statistics(score)[1])


@pytest.mark.parametrize("measure", [m for m in MEASURES if isinstance(m, Uniformity)], ids=str)
def test_uniformity_in_float64(measure):
    X, Y = (rogue(side) for side in correlated_pair(90, 16, 12, seed=2))
    expected = [MEASURES[measure](side) for side in (X, Y)]
    assert statistics(compare(X, Y, measure, precision="fp64")) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_narrow_rows_with_rogue_dimensions(measure, dtype):
    X, Y = (rogue(side).astype(dtype) for side in correlated_pair(80, 16, 12, seed=3))
    expected = [MEASURES[measure](side) for side in (X, Y)]
    assert statistics(compare(X, Y, measure)) == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_equal_inputs_have_difference_zero(measure):
    X, _ = correlated_pair(50, 6, 3, seed=4)
    assert compare(X, X.copy(), measure).value == 0.0


def test_two_points_by_hand():
    X, Y = np.array([[0.0], [1.0]]), np.array([[0.0], [3.0]])
    # M of two points at distance d is 1 + tanh(t d / 2)
    value = compare(X, Y, MetricSpaceMagnitude(t=1.0, relative=False)).value
    assert value == pytest.approx(math.tanh(1.5) - math.tanh(0.5), rel=1e-13)
    assert compare(X, Y, MetricSpaceMagnitude(t=1.0)).value == pytest.approx(0.0, abs=1e-13)
    # two of the four pairs are at distance d, two at 0
    u = [math.log((1 + math.exp(-2 * d * d)) / 2) for d in (1, 3)]
    assert compare(X, Y, Uniformity(unit=False)).value == pytest.approx(u[0] - u[1], rel=1e-6)
    assert compare(X, Y, Magnitude()).value == pytest.approx(1.5 - 0.5, rel=1e-14)


def test_uniformity_at_a_small_scale_keeps_its_digits():
    X, Y = correlated_pair(90, 6, 5, seed=8)
    expected = [-2e-8 * float(np.sum(np.square(side - side.mean(axis=0)))) / 90 for side in (X, Y)]
    assert statistics(compare(X, Y, Uniformity(t=1e-8, unit=False))) == pytest.approx(expected, rel=1e-5)


def test_concentricity_of_opposite_and_of_equal_directions():
    cone = np.array([[1.0, 0.0], [5.0, 0.0], [2.0, 1e-3]])
    spread = np.array([[3.0, 0.0], [-1.0, 0.0], [1.0, 0.0]])
    assert compare(cone, spread, Concentricity()).value == pytest.approx(1 - 1 / 3, abs=1e-6)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_concentricity_of_rows_of_any_size(backend):
    """Squares of 1e-180 and of 1e180 have no number in float64; their cosines have."""
    X, Y = correlated_pair(50, 6, 5, seed=4)
    X, Y = X + 1.0, Y - 2.0
    expected = compare(X, Y, Concentricity(), backend="reference")
    for scale in (1e-180, 1e180):
        for rows in (slice(None), slice(10, 20)):
            huge = X.copy()
            huge[rows] *= scale
            if rows != slice(None):  # cosines are those with the mean of the rows that remain
                mean = (huge / max(scale, 1.0)).mean(axis=0)
                cosines = X @ mean / np.linalg.norm(X, axis=1) / np.linalg.norm(mean)
                found = compare(huge, Y, Concentricity(), backend=backend).details["concentricity_x"]
                assert found == pytest.approx(cosines.mean(), rel=1e-12)
            else:
                score = compare(huge, Y, Concentricity(), backend=backend)
                assert statistics(score) == pytest.approx(statistics(expected), rel=1e-12)
    zero = X.copy()
    zero[7] = 0
    with pytest.raises(DegenerateError, match="row 7 of X is all zero"):
        compare(zero, Y, Concentricity(), backend=backend)
    zero[7] = np.inf
    with pytest.raises(NonFiniteError, match="X must be finite: got inf at row 7, feature 0"):
        compare(zero, Y, Concentricity(), backend=backend)


def test_repeated_rows_are_one_point_of_a_metric_space():
    X, Y = correlated_pair(40, 6, 5, seed=5)
    measure = MetricSpaceMagnitude(t=0.5, relative=False)
    score = compare(np.repeat(X, 2, axis=0), np.repeat(Y, 2, axis=0), measure)
    assert score.value == pytest.approx(compare(X, Y, measure).value, rel=1e-10)
    assert (score.details["distinct_x"], score.details["distinct_y"]) == (40, 40)


def test_magnitude_ends_at_one_and_at_the_number_of_rows():
    X, Y = correlated_pair(30, 6, 5, seed=6)
    small, large = compare(X, Y, MetricSpaceMagnitude(t=1e-4)), compare(X, Y, MetricSpaceMagnitude(t=300.0))
    assert statistics(small) == pytest.approx((1, 1), abs=1e-3)
    assert statistics(large) == pytest.approx((30, 30), rel=1e-6)


def test_a_metric_space_too_large_is_refused(rng, monkeypatch):
    X = rng.standard_normal((60, 3))
    monkeypatch.setattr("pyrepsim.measures.geometry.MAX_ROWS", 50)
    with pytest.raises(DegenerateError, match="at most 50 rows, got 60 of X"):
        compare(X, X, MetricSpaceMagnitude())


def test_a_similarity_matrix_that_cannot_be_inverted_is_refused(rng, monkeypatch):
    assert _total_weight(np.array([[1.0, 0.5], [0.5, 1.0]])) == (pytest.approx(4 / 3), pytest.approx(0, abs=1e-15))
    monkeypatch.setattr(
        "pyrepsim.measures.geometry._similarity", lambda _, n, __: (np.ones((n, n)), np.ones(n, dtype=bool))
    )
    with pytest.raises(DegenerateError, match="larger t"):
        compare(rng.standard_normal((5, 3)), rng.standard_normal((5, 3)), MetricSpaceMagnitude())


def test_points_too_near_for_the_scale_are_one():
    X, Y = correlated_pair(30, 6, 5, seed=7)
    score = compare(X, Y, MetricSpaceMagnitude(t=1e-18))
    assert statistics(score) == (1.0, 1.0)
    assert score.details["distinct_x"] == 1


def test_rows_without_direction_are_refused(rng):
    X, zero = rng.standard_normal((20, 3)), rng.standard_normal((20, 3))
    zero[7] = 0.0
    for measure in (Concentricity(), Uniformity()):
        with pytest.raises(DegenerateError, match="row 7"):
            compare(X, zero, measure)
    compare(X, zero, Uniformity(unit=False))
    with pytest.raises(DegenerateError, match="mean row with a direction"):
        compare(X, np.vstack([X[:10], -X[:10]]), Concentricity())


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_rows_that_are_not_finite_are_refused(measure, rng):
    X, bad = rng.standard_normal((20, 3)), rng.standard_normal((20, 3))
    bad[3, 1] = np.inf
    with pytest.raises(NonFiniteError):
        compare(X, bad, measure)


@pytest.mark.parametrize("measure", [m for m in MEASURES if isinstance(m, RowMeasure)], ids=str)
def test_many_layers_at_once_equal_single_pairs(measure):
    layers = [correlated_pair(60, 8, 5, seed=s)[0] for s in (1, 2, 3)]
    pairs = [(0, 2), (1, 2)]
    engine = PairwiseEngine(progress=False)
    together = measure.evaluate(layers, pairs, engine)
    assert together == [measure.evaluate(layers, [pair], engine)[0] for pair in pairs]


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_same_bits_for_any_threads_and_layout(measure):
    X, Y = (side.astype(np.float32) for side in correlated_pair(230, 17, 12, seed=7))
    expected = compare(X, Y, measure, n_threads=1).value
    assert compare(X, Y, measure, n_threads=2).value == expected
    assert compare(np.asfortranarray(X), np.repeat(Y, 2, axis=1)[:, ::2], measure, n_threads=2).value == expected


@pytest.mark.parametrize("name", ["tiny", "huge", "offset_1e4", "integers_with_ties", "repeated_rows"])
def test_magnitude_and_concentricity_on_hostile_sizes(name):
    case = CASES[name]
    for measure in (Magnitude(), Concentricity()):
        expected = [MEASURES[measure](side) for side in (case.X, case.Y)]
        assert statistics(compare(case.X, case.Y, measure)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_concentricity_where_squares_leave_float64(scale):
    X, Y = correlated_pair(40, 6, 5, seed=9)
    expected = compare(X + 1, Y + 1, Concentricity()).value
    assert compare((X + 1) * scale, (Y + 1) * scale, Concentricity()).value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Uniformity(t=0.0),
        lambda: Uniformity(t=math.inf),
        lambda: Uniformity(unit="yes"),
        lambda: MetricSpaceMagnitude(t=-1.0),
        lambda: MetricSpaceMagnitude(relative=1),
    ],
)
def test_options_out_of_their_domain_are_named(make):
    with pytest.raises(OptionError):
        make()
