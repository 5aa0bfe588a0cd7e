"""Features of one side paired off with features of the other, each with one partner or with shares of several.

FOLDED: Optimal transport between two sets of features of whole-number sizes: assignment is the case of ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..moments.pair import Pair
from .base import Invariance, Measure, one_of
from .neurons import constant_features, feature_correlations

__all__ = ["Matching", "best_transport"]


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


@dataclass(frozen=True)
class Matching(Measure):
    """Mean Pearson correlation of matched features, under the best matching of X's features with Y's.

    value = max_P sum_ij P_ij corr(x_i, y_j), in [-1, 1] (in [0, 1] unsigned); symmetric; exact over all rows, from
    moments. A rotation of either side lowers it: it asks for the same axes, not for the same subspace.

    kind : ``"hard"`` pairs off min(d_x, d_y) features, each used once, so that P = 1 / min(d_x, d_y) on the pairs; the
        rest of the wider side is left over. ``"soft"`` lets a feature share partners: P >= 0 with row sums 1/d_x and
        column sums 1/d_y, an optimal transport in which every feature of both sides counts. With d_x = d_y both kinds
        agree; 2 - 2 value is then the squared soft-matching distance of the features at mean 0 and norm 1.
    signed : False matches |corr|, so that a feature and its negative are the same.

    Constant features have no correlation and are left out. A matching of width 1,000 takes a second or so, a soft one
    of unequal widths several.

    ``details``: features_x and features_y (for "hard": the matched features, in the order of X), correlations (of the
    pairs; for "soft": of each varying feature of X with its partners, weighted mean), constant_features_x,
    constant_features_y.

    References: hard: Li et al. (2015), arXiv:1511.07543, section 3.2 (bipartite matching); soft: Khosla and Williams
    (2024), arXiv:2311.09466, section 2. What Li et al. call semi-matching, and ReSi "soft", lets features of Y serve
    several times: that is `MaxCorrelation`, but for the sign.
    """

    kind: str = "hard"
    signed: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "kind", ("hard", "soft"))

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.signed else (0.0, 1.0)

    @property
    def invariant_x(self) -> Invariance:
        return Invariance.TRANSLATION | Invariance.SCALING | Invariance.PERMUTATION

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        correlations = feature_correlations(pair)
        gain = correlations if self.signed else np.abs(correlations)
        plan = _plan(gain, self.kind)
        details: dict[str, Any] = {
            "features_x": np.flatnonzero(pair.x.varying),
            "features_y": np.flatnonzero(pair.y.varying),
            "correlations": np.sum(plan * gain, axis=1) / np.maximum(np.sum(plan, axis=1), 1),
            "constant_features_x": constant_features(pair.x),
            "constant_features_y": constant_features(pair.y),
        }
        if self.kind == "hard":
            i, j = np.nonzero(plan)
            details |= {
                "features_x": details["features_x"][i],
                "features_y": details["features_y"][j],
                "correlations": gain[i, j],
            }
        return float(np.sum(plan * gain) / np.sum(plan)), details


def _plan(gain: np.ndarray, kind: str) -> np.ndarray:
    """The best whole-number plan, (d_x, d_y), solved with the narrower side as its rows."""
    if gain.shape[0] > gain.shape[1]:
        return _plan(gain.T, kind).T
    narrow, wide = gain.shape
    unit = math.gcd(narrow, wide)
    supply, capacity = (wide // unit, narrow // unit) if kind == "soft" else (1, 1)
    return best_transport(gain, np.full(narrow, supply), np.full(wide, capacity))
