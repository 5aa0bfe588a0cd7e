"""Matching of single features with what chance finds, and how often features are active: equal to dense arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import pyrepsim as rs
from pyrepsim.comparison import sparse_features
from pyrepsim.core.errors import DegenerateError, NonFiniteError, OptionError, ShapeError


def features(n=200, d=40, rate=0.1, seed=0):
    rng = np.random.default_rng(seed)
    return rng.exponential(size=(n, d)) * (rng.random((n, d)) < rate)


@pytest.mark.parametrize("block", [1, 7, 1 << 23])
def test_correlations_are_those_of_numpy(block, monkeypatch):
    monkeypatch.setattr(sparse_features, "_BLOCK_ELEMENTS", 31 * block)
    x, y = features(), features(d=31, seed=1) - 0.2
    expected = np.corrcoef(x.T, y.T)[:40, 40:]
    order = np.argsort(-expected, axis=1)[:, :5]
    found = rs.nearest_features(sparse.csr_array(x), y, k=5, n_resamples=3)
    assert (found.index == order).all()
    np.testing.assert_allclose(found.correlation, np.take_along_axis(expected, order, axis=1), atol=1e-13)
    rng = np.random.default_rng(0)
    for row in found.null:
        shuffled = y[rng.permutation(200)]
        np.testing.assert_allclose(row, np.corrcoef(x.T, shuffled.T)[:40, 40:].max(axis=1), atol=1e-13)


@pytest.mark.parametrize("scale", [2.0**-700, 2.0**600])
def test_the_scale_of_a_feature_changes_no_bit(scale):
    x, y = features(), features(d=31, seed=1)
    y[:, :5] += x[:, 10:15]
    expected = rs.nearest_features(x, y, k=2, n_resamples=2)
    found = rs.nearest_features(x * np.where(np.arange(40) % 2, scale, 1), y * scale, k=2, n_resamples=2)
    for name in ("index", "correlation", "null"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


def test_planted_features_are_found_and_chance_is_not():
    """The best of many unrelated features correlates by more than 0.3 with a feature that is active in few rows."""
    x, y = features(n=400, d=300, rate=0.02), features(n=400, d=300, rate=0.02, seed=1)
    y[:, :20] = np.where(np.random.default_rng(2).random((400, 20)) < 0.8, x[:, 20:40], 0)
    found = rs.nearest_features(x, y, n_resamples=39)
    planted = np.zeros(300, bool)
    planted[20:40] = True
    assert (found.index[planted, 0] == np.arange(20)).mean() >= 0.9
    assert (found.p[planted] == 1 / 40).mean() > 0.7  # chance reaches the others, which are active in few rows
    assert np.mean(found.correlation[~planted, 0]) > 0.3
    others = found.p[~planted]
    assert abs(np.mean(others <= 0.1) - 0.1) < 0.06
    assert abs(np.mean(others) - 0.5) < 0.06


def test_constant_features_and_few_features():
    x, y = features(d=6), features(d=3, seed=1)
    x[:, 2], x[:, 4], y[:, 1] = 0.0, 0.1, 0.7
    found = rs.nearest_features(x, y, k=4, n_resamples=2)
    assert (found.index[[2, 4]] == -1).all()
    assert (found.index[[0, 1, 3, 5], 2:] == -1).all()
    assert set(found.index[0, :2]) == {0, 2}
    assert np.isnan(found.p[[2, 4]]).all()
    assert np.isnan(found.correlation[:, 2:]).all()
    with pytest.raises(DegenerateError, match="every feature of Y is constant"):
        rs.nearest_features(x, np.ones((200, 3)))


def test_bits_repeat_and_ties_take_the_first():
    x = features(d=5)
    y = np.concatenate([x, x], axis=1)
    first, second = (rs.nearest_features(x, y, seed=3) for _ in range(2))
    assert (first.null == second.null).all()
    assert np.array_equal(first.correlation, second.correlation)
    assert (first.index[:, 0] % 5 == np.arange(5)).all()


def test_rates():
    x, y = features(n=60), features(n=60, seed=1)
    x[:, 3], y[:, 5] = 0, 0
    drift = rs.firing_drift(sparse.coo_array(x), y)
    np.testing.assert_array_equal(drift.rate_x, (x > 0).mean(axis=0))
    np.testing.assert_array_equal(drift.rate_y, (y > 0).mean(axis=0))
    paired = (y > 0).astype(float) - (x > 0)
    np.testing.assert_allclose(drift.difference, paired.mean(axis=0), atol=1e-15)
    np.testing.assert_allclose(drift.standard_error, paired.std(axis=0) / np.sqrt(60), atol=1e-15)
    assert 5 in drift.silenced
    assert 3 in drift.appeared
    higher = rs.firing_drift(x, y, above=1.0)
    np.testing.assert_array_equal(higher.rate_x, (x > 1).mean(axis=0))


def test_what_is_refused():
    x = features()
    with pytest.raises(OptionError, match="k must be a whole number"):
        rs.nearest_features(x, x, k=0)
    with pytest.raises(OptionError, match="n_resamples must be"):
        rs.nearest_features(x, x, n_resamples=2.5)
    with pytest.raises(ShapeError, match="same number of rows"):
        rs.nearest_features(x, x[1:])
    with pytest.raises(NonFiniteError, match="Y must be finite"):
        rs.nearest_features(x, x * np.nan)
    with pytest.raises(ShapeError, match="same features"):
        rs.firing_drift(x, x[:, 1:])
    with pytest.raises(OptionError, match="above must be a number"):
        rs.firing_drift(x, x, above=-1.0)


def test_rows_of_one_document_stay_together():
    x, y = features(), features(d=31, seed=1)
    rng = np.random.default_rng(3)
    documents = rng.permutation(np.repeat(np.arange(25), 8))
    found = rs.nearest_features(x, y, n_resamples=4, documents=documents, seed=5)
    plain = rs.nearest_features(x, y, n_resamples=4, seed=5)
    assert np.array_equal(found.index, plain.index)
    assert not np.array_equal(found.null, plain.null)
    for index, row in enumerate(found.null):
        drawn = np.argsort(np.random.default_rng([5, index]).permutation(25))
        order = np.empty(200, int)
        for name, other in enumerate(drawn):
            order[documents == name] = np.flatnonzero(documents == other)
        np.testing.assert_allclose(row, np.corrcoef(x.T, y[order].T)[:40, 40:].max(axis=1), atol=1e-13)
    as_names = rs.nearest_features(x, y, n_resamples=4, documents=[f"{d:02d}" for d in documents], seed=5)
    assert np.array_equal(as_names.null, found.null)


def test_rows_of_documents_of_unequal_lengths():
    x, y = features(), features(d=31, seed=1)
    documents = np.repeat(np.arange(40), [4, 6] * 20)
    first = np.concatenate([np.arange(size) < 4 for size in [4, 6] * 20])
    found = rs.nearest_features(x, y, n_resamples=4, documents=documents, seed=5)
    same = rs.nearest_features(x[first], y[first], n_resamples=4, documents=documents[first], seed=5)
    for name in ("index", "correlation", "null"):
        assert np.array_equal(getattr(found, name), getattr(same, name))
    assert found.n_samples == 160


def test_documents_make_the_size_right():
    """Features that are constant within a document: single rows in random order find too much, documents do not."""
    rng = np.random.default_rng(0)
    documents = np.repeat(np.arange(20), 10)
    small = []
    for k in range(40):
        x, y = (rng.standard_normal((20, 3))[documents] + 0.1 * rng.standard_normal((200, 3)) for _ in range(2))
        both = [rs.nearest_features(x, y, n_resamples=19, seed=k, documents=own).p <= 0.05 for own in (documents, None)]
        small.append([one.mean() for one in both])
    of_documents, of_rows = np.mean(small, axis=0)
    assert of_documents < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 40)
    assert of_rows > 0.4


def test_documents_that_do_not_fit_are_refused():
    x, y = features(), features(seed=1)
    for wrong, error, message in (
        (np.arange(199), ShapeError, "each of the 200 rows"),
        (np.zeros((200, 1), int), ShapeError, "each of the 200 rows"),
        ([None] * 200, OptionError, "numbers or names"),
        (np.zeros(200, int), DegenerateError, "at least 5 documents"),
    ):
        with pytest.raises(error, match=message):
            rs.nearest_features(x, y, documents=wrong)
