"""Agreement of nearest neighbours: which rows are near which, in each representation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base import Result
from .neighbour_lists import Lists, _ByMetric, common

__all__ = ["CycleKNN", "JaccardKNN", "MutualKNN", "RankSimilarity"]


@dataclass(frozen=True)
class MutualKNN(_ByMetric):
    """Mutual k-nearest-neighbour alignment: the share of its k neighbours that a row keeps.

    value = (1/n) sum_i |N_x(i) & N_y(i)| / k, N(i) the k nearest rows of row i; in [0, 1], symmetric. Unrelated
    representations score k / (n - 1), which is ``details["chance"]``; with k = n - 1 the value is 1.

    k : neighbours, 1 <= k < n.
    metric : ``"cosine"``, ``"correlation"``, ``"euclidean"``, ``"manhattan"``, ``"chebyshev"`` or ``"dot"`` (largest
        inner product first). Cosine and dot see the origin, correlation, manhattan and chebyshev the axes.

    ``details``: k, metric, chance, ties_x and ties_y (rows whose k-th and next neighbours are equally near; the lower
    index was taken).

    References: Huh et al. (2024), arXiv:2405.07987, appendix A (m_NN; rows at unit length, inner products: the default
    here), who set k = 10.
    """

    def _compare(self, x: Lists, y: Lists) -> Result:
        n = len(x.indices)
        value = len(common(x.indices, y.indices).row) / (n * self.k)
        return value, {"chance": self.k / (n - 1)}


@dataclass(frozen=True)
class JaccardKNN(_ByMetric):
    """Mean Jaccard similarity of neighbourhoods.

    value = (1/n) sum_i |N_x(i) & N_y(i)| / |N_x(i) | N_y(i)|, in [0, 1], symmetric. Options and ``details`` as in
    `MutualKNN`, without chance.

    References: Klabunde et al. (2025), arXiv:2305.06329, section on neighbourhood-based measures; Schumacher et al.
    (2021), arXiv:2005.10039.
    """

    def _compare(self, x: Lists, y: Lists) -> Result:
        shared = np.bincount(common(x.indices, y.indices).row, minlength=len(x.indices))
        return float(np.mean(shared / (2 * self.k - shared))), {}


@dataclass(frozen=True)
class RankSimilarity(_ByMetric):
    """Rank similarity of neighbourhoods: whether the neighbours that both share come in the same order.

    value = (1/n) sum_i (1/h_i) sum over j in N_x(i) & N_y(i) of 2 / ((1 + |r_x(j) - r_y(j)|) (r_x(j) + r_y(j))), with
    r(j) the rank of j among the neighbours of i (1 is nearest) and h_i = 1 + 1/2 + ... + 1/c_i for c_i shared
    neighbours; a row that shares none counts 0. In [0, 1], symmetric. Neighbours that only one side has do not count:
    read it beside `JaccardKNN`. Options as in `MutualKNN`.

    ``details``: k, metric, shared (mean c_i), ties_x and ties_y (rows with equally near rows among the k + 1 nearest).

    References: Wang et al. (2022), Towards understanding the instability of network embedding, IEEE TKDE 34(2);
    Klabunde et al. (2025), arXiv:2305.06329.
    """

    @property
    def ordered(self) -> bool:
        return True

    def _compare(self, x: Lists, y: Lists) -> Result:
        n = len(x.indices)
        row, place_x, place_y = common(x.indices, y.indices)
        weight = 2 / ((1 + np.abs(place_x - place_y)) * (place_x + place_y + 2.0))
        shared = np.bincount(row, minlength=n)
        harmonic = np.concatenate([[1.0], np.cumsum(1 / np.arange(1.0, self.k + 1))])
        rows = np.bincount(row, weights=weight, minlength=n) / harmonic[shared]
        return float(np.mean(rows)), {"shared": float(np.mean(shared))}


@dataclass(frozen=True)
class CycleKNN(_ByMetric):
    """Cycle accuracy: from a row to a neighbour in Y, and from that neighbour back to the row in X.

    value = (1/n) |{i : some j in N_y(i) has i in N_x(j)}|, in [0, 1]. Not symmetric, and below 1 for two equal
    representations whenever a row is in no list of its own neighbours (hubs: most points of high-dimensional data).

    Options and ``details`` as in `MutualKNN`, without chance.

    References: the "cycle_knn" of the code of Huh et al. (2024), arXiv:2405.07987.
    """

    @property
    def symmetric(self) -> bool:
        return False

    def _compare(self, x: Lists, y: Lists) -> Result:
        n = len(x.indices)
        own = np.arange(n)[:, None]
        there = y.indices * n + own  # the edges j -> i that would close a cycle, as numbers
        back = own * n + x.indices
        closed = np.isin(there, back).any(axis=1)
        return float(np.mean(closed)), {}
