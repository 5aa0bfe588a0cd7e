"""Measures of nearest neighbours: which rows are near which, and how similar they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import DegenerateError
from ..pairwise import PairwiseEngine
from .base import Result, geometric_mean
from .neighbour_lists import Lists, NeighbourMeasure, TwoListMeasure, common
from .rows import entries, mean_square

__all__ = ["CKNNA", "CycleKNN", "JaccardKNN", "MutualKNN", "RankSimilarity", "SecondOrderCosine"]

_ROUND_OFF = 2.0**-53


@dataclass(frozen=True)
class MutualKNN(TwoListMeasure):
    """Mutual k-nearest-neighbour alignment: the fraction of its k neighbours that a row keeps.

    value = (1/n) sum_i |N_x(i) & N_y(i)| / k, with N(i) the k nearest rows of row i.

    Range [0, 1]. Symmetric. Invariant to isotropic scaling and permutation of the
    features of either side, and depending on the metric: cosine and dot to orthogonal maps, euclidean to those and
    translation, manhattan and chebyshev to translation.

    Parameters
    ----------
    k : int, default 10
        Number of neighbours, 1 <= k < n.
    metric : {"cosine", "correlation", "euclidean", "manhattan", "chebyshev", "dot"}, default "cosine"
        Distance between rows; "dot" takes the largest inner products.

    Notes
    -----
    Unrelated representations score k / (n - 1) in expectation; with k = n - 1 the value is 1.

    ``Score.details`` has ``k``, ``metric``, ``chance`` = k / (n - 1), ``ties_x`` and
    ``ties_y`` (rows whose k-th and next neighbours are equally near; the lower index is taken).

    References
    ----------
    Huh et al. (2024), arXiv:2405.07987, appendix A (m_NN; k = 10, inner products of rows at unit length: the default
    here).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.MutualKNN()).value, 4)
    0.0816
    """

    def _compare(self, x: Lists, y: Lists) -> Result:
        n = len(x.indices)
        value = len(common(x.indices, y.indices).row) / (n * self.k)
        return value, {"chance": self.k / (n - 1)}


@dataclass(frozen=True)
class JaccardKNN(TwoListMeasure):
    """Mean Jaccard similarity of neighbourhoods.

    value = (1/n) sum_i |N_x(i) & N_y(i)| / |N_x(i) | N_y(i)|, with N(i) the k nearest rows of row i.

    Range [0, 1]. Symmetric. Invariant to isotropic scaling and permutation of the
    features of either side, and depending on the metric: cosine and dot to orthogonal maps, euclidean to those and
    translation, manhattan and chebyshev to translation.

    Parameters
    ----------
    k : int, default 10
        Number of neighbours, 1 <= k < n.
    metric : {"cosine", "correlation", "euclidean", "manhattan", "chebyshev", "dot"}, default "cosine"
        Distance between rows; "dot" takes the largest inner products.

    Notes
    -----
    ``Score.details`` has ``k``, ``metric``, ``ties_x`` and ``ties_y``, as in `MutualKNN`.

    References
    ----------
    Klabunde et al. (2025), arXiv:2305.06329, section on neighbourhood-based measures. Schumacher et al. (2021),
    arXiv:2005.10039.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.JaccardKNN()).value, 4)
    0.0451
    """

    def _compare(self, x: Lists, y: Lists) -> Result:
        shared = np.bincount(common(x.indices, y.indices).row, minlength=len(x.indices))
        return float(np.mean(shared / (2 * self.k - shared))), {}


@dataclass(frozen=True)
class RankSimilarity(TwoListMeasure):
    """Rank similarity of neighbourhoods: whether shared neighbours come in the same order.

    value = (1/n) sum_i (1/h_i) sum over j in N_x(i) & N_y(i) of 2 / ((1 + |r_x(j) - r_y(j)|) (r_x(j) + r_y(j))), with
    r(j) the rank of j among the neighbours of i (1 is nearest) and h_i = 1 + 1/2 + ... + 1/c_i for c_i shared
    neighbours; a row without shared neighbours counts 0.

    Range [0, 1]. Symmetric. Invariant to isotropic scaling and permutation of the
    features of either side, and depending on the metric: cosine and dot to orthogonal maps, euclidean to those and
    translation, manhattan and chebyshev to translation.

    Parameters
    ----------
    k : int, default 10
        Number of neighbours, 1 <= k < n.
    metric : {"cosine", "correlation", "euclidean", "manhattan", "chebyshev", "dot"}, default "cosine"
        Distance between rows; "dot" takes the largest inner products.

    Notes
    -----
    Neighbours of only one side do not count: read the value together with `JaccardKNN`.

    ``Score.details`` has ``k``, ``metric``, ``shared`` (mean c_i), and ``ties_x`` and ``ties_y`` (rows with equally
    near rows among the k + 1 nearest).

    References
    ----------
    Wang et al. (2022), Towards understanding the instability of network embedding, IEEE TKDE 34(2). Klabunde et al.
    (2025), arXiv:2305.06329.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.RankSimilarity()).value, 4)
    0.049
    """

    ordered = True

    def _compare(self, x: Lists, y: Lists) -> Result:
        n = len(x.indices)
        row, place_x, place_y = common(x.indices, y.indices)
        weight = 2 / ((1 + np.abs(place_x - place_y)) * (place_x + place_y + 2.0))
        shared = np.bincount(row, minlength=n)
        harmonic = np.concatenate([[1.0], np.cumsum(1 / np.arange(1.0, self.k + 1))])
        rows = np.bincount(row, weights=weight, minlength=n) / harmonic[shared]
        return float(np.mean(rows)), {"shared": float(np.mean(shared))}


@dataclass(frozen=True)
class CycleKNN(TwoListMeasure):
    """Cycle accuracy: from a row to a neighbour in Y, and from that neighbour back to the row in X.

    value = (1/n) |{i : some j in N_y(i) has i in N_x(j)}|, with N(i) the k nearest rows of row i.

    Range [0, 1]. Not symmetric. Invariant to isotropic scaling and permutation of the
    features of either side, and depending on the metric: cosine and dot to orthogonal maps, euclidean to those and
    translation, manhattan and chebyshev to translation.

    Parameters
    ----------
    k : int, default 10
        Number of neighbours, 1 <= k < n.
    metric : {"cosine", "correlation", "euclidean", "manhattan", "chebyshev", "dot"}, default "cosine"
        Distance between rows; "dot" takes the largest inner products.

    Notes
    -----
    The value of two equal representations is below 1 if some row is in none of the lists of its own neighbours, which
    is common in high dimensions (hubness).

    ``Score.details`` has ``k``, ``metric``, ``ties_x`` and ``ties_y``, as in `MutualKNN`.

    References
    ----------
    "cycle_knn" in the code of Huh et al. (2024), arXiv:2405.07987.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.CycleKNN()).value, 4)
    0.532
    """

    symmetric = False

    def _compare(self, x: Lists, y: Lists) -> Result:
        n = len(x.indices)
        own = np.arange(n)[:, None]
        needed = y.indices * n + own  # for each neighbour j of i in Y, the edge j -> i that closes a cycle, as a number
        edges = own * n + x.indices
        closed = np.isin(needed, edges).any(axis=1)
        return float(np.mean(closed)), {}


@dataclass(frozen=True)
class CKNNA(TwoListMeasure):
    """Centred kernel nearest-neighbour alignment: CKA's inner product, over mutual neighbours only.

    value = A(K, L) / sqrt(A(K, K) A(L, L)), with A(K, L) = sum over j in N_x(i) & N_y(i) of k_ij l_ij, where
    k_ij = K_ij - (1/n) sum_l K_il is the Gram entry minus the mean of its row over all n columns. A(K, K) takes all of
    N_x(i).

    Range [-1, 1]; near 0 for unrelated representations. Symmetric. Invariant to isotropic scaling and orthogonal maps
    of either side.

    Parameters
    ----------
    k : int, default 10
        Number of neighbours, 1 <= k < n.
    metric : {"cosine", "dot"}, default "cosine"
        The kernel, which also defines the neighbours.

    Notes
    -----
    ``Score.details`` has ``k``, ``metric``, ``align_xy``, ``align_xx``, ``align_yy``, and ``ties_x`` and ``ties_y`` as
    in `MutualKNN`.

    The authors' code computes another quantity: HSIC (unbiased, by default) of the two Gram matrices after all other
    entries have been set to 0.

    References
    ----------
    Huh et al. (2024), arXiv:2405.07987, appendix A.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.CKNNA()).value, 4)
    0.0819
    """

    metrics = ("cosine", "dot")
    range = (-1.0, 1.0)

    def _similarities(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        unit = self.metric == "cosine"
        gram = entries(x, indices, unit=unit, centred=True)
        size = 1.0 if unit else mean_square(x)
        # sums of d products, and of n rows for the mean: each term at most the product of two lengths
        if not np.max(np.abs(gram)) > (x.shape[0] + x.shape[1]) * _ROUND_OFF * size:
            raise DegenerateError(
                f"{self} needs similarities that differ: every row is as similar to its neighbours as to all rows, up "
                "to rounding. Check the layer and the row selection."
            )
        return gram

    def _compare(self, x: Lists, y: Lists) -> Result:
        row, place_x, place_y = common(x.indices, y.indices)
        xy = float(np.sum(x.gram[row, place_x] * y.gram[row, place_y]))
        xx, yy = (float(np.sum(side.gram * side.gram)) for side in (x, y))
        return xy / geometric_mean(xx, yy), {"align_xy": xy, "align_xx": xx, "align_yy": yy}


@dataclass(frozen=True)
class SecondOrderCosine(NeighbourMeasure):
    """Second-order cosine similarity: whether a row is as similar to its neighbours in one space as in the other.

    value = (1/n) sum_i cos(s_i(X), s_i(Y)), where s_i(X) holds the cosines of row i of X with the rows of
    N_x(i) | N_y(i), the union of its k nearest neighbours in X and in Y.

    Range [-1, 1]. Symmetric. Invariant to isotropic scaling and orthogonal maps of either side.

    Parameters
    ----------
    k : int, default 10
        Number of neighbours on each side, 1 <= k < n.

    Notes
    -----
    The value is close to 1 wherever all cosines are large, as in anisotropic spaces.

    ``Score.details`` has ``k``, ``metric`` ("cosine"), ``union`` (mean size of the union), and ``ties_x`` and
    ``ties_y`` as in `MutualKNN`.

    References
    ----------
    Hamilton et al. (2016), arXiv:1606.02821, the local neighbourhood measure. Klabunde et al. (2025), arXiv:2305.06329.
    ReSi's code uses vectors of cosine distances instead of cosines.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.SecondOrderCosine()).value, 4)
    0.5144
    """

    range = (-1.0, 1.0)

    def evaluate(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        lists = self._all_lists(layers, pairs, engine)
        results = []
        for i, j in pairs:
            union, counted = _union(lists[i], lists[j])
            rows = layers[i], layers[j]
            s_x, s_y = (np.where(counted, self._vectors(side, union), 0.0) for side in rows)
            value = float(np.mean(self._cosines(s_x, s_y, max(side.shape[1] for side in rows))))
            size = float(np.mean(np.count_nonzero(counted, axis=1)))
            results.append((value, {"union": size, **self._list_details(lists[i], lists[j])}))
        return results

    def _vectors(self, rows: np.ndarray, union: np.ndarray) -> np.ndarray:
        """Return the cosine of each row with the rows in ``union[i]``, (n, 2k)."""
        return entries(rows, union, unit=True)

    def _cosines(self, s_x: np.ndarray, s_y: np.ndarray, n_features: int) -> np.ndarray:
        """Return the cosine of each row of `s_x` with that of `s_y`."""
        sizes = [np.sum(s * s, axis=1) for s in (s_x, s_y)]
        error = 2 * (n_features + 6) * _ROUND_OFF  # of a cosine: of two lengths, and of the sum of the products
        orthogonal = np.flatnonzero(np.minimum(*sizes) <= s_x.shape[1] * error**2)
        if len(orthogonal):
            raise DegenerateError(
                f"{self} needs rows with some cosine that is not 0: row {orthogonal[0]} and {len(orthogonal) - 1} more "
                "are at right angles to all their neighbours. Leave them out or use another measure."
            )
        return np.sum(s_x * s_y, axis=1) / np.sqrt(sizes[0]) / np.sqrt(sizes[1])


def _union(x: Lists, y: Lists) -> tuple[np.ndarray, np.ndarray]:
    """Return both lists side by side, (n, 2k), and a mask that counts a neighbour of both only once."""
    both = np.concatenate([x.indices, y.indices], axis=1)
    row, _, place_y = common(x.indices, y.indices)
    counted = np.ones(both.shape, dtype=bool)
    counted[row, x.indices.shape[1] + place_y] = False
    return both, counted
