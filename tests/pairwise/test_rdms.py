"""RDMs of many sets of rows, of groups of features, of conditions and over folds."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DTypeError, OptionError, ShapeError
from pyrepsim.pairwise import METRICS
from tests.helpers import references_pairwise as reference
from tests.helpers.backends import EVERY


@pytest.fixture
def sets(rng):
    return rng.standard_normal((7, 24, 15)) + 1


CONDITIONS, FOLDS = np.arange(24) % 4, np.arange(24) // 8
OPTIONS = {
    "rows": {},
    "conditions": {"conditions": CONDITIONS},
    "noise": {"noise": np.eye(15) + 0.3},
    "both": {"conditions": CONDITIONS, "noise": np.eye(15) + 0.3},
}
CASES = [(metric, name) for metric in METRICS for name in OPTIONS if not METRICS[metric].whitened or name == "rows"]


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize(("metric", "name"), CASES)
def test_each_set_has_the_bits_that_it_has_on_its_own(metric, name, backend, sets):
    options = OPTIONS[name] | {"backend": backend}
    for X in (sets, sets.astype(np.float32), np.asfortranarray(sets), sets[:, ::-1]):
        found = rs.rdm(X, metric, **options)
        n = 4 if "conditions" in options else 24
        assert found.shape == (7, n * (n - 1) // 2)
        for one, vector in zip(X, found, strict=True):
            np.testing.assert_array_equal(vector, rs.rdm(one, metric, square=False, **options))
        np.testing.assert_array_equal(rs.rdm(X, metric, square=True, **options)[3], rs.rdm(X[3], metric, **options))


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize(("metric", "name"), CASES)
def test_groups_of_features(metric, name, backend, rng):
    X, noise = rng.standard_normal((24, 60)) + 1, np.eye(60) + 0.3
    groups = [rng.choice(60, size, replace=False) for size in (2, 5, 33, 40, 60)] + [np.array([3, 3, 4])]
    options = {key: value for key, value in OPTIONS[name].items() if key != "noise"} | {"backend": backend}
    noisy = "noise" in OPTIONS[name]
    groups = groups[:-1] if noisy else groups  # a repeated feature has no positive definite covariance
    for rows in (X, X.astype(np.float32), np.asfortranarray(X)):
        found = rs.rdm(rows, metric, features=groups, **options, **({"noise": noise} if noisy else {}))
        for group, vector in zip(groups, found, strict=True):
            own = {"noise": noise[np.ix_(group, group)]} if noisy else {}
            expected = rs.rdm(np.ascontiguousarray(rows[:, group]), metric, square=False, **options, **own)
            np.testing.assert_array_equal(vector, expected)


def test_kinds_of_lists_of_features(rng):
    X = rng.standard_normal((9, 12))
    expected = rs.rdm(X, features=[[0, 1, 2], [5, 6, 11]])
    for features in (((0, 1, 2), (5, 6, 11)), np.array([[0, 1, 2], [5, 6, 11]], np.int32), [range(3), [5, 6, 11]]):
        np.testing.assert_array_equal(rs.rdm(X, features=features), expected)
    for features, error, match in (
        ([], OptionError, "a sequence"),
        (3, OptionError, "a sequence"),
        ("01", OptionError, "a sequence"),
        ([[0, 12]], OptionError, "0 to 11"),
        ([[0], [-1]], OptionError, "0 to 11"),
        ([[0], []], DTypeError, "set 1"),
        ([[0.0]], DTypeError, "whole numbers"),
        ([0, 1], DTypeError, "whole numbers"),
        ([np.ones(12, bool)], DTypeError, "flatnonzero"),
    ):
        with pytest.raises(error, match=match):
            rs.rdm(X, features=features)
    with pytest.raises(ShapeError, match="n_samples, n_features"):
        rs.rdm(X[None], features=[[0]])


def test_out_is_filled(sets, tmp_path):
    expected = rs.rdm(sets, "euclidean", precision="fp64")
    out = np.lib.format.open_memmap(tmp_path / "d.npy", "w+", np.float32, (7, 276))
    assert rs.rdm(sets, "euclidean", precision="fp64", out=out) is out
    np.testing.assert_array_equal(out, expected.astype(np.float32))
    vector = np.empty(276)
    assert rs.rdm(sets[0], "euclidean", precision="fp64", out=vector) is vector
    np.testing.assert_array_equal(vector, expected[0])
    folded = np.empty((7, 6))
    rs.rdm(sets, "crossnobis", conditions=CONDITIONS, folds=FOLDS, out=folded)
    np.testing.assert_array_equal(folded, rs.rdm(sets, "crossnobis", conditions=CONDITIONS, folds=FOLDS))
    with pytest.raises(OptionError, match="square=True"):
        rs.rdm(sets, out=np.empty((7, 276)), square=True)
    with pytest.raises(ShapeError, match=r"shape \(7, 276\)"):
        rs.rdm(sets, out=np.empty((7, 275)))


def test_shapes_of_sets(rng):
    for shape in ((0, 3, 4), (2, 0, 4), (2, 3, 0), (2, 2, 3, 4), (4,)):
        with pytest.raises(ShapeError):
            rs.rdm(np.zeros(shape))
    with pytest.raises(ShapeError, match="one label for each of the 24"):
        rs.rdm(rng.standard_normal((2, 24, 3)), conditions=np.arange(2))


@pytest.mark.parametrize("noise", [None, 0.3])
def test_crossnobis_of_sets(noise, sets):
    options = {"conditions": CONDITIONS, "folds": FOLDS, "noise": None if noise is None else np.eye(15) + noise}
    found = rs.rdm(sets, "crossnobis", square=True, **options)
    groups = [[0, 1, 2], [3, 5, 7, 9]]
    for one, square in zip(sets, found, strict=True):
        np.testing.assert_array_equal(square, rs.rdm(one, "crossnobis", **options))
        expected = reference.crossnobis(one, CONDITIONS, FOLDS, options["noise"])
        np.testing.assert_allclose(square, expected, rtol=1e-10, atol=1e-12)
    for group, vector in zip(groups, rs.rdm(sets[0], "crossnobis", features=groups, **options), strict=True):
        own = None if noise is None else options["noise"][np.ix_(group, group)]
        expected = reference.crossnobis(sets[0][:, group], CONDITIONS, FOLDS, own)
        np.testing.assert_allclose(vector, reference.condensed(expected), rtol=1e-10, atol=1e-12)


def test_crossnobis_of_equal_conditions_is_0_and_offsets_of_folds_do_not_matter(rng):
    patterns = rng.standard_normal((3, 5, 40))
    patterns[:, 4] = patterns[:, 1]
    labels = {"conditions": np.tile(np.arange(5), 3), "folds": np.repeat(np.arange(3), 5)}
    found = rs.rdm(patterns.reshape(15, 40), "crossnobis", **labels)
    assert found[1, 4] == 0
    assert np.array_equal(found[1, :4], found[4, :4])
    moved = patterns + 1e6 * rng.standard_normal((3, 1, 40))
    np.testing.assert_allclose(rs.rdm(moved.reshape(15, 40), "crossnobis", **labels), found, atol=1e-7)
