"""Time and memory against rows, features, layers and threads, and the time of a call on few rows.

Each point compares two stores of float16 rows in a separate process, so that its peak memory can be measured.
``python -m benchmarks.scaling_figure`` draws the results.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import timeit

import numpy as np
import pytest

import pyrepsim as rs
from benchmarks.harness import report, run_rival
from benchmarks.scale import generate

MEASURES = "LinearCKA(debiased=True), RSA"
ROWS, WIDTH = 20_000, 256


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A function that returns two stores with the given rows, layers and features, and writes them if necessary."""
    folder = tmp_path_factory.mktemp("scaling")

    def get(rows: int, layers: int, width: int):
        paths = [folder / f"{name}-{rows}-{layers}-{width}" for name in ("base", "tuned")]
        for seed, path in enumerate(paths, 1):
            generate(path, rows, layers, width, seed)
        return paths

    return get


def compared(paths, *, layers="same", threads=None):
    """Seconds and peak memory of a process that compares two stores."""
    environment = os.environ | ({} if threads is None else {"PYREPSIM_NUM_THREADS": str(threads)})
    command = [sys.executable, "-m", "benchmarks.alone", MEASURES, *map(str, paths), "--stores", layers]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def point(benchmark, series, at, paths, *, beside=None, **arguments):
    result = benchmark.pedantic(lambda: compared(paths, **arguments), rounds=1)
    report(benchmark, series=series, at=at, seconds=result["seconds"], peak_mb=result["peak_mb"], **(beside or {}))


@pytest.mark.parametrize("rows", [1_000, 10_000, 100_000, 1_000_000])
def test_rows(benchmark, stores, tmp_path, rows):
    """Compared with NumPy on the whole arrays: linear CKA, and RSA from both n x n matrices if they fit in memory."""
    paths = stores(rows, 1, WIDTH)
    for name, path in zip("xy", paths, strict=True):
        np.save(tmp_path / f"{name}.npy", np.asarray(rs.open_store(path)["layer.0"]))
    beside = {}
    for recipe in ("linear_cka", "rsa_cosine") if rows <= 10_000 else ("linear_cka",):
        _, rival = run_rival("numpy_way", recipe, "numpy", tmp_path)
        beside |= {f"numpy {recipe} {fact}": rival[fact] for fact in ("seconds", "peak_mb")}
    point(benchmark, "rows", rows, paths, beside=beside)


@pytest.mark.parametrize("width", [64, 256, 1024, 4096])
def test_features(benchmark, stores, width):
    point(benchmark, "features", width, stores(ROWS, 1, width))


@pytest.mark.parametrize("layers", [1, 5, 13])
@pytest.mark.parametrize("pairs", ["same", "all"])
def test_layers(benchmark, stores, layers, pairs):
    point(benchmark, f"layers, {pairs} pairs", layers, stores(ROWS, layers, WIDTH), layers=pairs)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads(benchmark, stores, threads):
    point(benchmark, "threads", threads, stores(100_000, 1, 768), threads=threads)


def test_a_call_on_few_rows(benchmark):
    """Time of `compare` on so few rows that its overhead dominates."""
    X, Y = np.random.default_rng(0).standard_normal((2, 100, 16), dtype=np.float32)
    measure = rs.LinearCKA()
    benchmark(lambda: rs.compare(X, Y, measure))

    def numpy():
        A, B = X - X.mean(axis=0), Y - Y.mean(axis=0)
        return np.linalg.norm(A.T @ B) ** 2 / (np.linalg.norm(A.T @ A) * np.linalg.norm(B.T @ B))

    theirs = min(timeit.repeat(numpy, repeat=7, number=100)) / 100
    seconds = benchmark.stats.stats.median
    report(benchmark, seconds=seconds, **{"numpy float32 ratio": theirs / seconds})
