"""Agreement of Gram matrices, from d x d moments: linear CKA (biased and debiased) and RV2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import DegenerateError
from ..moments.pair import Pair
from .base import SIMILARITY, Invariance, Measure, at_least_rows, geometric_mean

__all__ = ["RV2", "LinearCKA"]


def cosine_of(measure: Measure, xy: float, xx: float, yy: float) -> float:
    """xy / sqrt(xx yy); exactly 1 when all three are equal."""
    if not (xx > 0 and yy > 0):
        raise DegenerateError(
            f"{measure} is undefined here: its self-similarities must be positive, got {xx:.3g} and {yy:.3g}. "
            "Too few rows for the number of features: pass more samples, or use LinearCKA(debiased=False)."
        )
    return xy / geometric_mean(xx, yy)


@dataclass(frozen=True)
class LinearCKA(Measure):
    """Linear centred kernel alignment.

    value = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)), with HSIC(X, Y) = |S_xy|_F^2 for the biased estimator; symmetric.
    Biased: in [0, 1], and 1 for two unrelated representations with n << d. Debiased: HSIC is the unbiased estimator of
    Song et al., 0 in expectation for independent representations, so it can be slightly negative; needs 4 rows.
    Both are exact over all rows: the unbiased one needs, beyond the scatter, only sums of squared norms.

    debiased : use the unbiased HSIC.

    ``details``: hsic_xy, hsic_xx, hsic_yy.

    References: Kornblith et al. (2019), arXiv:1905.00414, section 3; Song et al. (2012), JMLR 13, equation 5.
    Equal to the RV coefficient, and to the whitened cosine of squared-Euclidean RDMs, when biased.
    """

    debiased: bool = False

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.debiased else (0.0, 1.0)

    @property
    def copies_bias(self) -> bool:
        return self.debiased

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        x, y, n = pair.x, pair.y, pair.n_samples
        if self.debiased:
            at_least_rows(self, x, 4)

            # Song's estimator over centred rows, with sum a b split into its centred part and (sum a)(sum b) / n:
            # the large terms then cancel in the algebra and not in the arithmetic
            def hsic(product_sq: float, total_x: float, total_y: float, norms: float) -> float:
                return (product_sq - total_x * total_y / (n - 1) - n / (n - 2) * norms) / (n * (n - 3))

            xy = hsic(pair.cross_sq, x.total, y.total, pair.norm_products)
            xx = hsic(x.norm_sq, x.total, x.total, x.norm_spread)
            yy = hsic(y.norm_sq, y.total, y.total, y.norm_spread)
        else:
            xy, xx, yy = pair.cross_sq, x.norm_sq, y.norm_sq
        return cosine_of(self, xy, xx, yy), {"hsic_xy": xy, "hsic_xx": xx, "hsic_yy": yy}


@dataclass(frozen=True)
class RV2(Measure):
    """Modified RV coefficient: the cosine of the two centred Gram matrices without their diagonals.

    value = (|S_xy|^2 - q_xy) / sqrt((|S_xx|^2 - q_xx)(|S_yy|^2 - q_yy)), q_xy = sum_i |x_i - m_x|^2 |y_i - m_y|^2;
    in [-1, 1], symmetric. Without the diagonal, many features no longer push the value towards 1.

    References: Smilde et al. (2009), Bioinformatics 25(3), equation 6.
    """

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0)

    @property
    def copies_bias(self) -> bool:
        return True

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        x, y, n = pair.x, pair.y, pair.n_samples
        at_least_rows(self, x, 3)
        xy = pair.cross_sq - (pair.norm_products + x.total * y.total / n)
        xx = x.norm_sq - (x.norm_spread + x.total**2 / n)
        yy = y.norm_sq - (y.norm_spread + y.total**2 / n)
        return cosine_of(self, xy, xx, yy), {}
