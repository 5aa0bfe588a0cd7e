"""Moments of a pair of layers, as a fraction of the measured multiply-add peak."""

from __future__ import annotations

import pytest

from benchmarks.harness import pair_of_layers, report
from benchmarks.roofline import roofline
from pyrepsim import _core
from pyrepsim.moments import PairedMoments

N, D = 50_000, 768


@pytest.fixture(scope="module")
def layers():
    return pair_of_layers(N, D, dtype="float16")


@pytest.mark.parametrize("precision", ["fp32", "fp64", "int24"])
def test_moments_of_a_pair(benchmark, layers, precision):
    X, Y = layers

    def run():
        moments = PairedMoments(D, D, precision=precision)
        moments.update(X, Y)
        moments.state()  # reads the sums, which multiplies pending blocks

    benchmark.pedantic(run, rounds=7, warmup_rounds=1)
    # S_xx and S_yy are symmetric: together d^2 multiply-adds per row, and d^2 for S_xy
    gflops = 4 * N * D * D / benchmark.stats.stats.median / 1e9
    facts = {"gflops": gflops, "rows_per_second": N / benchmark.stats.stats.median}
    if precision == "int24":  # nine products of bytes for each product
        facts["unit"] = _core.int24_unit("auto")
        peak = {"amx": "amx_int8_gops", "vnni": "int8_gops"}.get(facts["unit"])
        facts |= {"fraction_of_peak": 9 * gflops / roofline()[peak]} if peak else {}
    else:
        facts["fraction_of_peak"] = gflops / roofline()[f"{precision}_gflops"]
    report(benchmark, **facts)
