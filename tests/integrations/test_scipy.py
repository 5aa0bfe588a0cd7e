"""SciPy's distances with pyrepsim underneath: the values, the errors and the odd input of SciPy itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrepsim.integrations import calls, fallbacks
from pyrepsim.integrations import scipy as integration

distance = pytest.importorskip("scipy.spatial.distance")

METRICS = ["cosine", "correlation", "euclidean", "sqeuclidean", "seuclidean", "cityblock", "chebyshev", "mahalanobis"]
WEIGHTED = ["cosine", "correlation", "euclidean", "sqeuclidean", "cityblock"]


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((40, 7)) + 3


def both(function: str, *arguments: Any, covered: bool = True, **options: Any) -> tuple[Any, Any]:
    """The result of SciPy and of SciPy with pyrepsim underneath; whether pyrepsim answered is checked."""
    due = getattr(distance, function)(*arguments, **options)
    with integration.patched(any_version=True):
        before = sum(calls.values()), sum(fallbacks.values())
        found = getattr(distance, function)(*arguments, **options)
        assert (sum(calls.values()), sum(fallbacks.values())) == (before[0] + 1, before[1] + (not covered))
    return due, found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "?"])
def test_distances(X, metric: str, dtype: str):
    rows = (X > 3 if dtype == "?" else X * 10).astype(dtype)
    rows = rows[rows.std(axis=1) > 0]
    for function, arguments in (("pdist", (rows,)), ("cdist", (rows[:15], rows[15:]))):
        due, found = both(function, *arguments, metric)
        assert found.dtype == due.dtype
        np.testing.assert_allclose(found, due, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("metric", WEIGHTED)
def test_weights(X, rng, metric: str):
    w = rng.uniform(0.1, 2, 7)
    for function, arguments in (("pdist", (X,)), ("cdist", (X[:15], X[15:]))):
        np.testing.assert_allclose(*both(function, *arguments, metric, w=w), rtol=1e-9)


@pytest.mark.parametrize("metric", integration.METRICS)
def test_every_name_of_a_metric(X, metric: str):
    np.testing.assert_allclose(*both("pdist", X, metric), rtol=1e-9)
    np.testing.assert_allclose(*both("pdist", X, metric.upper()), rtol=1e-9)


@pytest.mark.parametrize("p", [1, 2, np.inf])
def test_minkowski(X, p: float):
    np.testing.assert_allclose(*both("pdist", X, "minkowski", p=p), rtol=1e-9)


def test_scales_that_are_given(X, rng):
    np.testing.assert_allclose(*both("pdist", X, "seuclidean", V=rng.uniform(0.1, 2, 7)), rtol=1e-9)
    inverse = np.linalg.inv(np.cov(rng.standard_normal((50, 7)).T))
    inverse = (inverse + inverse.T) / 2
    np.testing.assert_allclose(*both("cdist", X[:9], X[9:], "mahalanobis", VI=inverse), rtol=1e-9)


def test_out(X):
    out = np.empty(40 * 39 // 2)
    with integration.patched(any_version=True):
        assert distance.pdist(X, out=out) is out
    np.testing.assert_allclose(out, distance.pdist(X), rtol=1e-9)


def test_metrics_may_be_functions_of_scipy(X):
    np.testing.assert_allclose(*both("pdist", X, distance.cosine), rtol=1e-9)


def cosine(u: np.ndarray, v: np.ndarray) -> float:
    """A function of a user, with a name of SciPy."""
    return float(abs(u - v).max())


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        ("jaccard", {}),
        ("canberra", {}),
        ("minkowski", {"p": 3}),
        ("chebyshev", {"w": np.ones(7)}),
        ("euclidean", {"w": [1, 1, 1, 1, 1, 1, 0]}),
        (lambda u, v: abs(u - v).sum(), {}),
        (cosine, {}),
        ("mahalanobis", {"VI": np.triu(np.ones((7, 7))) + 6 * np.eye(7)}),
    ],
)
def test_what_is_not_covered_is_answered_by_scipy(X, metric: Any, options: dict[str, Any]):
    np.testing.assert_array_equal(*both("pdist", X[:12], metric, covered=False, **options))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("metric", ["euclidean", "cityblock"])
def test_infinite_and_missing_numbers(X, odd: float, metric: str):
    X[3, 2] = odd
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(*both("pdist", X, metric, covered=False))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rows_without_a_direction_and_too_few_rows(X):
    constant = np.vstack([X[:5], np.full(7, 2.0)])
    np.testing.assert_array_equal(*both("pdist", constant, "correlation", covered=False))
    np.testing.assert_array_equal(*both("pdist", np.vstack([X[:5], np.zeros(7)]), "cosine", covered=False))
    np.testing.assert_array_equal(*both("pdist", X[:1], covered=False))


@pytest.mark.parametrize("metric", ["euclidean", "seuclidean", "cosine"])
def test_long_doubles_and_rows_without_features(X, metric: str):
    for rows in (X.astype(np.longdouble), X[:, :0]):
        if rows.dtype != np.float64 or rows.size == 0:  # long double is float64 on some machines
            due, found = both("pdist", rows, metric, covered=False)
            assert found.dtype == due.dtype
            np.testing.assert_array_equal(found, due)


def test_sides_of_different_widths_are_refused_by_scipy(X):
    for metric in ("euclidean", "seuclidean"):
        with pytest.raises(ValueError, match="same number of columns"), integration.patched(any_version=True):
            distance.cdist(X, X[:, :5], metric)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (("text",), {}),
        ((np.zeros(3),), {}),
        ((np.zeros((4, 3)), "no such metric"), {}),
        ((np.zeros((4, 3)),), {"out": np.empty(5)}),
        ((np.zeros((4, 3)),), {"out": np.empty(6, "f4")}),
        ((np.random.default_rng(0).random((4, 5)), "mahalanobis"), {}),
        ((np.zeros((4, 3)), "euclidean"), {"w": [-1, 1, 1]}),
        ((np.eye(4, 3), "euclidean"), {"w": 2.0}),
        ((np.eye(4, 3), "seuclidean"), {"V": 2.0}),
        ((np.zeros((4, 3)), "euclidean"), {"unknown": 1}),
    ],
)
def test_errors_are_those_of_scipy(arguments: Any, options: dict[str, Any]):
    with pytest.raises(Exception) as due:
        distance.pdist(*arguments, **options)
    with pytest.raises(due.type), integration.patched(any_version=True):
        distance.pdist(*arguments, **options)
