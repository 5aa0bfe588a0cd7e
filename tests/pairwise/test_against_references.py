"""Distances, RDMs, comparators and neighbours, by every backend and precision, against the plain references."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, NonFiniteError
from tests.helpers import references_comparators as comparators
from tests.helpers import references_neighbours as neighbours
from tests.helpers import references_pairwise as pairwise
from tests.helpers.assertions import assert_relative
from tests.helpers.backends import CUDA, EVERY, runs
from tests.helpers.data import cast
from tests.helpers.data_pairwise import PAIRS, ROWS

BACKENDS = ["cpu", "reference"]
TOLERANCE = {"fp32": 1e-6, "fp64": 1e-10}
METRICS = [m for m in pairwise.METRICS if "mahalanobis" not in m]


@cache
def _expected(name: str, metric: str, dtype: str = "float64") -> np.ndarray:
    return pairwise.distances(cast(ROWS[name], dtype), metric)


def _undefined(rows: np.ndarray, metric: str) -> bool:
    """One number has no correlation across features."""
    return metric == "correlation" and rows.shape[1] == 1


def _out_of_range(name: str, metric: str, precision: str) -> bool:
    """Squares of rows near 1e-30 are zero in float32: refused, with the remedy."""
    return name == "tiny" and precision == "fp32" and metric in ("dot", "sqeuclidean", "euclidean")


def _assert_distances(found, expected, metric, tolerance, scale) -> None:
    """Relative to the largest distance; an angle near pi is as uncertain as its cosine makes it."""
    if metric == "angular":
        assert_relative(1 - np.cos(np.pi * found.astype(np.float64)), 1 - np.cos(np.pi * expected), tolerance)
        away = expected < 0.9
        found, expected = found[away], expected[away]
    assert_relative(found, expected, tolerance, scale=scale)


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("name", "backend"), runs(ROWS, ["97x3", "near_duplicates", "tiny"]))
def test_pdist(name, metric, precision, backend):
    rows = ROWS[name]
    if _undefined(rows, metric):
        with pytest.raises(DegenerateError):
            rs.pdist(rows, metric, precision=precision, backend=backend)
        return
    if _out_of_range(name, metric, precision):
        with pytest.raises(NonFiniteError, match="fp64"):
            rs.pdist(rows, metric, precision=precision, backend=backend)
        return
    found = rs.pdist(rows, metric, precision=precision, backend=backend)
    assert found.shape == (len(rows) * (len(rows) - 1) // 2,)
    assert found.dtype == (np.float32 if precision == "fp32" else np.float64)
    expected = _expected(name, metric)
    _assert_distances(found, pairwise.condensed(expected), metric, TOLERANCE[precision], np.abs(expected).max())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("metric", METRICS)
def test_pdist_of_stored_types(metric, dtype, backend):
    rows = cast(ROWS["many_panels"], dtype)
    expected = pairwise.condensed(_expected("many_panels", metric, dtype))
    for precision, tolerance in TOLERANCE.items():
        assert_relative(rs.pdist(rows, metric, precision=precision, backend=backend), expected, tolerance)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 97), (97, 1), (331, 20), (33, 97)])
def test_cdist(shape, metric, precision, backend):
    x, y = ROWS["many_panels"][: shape[0]], ROWS["many_panels"][-shape[1] :] * 0.5 + 1
    found = rs.cdist(x, y, metric, precision=precision, backend=backend)
    expected = pairwise.distances(x, metric, y)
    assert found.shape == shape
    assert_relative(found, expected, TOLERANCE[precision])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("metric", METRICS)
def test_cdist_of_rows_with_themselves(metric, precision, backend):
    x = ROWS["rogue"]
    found = rs.cdist(x, x, metric, precision=precision, backend=backend)
    assert_relative(found, _expected("rogue", metric), TOLERANCE[precision])
    if metric != "dot":
        assert np.all(np.diag(found) == 0)


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("metric", METRICS)
def test_equal_rows_are_at_distance_zero_and_equally_far_from_others(metric, precision, backend):
    for name in ("duplicated_rows", "all_but_one_equal"):
        D = pairwise.square(rs.pdist(ROWS[name], metric, precision=precision, backend=backend))
        n = len(D)
        groups = np.repeat(np.arange(n // 2), 2) if name == "duplicated_rows" else np.r_[np.zeros(n - 1, int), 1]
        for group in np.unique(groups):
            members = np.flatnonzero(groups == group)
            others = np.flatnonzero(groups != group)
            assert np.all(D[np.ix_(members, others)] == D[members[0], others])
            if metric != "dot":
                assert np.all(D[np.ix_(members, members)] == 0)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "manhattan", "chebyshev"])
def test_ties_between_integers_stay_ties(metric, backend):
    expected = pairwise.condensed(_expected("integers_with_ties", metric))
    for precision in TOLERANCE:
        found = rs.pdist(ROWS["integers_with_ties"], metric, precision=precision, backend=backend)
        np.testing.assert_array_equal(comparators.midranks(found), comparators.midranks(expected))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["97x3", "fewer_rows_than_features", "rogue", "duplicated_rows", "offset_1e4"])
@pytest.mark.parametrize("metric", ["mahalanobis", "sqmahalanobis"])
def test_mahalanobis(metric, name, backend):
    expected = pairwise.condensed(_expected(name, metric))
    for precision, tolerance in TOLERANCE.items():
        # whitening multiplies the rounding of the rows by the condition of the covariance
        tolerance = max(tolerance, 1e-8 if name == "offset_1e4" else 0)
        assert_relative(rs.pdist(ROWS[name], metric, precision=precision, backend=backend), expected, tolerance)


# ---- neighbours ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("name", "backend"),
    runs([n for n in ROWS if len(ROWS[n]) >= 19 and ROWS[n].shape[1] > 1], ["near_duplicates", "huge"]),
)
def test_knn(name, metric, precision, backend):
    rows, k = ROWS[name], 10
    if _out_of_range(name, metric, precision):
        with pytest.raises(NonFiniteError, match="fp64"):
            rs.knn(rows, k, metric, precision=precision, backend=backend)
        return
    found, indices = rs.knn(rows, k, metric, precision=precision, backend=backend)
    _check_lists(rows, k, metric, indices, found, TOLERANCE[precision])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("metric", METRICS)
def test_knn_among_other_rows(metric, backend):
    rows, others = ROWS["many_panels"][:40], ROWS["many_panels"][30:] + 0.125
    found, indices = rs.knn(rows, 7, metric, Y=others, backend=backend)
    _check_lists(rows, 7, metric, indices, found, TOLERANCE["fp32"], others)


def _check_lists(rows, k, metric, indices, found, tolerance, others=None):
    """Distances as sorted by the reference; the very same lists where no two distances are within rounding."""
    D = pairwise.distances(rows, metric, others)
    expected = neighbours.nearest(rows, k, metric, others)
    scale = np.abs(D).max()
    assert indices.shape == found.shape == (len(rows), k)
    assert indices.dtype == np.int64
    assert_relative(found, np.take_along_axis(D, expected, axis=1), tolerance, scale=scale)
    assert_relative(np.take_along_axis(D, indices, axis=1), found, tolerance, scale=scale)
    assert all(len(set(row)) == k for row in indices.tolist())
    if others is None:
        assert not np.any(indices == np.arange(len(rows))[:, None])
    if neighbours.least_gap(rows, k, metric, others) > 2 * tolerance:
        np.testing.assert_array_equal(indices, expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "manhattan", "chebyshev", "dot"])
def test_knn_breaks_ties_by_lower_index(metric, backend):
    rows = ROWS["integers_with_ties"]
    assert neighbours.least_gap(rows, 10, metric) == 0
    for precision in TOLERANCE:
        _, indices = rs.knn(rows, 10, metric, precision=precision, backend=backend)
        np.testing.assert_array_equal(indices, neighbours.nearest(rows, 10, metric))


# ---- comparators -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compare", comparators.RDM_COMPARATORS)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("name", ["few_rows", "one_row_short", "integers_with_ties"])
def test_compare_rdms(name, metric, compare):
    x, y = {
        "few_rows": PAIRS["few_rows"],
        "one_row_short": tuple(side[:3] for side in PAIRS["few_rows"]),
        "integers_with_ties": tuple(side[:14] for side in PAIRS["integers_with_ties"]),
    }[name]
    a, b = (pairwise.distances(side, metric) for side in (x, y))
    expected = comparators.RDM_COMPARATORS[compare](pairwise.condensed(a), pairwise.condensed(b))
    for pair in ((a, b), (pairwise.condensed(a), pairwise.condensed(b))):
        assert_relative(float(rs.compare_rdms(*pair, compare=compare)), expected, 1e-10, scale=max(abs(expected), 0.1))


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "manhattan", "chebyshev"])
def test_a_huge_row_does_not_reduce_the_precision_of_others(metric, backend):
    rows = ROWS["97x3"].copy()
    rows[5] *= 1e10
    expected = pairwise.distances(rows, metric)
    others = np.flatnonzero(np.arange(len(rows)) != 5)
    found = pairwise.square(rs.pdist(rows, metric, backend=backend))[np.ix_(others, others)]
    assert_relative(found, expected[np.ix_(others, others)], TOLERANCE["fp32"])
    _, indices = rs.knn(rows, 3, metric, backend=backend)
    np.testing.assert_array_equal(indices[others], neighbours.nearest(rows, 3, metric)[others])


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "dot"])
@pytest.mark.parametrize("n_features", [3, 40])
@pytest.mark.parametrize("row", [0, 700, 701])
@pytest.mark.parametrize("size", [1e30, 1e200])
@pytest.mark.parametrize("backend", ["cpu", *CUDA])
def test_rows_whose_squares_overflow_are_refused_with_their_number(backend, metric, n_features, row, size):
    """Whichever row it is; few features are multiplied in float64, but entries are float32."""
    rows = np.random.default_rng(0).standard_normal((1164, n_features))
    rows[row] *= size
    with pytest.raises(NonFiniteError, match="those of X"):
        rs.pdist(rows, metric, backend=backend) if metric != "dot" else rs.knn(rows, 3, metric, backend=backend)
    if size < 1e150 and backend == "cpu":
        assert np.isfinite(rs.pdist(rows, "euclidean", precision="fp64")).all()
