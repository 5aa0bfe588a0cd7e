"""Each of 26 layers compared with each: one pass over the rows for the moments, then the scores of 676 pairs.

PYREPSIM_BENCH_ROWS=100000 uses more rows than the default 3,840. The time of the scores does not depend on the rows.
"""

from __future__ import annotations

import os
import resource
import time
from itertools import combinations

import numpy as np
import pytest

import pyrepsim as rs
from benchmarks.harness import pair_of_layers, report, side_by_side
from benchmarks.memory import peak_mb
from benchmarks.roofline import roofline
from pyrepsim.comparison.layers import layer_groups
from pyrepsim.comparison.moment_scores import score_group
from pyrepsim.comparison.options import ExecutionOptions

LAYERS, D = 26, 768
ROWS = int(os.environ.get("PYREPSIM_BENCH_ROWS", "3840"))
MEASURES = [rs.LinearCKA(), rs.LinearCKA(debiased=True), rs.SVCCA(), rs.PWCCA(), rs.Procrustes(), rs.RSA()]
CHUNK = 8192
BEFORE = 2560
"""Rows that are added before timing starts: memory is then allocated, and as many blocks are pending as at the end."""


def chunks(n: int):
    """Float16 rows of 26 related layers: weighted means of two layers, with a growing weight of the second."""
    X, Y = pair_of_layers(min(n, CHUNK), D)
    layers = [((1 - i / 40) * X + (i / 40) * Y).astype(np.float16) for i in range(LAYERS)]
    for start in range(0, n, CHUNK):
        stop = min(CHUNK, n - start)
        turn = start // CHUNK  # other rows in each chunk, faster than drawing them
        yield [np.roll(layer, turn, axis=1)[:stop] for layer in layers]


@pytest.fixture(scope="module")
def group():
    names = [f"layer.{i}" for i in range(LAYERS)]
    return layer_groups([(a, b) for a in names for b in names])[0].of_one_store()


@pytest.fixture(scope="module")
def filled(group):
    """Moments of raw and unit rows, seconds to add the rows, and seconds to read the sums."""
    moments = ExecutionOptions().moments(group, [D] * LAYERS, MEASURES)
    moments.update(next(chunks(BEFORE)))
    seconds = 0.0
    for chunk in chunks(ROWS):
        start = time.perf_counter()
        moments.update(chunk)
        seconds += time.perf_counter() - start
    start = time.perf_counter()
    moments.side(0, "raw"), moments.side(0, "unit")  # reads the sums, which multiplies pending blocks
    return moments, seconds, time.perf_counter() - start


def test_moments_of_all_pairs(benchmark, filled):
    _, seconds, reading = filled
    benchmark.pedantic(lambda: None, rounds=1)  # the run was timed above
    # 26 symmetric products and 325 others, for raw and for unit rows
    gflops = 2 * 2 * ROWS * D * D * (LAYERS / 2 + LAYERS * (LAYERS - 1) / 2) / seconds / 1e9
    fraction = gflops / roofline()["fp64_gflops"]
    report(
        benchmark, rows=ROWS, seconds=seconds, gflops=gflops, fraction_of_peak=fraction, seconds_to_read_sums=reading
    )


def test_finishing_of_all_pairs(benchmark, group, filled):
    """CKA (biased and debiased), SVCCA, PWCCA, Procrustes and RSA of every pair, from the finished sums."""
    moments = filled[0]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime

    def run():
        return score_group(group, moments, MEASURES, ExecutionOptions(), {}, None)

    scores = benchmark.pedantic(run, rounds=1)
    assert len(scores) == LAYERS**2 * len(MEASURES)
    busy = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
    seconds = benchmark.stats.stats.median
    report(benchmark, pairs=LAYERS**2, seconds=seconds, cores_busy=busy / seconds, peak_mb=peak_mb())


def loop_of_pairs(layers):
    """Like netrep: each pair is centred and multiplied separately, in float64."""
    angles = np.zeros((len(layers), len(layers)))
    for i, j in combinations(range(len(layers)), 2):
        X, Y = (layers[side].astype(np.float64) for side in (i, j))
        X, Y = X - X.mean(axis=0), Y - Y.mean(axis=0)
        nuclear = np.linalg.svd(X.T @ Y, compute_uv=False).sum()
        angles[i, j] = np.arccos(min(nuclear / (np.linalg.norm(X) * np.linalg.norm(Y)), 1.0))
    return angles


def test_shape_distances_of_all_pairs(benchmark):
    """Procrustes angles between 8 layers, including the sums."""
    layers = next(chunks(CHUNK))[:8]
    names = [f"layer.{i}" for i in range(len(layers))]
    group = layer_groups(list(combinations(names, 2)))[0].of_one_store()
    angles = np.zeros((len(names), len(names)))

    def ours():
        moments = ExecutionOptions().moments(group, [D] * len(names), [rs.Procrustes()])
        moments.update([layers[names.index(name)] for name in group.layers_x])
        for score in score_group(group, moments, [rs.Procrustes()], ExecutionOptions(), {}, None):
            angles[names.index(score.layer_x), names.index(score.layer_y)] = score.details["angle"]

    facts = side_by_side(benchmark, ours, {"loop of pairs": lambda: loop_of_pairs(layers)}, rounds=2)
    error = float(np.abs(angles - loop_of_pairs(layers)).max())
    assert error < 1e-6  # small angles are less exact
    report(benchmark, pairs=28, rows=CHUNK, error=error, **facts)
