"""The transport solver against SciPy's assignment and linear programming, and on plans known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment, linprog

from pyrepsim.measures.matching import best_transport


def best_by_linear_programming(gain, supply, capacity) -> float:
    m, n = gain.shape
    rows, columns = np.kron(np.eye(m), np.ones(n)), np.kron(np.ones(m), np.eye(n))
    solution = linprog(-gain.ravel(), A_eq=rows, b_eq=supply, A_ub=columns, b_ub=capacity)
    return float(-solution.fun)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (6, 6), (7, 11), (30, 30), (25, 60)])
def test_ones_on_both_sides_are_an_assignment(shape, rng):
    gain = rng.standard_normal(shape)
    plan = best_transport(gain, np.ones(shape[0], int), np.ones(shape[1], int))
    assert set(np.unique(plan)) <= {0, 1}
    assert plan.sum(axis=1).tolist() == [1] * shape[0]
    assert plan.sum(axis=0).max() == 1
    assert np.sum(plan * gain) == pytest.approx(gain[linear_sum_assignment(gain, maximize=True)].sum(), rel=1e-13)


@pytest.mark.parametrize("shape", [(1, 4), (4, 6), (5, 7), (9, 12)])
def test_uniform_sizes_are_optimal_transport(shape, rng):
    m, n = shape
    gain, unit = rng.standard_normal(shape), math.gcd(m, n)
    supply, capacity = np.full(m, n // unit), np.full(n, m // unit)
    plan = best_transport(gain, supply, capacity)
    assert np.array_equal(plan.sum(axis=1), supply)
    assert np.array_equal(plan.sum(axis=0), capacity)
    assert np.sum(plan * gain) == pytest.approx(best_by_linear_programming(gain, supply, capacity), rel=1e-12)


def test_uneven_sizes_with_spare_capacity(rng):
    gain = rng.standard_normal((4, 5))
    supply, capacity = np.array([3, 1, 4, 2]), np.array([5, 2, 1, 6, 3])
    plan = best_transport(gain, supply, capacity)
    assert np.array_equal(plan.sum(axis=1), supply)
    assert np.all(plan.sum(axis=0) <= capacity)
    assert np.sum(plan * gain) == pytest.approx(best_by_linear_programming(gain, supply, capacity), rel=1e-12)


def test_a_greedy_choice_is_taken_back():
    # row 0 first takes column 0, which row 1 needs: together (0, 1) and (1, 0) gain 8 + 9, against 9 + 1
    gain = np.array([[9.0, 8.0], [9.0, 1.0]])
    assert best_transport(gain, np.ones(2, int), np.ones(2, int)).tolist() == [[0, 1], [1, 0]]


def test_equal_gains_end():
    plan = best_transport(np.zeros((12, 15)), np.full(12, 5), np.full(15, 4))
    assert plan.sum(axis=0).tolist() == [4] * 15
