"""Agreement of similarities among nearest neighbours: how near they are, beyond which they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import DegenerateError
from ..pairwise import PairwiseEngine
from .base import Result, geometric_mean
from .entries import entries, mean_square
from .neighbour_lists import Lists, _ByMetric, _NeighbourMeasure, common

__all__ = ["CKNNA", "SecondOrderCosine"]

_LEAST_SPREAD = 1e-12
"""Size of a centred Gram entry, in units of the mean squared row, at which it is rounding."""


@dataclass(frozen=True)
class CKNNA(_ByMetric):
    """Centred kernel nearest-neighbour alignment: CKA's inner product, over mutual neighbours only.

    value = A(K, L) / sqrt(A(K, K) A(L, L)), A(K, L) = sum over j in N_x(i) & N_y(i) of k_ij l_ij, where
    k_ij = K_ij - (1/n) sum_l K_il is the Gram entry less the mean of its row, over all n columns. A(K, K) takes all of
    N_x(i). In [-1, 1], symmetric; near 0 for unrelated representations.

    k : neighbours, 1 <= k < n.
    metric : the kernel, by which neighbours are found too: ``"cosine"`` or ``"dot"``.

    ``details``: k, metric, align_xy, align_xx, align_yy, ties_x and ties_y as in `MutualKNN`.

    References: Huh et al. (2024), arXiv:2405.07987, appendix A. Their code computes something else: HSIC (unbiased, by
    default) of the two Gram matrices after all other entries have been set to 0.
    """

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("cosine", "dot")

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0)

    def _keep(self, x: np.ndarray, indices: np.ndarray) -> np.ndarray:
        unit = self.metric == "cosine"
        gram = entries(x, indices, unit=unit, centred=True)
        size = 1.0 if unit else mean_square(x)
        if not np.max(np.abs(gram)) > _LEAST_SPREAD * size:
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
class SecondOrderCosine(_NeighbourMeasure):
    """Second-order cosine similarity: whether a row is as similar to its neighbours in one space as in the other.

    value = (1/n) sum_i cos(s_i(X), s_i(Y)), where s_i(X) holds the cosines of row i of X with the rows of
    N_x(i) | N_y(i), the union of its k nearest neighbours in X and in Y; in [-1, 1], symmetric. Close to 1 wherever
    all cosines are large, as in anisotropic spaces.

    k : neighbours on each side, 1 <= k < n.

    ``details``: k, metric ("cosine"), union (mean size of the union), ties_x and ties_y as in `MutualKNN`.

    References: Hamilton et al. (2016), arXiv:1606.02821, the local neighbourhood measure; Klabunde et al. (2025),
    arXiv:2305.06329. ReSi's code takes vectors of cosine distances, not of cosines.
    """

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0)

    def evaluate_layers(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        lists = self._all_lists(layers, pairs, engine)
        results = []
        for i, j in pairs:
            union, counted = _union(lists[i], lists[j])
            s_x, s_y = (np.where(counted, entries(layers[side], union, unit=True), 0.0) for side in (i, j))
            value = float(np.mean(self._cosines(s_x, s_y)))
            size = float(np.mean(np.count_nonzero(counted, axis=1)))
            results.append((value, {"union": size, **self._about(lists[i], lists[j])}))
        return results

    def _cosines(self, s_x: np.ndarray, s_y: np.ndarray) -> np.ndarray:
        """Cosine of each row of ``s_x`` with that of ``s_y``."""
        sizes = [np.sum(s * s, axis=1) for s in (s_x, s_y)]
        lost = np.flatnonzero(np.minimum(*sizes) <= _LEAST_SPREAD**2)
        if len(lost):
            raise DegenerateError(
                f"{self} needs rows with some cosine that is not 0: row {lost[0]} and {len(lost) - 1} more are at "
                "right angles to all their neighbours. Leave them out or use another measure."
            )
        return np.sum(s_x * s_y, axis=1) / np.sqrt(sizes[0]) / np.sqrt(sizes[1])


def _union(x: Lists, y: Lists) -> tuple[np.ndarray, np.ndarray]:
    """Both lists side by side, (n, 2k), and a mask that counts a neighbour of both only once."""
    both = np.concatenate([x.indices, y.indices], axis=1)
    row, _, place_y = common(x.indices, y.indices)
    counted = np.ones(both.shape, dtype=bool)
    counted[row, x.indices.shape[1] + place_y] = False
    return both, counted
