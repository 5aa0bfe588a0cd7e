"""netrep with pyrepsim underneath gives the distances of netrep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrepsim.integrations import calls, fallbacks
from pyrepsim.integrations import netrep as integration

pytest.importorskip("netrep")

from netrep import multiset
from netrep.metrics import LinearMetric


@pytest.fixture
def networks(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.standard_normal((50, 8 if k < 3 else 6)) + k for k in range(5)]


def both(function: Any, *, covered: bool = True) -> tuple[Any, Any]:
    due = function()
    with integration.patched():
        before = sum(calls.values()), sum(fallbacks.values())
        found = function()
        assert sum(calls.values()) > before[0]
        assert (sum(fallbacks.values()) == before[1]) == covered
    return found, due


@pytest.mark.parametrize("center_columns", [True, False])
@pytest.mark.parametrize("score_method", ["angular", "euclidean"])
@pytest.mark.parametrize("second", [1, 4])
def test_fit_score_and_transform(networks, center_columns: bool, score_method: str, second: int):
    def distances() -> tuple[float, float, float]:
        metric = LinearMetric(alpha=1.0, center_columns=center_columns, score_method=score_method)
        X, Y = networks[0], networks[second]
        metric.fit(X[:40], Y[:40])
        one, other = metric.transform(X[40:], Y[40:])
        return metric.score(X[:40], Y[:40]), metric.score(X[40:], Y[40:]), float(np.sum(one * other))

    np.testing.assert_allclose(*both(distances), rtol=1e-8)


@pytest.mark.parametrize("score_method", ["angular", "euclidean"])
@pytest.mark.parametrize("caching", [True, False])
def test_all_pairs(networks, score_method: str, caching: bool):
    metric = LinearMetric(score_method=score_method)
    networks = networks[:3] if caching else networks  # netrep pads with zeros only without caching
    found, due = both(lambda: multiset.pairwise_distances(metric, networks, verbose=False, enable_caching=caching))
    np.testing.assert_allclose(found, due, rtol=1e-8)


@pytest.mark.parametrize("with_test_data", [True, False])
def test_all_pairs_of_the_metric(networks, with_test_data: bool):
    train = [X[:40] for X in networks]
    test = [X[40:] for X in networks] if with_test_data else None
    found, due = both(lambda: LinearMetric().pairwise_distances(train, test, processes=1, verbose=False))
    np.testing.assert_allclose(found, due, rtol=1e-8)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_whitened_distances_are_computed_by_netrep(networks, alpha: float):
    found, due = both(lambda: LinearMetric(alpha=alpha).fit_score(networks[0], networks[1]), covered=False)
    assert found == due


def test_errors_are_those_of_netrep(networks):
    with integration.patched(), pytest.raises(ValueError, match="equal dimensions"):
        LinearMetric(zero_pad=False).fit(networks[0], networks[4])
