"""Input and output of distance functions, and RDMs of conditions; other files test the values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import distance

import pyrepsim as rs
from pyrepsim.core.errors import BackendError, DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError
from pyrepsim.pairwise import METRICS
from tests.helpers import references_pairwise as reference
from tests.helpers.backends import EVERY

SCIPY = {"cosine", "correlation", "sqeuclidean", "euclidean", "chebyshev", "mahalanobis"}


@pytest.fixture
def rows(rng):
    return rng.standard_normal((60, 7)) + 2


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("metric", sorted(SCIPY))
def test_order_and_values_of_scipy(metric, backend, rows):
    found = rs.pdist(rows, metric, backend=backend, precision="fp64")
    np.testing.assert_allclose(found, distance.pdist(rows, metric), rtol=1e-10)
    between = rs.cdist(rows[:11], rows[20:], metric, backend=backend, precision="fp64")
    np.testing.assert_allclose(between, distance.cdist(rows[:11], rows[20:], metric), rtol=1e-10)


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_out_is_filled(dtype, precision, backend, rows, tmp_path):
    out = np.lib.format.open_memmap(tmp_path / "d.npy", "w+", dtype, (60 * 59 // 2,))
    assert rs.pdist(rows, "euclidean", out=out, precision=precision, backend=backend) is out
    np.testing.assert_allclose(out, distance.pdist(rows), rtol=1e-6)
    between = np.full((60, 5), -1, dtype)
    rs.cdist(rows, rows[:5], "manhattan", out=between, precision=precision, backend=backend)
    np.testing.assert_allclose(between, distance.cdist(rows, rows[:5], "cityblock"), rtol=1e-6, atol=1e-6)


def test_invalid_out(rows):
    locked = np.zeros(1770)
    locked.flags.writeable = False
    for out in (np.zeros(1771), np.zeros((60, 60)), np.zeros(2 * 1770)[::2], locked):
        with pytest.raises(ShapeError, match="out must be"):
            rs.pdist(rows, out=out)
    for out in (np.zeros(1770, np.float16), [0.0] * 1770):
        with pytest.raises(DTypeError, match="out must be"):
            rs.pdist(rows, out=out)


def test_accepted_arrays(rows):
    torch = pytest.importorskip("torch")
    expected = rs.pdist(rows.astype(np.float32))
    single = rows.astype(np.float32)
    single.flags.writeable = False
    for X in (
        torch.from_numpy(rows.astype(np.float32)),
        single,
        np.asfortranarray(single),
        np.repeat(single, 2, 1)[:, ::2],
    ):
        np.testing.assert_array_equal(rs.pdist(X), expected)


def test_bf16_products_of_bf16_rows(rows):
    import ml_dtypes

    half = rows.astype(ml_dtypes.bfloat16)
    exact = rs.pdist(half, "dot", precision="fp64")
    np.testing.assert_allclose(rs.pdist(half, "dot", precision="bf16", backend="reference"), exact, rtol=1e-5)
    try:
        np.testing.assert_allclose(rs.pdist(half, "dot", precision="bf16"), exact, rtol=1e-5)
    except BackendError as error:
        assert "Use precision='fp32'" in str(error)
    for X, metric in ((rows, "dot"), (half, "cosine")):
        with pytest.raises(OptionError, match="precision='bf16' is for"):
            rs.pdist(X, metric, precision="bf16")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("backend", EVERY)
def test_square_rdm(metric, backend, rows):
    square = rs.rdm(rows, metric, backend=backend, precision="fp64")
    vector = rs.rdm(rows, metric, square=False, backend=backend, precision="fp64")
    np.testing.assert_array_equal(square, square.T)
    np.testing.assert_array_equal(square[np.triu_indices(60, 1)], vector)
    own = (rows**2).sum(axis=1) if metric == "dot" else np.zeros(60)
    np.testing.assert_allclose(np.diag(square), own)


def test_rdm_of_conditions_is_that_of_their_means(rows):
    labels = np.array(list("cab" * 20))
    means = np.stack([rows[labels == name].mean(axis=0) for name in "abc"])
    np.testing.assert_allclose(
        rs.rdm(rows, "euclidean", conditions=labels, precision="fp64"), rs.rdm(means, "euclidean", precision="fp64")
    )


@pytest.mark.parametrize("whitened", [False, True])
def test_crossnobis(whitened, rng):
    rows = rng.standard_normal((48, 5)) @ rng.standard_normal((5, 5))
    conditions, folds = np.arange(48) % 4, np.arange(48) // 16
    noise = reference.residual_covariance(rows, conditions, folds) if whitened else None
    found = rs.rdm(rows, "crossnobis", conditions=conditions, folds=folds, noise=noise)
    np.testing.assert_allclose(found, reference.crossnobis(rows, conditions, folds, noise), rtol=1e-9, atol=1e-12)
    assert rs.rdm(rows, "crossnobis", conditions=conditions, folds=folds, noise=noise, square=False).shape == (6,)


def test_crossnobis_needs_every_condition_in_every_fold(rows):
    conditions, folds = np.arange(60) % 3, np.arange(60) // 30
    with pytest.raises(DegenerateError, match="fold 1 has no row of condition 2"):
        rs.rdm(rows, "crossnobis", conditions=np.where(folds == 1, conditions % 2, conditions), folds=folds)
    with pytest.raises(DegenerateError, match="two folds"):
        rs.rdm(rows, "crossnobis", conditions=conditions, folds=np.zeros(60))
    for options in ({"conditions": conditions}, {"folds": folds}, {}):
        with pytest.raises(OptionError, match="crossnobis needs conditions and folds"):
            rs.rdm(rows, "crossnobis", **options)
    with pytest.raises(OptionError, match="no other metric takes folds"):
        rs.rdm(rows, "cosine", conditions=conditions, folds=folds)
    with pytest.raises(ShapeError, match="one label for each of the 60 rows"):
        rs.rdm(rows, conditions=conditions[:-1])
    for noise, error in (
        (np.eye(6), ShapeError),
        (np.zeros((7, 7)), DegenerateError),
        (np.full((7, 7), np.nan), NonFiniteError),
    ):
        with pytest.raises(error, match="noise must be"):
            rs.rdm(rows, noise=noise)


def test_unknown_metrics_and_labels(rows):
    with pytest.raises(OptionError, match="metric must be one of cosine"):
        rs.pdist(rows, "cityblock")
    with pytest.raises(ShapeError, match="at least two rows"):
        rs.pdist(rows[:1])
    with pytest.raises(ShapeError, match="same number of features"):
        rs.cdist(rows, rows[:, :3])
    with pytest.raises(DegenerateError, match="all 7 are constant"):
        rs.pdist(np.ones((5, 7)), "mahalanobis")
    with pytest.raises(NonFiniteError, match="Rescale"):
        rs.pdist(rows * 1e30, "euclidean")
    with pytest.raises(OptionError, match="precision of tiles"):
        rs.pdist(rows, precision="fast")
    for k in (0, 60, 2.5, True):
        with pytest.raises(OptionError, match="k must be a whole number from 1"):
            rs.knn(rows, k)


def test_equal_rows_are_equally_whitened(rng):
    rows = rng.standard_normal((300, 5))
    rows[200:] = rows[:100]
    for precision in ("fp32", "fp64"):
        square = rs.rdm(rows, "mahalanobis", precision=precision)
        np.testing.assert_array_equal(square[200:], square[:100])


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("metric", ["cosine", "correlation", "sqeuclidean", "euclidean", "manhattan"])
@pytest.mark.parametrize("n_features", [3, 8, 24, 40])
def test_distances_of_few_features_have_small_relative_errors(n_features, metric, backend):
    """With few features some rows are near each other, and rounding of the rows is a large part of what is between."""
    rows = np.random.default_rng(5).standard_normal((200, n_features)).astype(np.float32) + np.float32(3)
    name = {"manhattan": "cityblock"}.get(metric, metric)
    expected = distance.pdist(rows.astype(np.float64), name)
    if metric == "correlation" and n_features == 3:  # lines in a plane: 1 - r cancels in the reference itself
        kept = expected > 1e-6
    else:
        kept = expected > 0
    found = rs.pdist(rows, metric, backend=backend)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[kept], expected[kept], rtol=1e-6)
    nearest, _ = rs.knn(rows, 3, metric, backend=backend)
    assert nearest.dtype == np.float32
