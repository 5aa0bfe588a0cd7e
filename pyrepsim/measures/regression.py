"""How well linear regression does: predictivity of one side from the other, and GULP's distance of predictors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import OptionError
from ..moments.pair import Pair, Side
from .base import AFFINE, SIMILARITY, Invariance, Measure, geometric_mean, one_of

__all__ = ["GULP", "LinearPredictivity"]


@dataclass(frozen=True)
class LinearPredictivity(Measure):
    """R^2 of the least-squares regression, with intercept, of all features of one side on those of the other.

    value = tr(S_yx S_xx^+ S_xy) / tr S_yy for ``direction="y_from_x"``: the fraction of Y's total variance that an
    affine map of X explains (features weighted by their variance), in [0, 1]. Not symmetric. In sample: with
    n <= rank S_xx + 1 it is 1 whatever the data are.

    direction : ``"y_from_x"`` or ``"x_from_y"``.

    ``details``: rank, condition and accuracy (condition times round-off) of the predictors.

    References: Kornblith et al. (2019), arXiv:1905.00414, table 1 (R^2_LR).
    """

    direction: str = "y_from_x"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "direction", ("y_from_x", "x_from_y"))

    @property
    def symmetric(self) -> bool:
        return False

    @property
    def invariant_x(self) -> Invariance:
        return AFFINE if self.direction == "y_from_x" else SIMILARITY

    @property
    def invariant_y(self) -> Invariance:
        return SIMILARITY if self.direction == "y_from_x" else AFFINE

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        pair = pair if self.direction == "y_from_x" else pair.swapped()
        explained = pair.x.whitening.T @ pair.cross
        value = float(np.sum(explained * explained)) / pair.y.total
        return value, {"rank": pair.x.rank, "condition": pair.x.condition, "accuracy": pair.x.accuracy}


@dataclass(frozen=True)
class GULP(Measure):
    """Squared GULP distance: how far apart the ridge predictions of a random target can be.

    value = tr((C_x + r)^-1 C_x (C_x + r)^-1 C_x) + the same for y - 2 tr((C_x + r)^-1 C_xy (C_y + r)^-1 C_yx),
    each side centred and scaled to Frobenius norm sqrt(n), so that its
    covariance C (divided by n) has trace 1. A squared distance: 0 for representations equal up to rotation and scale,
    at most d_x + d_y; symmetric.

    ridge : r > 0, the ridge penalty. As r goes to 0 the distance becomes that of
        CCA, d_x + d_y - 2 sum rho_i^2; as it grows, r^2 times it becomes |K - L|^2 of the scaled Gram matrices.

    References: Boix-Adsera et al. (2022), arXiv:2210.06545, section 2 and Theorem 1.
    """

    ridge: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.ridge < float("inf"):
            raise OptionError(f"GULP: ridge must be a number > 0: got {self.ridge!r}.")

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, float("inf"))

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        (root_x, self_x), (root_y, self_y) = self._shrunk(pair.x), self._shrunk(pair.y)
        cross = root_x.T @ pair.cross @ root_y / geometric_mean(pair.x.total, pair.y.total)
        inner = float(np.sum(cross * cross))
        return self_x + self_y - 2 * inner, {"self_x": self_x, "self_y": self_y, "inner": inner}

    def _shrunk(self, side: Side) -> tuple[np.ndarray, float]:
        """(C + r)^-1/2 as vectors / sqrt(values + r), and tr((C + r)^-1 C (C + r)^-1 C)."""
        values, vectors = side.spectrum
        values = np.maximum(values, 0.0) / side.total  # S is positive semi-definite: below zero is rounding
        return vectors / np.sqrt(values + self.ridge), float(np.sum((values / (values + self.ridge)) ** 2))
