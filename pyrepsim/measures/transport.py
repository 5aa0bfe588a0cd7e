"""Optimal transport between two sets of features of whole-number sizes: assignment is the case of ones."""

from __future__ import annotations

import numpy as np

__all__ = ["best_transport"]


def best_transport(gain: np.ndarray, supply: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """The whole-number plan P >= 0, (m, n), that maximises sum_ij P_ij gain_ij; exact, no regularisation.

    Rows of P sum to ``supply`` (m,), columns to at most ``capacity`` (n,); sum supply <= sum capacity. With ones on
    both sides it is the assignment problem.

    Successive shortest augmenting paths with dual prices (Kuhn 1955; Edmonds and Karp 1972): each path is a Dijkstra
    search over the columns under the reduced costs cost - u_i - v_j >= 0, which are 0 where P > 0. Among equally good
    plans it always finds the same one.
    """
    cost = np.max(gain) - gain
    u, v = np.min(cost, axis=1), np.zeros(cost.shape[1])
    plan = np.zeros(cost.shape, dtype=np.int64)
    spare = np.array(capacity, dtype=np.int64)
    for start, left in enumerate(np.asarray(supply).tolist()):
        while left:
            left -= _augment(cost, u, v, plan, spare, start, left)
    return plan


def _augment(
    cost: np.ndarray, u: np.ndarray, v: np.ndarray, plan: np.ndarray, spare: np.ndarray, start: int, left: int
) -> int:
    """Send what fits, at most ``left``, along the cheapest path from row ``start`` to a column with room."""
    rows, columns = cost.shape
    reach = cost[start] - u[start] - v  # length of the best path known to each column
    via_row = np.full(columns, start)
    via_column = np.full(rows, -1)
    row_reach = np.full(rows, np.inf)
    row_reach[start] = 0.0
    open_columns = np.ones(columns, dtype=bool)
    while True:
        end = int(np.argmin(np.where(open_columns, reach, np.inf)))
        if spare[end]:
            break
        open_columns[end] = False
        for row in np.flatnonzero((plan[:, end] > 0) & np.isinf(row_reach)):  # taking back costs nothing
            row_reach[row], via_column[row] = reach[end], end
            through = reach[end] + (cost[row] - u[row] - v)
            shorter = open_columns & (through < reach)
            reach[shorter], via_row[shorter] = through[shorter], row

    path = [(int(via_row[end]), end)]  # from the end back: (row, column it sends to)
    while path[-1][0] != start:
        column = int(via_column[path[-1][0]])
        path.append((int(via_row[column]), column))
    taken = [(path[k][0], path[k + 1][1]) for k in range(len(path) - 1)]  # each row on the way gives up its old column
    amount = min([left, int(spare[end]), *(int(plan[cell]) for cell in taken)])
    for cell in path:
        plan[cell] += amount
    for cell in taken:
        plan[cell] -= amount
    spare[end] -= amount
    u += np.where(np.isinf(row_reach), 0.0, reach[end] - row_reach)
    v -= np.where(open_columns, 0.0, reach[end] - reach)
    return amount
