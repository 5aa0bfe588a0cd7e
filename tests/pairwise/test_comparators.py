"""Comparators: explicit RDMs in any form, rank correlations by histograms within their bound, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, NonFiniteError, OptionError, ShapeError
from pyrepsim.pairwise import COMPARATORS, RANK_COMPARATORS, PairwiseEngine, median_entry, rank_correlations, ranks
from tests.helpers import references_comparators as reference
from tests.helpers.backends import EVERY
from tests.helpers.data import correlated_pair

SAME = {"euclidean": 0.0, "riemannian": 0.0, "bures_metric": 0.0, "neg_riem_dist": 0.0}
OF_TWO = [name for name in COMPARATORS if name not in ("partial", "partial-spearman", "regression")]


@pytest.fixture(scope="module")
def rdms():
    X, Y = correlated_pair(24, 30, 30, seed=6)
    return tuple(rs.pdist(side, "sqeuclidean", precision="fp64") for side in (X, Y))


@pytest.mark.parametrize("compare", OF_TWO)
def test_square_or_condensed_scaled_or_swapped(compare, rdms):
    a, b = rdms
    value = rs.compare_rdms(a, b, compare)
    squares = [reference.square(v) for v in rdms]
    assert rs.compare_rdms(*squares, compare) == value
    assert rs.compare_rdms(squares[0], b.astype(np.float32), compare) == pytest.approx(value, rel=1e-5)
    if compare != "neg_riem_dist":
        assert rs.compare_rdms(b, a, compare) == pytest.approx(value, rel=1e-9)
    assert rs.compare_rdms(a, a, compare) == pytest.approx(
        SAME.get(compare, 1.0), abs=1e-6 if compare in SAME else 1e-7
    )
    if compare not in SAME:
        assert rs.compare_rdms(1e-3 * a, 1e3 * b, compare) == pytest.approx(value, rel=1e-9)
        assert abs(value) <= 1


def test_shape_comparators(rdms):
    A, B = (reference.gram_of_rdm(v) for v in rdms)
    assert rs.compare_rdms(*rdms, "bures") == pytest.approx(reference.bures_similarity(A, B), rel=1e-9)
    expected = reference.riemannian_distance(reference.on_contrasts(A), reference.on_contrasts(B))
    assert rs.compare_rdms(*rdms, "riemannian") == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("backend", EVERY)
def test_ranks_with_ties(backend):
    rng = np.random.default_rng(3)
    a, b = rng.integers(0, 9, (2, 780)).astype(float)
    for compare, expected in (("spearman", reference.spearman), ("rho-a", reference.rho_a),
                              ("kendall", reference.tau_b), ("tau-a", reference.tau_a)):  # fmt: skip
        assert rs.compare_rdms(a, b, compare, backend=backend) == pytest.approx(expected(a, b), rel=1e-12)


def test_arrays_that_are_not_rdms(rdms):
    a, b = rdms
    for bad in (a[:-1], np.zeros((24, 23)), np.zeros(0), np.triu(reference.square(a))):
        with pytest.raises(ShapeError):
            rs.compare_rdms(bad, b)
    with pytest.raises(ShapeError, match="same number of entries"):
        rs.compare_rdms(a, b[:253])
    with pytest.raises(NonFiniteError, match="b must be finite"):
        rs.compare_rdms(a, np.where(b == b[3], np.nan, b))
    with pytest.raises(OptionError, match="compare must be one of"):
        rs.compare_rdms(a, b, "mutual")


@pytest.mark.parametrize("compare", ["pearson", "spearman", "kendall", "corr_cov"])
def test_constant_rdms(compare, rdms):
    with pytest.raises(DegenerateError):
        rs.compare_rdms(np.full_like(rdms[0], 0.3), rdms[1], compare)


def test_rdms_without_a_gram_matrix(rdms):
    far = np.zeros((24, 24))
    far[0, 1] = far[1, 0] = 9.0  # two items that are equally far from all others, but not equal to each other
    with pytest.raises(DegenerateError, match="squared Euclidean"):
        rs.compare_rdms(far, rdms[1], "bures")
    flat = rs.pdist(np.random.default_rng(0).standard_normal((24, 3)), "sqeuclidean", precision="fp64")
    with pytest.raises(DegenerateError, match="full rank"):
        rs.compare_rdms(flat, rdms[1], "riemannian")
    with pytest.raises(DegenerateError, match="other than zero"):
        rs.compare_rdms(np.zeros_like(flat), rdms[1], "cosine")


def found_by(compare, sides, metric, backend, **options):
    engine = PairwiseEngine(backend=backend, precision="fp64")
    return rank_correlations(engine, engine.packed_layers(sides, metric), [(0, 1)], compare, **options)[0]


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("compare", RANK_COMPARATORS)
def test_layers_of_several_pairs_are_ranked_once(compare, backend, monkeypatch):
    three = (*correlated_pair(20, 9, 5, seed=3), correlated_pair(20, 4, 4)[0])
    sides = [np.repeat(side, 2, axis=0) for side in three]
    pairs = [(0, 1), (2, 0), (1, 2), (2, 2)]
    expected = [found_by(compare, [sides[i], sides[j]], "euclidean", backend) for i, j in pairs]
    engine, ranked = PairwiseEngine(backend=backend, precision="fp64"), []
    midranks = engine.backend.midranks

    def watched(*args):
        ranked.append(len(args[0]))
        return midranks(*args)

    monkeypatch.setattr(engine.backend, "midranks", watched)
    assert rank_correlations(engine, engine.packed_layers(sides, "euclidean"), pairs, compare) == expected
    assert ranked == 3 * [40 * 39 // 2]
    assert expected[-1][0] == 1.0 or compare in ("tau-a", "rho-a")


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("compare", RANK_COMPARATORS)
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
@pytest.mark.parametrize("rows", ["plain", "duplicated"])
def test_histograms_are_within_their_bound(rows, metric, compare, backend, monkeypatch):
    X, Y = correlated_pair(150, 9, 5, seed=8)
    if rows == "duplicated":
        X, Y = np.repeat(X[:75], 2, axis=0), np.repeat(Y[:75] * 100, 2, axis=0)
    exact, how = found_by(compare, [X, Y], metric, backend)
    assert how == {"ranks": "exact"}
    monkeypatch.setattr(ranks, "IN_MEMORY_ROWS", 10)
    value, how = found_by(compare, [X, Y], metric, backend)
    assert how["ranks"] == "histogram"
    assert abs(value - exact) <= how["bound"]
    assert how["bound"] <= (0.05 if compare in ("kendall", "tau-a") else 2e-3)
    assert abs(value - exact) <= (1e-3 if compare in ("kendall", "tau-a") else 1e-5)


def test_more_bins_on_request(monkeypatch):
    X, Y = correlated_pair(120, 9, 5, seed=9)
    exact, _ = found_by("spearman", [X, Y], "cosine", "cpu")
    monkeypatch.setattr(ranks, "IN_MEMORY_ROWS", 10)
    value, how = found_by("spearman", [X, Y], "cosine", "cpu", exact=True)
    assert how["bins"] == 2**24
    assert how["bound"] < 2e-6 + 1e-4
    assert value == pytest.approx(exact, abs=1e-6)


def test_the_median_by_a_histogram(monkeypatch):
    X, _ = correlated_pair(120, 9, 5, seed=10)
    engine = PairwiseEngine(precision="fp64")
    layer = engine.packed(X, "sqeuclidean")
    exact = median_entry(engine, layer, "euclidean")
    assert exact == pytest.approx(np.median(rs.pdist(X, "euclidean", precision="fp64")), rel=1e-12)
    monkeypatch.setattr(ranks, "IN_MEMORY_ROWS", 10)
    assert median_entry(engine, layer, "euclidean") == pytest.approx(exact, rel=1e-3)


def test_rounding_does_not_break_ties():
    rng = np.random.default_rng(11)
    X = rng.integers(-3, 4, (60, 4)) / 7.0  # sevenths: equal distances differ in their last bits
    Y = rng.standard_normal((60, 4))
    exact = [rs.pdist(np.round(X * 7), "manhattan", precision="fp64"), rs.pdist(Y, "manhattan", precision="fp64")]
    expected = reference.spearman(*exact)
    assert rs.compare(X, Y, rs.RSA(metric="manhattan", compare="spearman")).value == pytest.approx(expected, abs=1e-12)
    noisy = [rs.pdist(X, "manhattan", precision="fp64"), exact[1]]
    assert rs.compare_rdms(*noisy, "spearman") != pytest.approx(expected, abs=1e-9)
