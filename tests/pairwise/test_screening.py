"""Neighbours screened by bfloat16 products have the same bits as unscreened ones, also for difficult rows."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim import _core
from tests.helpers.sweeps import panels, run

PRODUCTS = ["dot", "cosine", "correlation", "sqeuclidean", "euclidean", "angular"]

pytestmark = pytest.mark.skipif(
    not _core.can_screen(panels(np.eye(4), "dot"), "dot"), reason="this processor has no bfloat16 products"
)


def normal(rng, n, d):
    return rng.standard_normal((n, d))


def clustered(rng, n, d):
    """Within a cluster distances differ by less than bfloat16 resolves."""
    return rng.standard_normal((5, d))[rng.integers(0, 5, n)] + 1e-3 * rng.standard_normal((n, d))


def duplicated(rng, n, d):
    rows = rng.standard_normal((n, d))
    rows[n // 2 :] = rows[: n - n // 2]
    return rows


def whole_numbers(rng, n, d):
    """Exact in bfloat16, with many ties."""
    return rng.integers(-1, 2, (n, d)) + np.eye(1, d)


def rogue(rng, n, d):
    """Three dimensions whose mean is 50 standard deviations."""
    return rng.standard_normal((n, d)) + 50.0 * (np.arange(d) < 3)


def tiny_spread(rng, n, d):
    return 1.0 + 1e-5 * rng.standard_normal((n, d))


def long_and_short(rng, n, d):
    return rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-3, 3, (n, 1))


def vanishing(rng, n, d):
    """Rows of which some products are no normal numbers, and one that is zero but for its first feature."""
    rows = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-24, 2, (n, 1))
    rows[3] = np.eye(1, d) * 1e-22
    return rows


def worst_rounding(rng, n, d):
    """Every value rounds by all but half a unit, in the direction that makes errors of products add up."""
    signs = np.where(rng.random(d) < 0.5, -1.0, 1.0)
    return signs * (1 + 0.995 * 2.0**-8) * 2.0 ** rng.integers(-3, 4, (n, 1))


HOSTILE = [
    normal, clustered, duplicated, whole_numbers, rogue, tiny_spread, long_and_short, vanishing, worst_rounding,
]  # fmt: skip


def rows_of(kind, n: int, d: int, metric: str) -> np.ndarray:
    rows = kind(np.random.default_rng(0), n, d)
    if metric == "correlation":  # which has no direction for constant rows
        rows[:, 0] += 2.0 * np.abs(rows).max(axis=1)
    return rows


def both(x, y, metric: str, k: int, n_threads: int = 2):
    return [run(_core.NeighbourSweep(x, y, metric=metric, k=k, screen=screen), n_threads) for screen in (True, False)]


def assert_same_bits(found, expected, what) -> None:
    for part, expected_part in zip(found, expected, strict=True):
        assert part.dtype == expected_part.dtype
        assert part.tobytes() == expected_part.tobytes(), what


@pytest.mark.parametrize("kind", HOSTILE, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("metric", PRODUCTS)
def test_screened_lists_have_the_bits_of_unscreened_ones(metric, kind):
    for n, d in ((401, 97), (230, 300)):
        x = panels(rows_of(kind, n, d, metric), metric)
        for k in (1, 10, n - 1):
            assert_same_bits(*both(x, None, metric, k), (n, d, k))


@pytest.mark.parametrize("metric", PRODUCTS)
def test_screened_lists_between_two_sets(metric):
    x, y = (panels(rows_of(kind, n, 130, metric), metric) for kind, n in ((clustered, 333), (normal, 205)))
    for left, right in ((x, y), (y, x), (x, x)):
        for k in (1, 7, right.n_rows):
            assert_same_bits(*both(left, right, metric, k), k)


@pytest.mark.parametrize(("n", "d", "k"), [(2, 1, 1), (2, 70, 1), (3, 2, 2), (49, 65, 48)])
def test_few_rows(n, d, k):
    for metric in ("dot", "euclidean"):
        assert_same_bits(*both(panels(rows_of(normal, n, d, metric), metric), None, metric, k), metric)


@pytest.mark.parametrize("metric", ["dot", "angular"])
def test_threads_and_blocks_change_nothing(metric):
    rows = rows_of(clustered, 700, 80, metric)
    expected = run(_core.NeighbourSweep(panels(rows, metric), None, metric=metric, k=9, screen=False))
    for n_threads in (1, 2, 5):
        for n_blocks in (1, 3, 64):
            x = panels(rows, metric, n_blocks=n_blocks)
            found = run(_core.NeighbourSweep(x, None, metric=metric, k=9, screen=True), n_threads)
            assert_same_bits(found, expected, (n_threads, n_blocks))


@pytest.mark.parametrize("kind", HOSTILE, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("metric", ["dot", "cosine", "sqeuclidean"])
def test_bounds_hold_for_every_pair(metric, kind):
    for n, d in ((150, 97), (150, 768)):
        x = panels(rows_of(kind, n, d, metric), metric, n_blocks=2)
        low, high, entry = _core.screening_bounds(x, metric)
        tile = "dot" if metric == "dot" else "sqeuclidean"
        above = np.triu_indices(n, 1)
        made = run(_core.DistanceSweep(x, None, metric=tile, out=np.empty(len(above[0]), dtype=np.float32)))
        computed = -entry if metric == "dot" else 2 * entry
        assert computed[above].tobytes() == made.tobytes(), "an entry by itself is not the tile's"
        assert (low <= entry).all()
        assert (entry <= high).all()


def test_bounds_are_tight():
    """Rows chosen against the bound use nearly all of it; it is no wider than rounding to eight bits allows."""
    x = panels(rows_of(worst_rounding, 100, 768, "dot"), "dot", n_blocks=1)
    low, high, entry = _core.screening_bounds(x, "dot")
    used = np.abs(entry - (low + high) / 2) / ((high - low) / 2)
    assert used.max() > 0.98
    x = panels(rows_of(normal, 100, 768, "cosine"), "cosine", n_blocks=1)
    low, high, _ = _core.screening_bounds(x, "cosine")
    assert (high - low).max() < 2 * 2 * 2.0**-9


def test_few_entries_are_computed_among_normal_rows():
    x = panels(rows_of(normal, 1500, 128, "euclidean"), "euclidean", n_blocks=8)
    sweep = _core.NeighbourSweep(x, None, metric="euclidean", k=5, screen=True)
    run(sweep)
    counts = sweep.counts
    assert counts["screened"] == 1500 * 1499 // 2
    assert counts["unscreened"] == 0
    assert 5 * 1500 <= counts["computed"] < 20 * 1500
    assert counts["hits"] < counts["screened"] / 4


def test_rows_closer_than_bfloat16_resolves_use_float32_tiles():
    rows = np.ones((3000, 80))
    rows[::2] += 1e-6 * np.random.default_rng(0).standard_normal((1500, 80))
    x = panels(rows, "euclidean", n_blocks=16)
    sweep = _core.NeighbourSweep(x, None, metric="euclidean", k=3, screen=True)
    found = run(sweep)
    assert sweep.counts["unscreened"] > sweep.counts["screened"] > 0
    assert_same_bits(found, run(_core.NeighbourSweep(x, None, metric="euclidean", k=3, screen=False)), "mixed")


def test_two_sets_of_which_the_second_has_more_blocks():
    """Here float32 tiles once locked a mutex past the end: blocks of the second set have none."""
    rows = 1 + 1e-3 * np.random.default_rng(0).standard_normal((1008, 96))
    x, y = panels(rows[:8], "sqeuclidean"), panels(rows[8:], "sqeuclidean", n_blocks=1000)
    sweep = _core.NeighbourSweep(x, y, metric="sqeuclidean", k=3, screen=True)
    found = run(sweep)
    assert sweep.counts["unscreened"] > 0
    assert_same_bits(found, run(_core.NeighbourSweep(x, y, metric="sqeuclidean", k=3, screen=False)), "two sets")


def test_screening_is_chosen_where_it_pays():
    rows = np.random.default_rng(0).standard_normal((9000, 400), dtype=np.float32)

    def screens(X: np.ndarray, k: int = 10, metric: str = "cosine", precision: str = "fp32", isa: str = "auto") -> bool:
        x = panels(X, metric, precision=precision, isa=isa)
        return _core.NeighbourSweep(x, None, metric=metric, k=k).counts is not None

    assert screens(rows)
    assert not screens(rows[:500])
    assert not screens(rows[:, :16])
    assert not screens(rows, k=4000)
    assert not screens(rows, metric="manhattan")
    assert not screens(rows, precision="fp64")
    assert not screens(rows, isa="base")


@pytest.mark.parametrize(
    ("metric", "precision", "isa"), [("manhattan", "fp32", "auto"), ("dot", "fp64", "auto"), ("dot", "fp32", "base")]
)
def test_invalid_screening_is_refused(metric, precision, isa):
    x = panels(np.eye(4), metric, precision=precision, isa=isa)
    with pytest.raises(ValueError, match="screening needs float32 panels"):
        _core.NeighbourSweep(x, None, metric=metric, k=1, screen=True)


def test_screened_lists_are_not_read_before_the_last_task():
    sweep = _core.NeighbourSweep(panels(np.eye(90), "dot"), None, metric="dot", k=2, screen=True)
    sweep.run(0, sweep.n_tasks - 1, 1)
    with pytest.raises(ValueError, match="every task"):
        sweep.result()
