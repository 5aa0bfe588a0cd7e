"""CKA and RDMs with the interface of thingsvision have its values, with or without thingsvision itself."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, OptionError, ShapeError
from pyrepsim.integrations import calls, fallbacks
from pyrepsim.integrations import thingsvision as integration

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def theirs() -> Any:
    """The package without its models: thingsvision.core.cka and .rsa."""
    spec = importlib.util.find_spec("thingsvision")
    if spec is None:
        pytest.skip("thingsvision is not installed")
    package = ModuleType("thingsvision")  # whose __init__ imports TensorFlow
    package.__path__, package.__spec__ = list(spec.submodule_search_locations or []), spec
    sys.modules.setdefault("thingsvision", package)
    try:
        return importlib.import_module("thingsvision.core.cka"), importlib.import_module("thingsvision.core.rsa")
    except ImportError as error:
        pytest.skip(f"thingsvision.core cannot be imported: {error}")


def pair(rng: np.random.Generator, n: int = 40, d: int = 12, dtype: str = "float64") -> list[np.ndarray]:
    X = rng.standard_normal((n, d)) + 0.3
    Y = 0.4 * (X[:, : d // 2] + rng.standard_normal((n, d // 2)))
    return [X.astype(dtype), Y.astype(dtype)]


@pytest.mark.parametrize("shape", [(40, 12), (41, 12), (20, 60)], ids=str)
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("sigma", [3.0, None])
@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_cka(theirs, rng, shape: tuple[int, int], kernel: str, unbiased: bool, sigma: float | None, backend: str):
    X, Y = pair(rng, *shape)
    options = (backend, len(X), kernel, unbiased, sigma, "cpu")
    due = theirs[0].get_cka(*options).compare(X, Y)
    found = integration.get_cka(*options).compare(X, Y)
    assert type(found) is type(due)
    assert found.dtype == due.dtype
    assert float(found) == pytest.approx(float(due), rel=1e-9)


def test_cka_of_tensors_in_float32(theirs, rng):
    torch = pytest.importorskip("torch")
    X, Y = (torch.from_numpy(x) for x in pair(rng, dtype="float32"))
    due = theirs[0].get_cka("torch", 40, "rbf", True, None, "cpu").compare(X, Y)
    found = integration.get_cka("torch", 40, "rbf", True, None, "cpu").compare(X, Y)
    assert found.dtype == due.dtype == torch.float32
    assert float(found) == pytest.approx(float(due), rel=1e-4)


@pytest.mark.parametrize("method", ["correlation", "cosine", "euclidean", "gaussian"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rdms(theirs, rng, method: str, dtype: str):
    X, _ = pair(rng, dtype=dtype)
    due = theirs[1].compute_rdm(X, method)
    np.testing.assert_allclose(integration.compute_rdm(X, method), due, atol=1e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("correlation", ["pearson", "spearman"])
def test_correlations(theirs, rng, correlation: str):
    one, other = (integration.compute_rdm(x, "correlation") for x in pair(rng))
    due = theirs[1].correlate_rdms(one, other, correlation)
    assert integration.correlate_rdms(one, other, correlation) == pytest.approx(due, rel=1e-12)


def test_patched(theirs, rng):
    X, Y = pair(rng)
    metric = theirs[0].get_cka("numpy", 40, "linear", True)
    on_torch = theirs[0].get_cka("torch", 40, "rbf", False, 2.0, "cpu")
    rsa = theirs[1]

    def results() -> list[Any]:
        one, other = rsa.compute_rdm(X, "correlation"), rsa.compute_rdm(Y, "gaussian")
        return [metric.compare(X, Y), on_torch.compare(X, Y), one, other, rsa.correlate_rdms(one, other, "spearman")]

    due = results()
    with integration.patched(any_version=True):
        before = sum(calls.values()), sum(fallbacks.values())
        found = results()
        assert sum(calls.values()) == before[0] + 5
        assert sum(fallbacks.values()) == before[1]
    for ours, other in zip(found, due, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-9, atol=1e-12)
        assert ours.dtype == other.dtype


def test_what_is_not_covered_is_left_to_thingsvision(theirs, rng):
    X, _ = pair(rng)
    with integration.patched(any_version=True):
        before = sum(fallbacks.values())
        with contextlib.suppress(NotImplementedError):
            theirs[0].get_cka("numpy", 40, "laplace").compare(X, X)
        rdm = theirs[1].compute_rdm(np.where(np.arange(40)[:, None] < 2, 1.0, X), "correlation")
        assert np.isnan(rdm[0, 5])  # a constant row
        assert sum(fallbacks.values()) == before + 2


def test_cka_is_that_of_compare(rng):
    X, Y = pair(rng)
    assert integration.get_cka("numpy", 40).compare(X, Y) == rs.compare(X, Y, rs.LinearCKA(), precision="fp64").value
    debiased: Any = rs.compare(X, Y, rs.KernelCKA(bandwidth=2.0, debiased=True), precision="fp64")
    assert integration.get_cka("numpy", 40, "rbf", True, 2.0).compare(X, Y) == debiased.value


def test_gaussian_rdm_is_its_formula(rng):
    X, _ = pair(rng)
    squares = np.sum((X[:, None] - X[None]) ** 2, axis=2)
    due = 1 - np.exp(-squares / squares.mean())
    np.testing.assert_allclose(integration.compute_rdm(X, "gaussian"), due, atol=1e-12)
    assert np.diag(integration.compute_rdm(X, "gaussian")).tolist() == [0.0] * 40


def test_equal_rows_do_not_count_for_the_median(rng):
    X, _ = pair(rng)
    X[1] = X[0]
    squares = np.sum((X[:, None] - X[None]) ** 2, axis=2)
    sigma = np.sqrt(np.median(squares[squares > 1e-9]))
    scaled = integration.CKA("numpy", 40, "rbf", sigma=None)._over_median(X, "X")
    np.testing.assert_allclose(scaled, X / sigma, rtol=1e-12)


def test_wrong_options(rng):
    X, _ = pair(rng)
    for options in (("jax", 40), ("numpy", 40, "laplace"), ("numpy", 40, "rbf", False, 0.0)):
        with pytest.raises(OptionError):
            integration.get_cka(*options)
    with pytest.raises(OptionError, match="method"):
        integration.compute_rdm(X, "manhattan")
    rdm = integration.compute_rdm(X, "cosine")
    with pytest.raises(OptionError, match="kendall"):
        integration.correlate_rdms(rdm, rdm, "kendall")
    with pytest.raises(ShapeError, match="same shape"):
        integration.correlate_rdms(rdm, rdm[:-1])
    with pytest.raises(DegenerateError):
        integration.compute_rdm(np.ones((5, 3)), "gaussian")
    with pytest.raises(DegenerateError, match="equal"):
        integration.get_cka("numpy", 5, "rbf", sigma=None).compare(np.ones((5, 3)), X[:5])
