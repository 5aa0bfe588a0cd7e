"""Measures compared with NumPy, with and without OPENBLAS_CORETYPE=SkylakeX, and with other libraries."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.harness import pair_of_layers, peak_mb, report, run_rival, time_with_rivals
from benchmarks.rivals.measures_way import N_DRAWS
from pyrepsim import CCA, RSA, SVCCA, LinearCKA, compare

NUMPY = [
    ("numpy", {"setting": setting, "dtype": dtype}) for dtype in ("float64", "float32") for setting in ("", "SkylakeX")
]


def report_all(benchmark, folder, measure, module, task, rivals, X, Y, exact, *, precision="fp64"):
    """Report time, error and memory of a comparison and of its rivals."""

    def ours():
        return compare(X, Y, measure, precision=precision).value

    def error(value, exact):
        return float(abs(value - exact))

    facts = time_with_rivals(benchmark, ours, module, task, rivals, folder, error, exact)
    report(benchmark, precision=precision, peak_mb=peak_mb(measure, folder), **facts)


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
    exact = "numpy float64"
    report_all(benchmark, folder, LinearCKA(), "numpy_way", "linear_cka", NUMPY, X, Y, exact, precision=precision)


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
def test_linear_cka_of_few_rows(benchmark, layers, precision):
    folder, X, Y = layers(2_000)
    exact = "numpy float64"
    report_all(benchmark, folder, LinearCKA(), "numpy_way", "linear_cka", NUMPY, X, Y, exact, precision=precision)


def test_svcca(benchmark, layers):
    folder, X, Y = layers(5_000)
    report_all(benchmark, folder, SVCCA(), "numpy_way", "svcca", NUMPY, X, Y, "numpy float64")


def test_rsa_cosine_pearson(benchmark, layers):
    """The exact value is computed from blocks of rows, because n x n matrices in float64 take gigabytes."""
    folder, X, Y = layers(10_000)
    exact, _ = run_rival("numpy_way", "rsa_cosine", "blocks", folder, dtype="float64")
    report_all(benchmark, folder, RSA(), "numpy_way", "rsa_cosine", NUMPY[2:], X, Y, exact)


FLOAT64, FLOAT32 = {"dtype": "float64"}, {"dtype": "float32"}
LIBRARIES = {
    "cca": (CCA(), 5_000, [("cca_zoo", FLOAT64)]),
    "cka": (LinearCKA(), 2_000, [("repsim", FLOAT64)]),
    "debiased": (
        LinearCKA(debiased=True),
        5_000,
        [(name, FLOAT32) for name in ("pytorch_cka", "pytorch_cka_whole", "torch_cka")],
    ),
}


@pytest.mark.parametrize("task", LIBRARIES)
def test_libraries(benchmark, layers, task):
    """Packages for the same measures. Some average the CKA of batches, which differs from the CKA of all rows."""
    measure, n, rivals = LIBRARIES[task]
    folder, X, Y = layers(n)
    exact = compare(X.astype(np.float64), Y.astype(np.float64), measure, backend="reference").value
    report_all(benchmark, folder, measure, "measures_way", task, rivals, X, Y, exact)


def test_debiased_cka_of_some_rows(benchmark, layers):
    """Ours uses a few random rows, the others batches of all rows. Errors are root mean squares over random draws."""
    folder, X, Y = layers(5_000)
    measure = LinearCKA(debiased=True)
    exact = compare(X, Y, measure).value
    draws = [np.random.default_rng(seed).permutation(len(X))[:500] for seed in range(N_DRAWS)]

    def ours():
        return [compare(X[rows], Y[rows], measure).value for rows in draws]

    def error(value, exact):
        return float(np.sqrt(np.mean(np.square(np.subtract(value, exact)))))

    rivals = [(name, FLOAT32) for name in ("pytorch_cka", "torch_cka")]
    report(benchmark, **time_with_rivals(benchmark, ours, "measures_way", "draws", rivals, folder, error, exact))
