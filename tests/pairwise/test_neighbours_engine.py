"""Nearest neighbours by tiles against a full sort of the same distances: exact, ties by the lower index."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

import pyrepsim as rs
from pyrepsim import _core
from pyrepsim.core.errors import OptionError
from tests.helpers.backends import EVERY
from tests.helpers.sweeps import panels, run

METRICS = ["dot", "cosine", "correlation", "sqeuclidean", "euclidean", "angular", "manhattan", "chebyshev"]


def full(x, y, metric: str) -> np.ndarray:
    """Distances of the same tiles, (n, m); infinite from a row to itself."""
    dtype = np.float32 if x.precision == "fp32" else np.float64
    if y is not None:
        return run(_core.DistanceSweep(x, y, metric=metric, out=np.empty((x.n_rows, y.n_rows), dtype=dtype)))
    i, j = np.triu_indices(x.n_rows, 1)
    square = np.full((x.n_rows, x.n_rows), -np.inf if metric == "dot" else np.inf, dtype=dtype)
    square[i, j] = square[j, i] = run(_core.DistanceSweep(x, None, metric=metric, out=np.empty(len(i), dtype=dtype)))
    return square


def sorted_lists(square: np.ndarray, k: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-square if metric == "dot" else square, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(square, order, axis=1)


def ugly_rows(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Whole numbers, so that many distances tie, and a third of the rows thrice."""
    rows = np.random.default_rng(seed).integers(-2, 3, (n, d)).astype(np.float64)
    rows[:, 0] += 5.0
    rows[n // 3 : 2 * (n // 3)] = rows[2 * (n // 3) : 3 * (n // 3)] = rows[: n // 3]
    return rows


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize("metric", METRICS)
def test_lists_equal_the_sorted_distances(metric, precision):
    x = panels(ugly_rows(431, 3), metric, precision=precision)
    y = panels(ugly_rows(97, 3, seed=1), metric, precision=precision, n_blocks=2)
    for other, ks in ((None, (1, 10, 430)), (y, (1, 10, 97))):
        square = full(x, other, metric)
        for k in ks:
            indices, values = run(_core.NeighbourSweep(x, other, metric=metric, k=k))
            expected_indices, expected_values = sorted_lists(square, k, metric)
            assert indices.dtype == np.int64
            assert values.dtype == square.dtype
            assert np.array_equal(values, expected_values), k
            assert np.array_equal(indices, expected_indices), k


def test_against_distances_of_scipy(rng):
    X, Y = rng.standard_normal((500, 20)), rng.standard_normal((300, 20))
    x, y = (panels(rows, "euclidean", precision="fp64") for rows in (X, Y))
    indices, values = run(_core.NeighbourSweep(x, y, metric="euclidean", k=7))
    expected_indices, expected_values = sorted_lists(cdist(X, Y), 7, "euclidean")
    assert np.array_equal(indices, expected_indices)
    assert np.allclose(values, expected_values, rtol=1e-10, atol=0)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("metric", ["dot", "euclidean"])
def test_threads_and_blocks_change_nothing(metric, isa):
    rows, others = ugly_rows(613, 4), ugly_rows(211, 4, seed=1)
    for two_sets in (False, True):
        expected = None
        for n_threads in (1, 2, 5):
            for n_blocks in (1, 3, 64):
                x = panels(rows, metric, n_blocks=n_blocks, isa=isa)
                y = panels(others, metric, n_blocks=n_blocks, isa=isa) if two_sets else None
                found = run(_core.NeighbourSweep(x, y, metric=metric, k=9), n_threads)
                expected = expected or found
                for part, expected_part in zip(found, expected, strict=True):
                    assert part.tobytes() == expected_part.tobytes(), (two_sets, n_threads, n_blocks)


def test_a_set_of_rows_against_itself_finds_itself_and_its_copies():
    rows = ugly_rows(90, 3)
    x = panels(rows, "sqeuclidean")
    indices, values = run(_core.NeighbourSweep(x, x, metric="sqeuclidean", k=3))
    assert not values.any()
    assert all(np.array_equal(rows[row], rows[i]) for row in range(90) for i in indices[row])
    others, _ = run(_core.NeighbourSweep(x, None, metric="sqeuclidean", k=2))
    assert not (others == np.arange(90)[:, None]).any()


def test_all_rows_equal():
    x = panels(np.ones((300, 5)), "cosine")
    indices, values = run(_core.NeighbourSweep(x, None, metric="cosine", k=2))
    assert not values.any()
    assert indices[:3].tolist() == [[1, 2], [0, 2], [0, 1]]
    assert (indices[3:] == [0, 1]).all()


def test_two_rows():
    x = panels(np.array([[0.0, 1.0], [0.0, 3.0]]), "euclidean")
    indices, values = run(_core.NeighbourSweep(x, None, metric="euclidean", k=1))
    assert indices.tolist() == [[1], [0]]
    assert values.tolist() == [[2.0], [2.0]]


@pytest.mark.parametrize(("n", "k", "available"), [(1, 1, 0), (2, 2, 1), (9, 9, 8), (9, 0, 8), (9, -1, 8)])
def test_more_neighbours_than_rows_are_refused(n, k, available):
    x = panels(np.ones((n, 2)), "euclidean")
    with pytest.raises(ValueError, match=f"k must be between 1 and the {available} rows there are: got {k}"):
        _core.NeighbourSweep(x, None, metric="euclidean", k=k)


def test_lists_are_not_read_before_the_last_task():
    x = panels(ugly_rows(300, 2), "euclidean")
    sweep = _core.NeighbourSweep(x, None, metric="euclidean", k=250)
    sweep.run(0, sweep.n_tasks - 1, 1)
    with pytest.raises(ValueError, match="every task"):
        sweep.result()


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_lists_that_include_each_row_itself(metric, backend, rng):
    rows = rng.standard_normal((30, 8))
    rows[20:] = rows[:10]  # a row that is equal is not the row itself
    distances, indices = rs.knn(rows, 4, metric, include_self=True, backend=backend)
    np.testing.assert_array_equal(indices[:, 0], np.arange(30))
    np.testing.assert_array_equal(distances[:, 0], 0)
    others = rs.knn(rows, 3, metric, backend=backend)
    np.testing.assert_array_equal(distances[:, 1:], others[0])
    np.testing.assert_array_equal(indices[:, 1:], others[1])
    assert indices.dtype == np.int64
    assert distances.dtype == np.float32
    distances, indices = rs.knn(rows, 1, metric, include_self=True, backend=backend, precision="fp64")
    assert distances.dtype == np.float64
    assert indices.ravel().tolist() == list(range(30))
    assert rs.knn(rows, 30, metric, include_self=True, backend=backend)[1].shape == (30, 30)


def test_what_including_each_row_itself_refuses(rng):
    rows = rng.standard_normal((6, 3))
    with pytest.raises(OptionError, match="6 rows of X"):
        rs.knn(rows, 7, include_self=True)
    with pytest.raises(OptionError, match="5 other rows"):
        rs.knn(rows, 6)
    for options in ({"Y": rows}, {"metric": "dot"}):
        with pytest.raises(OptionError, match="include_self is for distances"):
            rs.knn(rows, 2, include_self=True, **options)
