"""Whole measures against the same measure in NumPy, plain and with OPENBLAS_CORETYPE=SkylakeX, in one run."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.harness import MACHINE_SETTINGS, numpy_rival, pair_of_layers, peak_mb, report, rivals_beside
from pyrepsim import CCA, RSA, SVCCA, LinearCKA, compare


def against_numpy(
    benchmark,
    folder,
    measure,
    name,
    X,
    Y,
    *,
    precision="fp64",
    dtypes=("float32", "float64"),
    repeats=3,
    rounds=5,
    exact=None,
):
    """Time ours, then NumPy's in its processes; errors against NumPy's float64 value of float64 data, found by the
    recipe ``exact`` where the usual one does not fit into memory.
    """
    score = compare(X, Y, measure, precision=precision)
    benchmark.pedantic(lambda: compare(X, Y, measure, precision=precision), rounds=rounds, warmup_rounds=1)
    ours = benchmark.stats.stats.median
    facts = {"precision": precision, "seconds": ours, "peak_mb": peak_mb(measure, folder)}
    reference = exact and numpy_rival(exact, folder, dtype="float64", setting="numpy", repeats=1)["value"]
    if reference:
        facts["error"] = abs(score.value - reference)
    for dtype in sorted(dtypes, reverse=True):  # float64 first: it is the reference
        for setting in MACHINE_SETTINGS:
            rival = numpy_rival(name, folder, dtype=dtype, setting=setting, repeats=repeats)
            if reference is None:
                reference = rival["value"]
                facts["error"] = abs(score.value - reference)
            label = f"{setting} {dtype}"
            facts |= {
                f"{label} ratio": rival["seconds"] / ours,
                f"{label} error": abs(rival["value"] - reference),
            }
            facts[f"{label} peak_mb"] = rival["peak_mb"]
    report(benchmark, **facts)


@pytest.fixture(scope="module")
def layers(tmp_path_factory):
    made = {}

    def get(n, d=768):
        if (n, d) not in made:
            folder = tmp_path_factory.mktemp(f"layers-{n}-{d}")
            X, Y = pair_of_layers(n, d)
            np.save(folder / "x.npy", X)
            np.save(folder / "y.npy", Y)
            made[n, d] = (folder, X, Y)
        return made[n, d]

    return get


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
def test_linear_cka(benchmark, layers, precision):
    folder, X, Y = layers(50_000)
    against_numpy(benchmark, folder, LinearCKA(), "linear_cka", X, Y, precision=precision)


def test_svcca(benchmark, layers):
    folder, X, Y = layers(20_000)
    against_numpy(benchmark, folder, SVCCA(), "svcca", X, Y, repeats=1)


def test_rsa_cosine_pearson(benchmark, layers):
    folder, X, Y = layers(20_000)
    alone = {"dtypes": ("float32",), "repeats": 1, "exact": "rsa_cosine_exact"}
    against_numpy(benchmark, folder, RSA(), "rsa_cosine", X, Y, **alone)


LIBRARIES = {
    "cca": (CCA(), 20_000, [("cca_zoo", {"dtype": "float64"})]),
    "cka": (LinearCKA(), 2_000, [("repsim", {"dtype": "float64"})]),
    "debiased": (
        LinearCKA(debiased=True),
        5_000,
        [(name, {}) for name in ("pytorch_cka", "pytorch_cka_whole", "torch_cka")],
    ),
}


@pytest.mark.parametrize("task", LIBRARIES)
def test_libraries(benchmark, layers, task):
    """Packages for the same measures. Those that average batches of CKA are off by what that estimates."""
    measure, n, rivals = LIBRARIES[task]
    folder, X, Y = layers(n)
    benchmark.pedantic(lambda: compare(X, Y, measure), rounds=5, warmup_rounds=1)
    seconds = benchmark.stats.stats.median
    exact = compare(X.astype(np.float64), Y.astype(np.float64), measure, backend="reference").value
    value = compare(X, Y, measure).value

    def error(found):
        return float(abs(found - exact))

    facts = {"seconds": seconds, "error": error(value), "peak_mb": peak_mb(measure, folder)}
    report(benchmark, **facts, **rivals_beside("measures_way", task, rivals, folder, seconds, error))
