"""Neighbour measures: against sets and full matrices, by hand, on ties and on input without a value."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim import compare
from pyrepsim.core.errors import DegenerateError, NonFiniteError, OptionError
from pyrepsim.measures import (
    CKNNA,
    Concentricity,
    CycleKNN,
    JaccardKNN,
    MutualKNN,
    RankSimilarity,
    SecondOrderCosine,
    Uniformity,
)
from pyrepsim.pairwise import PairwiseEngine
from tests.helpers import references_neighbours as ref
from tests.helpers.data import correlated_pair, rogue

LISTS = {
    MutualKNN: ref.mutual_knn,
    JaccardKNN: ref.jaccard_knn,
    RankSimilarity: ref.rank_similarity,
    CycleKNN: ref.cycle_knn,
}
METRICS = ["cosine", "correlation", "euclidean", "manhattan", "chebyshev", "dot"]
ALL = [*LISTS, CKNNA, SecondOrderCosine]


def line(*places):
    """Points on a line, as rows of one feature."""
    return np.array(places, dtype=np.float64)[:, None]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", LISTS)
def test_measures_of_lists(kind, metric):
    X, Y = correlated_pair(97, 16, 9, seed=1)
    for k in (1, 5, 10):
        value = compare(X, Y, kind(k=k, metric=metric)).value
        assert value == pytest.approx(LISTS[kind](X, Y, k, metric), rel=1e-13)


@pytest.mark.parametrize("metric", ["cosine", "dot"])
@pytest.mark.parametrize("shape", [(30, 3, 4), (97, 16, 9), (150, 40, 70)])
def test_cknna(shape, metric):
    X, Y = correlated_pair(*shape, seed=2)
    assert compare(X, Y, CKNNA(k=7, metric=metric)).value == pytest.approx(ref.cknna(X, Y, 7, kernel=metric), rel=1e-12)


@pytest.mark.parametrize("shape", [(30, 3, 4), (97, 16, 9), (150, 40, 70)])
def test_second_order_cosine(shape):
    X, Y = correlated_pair(*shape, seed=3)
    assert compare(X, Y, SecondOrderCosine(k=6)).value == pytest.approx(ref.second_order_cosine(X, Y, 6), rel=1e-13)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_narrow_rows_with_rogue_dimensions(dtype):
    X, Y = (rogue(side).astype(dtype) for side in correlated_pair(80, 20, 18, seed=4))
    assert compare(X, Y, MutualKNN(k=5)).value == pytest.approx(ref.mutual_knn(X, Y, 5), rel=1e-13)
    assert compare(X, Y, CKNNA(k=5)).value == pytest.approx(ref.cknna(X, Y, 5), rel=1e-9)
    assert compare(X, Y, SecondOrderCosine(k=5)).value == pytest.approx(ref.second_order_cosine(X, Y, 5), rel=1e-13)


def test_ranks_by_hand():
    # neighbours of 0 and 2 agree; those of row 1 are (0, 2) and (2, 0): 2 terms of 2 / (2 * 3), over 1 + 1/2
    X, Y = line(0, 1, 3), line(0, 2, 3)
    measure = RankSimilarity(k=2, metric="euclidean")
    assert compare(X, Y, measure).value == pytest.approx((1 + 4 / 9 + 1) / 3, rel=1e-15)
    assert compare(X, Y, JaccardKNN(k=1, metric="euclidean")).value == pytest.approx(2 / 3, rel=1e-15)


def test_cycles_by_hand_are_one_way():
    # lists in X: 0 [1 2], 1 [2 0], 2 [1 0], 3 [4 2], 4 [3 2]; in Y: 0 [2 3], 1 [3 2], 2 [3 0], 3 [2 1], 4 [1 3]
    X, Y = line(0, 4, 6, 13, 19), line(2, 11, 6, 8, 18)
    measure = CycleKNN(k=2, metric="euclidean")
    assert compare(X, Y, measure).value == pytest.approx(4 / 5)  # 3 -> 2 or 1 in Y, and neither has 3 in X
    assert compare(Y, X, measure).value == pytest.approx(3 / 5)
    # a row that is in no list is in no cycle, although both sides are equal
    far = line(0, 1, 3)
    assert compare(far, far, CycleKNN(k=1, metric="euclidean")).value == pytest.approx(2 / 3)


def test_equally_near_rows_are_taken_by_index_and_counted():
    # rows 0 to 2 are one point: the nearest of 0 is 1, of 1 and 2 it is 0, and so it is of 3
    X, Y = line(0, 0, 0, 5), line(0, 1, 3, 10)
    score = compare(X, Y, MutualKNN(k=1, metric="euclidean"))
    assert score.value == pytest.approx(2 / 4)  # Y: 0 -> 1, 1 -> 0, 2 -> 1, 3 -> 2
    assert (score.details["ties_x"], score.details["ties_y"]) == (4, 0)
    # with two neighbours the copies of a point are all in its list; only row 3 has several possible lists
    assert compare(X, Y, MutualKNN(k=2, metric="euclidean")).details["ties_x"] == 1
    # the order within a list counts for ranks
    assert compare(X, Y, RankSimilarity(k=2, metric="euclidean")).details["ties_x"] == 4


@pytest.mark.parametrize("kind", [MutualKNN, JaccardKNN, RankSimilarity, CKNNA, SecondOrderCosine])
def test_repeated_rows_of_equal_inputs_still_agree(kind):
    X = np.repeat(correlated_pair(30, 8, 3, seed=5)[0], 3, axis=0)
    assert compare(X, X.copy(), kind(k=4)).value == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("kind", LISTS)
def test_with_all_other_rows_as_neighbours(kind):
    X, Y = correlated_pair(9, 5, 4, seed=6)
    value = compare(X, Y, kind(k=8)).value
    assert (value == 1.0) == (kind is not RankSimilarity)


def test_two_rows_are_each_other_s_neighbours(rng):
    X, Y = rng.standard_normal((2, 3)), rng.standard_normal((2, 5))
    for kind in LISTS:
        assert compare(X, Y, kind(k=1)).value == 1.0
    assert abs(compare(X, Y, CKNNA(k=1)).value) == pytest.approx(1.0, abs=1e-12)  # both entries by symmetry equal


@pytest.mark.parametrize("kind", ALL)
def test_as_many_neighbours_as_rows_are_refused(kind, rng):
    X = rng.standard_normal((10, 4))
    with pytest.raises(DegenerateError, match=r"k=10 and 10 rows.*smaller k"):
        compare(X, X, kind())


@pytest.mark.parametrize("kind", ALL)
def test_rows_without_direction_are_refused(kind, rng):
    X = rng.standard_normal((12, 4))
    zero = X.copy()
    zero[5] = 0.0
    with pytest.raises(DegenerateError, match="row 5"):
        compare(X, zero, kind(k=3))
    zero[5, 2] = np.nan
    with pytest.raises(NonFiniteError):
        compare(zero, X, kind(k=3))


@pytest.mark.parametrize("measure", [MutualKNN(k=3), SecondOrderCosine(k=3), Concentricity(), Uniformity()], ids=str)
def test_errors_name_the_side_or_the_layer(measure, rng):
    layers = [rng.standard_normal((12, 4)) for _ in range(3)]
    layers[1][4] = 0.0
    with pytest.raises(DegenerateError, match="row 4 of Y"):
        compare(layers[0], layers[1], measure)
    with pytest.raises(DegenerateError, match="row 4 of layer 2"):
        measure.evaluate([layers[0], layers[2], layers[1]], [(0, 2)], PairwiseEngine(progress=False))


def test_rows_at_right_angles_have_no_second_order_cosine(rng):
    corners = np.eye(8)
    with pytest.raises(DegenerateError, match="all equal"):  # all rows are equally near
        compare(corners, rng.standard_normal((8, 5)), SecondOrderCosine(k=2))
    corners[7] = -corners[0]  # one row that is farther from another
    with pytest.raises(DegenerateError, match="right angles"):
        compare(corners, rng.standard_normal((8, 5)), SecondOrderCosine(k=2))


def test_rows_along_one_direction_have_no_centred_kernel(rng):
    X = np.outer(rng.uniform(1, 2, 12), [1.0, 2.0, 2.0])
    with pytest.raises(DegenerateError, match="one direction"):
        compare(X, rng.standard_normal((12, 5)), CKNNA(k=3))


def test_unrelated_representations_score_chance(rng):
    X, Y = rng.standard_normal((600, 12)), rng.standard_normal((600, 12))
    score = compare(X, Y, MutualKNN(k=30))
    assert score.details["chance"] == pytest.approx(30 / 599)
    assert score.value == pytest.approx(30 / 599, rel=0.15)
    assert abs(compare(X, Y, CKNNA(k=30)).value) < 0.1


@pytest.mark.parametrize("kind", ALL)
def test_many_layers_at_once_equal_single_pairs(kind):
    layers = [correlated_pair(60, 8, 5, seed=s)[0] for s in (1, 2)] + [correlated_pair(60, 8, 5, seed=1)[1]]
    pairs = [(0, 2), (1, 2), (0, 1)]
    engine = PairwiseEngine(progress=False)
    together = kind(k=4).evaluate(layers, pairs, engine)
    for (i, j), (value, details) in zip(pairs, together, strict=True):
        alone = kind(k=4).evaluate([layers[i], layers[j]], [(0, 1)], engine)[0]
        assert (value, details) == alone


@pytest.mark.parametrize("kind", ALL)
def test_same_bits_for_any_threads_and_layout(kind):
    X, Y = (side.astype(np.float32) for side in correlated_pair(230, 17, 12, seed=7))
    expected = compare(X, Y, kind(), n_threads=1).value
    assert compare(X, Y, kind(), n_threads=2).value == expected
    assert compare(np.asfortranarray(X), np.repeat(Y, 2, axis=1)[:, ::2], kind(), n_threads=2).value == expected


@pytest.mark.parametrize("kind", ALL)
def test_options_are_checked(kind):
    for k in (0, -1, True, 2.5):
        with pytest.raises(OptionError, match="k must"):
            kind(k=k)
    if kind is not SecondOrderCosine:
        with pytest.raises(OptionError, match="metric must"):
            kind(metric="hamming")
