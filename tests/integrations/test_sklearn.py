"""scikit-learn with pyrepsim underneath: its values, its conventions for neighbours, its checks of estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.manifold
import sklearn.metrics
import sklearn.neighbors
import sklearn.pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from pyrepsim.integrations import calls, fallbacks
from pyrepsim.integrations import sklearn as integration

TRANSFORMER = "sklearn.neighbors.KNeighborsTransformer"


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((80, 6))


@parametrize_with_checks([integration.KNeighborsTransformer()])
@pytest.mark.filterwarnings("ignore")
def test_checks_of_estimators(estimator, check):
    check(estimator)


@pytest.mark.parametrize("metric", ["minkowski", "euclidean", "manhattan", "cosine", "correlation", "chebyshev"])
@pytest.mark.parametrize("mode", ["distance", "connectivity"])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_graphs(X, metric: str, mode: str, dtype: str):
    train, test = X[:60].astype(dtype), X[60:].astype(dtype)
    theirs = sklearn.neighbors.KNeighborsTransformer(mode=mode, n_neighbors=7, metric=metric, algorithm="brute")
    ours = integration.KNeighborsTransformer(mode=mode, n_neighbors=7, metric=metric)
    passed_on = fallbacks[TRANSFORMER]
    for due, found in (
        (theirs.fit_transform(train), ours.fit_transform(train)),
        (theirs.transform(test), ours.transform(test)),
    ):
        assert found.shape == due.shape
        assert np.array_equal(np.diff(found.indptr), np.diff(due.indptr))
        assert np.array_equal(
            np.sort(found.indices.reshape(len(due.indptr) - 1, -1)),
            np.sort(due.indices.reshape(len(due.indptr) - 1, -1)),
        )
        np.testing.assert_allclose(found.toarray(), due.toarray(), rtol=1e-5, atol=3e-3 if dtype == "f4" else 1e-7)
    assert fallbacks[TRANSFORMER] == passed_on


def test_a_row_is_its_own_first_neighbour_among_equal_rows(X):
    rows = np.repeat(X[:10], 8, axis=0)
    graph = integration.KNeighborsTransformer(n_neighbors=4).fit_transform(rows)
    indices = graph.indices.reshape(80, 5)
    assert np.array_equal(indices[:, 0], np.arange(80))
    assert np.array_equal(indices // 8, np.repeat(np.arange(80)[:, None] // 8, 5, axis=1))
    assert not graph.data.any()


def test_estimators_take_the_graph(X):
    pipeline = sklearn.pipeline.make_pipeline(
        integration.KNeighborsTransformer(n_neighbors=12), sklearn.manifold.Isomap(n_neighbors=10, metric="precomputed")
    )
    due = sklearn.manifold.Isomap(n_neighbors=10).fit_transform(X)
    np.testing.assert_allclose(np.abs(pipeline.fit_transform(X)), np.abs(due), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "rows"),
    [({"metric": "canberra"}, None), ({"p": 3}, None), ({"metric": "cosine"}, np.vstack([np.zeros(6), np.eye(6)]))],
)
def test_what_is_not_covered_is_computed_by_scikit_learn(X, options: dict[str, Any], rows: np.ndarray | None):
    rows = X if rows is None else rows
    before = fallbacks[TRANSFORMER]
    found = integration.KNeighborsTransformer(n_neighbors=3, **options).fit_transform(rows)
    due = sklearn.neighbors.KNeighborsTransformer(n_neighbors=3, algorithm="brute", **options).fit_transform(rows)
    assert fallbacks[TRANSFORMER] > before
    np.testing.assert_array_equal(found.toarray(), due.toarray())


@pytest.mark.parametrize("metric", ["euclidean", "l2", "l1", "cityblock", "sqeuclidean", "cosine", "correlation"])
@pytest.mark.parametrize("dtype", ["f8", "f4"])
def test_pairwise_distances(X, metric: str, dtype: str):
    rows = X.astype(dtype)
    for arguments in ((rows,), (rows[:30], rows[30:])):
        due = sklearn.metrics.pairwise_distances(*arguments, metric=metric)
        with integration.patched(any_version=True):
            before = fallbacks["sklearn.metrics.pairwise.pairwise_distances"]
            found = sklearn.metrics.pairwise_distances(*arguments, metric=metric)
            assert fallbacks["sklearn.metrics.pairwise.pairwise_distances"] == before
        assert found.dtype == due.dtype
        np.testing.assert_allclose(found, due, rtol=1e-5, atol=1e-5 if dtype == "f4" else 1e-7)


def test_the_class_is_replaced(X):
    with integration.patched(any_version=True):
        before = calls[TRANSFORMER]
        sklearn.neighbors.KNeighborsTransformer(n_neighbors=3).fit_transform(X)
        assert calls[TRANSFORMER] == before + 1
    assert sklearn.neighbors.KNeighborsTransformer is not integration.KNeighborsTransformer
