"""scib-metrics with pyrepsim underneath, over a package of the same names and signatures; its tests: tests/clients."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.neighbors import NearestNeighbors

from pyrepsim.integrations import calls, fallbacks
from pyrepsim.integrations import scib_metrics as integration

STAND_IN = """
from dataclasses import dataclass
@dataclass
class NeighborsResults:
    indices: object
    distances: object
def pynndescent(X, n_neighbors, random_state=0, n_jobs=1):
    return "theirs"
def jax_approx_min_k(X, n_neighbors, recall_target=0.95, chunk_size=2048):
    return "theirs"
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    (tmp_path / "scib_metrics").mkdir()
    (tmp_path / "scib_metrics" / "__init__.py").touch()
    (tmp_path / "scib_metrics" / "nearest_neighbors.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "scib_metrics"]:
        del sys.modules[name]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ["pynndescent", "jax_approx_min_k"])
def test_exact_neighbours(host, rng, name: str, dtype: str):
    X = rng.standard_normal((120, 8)).astype(dtype)
    X[7] = X[3]
    with integration.patched():
        from scib_metrics import nearest_neighbors as theirs  # pyright: ignore[reportMissingImports]

        called = calls[f"scib_metrics.nearest_neighbors.{name}"]
        found = getattr(theirs, name)(X, 6)
        assert calls[f"scib_metrics.nearest_neighbors.{name}"] == called + 1
    due, _ = NearestNeighbors(n_neighbors=6, algorithm="brute").fit(X.astype("f8")).kneighbors()
    assert isinstance(found, theirs.NeighborsResults)
    assert np.array_equal(found.indices[:, 0], np.arange(120))
    np.testing.assert_allclose(found.distances[:, 1:], due[:, :5], atol=3e-3 if dtype == "f4" else 1e-7)
    assert getattr(theirs, name)(X, 6) == "theirs"


def test_a_neighbour_computer(host, rng):
    found = integration.nearest_neighbors(rng.standard_normal((30, 4)), 30)
    assert sorted(found.indices[5]) == list(range(30))


def test_sparse_rows_are_left_to_the_host(host):
    passed_on = fallbacks["scib_metrics.nearest_neighbors.pynndescent"]
    with integration.patched():
        from scib_metrics.nearest_neighbors import pynndescent  # pyright: ignore[reportMissingImports]

        assert pynndescent(csr_array(np.eye(5)), 2) == "theirs"
    assert fallbacks["scib_metrics.nearest_neighbors.pynndescent"] == passed_on + 1
