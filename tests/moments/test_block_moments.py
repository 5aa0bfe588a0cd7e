"""Resamples from block sums equal moments of the drawn rows."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.core.errors import DegenerateError, NonFiniteError, ShapeError
from pyrepsim.inference.resampling import bootstrap_weights, jackknife_weights
from pyrepsim.measures import CCA, RSA, SVCCA, LinearCKA, Procrustes
from pyrepsim.moments import BlockMoments, PairedMoments, row_blocks
from tests.helpers import references as ref
from tests.helpers.data import correlated_pair

N, BLOCKS = 420, 7
REFERENCES = {
    LinearCKA(): ref.linear_cka,
    LinearCKA(debiased=True): ref.debiased_cka,
    CCA(): ref.cca,
    SVCCA(variance=0.9): lambda x, y: ref.svcca(x, y, variance=0.9),
    Procrustes(): lambda x, y: ref.procrustes(x, y).similarity,
}


@pytest.fixture(scope="module")
def pair():
    X, Y = correlated_pair(N, 9, 6, seed=2)
    X[200:] += 5.0  # blocks have means of their own
    return X, Y


@pytest.fixture(scope="module")
def documents():
    """Documents of unequal length, some of whose rows come later."""
    names = np.repeat(np.arange(90), np.random.default_rng(0).integers(2, 12, 90))[:N] * 7
    names[[3, 5]] = names[[300, 301]]
    assert len(names) == N
    return names


def block_moments_of(X, Y, blocks, cuts=(), **options):
    moments = BlockMoments((X.shape[1], Y.shape[1]), [(0, 1)], blocks, transforms=("raw", "unit"), **options)
    start = 0
    for stop in (*cuts, N):
        moments.update([X[start:stop], Y[start:stop]])
        start = stop
    return moments


class Drawn:
    """The interface of moments that measures use."""

    def __init__(self, replicate):
        self.replicate = replicate

    def pair(self, transform="raw"):
        return self.replicate.pair_at(0, transform)


def rows_drawn(blocks, weights):
    return np.concatenate([np.tile(np.flatnonzero(blocks.of_row == s), int(w)) for s, w in enumerate(weights)])


def test_blocks_are_whole_documents_of_about_equally_many_rows(documents):
    blocks = row_blocks(N, BLOCKS, documents)
    assert blocks.n_blocks == BLOCKS
    assert blocks.unit == "documents"
    for name in np.unique(documents):
        assert len(np.unique(blocks.of_row[documents == name])) == 1
    assert blocks.counts.max() - blocks.counts.min() <= 2 * 12
    np.testing.assert_array_equal(blocks.of_row[blocks.order], np.repeat(np.arange(BLOCKS), blocks.counts))
    few = row_blocks(6, 32, np.array([4, 4, 1, 1, 1, 9]))
    np.testing.assert_array_equal(few.of_row, [0, 0, 1, 1, 1, 2])
    assert few.order is None
    long = row_blocks(100, 4, np.array([0] * 70 + list(range(1, 31))))
    np.testing.assert_array_equal(np.unique(long.of_row), np.arange(long.n_blocks))
    plain = row_blocks(10, 4)
    assert plain.unit == "rows"
    assert (np.diff(plain.of_row) >= 0).all()
    assert plain.digest == row_blocks(10, 4).digest != row_blocks(10, 5).digest


def test_a_resample_equals_the_moments_of_the_drawn_rows(pair, documents):
    X, Y = pair
    blocks = row_blocks(N, BLOCKS, documents)
    weights = np.concatenate([np.ones((1, BLOCKS)), jackknife_weights(BLOCKS)[:2], bootstrap_weights(BLOCKS, 8, 0)])
    assert weights.max() > 2
    for drawn, replicate in zip(weights, block_moments_of(X, Y, blocks).replicates(weights), strict=True):
        rows = rows_drawn(blocks, drawn)
        assert replicate.n_samples == len(rows)
        again = PairedMoments(9, 6)
        again.update(X[rows], Y[rows])
        for measure, reference in REFERENCES.items():
            value = measure.score(Drawn(replicate)).value
            assert value == pytest.approx(measure.score(again).value, rel=0, abs=1e-12)
            assert value == pytest.approx(reference(X[rows], Y[rows]), rel=0, abs=1e-10)


@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine"])
def test_a_resample_of_rdms_leaves_out_pairs_of_copies(metric, pair, documents):
    X, Y = pair
    blocks = row_blocks(N, BLOCKS, documents)
    weights = bootstrap_weights(BLOCKS, 4, 1)
    for drawn, replicate in zip(weights, block_moments_of(X, Y, blocks).replicates(weights), strict=True):
        rows = rows_drawn(blocks, drawn)
        first, second = np.triu_indices(len(rows), 1)
        apart = rows[first] != rows[second]
        entries = [ref.rdm(side[rows], metric)[apart] for side in (X, Y)]
        expected = np.corrcoef(*entries)[0, 1]
        assert RSA(metric=metric).score(Drawn(replicate)).value == pytest.approx(expected, rel=0, abs=1e-12)
        with_copies = np.corrcoef(*(ref.rdm(side[rows], metric) for side in (X, Y)))[0, 1]
        assert abs(with_copies - expected) > 1e-4


def test_equal_sides_score_exactly_1_in_every_resample(pair, documents):
    X, _ = pair
    blocks, weights = row_blocks(N, BLOCKS, documents), bootstrap_weights(BLOCKS, 20, 0)
    for replicate in block_moments_of(X, X.copy(), blocks).replicates(weights):
        for measure in (LinearCKA(), LinearCKA(debiased=True), RSA(), RSA(metric="sqeuclidean")):
            assert measure.score(Drawn(replicate)).value == 1.0


def test_a_feature_that_varies_in_one_block_only_is_constant_without_it(pair):
    X, Y = (side.copy() for side in pair)
    X[60:, 4] = 0.3
    blocks = row_blocks(N, BLOCKS)
    first, *_ = block_moments_of(X, Y, blocks).replicates(jackknife_weights(BLOCKS))
    value = CCA().score(Drawn(first))
    assert value.details["rank_x"] == 8
    assert value.value == pytest.approx(ref.cca(X[60:], Y[60:]), abs=1e-12)


def test_the_same_bits_for_any_chunks_and_threads(pair, documents):
    X, Y = pair
    blocks, weights = row_blocks(N, BLOCKS, documents), bootstrap_weights(BLOCKS, 3, 0)
    values = {
        tuple(
            LinearCKA(debiased=True).score(Drawn(replicate)).value
            for replicate in block_moments_of(X, Y, blocks, cuts, n_threads=threads).replicates(weights)
        )
        for cuts, threads in (((), 1), ((1, 17, 300), 2), ((211,), 2))
    }
    assert len(values) == 1


def test_errors_of_block_moments(pair, documents, monkeypatch):
    X, Y = pair
    blocks = row_blocks(N, BLOCKS, documents)
    moments = BlockMoments((9, 6), [(0, 1)], blocks)
    moments.update([X[:100], Y[:100]])
    with pytest.raises(ShapeError, match="100 of 420"):
        next(moments.replicates(np.ones((1, BLOCKS))))
    bad = X[100:].copy()
    bad[20, 3] = np.nan
    with pytest.raises(NonFiniteError, match="at row 120, feature 3"):
        moments.update([bad, Y[100:]])
    moments.update([X[100:], Y[100:]])
    with pytest.raises(ShapeError, match="the rows must be those of the blocks"):
        moments.update([X[:1], Y[:1]])
    with pytest.raises(ShapeError, match=r"\(n_resamples, 7\)"):
        next(moments.replicates(np.ones((1, 6))))
    with pytest.raises(DegenerateError, match="at least two documents"):
        row_blocks(5, 4, np.zeros(5))
    with pytest.raises(ShapeError, match="each of 5 rows"):
        row_blocks(5, 4, np.zeros(4))
    one = 8 * (9 * 9 + 6 * 6 + 9 * 6)
    with pytest.raises(ShapeError, match="Use blocks=5, or compare fewer layers"):
        BlockMoments((9, 6), [(0, 1)], blocks, memory=2 * 15 * one)


def test_fewer_resamples_are_scored_at_once_in_less_memory():
    """One pair of 64 x 64: 98,304 bytes a resample, half of the memory for 16 blocks and what is made beside them."""
    one = 8 * 3 * 64 * 64
    for spare, expected in ((0, 1), (6, 2), (100, 8)):
        memory = 2 * (16 + 10 + spare) * one
        moments = BlockMoments([64, 64], [(0, 1)], row_blocks(160, 16), n_threads=64, memory=memory)
        assert moments.n_scored_at_once == expected
    assert BlockMoments([64, 64], [(0, 1)], row_blocks(160, 16), n_threads=2).n_scored_at_once == 2
