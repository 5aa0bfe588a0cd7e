"""Distance correlation: dependence of any form, from sums over tiles of distances."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..pairwise import PairwiseEngine, pair_sums
from .base import SIMILARITY, Invariance, Measure, Result

__all__ = ["DistanceCorrelation"]


@dataclass(frozen=True)
class DistanceCorrelation(Measure):
    """Distance correlation of Szekely, Rizzo & Bakirov.

    value = sqrt( <A, B> / sqrt(<A, A> <B, B>) ), A and B the doubly centred matrices of Euclidean distances; in [0, 1],
    symmetric; in the population 0 for independent sides only. With few rows or many features it is high whatever the
    data are.

    debiased : the bias-corrected squared distance correlation instead, the same quotient (no root) of U-centred
        matrices without their diagonals: 0 in expectation for independent sides, so it can be negative; needs 4 rows.

    Time n^2; nothing n x n is kept. ``details``: precision (of the tiles) and, unless debiased, squared.

    References: Szekely, Rizzo & Bakirov (2007), Annals of Statistics 35(6), definitions 4 and 5; debiased: Szekely &
    Rizzo (2014), Annals of Statistics 42(6), equations 3.1 to 3.4.
    """

    debiased: bool = False

    @property
    def reads(self) -> str:
        return "rows"

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.debiased else (0.0, 1.0)

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY

    def evaluate_layers(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        packed = engine.packed_layers(layers, "euclidean")
        found = []
        for sums in pair_sums(engine, packed, pairs, row_sums=True):
            about = {"precision": engine.precision}
            if self.debiased:
                found.append((sums.u_centred(), about))
            else:
                squared = sums.centred()
                found.append((math.sqrt(max(squared, 0.0)), {**about, "squared": squared}))
        return found
