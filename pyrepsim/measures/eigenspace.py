"""Agreement of column spaces: the subspaces that the features span in the space of samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..moments.pair import Pair, Side
from .base import AFFINE, Invariance, MomentMeasure, Result, determined
from .cca import checked

__all__ = ["EigenspaceOverlap"]

_LEAST_CONSTANT = 1e-6
"""Length of the part of the mean outside the span of the scatter, relative to the spread of the features or to the
mean itself, above which some combination of features is constant and not zero; rounding gives about 1e-10."""


@dataclass(frozen=True)
class EigenspaceOverlap(MomentMeasure):
    """Eigenspace overlap score: how much of the larger column space lies in the other.

    value = |U^T V|_F^2 / max(rank X, rank Y), with U (n, rank X) and V (n, rank Y) orthonormal bases of the column
    spaces.

    Range [0, 1]; 1 where the spaces are equal. Symmetric. Invariant to invertible linear maps of either side, and with
    ``centred=True`` to translation.

    Parameters
    ----------
    centred : bool, default False
        Subtract the means of the features first, which the paper does not do: without it, features with a mean also
        span part of the constant vector. With it, the value is the sum of squared canonical correlations over the
        larger rank.

    Notes
    -----
    Two random spaces of rank r score about r / n, and with n <= d the value is 1 whatever the data are: look at the
    ranks. The paper divides by the number of features, for matrices of full rank; here the numerical ranks are used.

    ``Score.details`` has ``overlap`` = |U^T V|_F^2, ``rank_x``, ``rank_y``, and ``accuracy_x`` and ``accuracy_y``
    (about how much of the overlap may be rounding).

    References
    ----------
    May et al. (2019), arXiv:1909.01264, definition 1. Klabunde et al. (2025), arXiv:2305.06329.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.EigenspaceOverlap()).value, 4)
    0.3621
    """

    biased_by_few_rows = True

    centred: bool = False

    @property
    def invariant_x(self) -> Invariance:
        return AFFINE if self.centred else AFFINE & ~Invariance.TRANSLATION

    def evaluate(self, pair: Pair) -> Result:
        # cosines between the basis vectors of both sides: the centred, whitened features and the constant vector
        cosines = pair.x.whitening.T @ pair.cross @ pair.y.whitening
        read = pair.reader(self)
        checked(self, read("values", lambda: np.linalg.svd(cosines, compute_uv=False)), pair)
        if not self.centred:
            cosines = np.pad(cosines, ((0, 1), (0, 1)))
            cosines[-1, -1] = 1.0
            cosines = _uncentred_basis(pair.x).T @ cosines @ _uncentred_basis(pair.y)
        overlap = float(read("overlap", lambda: np.sum(cosines * cosines)))
        rank_x, rank_y = cosines.shape
        return overlap / max(rank_x, rank_y), {
            "overlap": overlap,
            "rank_x": rank_x,
            "rank_y": rank_y,
            "accuracy_x": pair.x.accuracy,
            "accuracy_y": pair.y.accuracy,
            **determined(pair.n_samples, pair.x.rank, pair.y.rank),
        }


def _uncentred_basis(side: Side) -> np.ndarray:
    """Return `_basis`, where the scatter is."""
    if _basis not in side.known:
        side.known[_basis] = side.there(_basis(side))
    return side.known[_basis]


def _basis(side: Side) -> np.ndarray:
    """Return a basis (r + 1, rank) of the column space of X in the coordinates [Q, 1/sqrt n].

    Q = (X - 1 m^T) W, (n, r), are the whitened rows. X W = Q + (1/sqrt n) w^T with w = sqrt n W^T m, so only the
    direction c = w/|w| has a constant part, and (Q c + |w| / sqrt n) / sqrt(1 + |w|^2) has norm 1. The mean is never
    squared, however large it is.
    """
    rank = side.rank
    if _spans_constants(side):
        return np.eye(rank + 1)
    lean = np.sqrt(side.n_samples) * side.read("lean", lambda: side.whitening.T @ side.mean_there)
    length = float(np.linalg.norm(lean))
    towards = lean / length if length else lean
    norm = np.hypot(1.0, length)
    return np.vstack([np.eye(rank) + (1 / norm - 1) * np.outer(towards, towards), (length / norm) * towards])


def _spans_constants(side: Side) -> bool:
    """Return whether a feature or a combination of features is constant and not zero: X a = 1 for some a."""
    if np.any(side.mean[~side.varying]):
        return True
    sd = np.sqrt(side.squares[side.varying] / side.n_samples)

    def within_span() -> np.ndarray:
        return side.scatter @ (side.whitening @ (side.whitening.T @ side.mean_there))

    outside = (side.mean - side.read("within_span", within_span))[side.varying] / sd
    size = float(np.linalg.norm(side.mean[side.varying] / sd))
    return float(np.linalg.norm(outside)) > _LEAST_CONSTANT * max(size, 1.0)
