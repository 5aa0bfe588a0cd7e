"""Measures based on linear regression: predictivity of one side from the other, and GULP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.errors import OptionError
from ..moments.pair import Pair, Side
from .base import AFFINE, SIMILARITY, Invariance, MomentMeasure, Result, determined, geometric_mean, one_of

__all__ = ["GULP", "LinearPredictivity"]


@dataclass(frozen=True)
class LinearPredictivity(MomentMeasure):
    """R^2 of the least-squares regression, with intercept, of all features of one side on those of the other.

    value = tr(S_yx S_xx^+ S_xy) / tr S_yy for ``direction="y_from_x"``: the fraction of Y's total variance that an
    affine map of X explains.

    Range [0, 1]. Not symmetric. Invariant to translation and invertible linear maps of the predictors, and to
    translation, isotropic scaling and orthogonal maps of the predicted side.

    Parameters
    ----------
    direction : {"y_from_x", "x_from_y"}, default "y_from_x"

    Notes
    -----
    The R^2 is in sample: if the number of rows is at most the rank of the predictors plus one, it is 1 whatever the
    data are; `compare` logs a warning, and ``Score.details`` has ``determined=True``. Features count in proportion to
    their variance.

    ``Score.details`` has ``rank``, ``condition`` and ``accuracy`` (condition times round-off) of the predictors.

    References
    ----------
    Kornblith et al. (2019), arXiv:1905.00414, table 1 (R^2_LR).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.LinearPredictivity()).value, 4)
    0.486
    """

    biased_by_few_rows = True

    direction: str = "y_from_x"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "direction", ("y_from_x", "x_from_y"))

    symmetric = False

    @property
    def invariant_x(self) -> Invariance:
        return AFFINE if self.direction == "y_from_x" else SIMILARITY

    @property
    def invariant_y(self) -> Invariance:
        return SIMILARITY if self.direction == "y_from_x" else AFFINE

    def evaluate(self, pair: Pair) -> Result:
        read = pair.reader(self)
        pair = pair if self.direction == "y_from_x" else pair.swapped()
        value = float(read("explained", lambda: _sum_of_squares(pair.x.whitening.T @ pair.cross))) / pair.y.total
        details = {"rank": pair.x.rank, "condition": pair.x.condition, "accuracy": pair.x.accuracy}
        return value, {**details, **determined(pair.n_samples, pair.x.rank)}


@dataclass(frozen=True)
class GULP(MomentMeasure):
    """Squared GULP distance: how far apart the ridge predictions of a random target can be.

    value = tr((C_x + r)^-1 C_x (C_x + r)^-1 C_x) + tr((C_y + r)^-1 C_y (C_y + r)^-1 C_y)
    - 2 tr((C_x + r)^-1 C_xy (C_y + r)^-1 C_yx). Each side is centred and scaled to Frobenius norm sqrt(n), so that its
    covariance C (divided by n) has trace 1.

    Range [0, d_x + d_y]; a squared distance, 0 for representations that are equal up to rotation and scale. Symmetric.
    Invariant to translation, isotropic scaling and orthogonal maps of either side.

    Parameters
    ----------
    ridge : float, default 0.01
        The ridge penalty r > 0. As r goes to 0 the value approaches d_x + d_y - 2 sum rho_i^2, the distance of CCA; for
        large r, r^2 times the value approaches the squared distance of the scaled Gram matrices.

    Notes
    -----
    ``Score.details`` has the three terms: ``self_x``, ``self_y`` and ``inner``.

    References
    ----------
    Boix-Adsera et al. (2022), arXiv:2210.06545, section 2 and theorem 1.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.GULP()).value, 4)
    7.1205
    """

    ridge: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.ridge < float("inf"):
            raise OptionError(f"GULP: ridge must be a number > 0: got {self.ridge!r}.")

    range = (0.0, float("inf"))
    is_distance = True
    invariant_x = SIMILARITY
    from_gram = True

    def evaluate(self, pair: Pair) -> Result:
        (root_x, self_x), (root_y, self_y) = self._shrunk(pair.x), self._shrunk(pair.y)
        totals = geometric_mean(pair.x.total, pair.y.total)
        read = pair.reader(self)
        inner = float(read("inner", lambda: _sum_of_squares(root_x.T @ pair.cross @ root_y / totals)))
        return self_x + self_y - 2 * inner, {"self_x": self_x, "self_y": self_y, "inner": inner}

    def _shrunk(self, side: Side) -> tuple[np.ndarray, float]:
        """Return (C + r)^-1/2 as vectors / sqrt(values + r), and tr((C + r)^-1 C (C + r)^-1 C)."""
        there, vectors = side.spectrum
        values = np.maximum(side.eigenvalues, 0.0) / side.total  # negative values are rounding
        root = vectors / np.sqrt(np.maximum(there, 0.0) / side.total + self.ridge)
        return root, float(np.sum((values / (values + self.ridge)) ** 2))


def _sum_of_squares(A: np.ndarray) -> np.ndarray:
    return np.sum(A * A)
