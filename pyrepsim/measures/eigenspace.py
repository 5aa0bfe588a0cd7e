"""Agreement of the subspaces of sample space that the features span."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..moments.pair import Pair, Side
from .base import AFFINE, Invariance, Measure
from .cca import checked

__all__ = ["EigenspaceOverlap"]

_LEAST_CONSTANT = 1e-6
"""Length of the mean outside the span of the scatter, in units of the features' spread or of the mean's own length,
above which some combination of features counts as constant and not zero: rounding leaves about 1e-10."""


@dataclass(frozen=True)
class EigenspaceOverlap(Measure):
    """Eigenspace overlap score: how much of the larger column space lies in the other.

    value = |U^T V|_F^2 / max(rank X, rank Y), U (n, rank X) and V (n, rank Y) orthonormal bases of the column spaces;
    in [0, 1], symmetric; 1 where the spaces are equal. Two random spaces of rank r score about r / n, and with n <= d
    the value is 1 whatever the data are: the ranks are in ``details``. Exact over all rows, from moments.

    centred : take the means of the features out first. Not so in the paper: there the column space of features with
        means holds part of the constant vector, and a translation changes the score. With ``centred=True`` the value
        is the sum of squared canonical correlations over the larger rank.

    The paper divides by the number of features, for matrices of full rank; here the numerical ranks take their place.

    ``details``: overlap = |U^T V|_F^2, rank_x, rank_y, accuracy_x and accuracy_y (about how much of the overlap may be
    rounding).

    References: May et al. (2019), arXiv:1909.01264, definition 1; Klabunde et al. (2025), arXiv:2305.06329.
    """

    centred: bool = False

    @property
    def invariant_x(self) -> Invariance:
        return AFFINE if self.centred else AFFINE & ~Invariance.TRANSLATION

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        # In the frame of both centred, whitened sides and the constant direction, cosines of basis vectors are these:
        cosines = pair.x.whitening.T @ pair.cross @ pair.y.whitening
        checked(self, np.linalg.svd(cosines, compute_uv=False), pair)
        if not self.centred:
            cosines = np.pad(cosines, ((0, 1), (0, 1)))
            cosines[-1, -1] = 1.0
            cosines = _uncentred_basis(pair.x).T @ cosines @ _uncentred_basis(pair.y)
        overlap = float(np.sum(cosines * cosines))
        rank_x, rank_y = cosines.shape
        return overlap / max(rank_x, rank_y), {
            "overlap": overlap,
            "rank_x": rank_x,
            "rank_y": rank_y,
            "accuracy_x": pair.x.accuracy,
            "accuracy_y": pair.y.accuracy,
        }


def _uncentred_basis(side: Side) -> np.ndarray:
    """Basis (r + 1, rank) of the column space of X in the frame [Q, 1/sqrt n], Q = (X - 1 m^T) W whitened, (n, r).

    X W = Q + (1/sqrt n) w^T with w = sqrt n W^T m: only the direction c = w/|w| leans towards the constant, and
    (Q c + |w| / sqrt n) / sqrt(1 + |w|^2) has norm 1. The mean, however large, is never squared into a scatter.
    """
    rank = side.rank
    if _spans_constants(side):
        return np.eye(rank + 1)
    lean = np.sqrt(side.n_samples) * (side.whitening.T @ side.mean)
    length = float(np.linalg.norm(lean))
    towards = lean / length if length else lean
    norm = np.hypot(1.0, length)
    return np.vstack([np.eye(rank) + (1 / norm - 1) * np.outer(towards, towards), (length / norm) * towards])


def _spans_constants(side: Side) -> bool:
    """True when features, or a combination of them, are constant and not zero: X a = 1 for some a."""
    if np.any(side.mean[~side.varying]):
        return True
    sd = np.sqrt(np.diag(side.scatter)[side.varying] / side.n_samples)
    outside = (side.mean - side.scatter @ (side.whitening @ (side.whitening.T @ side.mean)))[side.varying] / sd
    size = float(np.linalg.norm(side.mean[side.varying] / sd))
    return float(np.linalg.norm(outside)) > _LEAST_CONSTANT * max(size, 1.0)
