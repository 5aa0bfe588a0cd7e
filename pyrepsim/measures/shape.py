"""Alignment up to rotation: Procrustes similarity and the shape metrics between it and CCA."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import OptionError
from ..moments.pair import Pair, Side
from .base import AFFINE, RIGID, SIMILARITY, Invariance, Measure, geometric_mean

__all__ = ["Procrustes", "ShapeMetric"]


def angle_and_distance(similarity: float) -> tuple[float, float]:
    """arccos s, and sqrt(2 - 2 s): the angle and the chord between two unit-norm shapes.

    Both lose half the digits of s near s = 1: they resolve about 1e-6, and rounding above 1 counts as 1.
    """
    distance = math.sqrt(max(2.0 - 2.0 * similarity, 0.0))
    return 2.0 * math.asin(min(distance / 2.0, 1.0)), distance


@dataclass(frozen=True)
class Procrustes(Measure):
    """Normalised Bures similarity: the cosine of the angle between two shapes after the best rotation.

    value = |S_xy|_* / sqrt(tr S_xx tr S_yy), the nuclear norm over the Frobenius norms of the centred matrices;
    in [0, 1], symmetric.

    ``details``: angle = arccos value, in [0, pi/2], and distance = sqrt(2 - 2 value), the Frobenius distance of the two
    centred, unit-norm representations after optimal rotation, in [0, sqrt 2]. Both are metrics.

    References: Williams et al. (2021), arXiv:2110.14739, section 2; Ding et al. (2021), arXiv:2108.01661, equation 3;
    Harvey et al. (2023), arXiv:2311.11436 (Bures).
    """

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        value = float(np.sum(pair.singular_values)) / geometric_mean(pair.x.total, pair.y.total)
        angle, distance = angle_and_distance(value)
        return value, {"angle": angle, "distance": distance}


@dataclass(frozen=True)
class ShapeMetric(Measure):
    """Generalised shape metric: the angle between partially whitened representations after the best rotation.

    value = arccos( |X_a^T Y_a|_* / (|X_a| |Y_a|) ) in radians, in [0, pi/2], a metric; 0 for the same shape. X_a is the
    centred matrix X times alpha I + (1 - alpha) (X^T X)^-1/2. alpha = 1 is the Procrustes angle, alpha = 0 compares
    whitened representations (for equal ranks, arccos of the mean canonical correlation).

    Between the ends the formula mixes X with its whitened self, whose norms are sqrt(rank): the value then depends on
    the units of X and on n, as in the paper. Resolves about 1e-7 near 0.

    alpha : in [0, 1].

    ``details``: similarity (the cosine), distance = sqrt(2 - 2 similarity), rank_x, rank_y.

    References: Williams et al. (2021), arXiv:2110.14739, equations 6 and 8.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.alpha <= 1:
            raise OptionError(f"ShapeMetric: alpha must be in [0, 1]: got {self.alpha!r}.")

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, math.pi / 2)

    @property
    def invariant_x(self) -> Invariance:
        return {1.0: SIMILARITY, 0.0: AFFINE}.get(float(self.alpha), RIGID)

    def evaluate(self, pair: Pair) -> tuple[float, Mapping[str, Any]]:
        (map_x, norm_x), (map_y, norm_y) = self._whitened(pair.x), self._whitened(pair.y)
        nuclear = np.linalg.svd(map_x.T @ pair.cross @ map_y, compute_uv=False).sum()
        similarity = float(nuclear) / (norm_x * norm_y)
        angle, distance = angle_and_distance(similarity)
        return angle, {
            "similarity": similarity,
            "distance": distance,
            "rank_x": pair.x.rank,
            "rank_y": pair.y.rank,
        }

    def _whitened(self, side: Side) -> tuple[np.ndarray, float]:
        """M, with X M the partially whitened rows up to a rotation, and |X M|_F."""
        if self.alpha == 0:
            return side.whitening, math.sqrt(side.rank)
        values, vectors = side.spectrum
        rank = side.rank_of(values)
        root = np.sqrt(values[:rank])
        return vectors[:, :rank] * (self.alpha + (1 - self.alpha) / root), float(
            np.linalg.norm(self.alpha * root + (1 - self.alpha))
        )
