"""scikit-learn with pyrepsim underneath: its values, its conventions for neighbours, its checks of estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sklearn.cross_decomposition
import sklearn.manifold
import sklearn.metrics
import sklearn.model_selection
import sklearn.neighbors
import sklearn.pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import pyrepsim as rs
from pyrepsim.integrations import calls, fallbacks
from pyrepsim.integrations import sklearn as integration

TRANSFORMER = "sklearn.neighbors.KNeighborsTransformer"


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((80, 6))


ESTIMATORS = [
    integration.KNeighborsTransformer(),
    integration.RepresentationCCA(),
    integration.RepresentationCCA(n_components=1, ridge=0.1),
    integration.RepresentationSVCCA(variance=0.9),
]


@parametrize_with_checks(ESTIMATORS)
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


def test_directions_of_cca_are_those_of_scikit_learn(X, rng):
    Y = X[:, :4] @ rng.standard_normal((4, 4)) + rng.standard_normal((80, 4))
    theirs = sklearn.cross_decomposition.CCA(n_components=2, max_iter=10_000, tol=1e-14).fit(X[:60], Y[:60])
    ours = integration.RepresentationCCA(n_components=2).fit(X[:60], Y[:60])
    for due, found in zip(theirs.transform(X, Y), ours.transform(X, Y), strict=True):
        fitted = [np.corrcoef(due[:60, k], found[:60, k])[0, 1] for k in range(2)]
        np.testing.assert_allclose(np.abs(fitted), 1, atol=1e-8)
    variates = ours.transform(X[:60], Y[:60])
    assert variates[0].std(axis=0) == pytest.approx(1)
    kept = [np.corrcoef(variates[0][:, k], variates[1][:, k])[0, 1] for k in range(2)]
    assert kept == pytest.approx(ours.correlations_, abs=1e-12)
    assert ours.score(X[:60], Y[:60]) == pytest.approx(ours.correlations_.mean(), abs=1e-12)
    assert ours.score(X[60:], Y[60:]) < ours.correlations_.mean()
    assert list(ours.get_feature_names_out()) == ["representationcca0", "representationcca1"]


def test_estimators_agree_with_the_measures(X, rng):
    Y = X[:, :4] + rng.standard_normal((80, 4))
    assert integration.RepresentationCCA().fit(X, Y).correlations_.mean() == pytest.approx(
        rs.compare(X, Y, rs.CCA()).value, abs=1e-12
    )
    assert integration.RepresentationSVCCA(variance=0.8).fit(X, Y).correlations_.mean() == pytest.approx(
        rs.compare(X, Y, rs.SVCCA(variance=0.8)).value, abs=1e-12
    )


def test_estimators_in_a_grid_search(X, rng):
    Y = X[:, :4] + rng.standard_normal((80, 4))
    search = sklearn.model_selection.GridSearchCV(
        integration.RepresentationCCA(), {"ridge": [0.0, 0.5], "n_components": [1, 2]}, cv=3
    )
    assert search.fit(X, Y).best_score_ > 0.5
    with pytest.raises(ValueError, match="n_components"):
        integration.RepresentationCCA(n_components=0).fit(X, Y)
