"""All pairs of rows with d = 768, compared with other libraries: time, error, memory and fraction of the peak.

Each rival runs in a separate process and chooses its number of threads. A library that is not installed is reported as
missing. Errors are differences from float64: for a correlation the difference, for distances the largest relative
difference among the first rows, for neighbours the fraction that is wrong.
"""

from __future__ import annotations

import json
import subprocess
import sys
import timeit
from statistics import median
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import squareform

from benchmarks.harness import pair_of_layers, report, time_with_rivals
from benchmarks.memory import peak_mb
from benchmarks.rivals.pairwise_way import FEW, K
from benchmarks.roofline import roofline
from pyrepsim import RSA, compare, knn, pdist
from pyrepsim.pairwise import PairwiseEngine

D = 768


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    made: dict[int, Any] = {}

    def get(n):
        if n not in made:
            made.clear()  # keep only one size in memory
            folder = tmp_path_factory.mktemp(f"layers-{n}")
            X, Y = pair_of_layers(n, D)
            np.save(folder / "x.npy", X)
            np.save(folder / "y.npy", Y)
            made[n] = (folder, X, Y)
        return made[n]

    return get


def gigaflops(n: int, sides: int, seconds: float) -> float:
    """GFLOP/s of the inner products of all pairs i < j; a multiply-add counts as two operations."""
    return sides * float(n) * (n - 1) * D / seconds / 1e9


def report_all(benchmark, folder, task, rivals, ours, error, exact, *, n, sides):
    """Report times and errors of ours and of the rivals, and our fraction of the peak for ``sides`` RDMs on tiles."""
    facts = time_with_rivals(benchmark, ours, "pairwise_way", task, rivals, folder, error, exact)
    if sides:
        facts["gflops"] = gigaflops(n, sides, facts["seconds"])
        facts["fraction_of_peak"] = facts["gflops"] / roofline()["fp32_gflops"]
    report(benchmark, **facts)


FLOAT64, SINGLE, FAST = {"dtype": "float64"}, {"dtype": "float32"}, {"setting": "SkylakeX", "dtype": "float32"}
CORRELATIONS = {
    "euclidean_pearson": ("scipy float64", [("scipy", FLOAT64), ("torch", SINGLE), ("cdist", SINGLE)]),
    "cosine_spearman": ("numpy float64", [("numpy", FLOAT64), ("numpy", SINGLE), ("numpy", FAST)]),
    "correlation_pearson": ("numpy float64", [("numpy", FLOAT64), ("numpy", FAST), ("rsatoolbox", FLOAT64)]),
}


def difference(result, exact):
    return float(abs(result - exact))


@pytest.mark.parametrize(
    ("method", "task"), [*(("tiles", task) for task in CORRELATIONS), ("auto", "correlation_pearson")]
)
def test_agreement_of_rdms(benchmark, layers, method, task):
    """RSA of n = 5,000 rows; ``auto`` uses the closed form if there is one."""
    folder, X, Y = layers(5000)
    metric, comparator = task.split("_")
    measure = RSA(metric=metric, compare=comparator, method=method)
    exact, rivals = CORRELATIONS[task]
    if task == "correlation_pearson" and method == "tiles":
        rivals = rivals[:2]  # rsatoolbox takes 20 s and is compared with the closed form only
    report_all(
        benchmark, folder, task, rivals, lambda: compare(X, Y, measure).value, difference, exact,
        n=5000, sides=2 if method == "tiles" else 0,
    )  # fmt: skip


def test_euclidean_rdms_of_few_rows(benchmark, layers):
    """RSA of n = 2,000 rows, because KeOps takes a minute for 5,000."""
    folder, X, Y = layers(2000)
    measure = RSA(metric="euclidean", method="tiles")
    report_all(
        benchmark, folder, "euclidean_pearson", [("scipy", FLOAT64), ("keops", SINGLE)],
        lambda: compare(X, Y, measure).value, difference, "scipy float64", n=2000, sides=2,
    )  # fmt: skip


def test_manhattan(benchmark, layers):
    """All 12.5 million distances of n = 5,000 rows in memory; adding one |a - b| counts as one multiply-add."""
    folder, X, _ = layers(5000)
    few = X[:FEW].astype(np.float64)
    exact = np.abs(few[:, None, :] - few[None, :, :]).sum(axis=2)
    above = np.triu_indices(FEW, 1)

    def error(result: np.ndarray, exact: np.ndarray) -> float:
        """Error of a square matrix of the first rows, or of a condensed matrix of all rows."""
        if result.ndim == 1:
            result = squareform(result)[:FEW, :FEW]
        return float(np.max(np.abs(result[above] - exact[above]) / exact[above]))

    rivals = [("scipy", FLOAT64), ("sklearn", FLOAT64), ("torch", SINGLE)]
    report_all(benchmark, folder, "manhattan", rivals, lambda: pdist(X, "manhattan"), error, exact, n=5000, sides=1)


def test_nearest_neighbours(benchmark, layers):
    """The 10 nearest of each of n = 20,000 rows by Euclidean distance, exactly."""
    folder, X, _ = layers(20_000)
    indices = np.arange(0, len(X), 100)
    rows = X.astype(np.float64)
    exact = []
    for i in indices:
        distance = ((rows - rows[i]) ** 2).sum(axis=1)
        distance[i] = np.inf
        exact.append(set(np.argsort(distance, kind="stable")[:K].tolist()))

    def error(result: np.ndarray, exact: list[set[int]]) -> float:
        hits = sum(len(right & set(result[i].tolist())) for i, right in zip(indices, exact, strict=True))
        return 1 - hits / (K * len(indices))

    rivals = [(name, SINGLE) for name in ("sklearn", "faiss", "torch")]
    report_all(benchmark, folder, "knn", rivals, lambda: knn(X, K, "euclidean")[1], error, exact, n=20_000, sides=1)


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_a_sweep_alone(benchmark, layers, precision):
    """The sums over two RDMs of n = 20,000 packed rows, as a fraction of the multiply-add peak."""
    _, X, Y = layers(20_000)
    engine = PairwiseEngine(precision=precision, progress=False)
    panels = [engine.panels(rows, "cosine") for rows in (X, Y)]

    def run():
        sweep = engine.backend.SumSweep(
            panels, [(0, 1)], metric="cosine", maps=[None, None], origins=[0.0, 0.0], row_sums=False
        )
        sweep.run(0, sweep.n_tasks, engine.n_threads)

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    gflops = gigaflops(20_000, 2, benchmark.stats.stats.median)
    report(benchmark, gflops=gflops, fraction_of_peak=gflops / roofline()[f"{precision}_gflops"])


def test_more_rows_than_fit(benchmark, tmp_path):
    """Euclidean-Spearman RSA of n = 50,000 memory-mapped rows in a separate process: each RDM would take 10 GB."""
    X, Y = pair_of_layers(50_000, D, dtype="float16")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    command = [sys.executable, "-m", "benchmarks.alone", "RSA(metric='euclidean', compare='spearman')"]

    def run():
        command_line = [*command, str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
        return json.loads(subprocess.run(command_line, check=True, capture_output=True, text=True).stdout)

    result = benchmark.pedantic(run, rounds=1)
    gflops = gigaflops(50_000, 4, result["seconds"])  # two sweeps over two RDMs: counts, then ranks
    report(benchmark, **result, gflops=gflops, fraction_of_peak=gflops / roofline()["fp32_gflops"])


def test_a_bank_of_26_layers(benchmark):
    """All pairs of layers of two models with 13 layers, n = 10,000: tiles are computed once per layer, not per pair."""
    X, Y = pair_of_layers(10_000, D, dtype="float16")
    rng = np.random.default_rng(1)
    layers = [
        (side + depth * 0.1 * rng.standard_normal(side.shape, dtype=np.float32)).astype(np.float16)
        for side in (X, Y)
        for depth in range(13)
    ]
    pairs = [(i, 13 + j) for i in range(13) for j in range(13)]
    measure = RSA(metric="euclidean", compare="pearson")
    engine = PairwiseEngine(progress=False)
    drawn = benchmark.pedantic(lambda: measure.evaluate(layers, pairs, engine), rounds=1, warmup_rounds=0)
    seconds = benchmark.stats.stats.median
    single = compare(layers[0], layers[13], measure)
    assert drawn[0][0] == pytest.approx(single.value, abs=1e-9)
    gflops = gigaflops(10_000, 26, seconds)

    def one_layer_alone():
        panels = [engine.panels(layers[3], "euclidean")]
        sweep = engine.backend.SumSweep(panels, [], metric="euclidean", maps=[None], origins=[0.0], row_sums=False)
        sweep.run(0, sweep.n_tasks, engine.n_threads)

    alone = median(timeit.repeat(one_layer_alone, repeat=5, number=1))
    report(
        benchmark, seconds=seconds, seconds_per_pair=seconds / len(pairs), gflops=gflops,
        ratio_to_26_sweeps_alone=seconds / (26 * alone),
        fraction_of_peak=gflops / roofline()["fp32_gflops"], peak_mb=peak_mb(),
    )  # fmt: skip
