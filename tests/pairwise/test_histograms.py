"""Histograms of tile entries: every entry counted once, in the bin where the table map looks it up."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim import _core

N = 211
LOW, HIGH = 0.35, 1.4  # some entries fall outside
METRICS = ["cosine", "euclidean", "manhattan"]


def run(sweep, n_threads: int = 2):
    """In two slices, as callers with a progress bar do."""
    half = sweep.n_tasks // 2
    sweep.run(0, half, n_threads)
    sweep.run(half, sweep.n_tasks, n_threads)
    return sweep.result()


def panels(rows, *, precision: str = "fp32", n_blocks: int = 5, isa: str = "auto"):
    blocks = [round(len(rows) * b / n_blocks) for b in range(n_blocks + 1)]
    return _core.Panels(rows, transform="unit", shift=None, precision=precision, blocks=blocks, n_threads=2, isa=isa)


def distances(layer, metric: str) -> np.ndarray:
    out = np.empty(layer.n_rows * (layer.n_rows - 1) // 2, dtype="f4" if layer.precision == "fp32" else "f8")
    return run(_core.DistanceSweep(layer, None, metric=metric, out=out))


def bin_of(values: np.ndarray, bins: int, low: float = LOW, high: float = HIGH) -> np.ndarray:
    place = (values.astype(np.float64) - low) * (bins / (high - low))
    return np.clip(np.floor(place), 0, bins - 1).astype(np.int64)


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    X = rng.standard_normal((N, 13)) + 0.4
    X[50:60] = X[40:50]  # duplicates: entries at exactly 0
    return X, X @ rng.standard_normal((13, 40)), rng.standard_normal((N, 1))


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bins", [1, 7, 1 << 16, (1 << 16) + 1, 1 << 20])  # small tables, and collected regions
def test_counts_are_those_of_the_distances(rows, metric, bins, precision):
    layers = [panels(X, precision=precision) for X in rows]
    sweep = _core.HistogramSweep(layers, metric=metric, low=LOW, high=HIGH, bins=bins)
    counts = run(sweep)
    assert counts.shape == (3, bins)
    assert counts.dtype == np.uint64
    for layer, counted in zip(layers, counts, strict=True):
        assert np.array_equal(counted, np.bincount(bin_of(distances(layer, metric), bins), minlength=bins))
    assert np.array_equal(sweep.result(), counts)  # reading changes nothing


@pytest.mark.parametrize("bins", [50, 1 << 20])
def test_each_layer_can_have_its_own_range(rows, bins):
    layers = [panels(X) for X in rows]
    low, high = [0.0, 0.5, -1.0], [1.0, 2.5, 0.75]
    counts = run(_core.HistogramSweep(layers, metric="euclidean", low=low, high=high, bins=bins))
    for layer, counted, a, b in zip(layers, counts, low, high, strict=True):
        expected = np.bincount(bin_of(distances(layer, "euclidean"), bins, a, b), minlength=bins)
        assert np.array_equal(counted, expected)


@pytest.mark.parametrize("bins", [1, 9, 256, 300])
def test_joint_counts(rows, bins):
    layers, pairs = [panels(X) for X in rows], [(0, 1), (2, 0), (1, 1)]
    counts = run(_core.JointHistogramSweep(layers, pairs, metric="cosine", low=LOW, high=HIGH, bins=bins))
    assert counts.shape == (3, bins, bins)
    places = [bin_of(distances(layer, "cosine"), bins) for layer in layers]
    for (a, b), counted in zip(pairs, counts, strict=True):
        expected = np.bincount(places[a] * bins + places[b], minlength=bins * bins).reshape(bins, bins)
        assert np.array_equal(counted, expected)


@pytest.mark.parametrize("bins", [97, 1 << 16, 1 << 18])
def test_the_table_map_uses_the_bins_of_the_histogram(rows, bins):
    """The sums of any table over the entries are its products with the histogram: here of integers, so exactly."""
    layers = [panels(rows[0]), panels(rows[1])]
    counts = run(_core.HistogramSweep(layers, metric="euclidean", low=LOW, high=HIGH, bins=bins))
    table = np.random.default_rng(0).integers(-9, 9, bins).astype(np.float32)
    maps = [("table", LOW, HIGH, table)] * 2
    sums = run(_core.SumSweep(layers, [], metric="euclidean", maps=maps, origins=[0.0, 0.0], row_sums=False))
    for power, name in ((1, "first"), (2, "second")):
        expected = (table.astype(np.float64) ** power) @ counts.T.astype(np.float64)
        assert np.array_equal(sums[name].sum(axis=(1, 2)), expected)


@pytest.mark.parametrize("isa", _core.available_isas())
def test_threads_blocks_and_slices_change_nothing(rows, isa):
    for bins in (1000, 1 << 17):
        options = {"metric": "cosine", "low": LOW, "high": HIGH}
        expected = joint = None
        for n_threads in (1, 2, 5):
            for n_blocks in (1, 4, N):
                layers = [panels(X, n_blocks=n_blocks, isa=isa) for X in rows[:2]]
                counts = run(_core.HistogramSweep(layers, bins=bins, **options), n_threads)
                both = run(_core.JointHistogramSweep(layers, [(0, 1)], bins=bins // 500, **options), n_threads)
                expected, joint = (counts, both) if expected is None else (expected, joint)
                assert np.array_equal(counts, expected), (n_threads, n_blocks)
                assert np.array_equal(both, joint), (n_threads, n_blocks)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows(n):
    layer = panels(np.ones((n, 4)), n_blocks=1)
    counts = run(_core.HistogramSweep([layer], metric="euclidean", low=0.0, high=1.0, bins=4))
    assert counts.tolist() == [[n * (n - 1) // 2, 0, 0, 0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": 0}, "bins must be between 1 and 2\\^28: got 0"),
        ({"low": 1.0, "high": 1.0}, "low < high"),
        ({"low": float("nan")}, "low < high"),
        ({"low": [0.0]}, "low must be a number or one per layer: got 1 for 2 layers"),
        ({"bins": 1 << 15}, "ask for fewer bins"),
        ({"pairs": [(0, 2)]}, r"two of the 2 layers: got \(0, 2\)"),
    ],
)
def test_invalid_histograms_are_refused(rows, options, message):
    options = {"low": 0.0, "high": 2.0, "bins": 8, "metric": "cosine", "pairs": [(0, 1)]} | options
    with pytest.raises(ValueError, match=message):
        _core.JointHistogramSweep([panels(X) for X in rows[:2]], **options)
