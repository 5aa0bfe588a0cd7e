"""Ranks by counting: exact for few distinct numbers, also at the limits of the tables."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import rankdata

import pyrepsim as rs
from pyrepsim import _core
from pyrepsim.backends import reference
from pyrepsim.core.errors import DegenerateError

FEWEST = 65_536  # values for which there is a table


def on_few_numbers(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(n)
    draws = rng.standard_normal(n)
    grid = (np.round(1024 * draws) / 1024).astype(np.float32)
    octave = (1 + rng.random(n) / 16).astype(np.float32)
    reference.round_entries(octave)
    signs = rng.integers(-1, 2, n)
    powers = np.ldexp(np.where(signs == 0, 0.0, 1.0), rng.integers(-126, 128, n))
    return {
        "negative and positive": grid,
        "negative": -np.abs(grid) - 1,
        "one octave of twenty bits": octave,
        "every normal exponent": (np.where(signs < 0, -1, 1) * powers).astype(np.float32),
        "zeros of both signs": np.where(signs == 0, 0.0, signs * np.float32(0.0)).astype(np.float32),
        "zeros and ones": (signs * rng.integers(0, 2, n)).astype(np.float32),
        "infinities": np.where(signs == 0, grid, np.copysign(np.inf, draws)).astype(np.float32),
        "the smallest numbers": (np.float32(2**-149) * rng.integers(0, 9, n)).astype(np.float32),
        "constant": np.full(n, 3.5, np.float32),
        "constant but one": np.where(np.arange(n) == n // 3, np.float32(-1e30), np.float32(1e-30)),
        "as many numbers as values": np.arange(n, dtype=np.float32),
    }


def centred(values: np.ndarray) -> np.ndarray:
    return (2 * rankdata(values)).astype(np.int64) - (len(values) + 1)


@pytest.mark.parametrize("n", [FEWEST - 1, FEWEST, 150_000])
def test_midranks_are_those_of_scipy(n):
    for name, values in on_few_numbers(n).items():
        expected = rankdata(values)
        for n_threads in (1, 2, 5):
            assert np.array_equal(_core.midranks(values, n_threads), expected), (name, n_threads)


def test_spearman_sums_are_exact():
    vectors = on_few_numbers(100_001)
    y = vectors["one octave of twenty bits"] + np.abs(vectors["negative and positive"])
    reference.round_entries(y)
    ranks_y = centred(y)
    for name, x in vectors.items():
        ranks_x = centred(x)
        # products of these lengths stay below 2^63, sums of theirs too
        expected = tuple(int(a @ b) for a, b in ((ranks_x, ranks_x), (ranks_x, ranks_y), (ranks_y, ranks_y)))
        for n_threads in (1, 2, 5):
            assert _core.spearman_sums(x, y, n_threads) == expected, (name, n_threads)
    assert _core.spearman_sums(x.astype(np.float64), y, 2) == expected  # one side sorted, one counted
    assert _core.spearman_sums(x, y.astype(np.float64), 2) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 65_536, 65_553, 200_000])
def test_rounded_entries_are_those_of_the_reference(n, dtype):
    rng = np.random.default_rng(n)
    wide = np.exp(60 * rng.standard_normal(n)) * rng.choice([-1, 1], n)
    tiny = np.finfo(dtype).smallest_subnormal * rng.integers(0, 40, n)
    for name, values in {"wide": np.clip(wide, -1e38, 1e38), "positive": rng.random(n) + 0.5, "tiny": tiny}.items():
        expected = values.astype(dtype)
        before = expected.copy()
        span = reference.round_entries(expected)
        for n_threads in (1, 2, 5):
            entries = before.copy()
            assert _core.round_entries(entries, n_threads) == span, (name, n_threads)
            assert np.array_equal(entries.view(np.uint8), expected.view(np.uint8)), (name, n_threads)
        nearest = 2.0 ** (-20 if dtype == "float32" else -40)
        normal = np.abs(before) > np.finfo(dtype).smallest_normal
        assert (np.abs(expected - before)[normal] <= nearest * np.abs(before)[normal]).all()


@pytest.mark.parametrize("entries", [np.zeros(6)[::2], np.zeros(3, np.int64), np.frombuffer(bytes(24))])
def test_entries_that_cannot_be_rounded_are_refused(entries):
    with pytest.raises(ValueError, match="writeable C-contiguous|float32 or float64"):
        _core.round_entries(entries, 1)


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
def test_spearman_of_rows_is_that_of_their_rounded_entries(metric):
    """Rows with copies and opposites, more entries than the fewest: zeros, ties and, for dot, both signs."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((420, 9)).astype(np.float32)
    x[400:] = x[:20]
    x[380:400] = -x[:20]
    y = (x @ rng.standard_normal((9, 50)) + rng.standard_normal((420, 50))).astype(np.float32)
    measure = rs.RSA(metric=metric, compare="spearman", method="tiles")
    values = [rs.compare(x, y, measure, precision="fp32", n_threads=t).value for t in (1, 2, 5)]
    assert values[0] == values[1] == values[2]
    exact = rs.compare(x, y, measure, precision="fp64").value
    assert values[0] == pytest.approx(exact, abs=2e-5)
    ranks = []
    for rows in (x, y):
        engine = rs.pairwise.PairwiseEngine(precision="fp32")
        packed = engine.packed(rows, metric)
        entries = rs.pairwise.distances.condensed(engine, packed.panels, metric)
        reference.round_entries(entries)
        if metric == "cosine":
            entries[entries < 1e-11] = 0
        ranks.append(centred(entries))
    a, b = ranks
    assert values[0] == pytest.approx(int(a @ b) / math.sqrt(int(a @ a)) / math.sqrt(int(b @ b)), rel=1e-15)


def test_entries_that_differ_by_rounding_alone_are_refused():
    rows = np.eye(500, dtype=np.float32)
    other = np.random.default_rng(0).standard_normal((500, 8))
    with pytest.raises(DegenerateError, match="ranks need entries that differ: those of the RDM of X"):
        rs.compare(rows, other, rs.RSA(compare="spearman"), precision="fp32")
