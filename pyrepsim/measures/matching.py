"""Measures that match single features of X with single features of Y: best partner, assignment, optimal transport."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..moments.pair import Pair, Side
from .base import Invariance, MomentMeasure, Result, one_of

__all__ = ["Matching", "MaxCorrelation"]


def feature_correlations(pair: Pair) -> np.ndarray:
    """Return the Pearson correlations of the varying features of X with those of Y, (varying_x, varying_y)."""
    keep_x, keep_y = pair.x.varying, pair.y.varying
    sd_x, sd_y = np.sqrt(pair.x.squares[keep_x]), np.sqrt(pair.y.squares[keep_y])
    # flat, because a matrix would stay on a device; assignment is done on the host
    cross = pair.read("cross", lambda: pair.cross.ravel()).reshape(pair.cross.shape)
    cross = cross if keep_x.all() and keep_y.all() else cross[np.ix_(keep_x, keep_y)]
    return cross / np.outer(sd_x, sd_y)


def constant_features(side: Side) -> int:
    """Return the number of constant features, whose correlation is not defined."""
    return int(np.count_nonzero(~side.varying))


@dataclass(frozen=True)
class MaxCorrelation(MomentMeasure):
    """Mean over the features of X of the largest |Pearson correlation| with any feature of Y.

    value = (1/d_x) sum_i max_j |corr(x_i, y_j)|.

    Range [0, 1]. Not symmetric. Invariant to translation, isotropic scaling and permutation of the features of either
    side.

    Notes
    -----
    Constant features have no correlation and are left out.

    ``Score.details`` has ``best`` (the maximum of each varying feature of X), ``partner`` (the index of the feature of
    Y that attains it), ``constant_features_x`` and ``constant_features_y``.

    References
    ----------
    Bau et al. (2019), ICLR, section 3.1. Wu et al. (2020), arXiv:2005.01172, section 3 ("maxcorr").

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.MaxCorrelation()).value, 4)
    0.5319
    """

    symmetric = False
    reads = "variances"
    invariant_x = Invariance.TRANSLATION | Invariance.SCALING | Invariance.PERMUTATION

    def evaluate(self, pair: Pair) -> Result:
        correlations = np.abs(feature_correlations(pair))
        partner = np.argmax(correlations, axis=1)
        best = correlations[np.arange(len(partner)), partner]
        return float(np.mean(best)), {
            "best": best,
            "partner": np.flatnonzero(pair.y.varying)[partner],
            "constant_features_x": constant_features(pair.x),
            "constant_features_y": constant_features(pair.y),
        }


@dataclass(frozen=True)
class Matching(MomentMeasure):
    """Mean Pearson correlation of matched features, under the best matching of X's features with Y's.

    value = max_P sum_ij P_ij corr(x_i, y_j).

    Range [-1, 1]; [0, 1] with ``signed=False``. Symmetric. Invariant to translation, isotropic scaling and permutation
    of the features of either side, but not to rotation: it asks for the same axes, not for the same subspace.

    Parameters
    ----------
    kind : {"hard", "soft"}, default "hard"
        "hard" makes min(d_x, d_y) pairs and uses each feature at most once; P = 1 / min(d_x, d_y) on the pairs. "soft"
        is an optimal transport: P >= 0 with row sums 1/d_x and column sums 1/d_y, so that every feature of both sides
        counts. With d_x = d_y both kinds agree; 2 - 2 value is then the squared soft-matching distance of the features
        at mean 0 and norm 1.
    signed : bool, default True
        False matches |corr|: a feature and its negative are then the same.

    Notes
    -----
    Constant features have no correlation and are left out. A soft matching of two unequal widths near 1,000 takes
    several seconds.

    ``Score.details`` has ``features_x`` and ``features_y`` (for "hard" the matched features, in the order of X),
    ``correlations`` (of the pairs; for "soft" of each varying feature of X with its partners, weighted mean),
    ``constant_features_x`` and ``constant_features_y``.

    What Li et al. call semi-matching, and ReSi "soft", lets a feature of Y serve several times: that is
    `MaxCorrelation`, except for the sign.

    References
    ----------
    Hard: Li et al. (2015), arXiv:1511.07543, section 3.2 (bipartite matching). Soft: Khosla & Williams (2024),
    arXiv:2311.09466, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.Matching()).value, 4)
    0.6907
    """

    kind: str = "hard"
    signed: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "kind", ("hard", "soft"))

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.signed else (0.0, 1.0)

    reads = "variances"
    invariant_x = Invariance.TRANSLATION | Invariance.SCALING | Invariance.PERMUTATION

    def evaluate(self, pair: Pair) -> Result:
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
    """Return the best whole-number plan, (d_x, d_y): ones on the pairs, or the shares of a soft matching."""
    if kind == "hard" or gain.shape[0] == gain.shape[1]:
        from scipy.optimize import linear_sum_assignment

        plan = np.zeros(gain.shape, dtype=np.int64)
        plan[linear_sum_assignment(gain, maximize=True)] = 1
        return plan
    if gain.shape[0] > gain.shape[1]:
        return _plan(gain.T, kind).T
    narrow, wide = gain.shape
    unit = math.gcd(narrow, wide)
    return best_transport(gain, np.full(narrow, wide // unit), np.full(wide, narrow // unit))


def best_transport(gain: np.ndarray, supply: np.ndarray, capacity: np.ndarray) -> np.ndarray:
    """Return the whole-number plan P >= 0, (m, n), that maximises sum_ij P_ij gain_ij, without regularisation.

    Rows of P sum to `supply` (m,), columns to at most `capacity` (n,); sum supply <= sum capacity. SciPy solves the
    assignment problem, where both are ones, but has no solver for this one other than general linear programs.

    Successive shortest augmenting paths with dual prices (Kuhn 1955; Edmonds and Karp 1972): each path is a Dijkstra
    search over the columns with the reduced costs cost - u_i - v_j >= 0, which are 0 where P > 0.
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
    """Send at most `left` units along the cheapest path from row `start` to a column with spare capacity."""
    rows, columns = cost.shape
    reach = cost[start] - u[start] - v  # length of the shortest known path to each column
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
        for row in np.flatnonzero((plan[:, end] > 0) & np.isinf(row_reach)):  # the reduced cost of taking back is 0
            row_reach[row], via_column[row] = reach[end], end
            through = reach[end] + (cost[row] - u[row] - v)
            shorter = open_columns & (through < reach)
            reach[shorter], via_row[shorter] = through[shorter], row

    path = [(int(via_row[end]), end)]  # from the end to the start: (row, column that it sends to)
    while path[-1][0] != start:
        column = int(via_column[path[-1][0]])
        path.append((int(via_row[column]), column))
    taken = [(path[k][0], path[k + 1][1]) for k in range(len(path) - 1)]  # each row on the path gives up its old column
    amount = min([left, int(spare[end]), *(int(plan[cell]) for cell in taken)])
    for cell in path:
        plan[cell] += amount
    for cell in taken:
        plan[cell] -= amount
    spare[end] -= amount
    u += np.where(np.isinf(row_reach), 0.0, reach[end] - row_reach)
    v -= np.where(open_columns, 0.0, reach[end] - reach)
    return amount
