"""Mid-ranks, Spearman's sums and Kendall's counts of the engine, to the last bit.

NaN is not the engine's concern: the Python layer refuses it before.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata, spearmanr

from pyrepsim import _core

SIZES = [0, 1, 2, 3, 24, 25, 97, 1021, 40_000, 300_000]  # around the limits of the strategies in ranks.cpp


def vectors(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n)
    draws = rng.standard_normal(n)
    few = rng.integers(0, 5, n).astype(np.float64)
    return {
        "uniform": rng.random(n),
        "normal": draws,
        "wide": np.exp(12 * draws),
        "few values": few,
        "constant": np.ones(n),
        "mostly one value": np.where(rng.random(n) < 0.9, 1.0, draws),
        "signed zeros": np.where(few < 3, np.where(few < 1, -0.0, 0.0), draws),
        "outliers": np.where(np.arange(n) % 1000 == 7, 1e30 * draws, 1e-30 * draws),
        "infinities": np.where(few == 0, -np.inf, np.where(few == 1, np.inf, draws)),
        "subnormal": 1e-40 * few,
        "ascending": np.arange(n, dtype=np.float64),
        "descending": -(np.arange(n, dtype=np.float64) ** 3),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", SIZES)
def test_midranks_are_those_of_scipy(n, dtype):
    for name, values in vectors(n).items():
        values = values.astype(dtype)
        expected = rankdata(values)
        for n_threads in (1, 2, 5):
            assert np.array_equal(_core.midranks(values, n_threads), expected), (name, n_threads)


def test_midranks_of_strided_and_read_only_vectors(rng):
    values = rng.standard_normal(600).astype(np.float32)
    expected = rankdata(values[::-3])
    values.flags.writeable = False
    assert np.array_equal(_core.midranks(values[::-3], 2), expected)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((2, 2)), np.zeros(4), "1-D"),
        (np.zeros(3, dtype=np.int64), np.zeros(3), "float32 or float64: got int64"),
        (np.zeros(3), np.zeros(4), "equal length: got 3 and 4"),
    ],
)
def test_invalid_vectors_are_refused(x, y, message):
    for function in (_core.spearman_sums, _core.kendall_counts):
        with pytest.raises(ValueError, match=message):
            function(x, y, 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 2, 97, 1021, 100_000])
def test_spearman_sums_are_exact(n, dtype):
    y = vectors(n)["few values"].astype(dtype)
    for name, x in vectors(n).items():
        x = x.astype(dtype)
        a, b = ((2 * rankdata(v) - (n + 1)).astype(np.int64).tolist() for v in (x, y))
        expected = tuple(math.sumprod(p, q) if hasattr(math, "sumprod") else sum(map(int.__mul__, p, q))
                         for p, q in ((a, a), (a, b), (b, b)))  # fmt: skip
        for n_threads in (1, 2, 5):
            assert _core.spearman_sums(x, y, n_threads) == expected, (name, n_threads)


def test_spearman_sums_give_spearmans_rho(rng):
    x = rng.integers(0, 40, 500).astype(np.float64)
    y = x + rng.integers(0, 60, 500)
    xx, xy, yy = _core.spearman_sums(x, y, 2)
    assert xy / math.sqrt(xx * yy) == pytest.approx(spearmanr(x, y).statistic, rel=1e-14)


def test_spearman_sums_beyond_64_bits():
    n = 3_000_000
    x = np.arange(n, dtype=np.float32)
    total = n * (n * n - 1) // 3  # of (2 r - (n + 1))^2 over r = 1 ... n
    assert total > 2**62
    assert _core.spearman_sums(x, -x, 2) == (total, -total, total)


def pair_counts(x: np.ndarray, y: np.ndarray) -> tuple[int, ...]:
    i, j = np.triu_indices(len(x), 1)
    of_x, of_y = ((v[i] > v[j]).astype(np.int64) - (v[i] < v[j]) for v in (x, y))
    ties = [np.count_nonzero(tied) for tied in (of_x == 0, of_y == 0, (of_x == 0) & (of_y == 0))]
    return len(i), int(of_x @ of_y), *ties


@pytest.mark.parametrize("n", [0, 1, 2, 3, 16, 17, 97, 1021])
def test_kendall_counts_against_every_pair(n):
    for name, x in vectors(n).items():
        for other in ("few values", "normal", "descending"):
            y = vectors(n)[other]
            expected = pair_counts(x, y)
            for n_threads in (1, 2, 5):
                assert _core.kendall_counts(x, y, n_threads) == expected, (name, other, n_threads)


@pytest.mark.parametrize("n", [16_384, 16_385, 70_000, 600_000])  # around the segments and pieces of the merges
def test_kendall_counts_against_scipy(n):
    x, y = (vectors(n)[name].astype(np.float32) for name in ("normal", "mostly one value"))
    y += np.round(x)
    counts = _core.kendall_counts(x, y, 2)
    assert _core.kendall_counts(x, y, 1) == _core.kendall_counts(x, y, 5) == counts
    pairs, difference, ties_x, ties_y, ties_both = counts
    assert 0 <= ties_both <= min(ties_x, ties_y)
    tau_b = difference / math.sqrt((pairs - ties_x) * (pairs - ties_y))
    assert tau_b == pytest.approx(kendalltau(x, y).statistic, rel=1e-12)
    same = _core.kendall_counts(x, x, 2)
    assert same == (pairs, pairs - ties_x, ties_x, ties_x, ties_x)
    assert _core.kendall_counts(x, -x, 2)[1] == ties_x - pairs


@pytest.mark.parametrize("n", [1, 2, 3, 97, 1021, 40_000])
def test_rows_are_ranked_and_compared_as_vectors_are(n):
    every = vectors(n)
    x, y = np.array([*every.values()]), np.array([every["few values"], every["normal"], -every["uniform"]])
    for n_threads in (1, 3):
        ranks = [_core.ranks_of_rows(side, n_threads) for side in (x, y)]
        for side, own in zip((x, y), ranks, strict=True):
            np.testing.assert_array_equal(own, [2 * rankdata(row) for row in side])
        difference, ties_x, ties_y = _core.kendall_of_rows(*ranks, n_threads)
        for i, j in np.ndindex(len(x), len(y)):
            expected = _core.kendall_counts(x[i], y[j], 1)[1:4]
            assert (difference[i, j], ties_x[i], ties_y[j]) == expected, (i, j, n_threads)


def test_what_is_no_rank_of_rows():
    ranks = _core.ranks_of_rows(np.zeros((2, 5)), 1)
    with pytest.raises(ValueError, match="2-D array of float64"):
        _core.ranks_of_rows(np.zeros(5), 1)
    with pytest.raises(ValueError, match="2-D array of float64"):
        _core.ranks_of_rows(np.zeros((2, 5), np.float32), 1)
    with pytest.raises(ValueError, match="equal length"):
        _core.kendall_of_rows(ranks, ranks[:, :4], 1)
    for bad in (ranks.astype(np.int64), ranks[0], ranks + 5, ranks * 0):
        with pytest.raises(ValueError, match="those of ranks_of_rows"):
            _core.kendall_of_rows(ranks, bad, 1)
