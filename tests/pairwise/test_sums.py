"""Sums over tiles: comparisons from sums equal those of explicit RDMs; blocks add up; runs are sliced."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, OptionError, ShapeError
from pyrepsim.pairwise import PairwiseEngine, pair_sums
from pyrepsim.pairwise.engine import equal_blocks
from tests.helpers import references_dependence as dependence
from tests.helpers.backends import EVERY
from tests.helpers.data import correlated_pair, rogue

BLOCKS = [0, 1, 40, 97, 150]


@pytest.fixture(scope="module")
def pair():
    return correlated_pair(150, 8, 6, seed=5)


def sums_of(X, Y, metric="euclidean", *, backend="cpu", precision="fp64", **options):
    engine = PairwiseEngine(backend=backend, precision=precision, **options)
    return pair_sums(engine, engine.packed_layers([X, Y], metric), [(0, 1)], row_sums=True)[0]


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "manhattan"])
@pytest.mark.parametrize("blocks", [None, BLOCKS])
def test_comparisons_from_sums_equal_those_of_the_rdms(blocks, metric, backend, pair):
    sums = sums_of(*pair, metric, backend=backend, blocks=blocks)
    a, b = (rs.pdist(side, metric, precision="fp64") for side in pair)
    for how in ("pearson", "cosine", "corr_cov", "euclidean"):
        assert getattr(sums, how)() == pytest.approx(rs.compare_rdms(a, b, how), rel=1e-10)
    assert sums.centred() == pytest.approx(rs.compare_rdms(a, b, "cosine_cov"), rel=1e-10)
    D, E = (rs.rdm(side, metric, precision="fp64") for side in pair)
    xy, xx, yy = (
        float(dependence.distance_covariance_squared(*sides, unbiased=True)) for sides in ((D, E), (D, D), (E, E))
    )
    assert sums.u_centred() == pytest.approx(xy / np.sqrt(xx * yy), rel=1e-9)


def test_large_offsets_and_rogue_features_keep_accuracy(pair):
    X, Y = (rogue(side, features=(1, 4)) for side in pair)
    a, b = (rs.pdist(side, "cosine", precision="fp64") for side in (X, Y))
    assert sums_of(X, Y, "cosine", precision="fp32").pearson() == pytest.approx(rs.compare_rdms(a, b), abs=2e-6)
    assert sums_of(X + 1e4, Y, precision="fp32").pearson() == pytest.approx(sums_of(*(X, Y)).pearson(), abs=1e-5)


@pytest.mark.parametrize("backend", EVERY)
def test_blocks_add_up(backend, pair):
    whole, cut = sums_of(*pair, backend=backend), sums_of(*pair, backend=backend, blocks=BLOCKS)
    assert cut.entries.sum() == whole.entries.sum() == 150 * 149 // 2
    sizes = np.diff(BLOCKS)
    expected = np.triu(np.outer(sizes, sizes), 1) + np.diag(sizes * (sizes - 1) // 2)
    np.testing.assert_array_equal(cut.entries, expected)
    for mine, theirs in ((cut.cross, whole.cross), (cut.x.second, whole.x.second), (cut.y.first, whole.y.first)):
        assert mine.sum() == pytest.approx(theirs.sum(), rel=1e-10, abs=1e-9)
    np.testing.assert_allclose(cut.x.rows.sum() / 2, cut.x.first.sum(), atol=1e-9)
    np.testing.assert_array_equal(np.tril(cut.cross, -1), 0)


def test_a_resample_equals_the_drawn_rows_without_pairs_of_copies(pair):
    drawn = [0, 2, 2, 2, 1, 1]
    weights = np.bincount(drawn, minlength=4)
    rows = np.concatenate([np.arange(BLOCKS[s], BLOCKS[s + 1]) for s in drawn])
    first, second = np.triu_indices(len(rows), 1)
    apart = rows[first] != rows[second]
    a, b = (rs.pdist(side[rows], "euclidean", precision="fp64")[apart] for side in pair)
    replicate = sums_of(*pair, blocks=BLOCKS).resampled(weights)
    assert replicate.n_pairs == apart.sum()
    assert replicate.pearson() == pytest.approx(np.corrcoef(a, b)[0, 1], rel=1e-10)
    assert replicate.cosine() == pytest.approx(a @ b / np.sqrt((a @ a) * (b @ b)), rel=1e-10)
    assert replicate.euclidean() == pytest.approx(np.linalg.norm(a - b), rel=1e-10)
    with pytest.raises(OptionError, match="which cannot be resampled"):
        replicate.centred()
    for bad in ([1, 1], [1, -1, 1, 1], [1, np.nan, 1, 1]):
        with pytest.raises(OptionError, match="4 numbers >= 0"):
            replicate.resampled(bad)


@pytest.mark.parametrize("backend", EVERY)
def test_kernels_are_mapped_entries(backend, pair):
    engine = PairwiseEngine(backend=backend, precision="fp64")
    layers = engine.packed_layers(list(pair), "sqeuclidean")
    kinds = ("rbf", "expm1") if backend == "cpu" else ("expm1", "rbf")
    sums = pair_sums(engine, layers, [(0, 1)], maps=list(zip(kinds, (0.02, 0.5), strict=True)), row_sums=True)[0]
    K, L = (dependence.rbf(side, (0.5 / gamma) ** 0.5) for side, gamma in zip(pair, (0.02, 0.5), strict=True))
    assert sums.centred() == pytest.approx(dependence.kernel_cka(K, L), rel=1e-10)
    assert sums.u_centred() == pytest.approx(dependence.kernel_cka(K, L, debiased=True), rel=1e-9)


def test_equal_sides_score_exactly_1(pair):
    X, _ = pair
    sums = sums_of(X, X.copy(), precision="fp32")
    assert (sums.pearson(), sums.cosine(), sums.centred(), sums.u_centred(), sums.corr_cov()) == (1.0,) * 5
    assert sums.euclidean() == 0.0


def test_undefined_comparisons(pair):
    X, Y = pair
    corners = np.eye(6)
    with pytest.raises(DegenerateError, match="RDM of Y must differ"):
        sums_of(X[:6], corners).refuse_constant("this")
    with pytest.raises(DegenerateError, match="at least 4 rows"):
        sums_of(X[:3], Y[:3]).u_centred()


@pytest.mark.parametrize("n", [1, 2, 191, 192, 193, 5000, 12_288, 12_289, 1_000_000])
def test_equal_blocks(n):
    blocks = equal_blocks(n)
    assert blocks[0] == 0
    assert blocks[-1] == n
    assert (np.diff(blocks) > 0).all()
    assert len(blocks) <= 65
    assert (blocks[:-1] % 192 == 0).all()


@pytest.mark.parametrize("blocks", [[0, 100], [0, 100, 100, 150], [1, 150], [0, 90, 80, 150]])
def test_invalid_blocks(blocks, pair):
    with pytest.raises(OptionError, match="blocks must be"):
        sums_of(*pair, blocks=blocks)


class Counting:
    """A sweep that only records its slices."""

    def __init__(self, n_tasks, stop_at=None):
        self.n_tasks, self.ran, self.stop_at = n_tasks, [], stop_at

    def run(self, begin, end, _n_threads):
        if self.stop_at is not None and end > self.stop_at:
            raise KeyboardInterrupt
        self.ran.append((begin, end))

    def result(self):
        return "whole"


def test_a_run_is_slices_in_order_that_can_be_interrupted():
    engine = PairwiseEngine(n_threads=2)
    sweep = Counting(1000)
    assert engine.run(sweep, "test") == "whole"
    assert sweep.ran[0] == (0, 2)
    assert [begin for begin, _ in sweep.ran[1:]] == [end for _, end in sweep.ran[:-1]]
    assert sweep.ran[-1][1] == 1000
    with pytest.raises(KeyboardInterrupt):
        engine.run(Counting(1000, stop_at=300), "test")


def test_slices_take_a_sixth_of_a_second_at_most_and_are_few(monkeypatch):
    """At the end of each slice threads wait for the last one."""
    clock = [0.0]
    monkeypatch.setattr("pyrepsim.pairwise.engine.time.monotonic", lambda: clock[0])

    class Steady(Counting):
        def run(self, begin, end, n_threads):
            super().run(begin, end, n_threads)
            clock[0] += (end - begin) * 1e-3

    quick = Steady(378)
    PairwiseEngine(n_threads=2).run(quick, "test")
    assert len(quick.ran) <= 4
    long = Steady(10_000)
    PairwiseEngine(n_threads=2).run(long, "test")
    assert max(end - begin for begin, end in long.ran) <= 151
    assert len(long.ran) < 80


def test_an_estimate_before_the_run():
    engine = PairwiseEngine(n_threads=1)
    small, large = engine.estimate(1000, [64, 64]), engine.estimate(10_000, [64, 64])
    assert large.n_bytes == 10 * small.n_bytes
    assert large.seconds == pytest.approx(100 * small.seconds)
    assert "about" in str(small)
    with pytest.raises(ShapeError, match="must fit into memory"):
        engine.refuse_what_does_not_fit(10**18, "this", "Take less.")
