"""Sums as plain arrays: about a given shift they can be added by any tool, and read back."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DTypeError, NonFiniteError, ShapeError
from tests.helpers.data import correlated_pair

X, Y = correlated_pair(500, 7, 5, seed=1)
MEASURES = [rs.LinearCKA(), rs.LinearCKA(debiased=True), rs.CCA(), rs.Procrustes(), rs.RSA(metric="sqeuclidean")]


def paired(x, y):
    moments = rs.PairedMoments(x.shape[1], y.shape[1])
    moments.update(x, y)
    return moments


def test_plain_sums_are_those_of_the_rows():
    arrays = paired(X, Y).arrays(shift=0)
    a, b = (np.einsum("nd,nd->n", side, side) for side in (X, Y))
    expected = {
        "n_samples": 500.0,
        "norms": [[a.sum(), b.sum()], [a @ a, a @ b], [a @ b, b @ b]],
        "shift_0": np.zeros(7),
        "shift_1": np.zeros(5),
        "products_0": X.T @ X,
        "products_1": Y.T @ Y,
        "weighted_0": [X.sum(axis=0), a @ X, b @ X],
        "weighted_1": [Y.sum(axis=0), a @ Y, b @ Y],
        "cross_0_1": X.T @ Y,
    }
    assert set(arrays) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(arrays[name], value, rtol=1e-11, atol=1e-9, err_msg=name)
        assert arrays[name].dtype == np.float64


@pytest.mark.parametrize("shift", [0, 0.5, (X.mean(axis=0), Y.mean(axis=0)), None])
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_what_comes_in_is_what_went_out(measure, shift):
    whole = paired(X, Y)
    arrays = whole.arrays(shift=shift)
    again = type(whole).from_arrays(arrays)
    assert measure.score(again).value == pytest.approx(measure.score(whole).value, rel=1e-10)
    again.update(X[:50], Y[:50])
    twice = paired(np.vstack([X, X[:50]]), np.vstack([Y, Y[:50]]))
    assert measure.score(again).value == pytest.approx(measure.score(twice).value, rel=1e-10)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_sums_of_processes_are_added_about_one_shift(offset):
    x, y = X + offset, Y - offset
    shift = (x[:20].mean(axis=0), y[:20].mean(axis=0))
    parts = [paired(x[part], y[part]).arrays(shift=shift) for part in (slice(0, 130), slice(130, 131), slice(131, 500))]
    added = {name: sum(part[name] for part in parts) for name in parts[0]}
    added |= {name: parts[0][name] for name in added if name.startswith("shift")}
    for measure in MEASURES:
        expected = rs.compare(X, Y, measure).value
        assert measure.score(rs.PairedMoments.from_arrays(added)).value == pytest.approx(expected, rel=1e-10)


def test_several_sides_and_other_row_transforms():
    moments = rs.MomentsSet([7, 5, 3], [(0, 2), (2, 1)], transforms=("unit",), precision="fp32")
    moments.update([X, Y, Y[:, :3]])
    arrays = moments.arrays(transform="unit")
    again = rs.MomentsSet.from_arrays(arrays, transforms=("unit",), precision="fp32", labels=("a", "b", "c"))
    assert (again.widths, again.pairs, again.labels) == ((7, 5, 3), ((0, 2), (2, 1)), ("a", "b", "c"))
    for k in range(2):
        one, other = moments.pair_at(k, "unit"), again.pair_at(k, "unit")
        assert np.array_equal(one.cross, other.cross)
        assert one.norm_products == other.norm_products


def test_arrays_are_copies():
    moments = paired(X, Y)
    for array in moments.arrays().values():
        array[...] = np.nan
    assert np.isfinite(rs.LinearCKA().score(moments).value)


def test_what_does_not_fit_is_refused():
    arrays = paired(X, Y).arrays()
    for change, message in (
        ({"products_0": np.eye(3)}, "shift_0"),
        ({"cross_0_5": np.eye(3)}, "named cross_i_j"),
        ({"cross_a_b": np.eye(3)}, "named cross_i_j"),
        ({"extra": np.eye(3)}, "check extra"),
        ({"norms": np.eye(3)}, "check norms"),
    ):
        with pytest.raises(ShapeError, match=message):
            rs.PairedMoments.from_arrays({**arrays, **change})
    with pytest.raises(ShapeError, match="check weighted_1"):
        rs.PairedMoments.from_arrays({name: array for name, array in arrays.items() if name != "weighted_1"})
    with pytest.raises(ShapeError, match="must have the names"):
        rs.PairedMoments.from_arrays({})
    with pytest.raises(ShapeError, match="Use MomentsSet.from_arrays"):
        rs.PairedMoments.from_arrays(rs.MomentsSet([2]).arrays())
    for shift in ([np.zeros(7)], [np.zeros(7), np.zeros(6)]):
        with pytest.raises(ShapeError, match="shift must be a number"):
            paired(X, Y).arrays(shift=shift)


@pytest.mark.parametrize(
    ("name", "wrong", "error"),
    [
        ("n_samples", -256.0, NonFiniteError),
        ("n_samples", np.nan, NonFiniteError),
        ("products_0", np.full((3, 3), np.inf), NonFiniteError),
        ("norms", "text", DTypeError),
    ],
)
def test_sums_that_are_none_are_refused(rng, name, wrong, error):
    moments = rs.PairedMoments(3, 2)
    moments.update(rng.standard_normal((20, 3)), rng.standard_normal((20, 2)))
    with pytest.raises(error, match="sums must be"):
        rs.PairedMoments.from_arrays({**moments.arrays(shift=0), name: wrong})
