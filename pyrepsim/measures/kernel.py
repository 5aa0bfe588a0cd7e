"""Centred kernel alignment with a kernel that has no finite features: from sums over tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..pairwise import Packed, PairwiseEngine, gaussian_map, median_entry, pair_sums
from .base import RIGID, SIMILARITY, Invariance, Measure, Result, one_of

__all__ = ["KernelCKA"]


@dataclass(frozen=True)
class KernelCKA(Measure):
    """Centred kernel alignment with the RBF kernel k(x, y) = exp(-|x - y|^2 / (2 sigma^2)).

    value = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)); symmetric. Biased: HSIC(K, L) = tr(K H L H), in [0, 1], and high
    for two unrelated representations with few rows. Debiased: the unbiased estimator of Song et al., 0 in expectation
    for independent representations, so the value can be slightly negative; needs 4 rows. Time n^2; nothing n x n is
    kept.

    kernel : ``"rbf"``.
    bandwidth : sigma. ``"median"``: ``fraction`` times the median distance between rows of the side, which makes the
        measure blind to scale; or a number, the same for both sides. A small sigma sees neighbours only, a large one
        gives linear CKA.
    fraction : of the median distance.
    debiased : use the unbiased HSIC.

    ``details``: bandwidth_x, bandwidth_y, precision (of the tiles).

    References: Kornblith et al. (2019), arXiv:1905.00414, section 3; Cortes et al. (2012), JMLR 13, definition 4; Song
    et al. (2012), JMLR 13, equation 5.
    """

    kernel: str = "rbf"
    bandwidth: float | str = "median"
    fraction: float = 1.0
    debiased: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "kernel", ("rbf",))
        if isinstance(self.bandwidth, str):
            one_of(self, "bandwidth", ("median",))
        elif not 0 < self.bandwidth < float("inf"):
            raise OptionError(f"KernelCKA: bandwidth must be 'median' or a number > 0: got {self.bandwidth!r}.")
        elif self.fraction != 1:
            raise OptionError("KernelCKA: fraction is of the median distance: give it with bandwidth='median'.")
        if not 0 < self.fraction < float("inf"):
            raise OptionError(f"KernelCKA: fraction must be a number > 0: got {self.fraction!r}.")

    @property
    def reads(self) -> str:
        return "rows"

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.debiased else (0.0, 1.0)

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY if isinstance(self.bandwidth, str) else RIGID

    def evaluate_layers(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        packed = engine.packed_layers(layers, "sqeuclidean")
        sigmas = [self._sigma(layer, engine) for layer in packed]
        maps = [gaussian_map(layer.few, 0.5 / sigma / sigma) for layer, sigma in zip(packed, sigmas, strict=True)]
        found = []
        for sums, (i, j) in zip(pair_sums(engine, packed, pairs, maps=maps, row_sums=True), pairs, strict=True):
            value = sums.u_centred() if self.debiased else sums.centred()
            about = {"bandwidth_x": sigmas[i], "bandwidth_y": sigmas[j], "precision": engine.precision}
            found.append((value, about))
        return found

    def _sigma(self, layer: Packed, engine: PairwiseEngine) -> float:
        if not isinstance(self.bandwidth, str):
            return self.bandwidth
        median = median_entry(engine, layer, "euclidean")
        if not median > 0:
            raise DegenerateError(
                f"{self}: the median distance between rows must not be 0, but most rows are equal. "
                "Give bandwidth a number."
            )
        return self.fraction * median
