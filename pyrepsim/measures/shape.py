"""Alignment after the best rotation: Procrustes similarity, and the family of shape metrics from it to CCA."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core.errors import OptionError
from ..moments.pair import Pair, Side
from .base import AFFINE, RIGID, SIMILARITY, Invariance, MomentMeasure, Result, determined, geometric_mean

__all__ = ["Procrustes", "ShapeMetric"]


def angle_and_distance(similarity: float) -> dict[str, float]:
    """Return ``angle`` = arccos s and ``distance`` = sqrt(2 - 2 s) of two vectors, or shapes, of norm 1 with cosine s.

    Near s = 1 both lose half the digits of s: they resolve about 1e-6. A value above 1 by rounding counts as 1.
    """
    distance = math.sqrt(max(2.0 - 2.0 * similarity, 0.0))
    return {"angle": 2.0 * math.asin(min(distance / 2.0, 1.0)), "distance": distance}


@dataclass(frozen=True)
class Procrustes(MomentMeasure):
    """Procrustes similarity (normalised Bures similarity): the cosine of the angle after the best rotation.

    value = |S_xy|_* / sqrt(tr S_xx tr S_yy): the nuclear norm over the Frobenius norms of the centred matrices.

    Range [0, 1]. Symmetric. Invariant to translation, isotropic scaling and orthogonal maps of either side.

    Notes
    -----
    ``Score.details`` has ``angle`` = arccos(value), in radians, in [0, pi/2], and ``distance`` = sqrt(2 - 2 value), in
    [0, sqrt 2]: the Frobenius distance of the centred, unit-norm representations after the optimal rotation. Both are
    metrics. ``euclidean`` is that distance without scaling to unit norm: sqrt(tr S_xx + tr S_yy - 2 |S_xy|_*).

    References
    ----------
    Williams et al. (2021), arXiv:2110.14739, section 2. Ding et al. (2021), arXiv:2108.01661, equation 3. Harvey et al.
    (2023), arXiv:2311.11436 (Bures similarity).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.Procrustes()).value, 4)
    0.5958
    """

    biased_by_few_rows = True

    invariant_x = SIMILARITY
    from_gram = True
    reads = "variances"

    def evaluate(self, pair: Pair) -> Result:
        value = pair.nuclear_norm / geometric_mean(pair.x.total, pair.y.total)
        squares = pair.x.total + pair.y.total - 2 * pair.nuclear_norm
        return value, {**angle_and_distance(value), "euclidean": math.sqrt(max(squares, 0.0))}


@dataclass(frozen=True)
class ShapeMetric(MomentMeasure):
    """Generalised shape metric: the angle between partially whitened representations after the best rotation.

    value = arccos(|X_a^T Y_a|_* / (|X_a|_F |Y_a|_F)) in radians, where X_a is the centred matrix X times
    alpha I + (1 - alpha) (X^T X)^-1/2.

    Range [0, pi/2]; a metric, 0 for the same shape. Symmetric. Invariant to translation and orthogonal maps of either
    side; with ``alpha=1`` also to isotropic scaling, with ``alpha=0`` to all invertible linear maps.

    Parameters
    ----------
    alpha : float, default 1.0
        In [0, 1]. 1 is the Procrustes angle. 0 compares whitened representations: for equal ranks, the arccos of the
        mean canonical correlation.

    Notes
    -----
    With alpha between 0 and 1 the value depends on the units of X and on the number of rows, as in the paper: the
    formula adds X and its whitened form, whose norm is sqrt(rank). Near 0 the value resolves about 1e-7.

    ``Score.details`` has ``similarity`` (the cosine), ``angle`` (the value), ``distance`` = sqrt(2 - 2 similarity) and,
    with alpha below 1, ``rank_x`` and ``rank_y``.

    References
    ----------
    Williams et al. (2021), arXiv:2110.14739, equations 6 and 8.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.ShapeMetric(alpha=0.5)).value, 4)
    0.9322
    """

    biased_by_few_rows = True

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise OptionError(f"ShapeMetric: alpha must be in [0, 1]: got {self.alpha!r}.")

    range = (0.0, math.pi / 2)
    is_distance = True

    @property
    def invariant_x(self) -> Invariance:
        return {1.0: SIMILARITY, 0.0: AFFINE}.get(float(self.alpha), RIGID)

    @property
    def from_gram(self) -> bool:
        return self.alpha > 0

    @property
    def reads(self) -> str:
        return "variances" if self.alpha == 1 else "scatter"

    def evaluate(self, pair: Pair) -> Result:
        if self.alpha == 1:
            similarity = pair.nuclear_norm / geometric_mean(pair.x.total, pair.y.total)
            found = angle_and_distance(similarity)
            return found["angle"], {"similarity": similarity, **found}
        (map_x, norm_x), (map_y, norm_y) = self._whitened(pair.x), self._whitened(pair.y)
        read = pair.reader(self)
        values = read("values", lambda: np.linalg.svd(map_x.T @ pair.cross @ map_y, compute_uv=False))
        similarity = float(values.sum()) / (norm_x * norm_y)
        found = angle_and_distance(similarity)
        return found["angle"], {
            "similarity": similarity,
            **found,
            "rank_x": pair.x.rank,
            "rank_y": pair.y.rank,
            **(determined(pair.n_samples, pair.x.rank, pair.y.rank) if self.alpha == 0 else {}),
        }

    def _whitened(self, side: Side) -> tuple[np.ndarray, float]:
        """Return M, where X M are the partially whitened rows up to a rotation, and |X M|_F."""
        if self.alpha == 0:
            return side.whitening, math.sqrt(side.rank)
        values, vectors = side.spectrum
        rank = side.rank_of(side.eigenvalues)
        lengths = self.alpha * np.sqrt(side.eigenvalues[:rank]) + (1 - self.alpha)
        scale = self.alpha + (1 - self.alpha) / np.sqrt(values[:rank])
        return vectors[:, :rank] * scale, float(np.linalg.norm(lengths))
