"""memory= refuses what does not fit, before any work, and changes no value."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import OptionError, ShapeError


@pytest.fixture
def X(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((400, 32))


@pytest.mark.parametrize("measure", [rs.LinearCKA(), rs.RSA(metric="euclidean"), rs.MutualKNN()])
def test_what_does_not_fit_is_refused(X: np.ndarray, measure: rs.Measure):
    with pytest.raises(ShapeError, match=r"must fit into memory.* of 10 kB"):
        rs.compare(X, X[:, ::-1], measure, memory="10 kB")


def test_sums_of_blocks_that_do_not_fit_are_refused(X: np.ndarray):
    with pytest.raises(ShapeError, match="the sums of 20 blocks must fit into half of memory"):
        rs.compare(X, X[:, ::-1], rs.LinearCKA(), interval=rs.Jackknife(blocks=20), memory="500 kB")


@pytest.mark.parametrize("measure", [rs.LinearCKA(), rs.RSA(metric="euclidean"), rs.MutualKNN()])
def test_the_budget_changes_no_bit(X: np.ndarray, measure: rs.Measure):
    assert rs.compare(X, X[:, ::-1], measure, memory="1GB") == rs.compare(X, X[:, ::-1], measure)


def test_an_amount_that_is_none_is_refused(X: np.ndarray):
    with pytest.raises(OptionError, match="memory must be a number of bytes or an amount such as '8GB'"):
        rs.compare(X, X, rs.LinearCKA(), memory="much")
