"""The generators have the documented properties, the references read every dtype, and the assertions can fail."""

from __future__ import annotations

import numpy as np
import pytest

from . import references as ref
from .assertions import assert_no_worse_than, assert_relative
from .data import CASES, cast, known_correlations

PLAIN = CASES["different_widths"]
EQUAL = CASES["equal_widths"]


@pytest.mark.parametrize("name", ["duplicated_columns", "zero_columns", "constant_columns"])
def test_redundant_columns_do_not_change_cca(name):
    base = CASES["duplicated_columns"]
    expected = ref.cca_correlations(base.X[:, :10], base.Y[:, :8])
    assert_relative(ref.cca_correlations(CASES[name].X, CASES[name].Y), expected, 1e-12)


@pytest.mark.parametrize("measure", [ref.cca, ref.linear_cka, ref.debiased_cka, ref.rv2, ref.linear_predictivity])
def test_an_offset_of_1e4_adds_only_the_rounding_of_the_data(measure):
    X, Y = (np.round(side * 2**20) / 2**20 for side in (EQUAL.X, EQUAL.Y))  # X + 1e4 is then exact
    assert_relative(measure(X + 1e4, Y - 1e4), measure(X, Y), 1e-13)


def test_known_correlations_survive_ill_conditioned_mixing():
    X, Y = known_correlations(80, 6, 6, [0.9, 0.5], condition=1e3, seed=26)
    assert_relative(ref.cca_correlations(X, Y), [0.9, 0.5, 0, 0, 0, 0], 1e-10)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_cases_can_be_cast_and_references_read_the_cast_values(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    X, Y = cast(PLAIN.X, dtype), cast(PLAIN.Y, dtype)
    assert str(X.dtype) == dtype
    exact = ref.linear_cka(X.astype(np.float64), Y.astype(np.float64))
    assert ref.linear_cka(X, Y) == exact
    assert abs(exact - ref.linear_cka(PLAIN.X, PLAIN.Y)) < 0.05


def test_cases_are_read_only_and_paired():
    for case in CASES.values():
        assert len(case.X) == len(case.Y)
        assert not case.X.flags.writeable
        assert not case.Y.flags.writeable


def test_assertions_can_fail():
    assert_no_worse_than(1.0 + 2e-16, 1.0, 1.0)
    assert_no_worse_than(1.0 + 1e-3, 1.0 + 6e-4, 1.0)
    assert_no_worse_than(1.0 + 5e-7, 1.0, 1.0, precision="float32")
    with pytest.raises(AssertionError, match="exceeds"):
        assert_no_worse_than(1.0 + 1e-3, 1.0 + 4e-4, 1.0)
    with pytest.raises(AssertionError, match="not finite"):
        assert_no_worse_than(np.nan, 1.0, 1.0)
    with pytest.raises(AssertionError, match="relative error"):
        assert_relative([1.0, 2.0], [1.0, 2.0 + 1e-9], 1e-10)
    with pytest.raises(AssertionError, match="not finite"):
        assert_relative(np.nan, 1.0, 1.0)
    with pytest.raises(AssertionError, match="shapes differ"):
        assert_relative([1.0], 1.0, 1.0)
