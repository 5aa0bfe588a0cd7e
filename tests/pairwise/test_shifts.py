"""The point that is subtracted from all rows: near them, with few digits, and robust to outliers."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pyrepsim import _core
from pyrepsim.backends.reference import centre_on_grid as in_numpy

ISAS = _core.available_isas()


def centre_on_grid(rows):
    """The shift, which is the same in NumPy and in the engine, by every instruction set."""
    shift = in_numpy(rows)
    for isa in ISAS:
        np.testing.assert_array_equal(_core.centre_on_grid(rows, isa=isa), shift)
    return shift


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_near_the_median_of_every_feature_and_the_same_for_every_type(dtype):
    rng = np.random.default_rng(3)
    rows = (50 * rng.standard_normal(40) + rng.standard_normal((301, 40))).astype(ml_dtypes.bfloat16).astype(dtype)
    shift = centre_on_grid(rows)
    assert shift.dtype == np.float64
    wide = rows.astype(np.float64)
    assert (np.abs(shift - np.median(wide, axis=0)) <= wide.std(axis=0) / 16).all()
    assert np.array_equal(shift, centre_on_grid(wide))


def test_shifted_halves_and_whole_numbers_are_exact_in_float32(rng):
    halves = (3 + rng.standard_normal((200, 30))).astype(np.float16)
    for rows in (halves, rng.integers(0, 5000, (200, 30)).astype(np.float32)):
        shifted = rows.astype(np.float64) - centre_on_grid(rows)
        assert np.array_equal(shifted.astype(np.float32).astype(np.float64), shifted)


def test_a_few_huge_rows_do_not_move_the_shift(rng):
    rows = rng.standard_normal((200, 6))
    far = rows.copy()
    far[:20] *= 1e12
    assert (np.abs(centre_on_grid(far)) < 1).all()


def test_features_without_spread(rng):
    rows = np.column_stack([np.full(100, 0.1), np.where(np.arange(100) < 90, 7.0, 9.0), rng.standard_normal(100)])
    shift = centre_on_grid(rows)
    assert shift[0] == 0.1
    assert abs(shift[1] - 7) <= 0.6 / 16
    assert np.array_equal(centre_on_grid(rows[:1]), rows[0])


def test_numbers_at_the_edge_of_float64():
    rows = np.array([[1e308, 5e-324], [-1e308, 0.0], [3.0, 0.0], [4.0, 1e-323]])
    assert np.isfinite(centre_on_grid(rows)).all()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 13, 50, 64, 65, 511, 512, 1024])
def test_any_number_of_rows(n, rng):
    rows = rng.standard_normal((n, 19)) * np.exp(3 * rng.standard_normal(19))
    rows[:, :5] = np.maximum(rows[:, :5], 0)  # more than half of the rows equal
    rows[:, 5:9] = rng.integers(0, 3, (n, 4))
    for strided in (rows, np.asfortranarray(rows), np.repeat(rows, 2, axis=1)[:, ::2], rows.astype(np.float16)):
        assert (np.abs(centre_on_grid(strided)) <= np.abs(rows).max(axis=0) * 1.01).all()
