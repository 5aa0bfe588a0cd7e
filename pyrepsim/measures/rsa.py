"""Representational similarity analysis in closed form: RDMs of n (n - 1) / 2 entries compared without making one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DegenerateError, OptionError
from ..stats.pair import Pair
from .base import RIGID, SIMILARITY, Invariance, Measure, at_least_rows, one_of
from .cka import cosine_of

__all__ = ["RSA"]

_ROWS = {
    "dot": "raw",
    "sqeuclidean": "raw",
    "cosine": "unit",
    "correlation": "unit_centred",
    "mahalanobis": "whitened",
}
_LEAST_SPREAD = 1e-12
"""Variance of an RDM over its mean square at which it counts as constant: rounding leaves about 1e-15."""


@dataclass(frozen=True)
class RSA(Measure):
    """Representational similarity analysis: agreement of two representational dissimilarity matrices (RDMs).

    The RDM of X holds a dissimilarity of rows i < j for all n (n - 1) / 2 pairs; the value compares it with that of Y.
    Exact over all pairs, from moments: nothing n x n is made.

    metric : ``"cosine"`` (1 - cos), ``"correlation"`` (1 - Pearson across features), ``"sqeuclidean"``,
        ``"mahalanobis"`` (squared, each side whitened by its own covariance: Walther et al. 2016, equation 4; needs a
        second pass over the rows), or ``"dot"`` (x_i . x_j, a similarity).
    compare : ``"pearson"``; ``"cosine"`` (uncentred); or ``"cosine_cov"``, the cosine whitened by the covariance that
        the entries of an RDM have under independent noise (Diedrichsen et al. 2020): with squared-Euclidean distances
        it equals linear CKA. Not defined for ``"dot"``, whose matrix has no zero diagonal.

    Pearson is in [-1, 1], the others in [0, 1] except "dot", [-1, 1]; symmetric. Cosine and dot see the origin: no
    invariance to translation. Correlation sees the features: none to rotation.

    ``details``: metric, compare, method, n_pairs.

    References: Kriegeskorte et al. (2008), Frontiers in Systems Neuroscience 2:4; Diedrichsen et al. (2020),
    arXiv:2007.02789, equations 16 and 21.
    """

    metric: str = "cosine"
    compare: str = "pearson"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "metric", tuple(_ROWS))
        one_of(self, "compare", ("pearson", "cosine", "cosine_cov"))
        if self.metric == "dot" and self.compare == "cosine_cov":
            raise OptionError(
                "RSA: cosine_cov is defined for dissimilarities with a zero diagonal: got metric='dot'. "
                "Use metric='sqeuclidean' for linear CKA, or compare='pearson'."
            )

    @property
    def rows(self) -> str:
        return _ROWS[self.metric]

    @property
    def needs_second_pass(self) -> bool:
        return self.rows == "whitened"

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.compare == "pearson" or self.metric == "dot" else (0.0, 1.0)

    @property
    def invariant_x(self) -> Invariance:
        base = Invariance.SCALING | Invariance.PERMUTATION
        return {
            "dot": base | Invariance.ORTHOGONAL,
            "cosine": base | Invariance.ORTHOGONAL,
            "correlation": base,
            "sqeuclidean": SIMILARITY,
            "mahalanobis": RIGID | Invariance.SCALING | Invariance.INVERTIBLE,
        }[self.metric]

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        at_least_rows(self, pair.x, 3)
        n = pair.n_samples
        if self.compare == "cosine_cov":
            value = cosine_of(self, pair.cross_sq, pair.x.norm_sq, pair.y.norm_sq)
        else:
            sums = dot_products if self.metric == "dot" else squared_distances
            both = (Pair.of_side(pair.x), Pair.of_side(pair.y))
            value = self._cosine(*(sums(p, self.compare == "pearson") for p in (pair, *both)))
        return value, {
            "metric": self.metric,
            "compare": self.compare,
            "method": "closed",
            "n_pairs": int(n * (n - 1) // 2),
        }

    def _cosine(self, xy: tuple[float, float], xx: tuple[float, float], yy: tuple[float, float]) -> float:
        for (product, size), label in ((xx, "X"), (yy, "Y")):
            if not product > _LEAST_SPREAD * size:
                raise DegenerateError(
                    f"{self}: the entries of the RDM of {label} must differ: they are all equal up to rounding "
                    "(whitened rows with n <= d + 1, or two distinct rows only). Pass more samples or another metric."
                )
        return xy[0] / math.sqrt(xx[0]) / math.sqrt(yy[0])


def squared_distances(pair: Pair, centred: bool) -> tuple[float, float]:
    """(sum of products, size) over i < j of D = |x_i - x_j|^2 and E = |y_i - y_j|^2.

    Centred: sum D E - (sum D)(sum E) / P over the P pairs; otherwise sum D E. With sum D = n tr S_xx and
    sum D E = n q + tr S_xx tr S_yy + 2 |S_xy|^2, q = sum |x - m|^2 |y - m|^2, the means are taken out by algebra.
    Distances of unit rows are 2 (1 - cos), exactly up to the square of the rounding of their norms.
    """
    n = pair.n_samples
    totals = pair.x.total * pair.y.total
    varying = n * pair.norm_products + 2 * pair.cross_sq
    size = varying + 2 * totals
    return (varying - 2 * totals / (n - 1) if centred else size), size


def dot_products(pair: Pair, centred: bool) -> tuple[float, float]:
    """The same for K = x_i . x_j and L = y_i . y_j, around the constants |m_x|^2 and |m_y|^2.

    With g = m_x . (x - m_x) and h = m_y . (y - m_y), K - |m_x|^2 = g_i + g_j + (x_i - m_x) . (x_j - m_x).
    """
    n, x, y = pair.n_samples, pair.x, pair.y
    pairs = n * (n - 1) / 2
    total_k, total_l = -x.total / 2, -y.total / 2
    gh = float(x.mean @ pair.cross @ y.mean)
    diagonal = 4 * gh + 2 * float(x.mean @ pair.weighted_x) + 2 * float(y.mean @ pair.weighted_y)
    diagonal += pair.norm_products + x.total * y.total / n
    product = (2 * n * gh + pair.cross_sq - diagonal) / 2
    mean_k, mean_l = float(x.mean @ x.mean), float(y.mean @ y.mean)
    size = product + mean_k * total_l + mean_l * total_k + pairs * mean_k * mean_l
    return (product - total_k * total_l / pairs if centred else size), size
