"""Statistics of one representation at a time, compared by their absolute difference."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..moments.pair import Pair
from ..pairwise import PairwiseEngine, gaussian_map
from .base import RIGID, Invariance, Measure, Result, per_layer
from .entries import chunks, largest, mean_row, mean_square, unit_rows

__all__ = ["Concentricity", "Magnitude", "Uniformity"]

_LEAST_MEAN = 1e-12
"""Length of the mean row over the root mean square row at which its direction is rounding."""


@dataclass(frozen=True)
class _Difference(Measure):
    """|s(X) - s(Y)| of a statistic s."""

    @property
    def reads(self) -> str:
        return "rows"

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, math.inf)

    def evaluate_layers(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        found = per_layer(layers, pairs, lambda x, label: self._statistics(x, label, engine))
        used = {"precision": self._precision(engine)}
        results = [_difference(found[i], found[j]) for i, j in pairs]
        return [(value, {**details, **used}) for value, details in results]

    def _precision(self, engine: PairwiseEngine) -> str:  # noqa: ARG002
        """What rows are taken in: float64, save for statistics from tiles."""
        return "fp64"

    @abstractmethod
    def _statistics(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> dict[str, float]:
        """Statistics by name; the first is the one compared."""


def _difference(x: Mapping[str, float], y: Mapping[str, float]) -> Result:
    details: dict[str, Any] = {}
    for name in x:
        details |= {f"{name}_x": x[name], f"{name}_y": y[name]}
    first = next(iter(x))
    return abs(x[first] - y[first]), details


@dataclass(frozen=True)
class Magnitude(Measure):
    """Difference of magnitudes, the lengths of the mean rows.

    value = | |m_x| - |m_y| |, m the mean row; in [0, inf), symmetric, in the units of the representations. Exact over
    all rows, from moments. Not the magnitude of a metric space, which is `MetricSpaceMagnitude`.

    ``details``: magnitude_x, magnitude_y.

    References: Wang et al. (2022), Towards understanding the instability of network embedding, IEEE TKDE 34(2);
    Klabunde et al. (2025), arXiv:2305.06329, descriptive statistics.
    """

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, math.inf)

    @property
    def invariant_x(self) -> Invariance:
        return Invariance.PERMUTATION | Invariance.ORTHOGONAL

    def evaluate(self, pair: Pair) -> Result:
        return _difference(*({"magnitude": float(np.linalg.norm(side.mean))} for side in (pair.x, pair.y)))


@dataclass(frozen=True)
class Concentricity(_Difference):
    """Difference of concentricities, the mean cosine of rows with the mean row.

    value = |c(X) - c(Y)|, c(X) = (1/n) sum_i cos(x_i, m), m the mean row; in [0, 2], symmetric. Near 1 on both sides
    where rows lie in a narrow cone.

    ``details``: concentricity_x, concentricity_y, the standard deviation of the cosines, sd_x, sd_y, and precision.

    References: Wang et al. (2022), Towards understanding the instability of network embedding, IEEE TKDE 34(2);
    Klabunde et al. (2025), arXiv:2305.06329, descriptive statistics.
    """

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, 2.0)

    @property
    def invariant_x(self) -> Invariance:
        return Invariance.SCALING | Invariance.PERMUTATION | Invariance.ORTHOGONAL

    def _statistics(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> dict[str, float]:
        engine.refuse_bad_rows(x, "unit", label)
        size = largest(x)  # squares of rows near 1e200 would overflow
        mean = mean_row(x) / size
        if not np.linalg.norm(mean) > _LEAST_MEAN * math.sqrt(mean_square(x, size)):
            raise DegenerateError(
                f"{self} needs a mean row with a direction: that of {label} is 0 up to rounding. "
                "Do not centre the features first."
            )
        towards = unit_rows(mean)
        cosines = np.concatenate([np.einsum("nd,d->n", unit_rows(x[part]), towards) for part in chunks(*x.shape)])
        return {"concentricity": float(np.mean(cosines)), "sd": float(np.std(cosines))}


@dataclass(frozen=True)
class Uniformity(_Difference):
    """Difference of uniformities, the log mean Gaussian potential of all pairs of rows.

    value = |u(X) - u(Y)|, u(X) = log (1/n^2) sum_ij exp(-t |x_i - x_j|^2) over all n^2 pairs, i = j included, in
    [-log n, 0]: the lower, the more evenly the rows are spread. Symmetric.

    t : > 0.
    unit : rows at unit length first, for which the statistic was made: u is then at least -4 t. False takes rows as
        they are, as ReSi does; at the norms of hidden states all potentials but the diagonal vanish, and u is -log n.

    ``details``: uniformity_x, uniformity_y, precision (of the tiles).

    References: Wang and Isola (2020), arXiv:2005.10242, section 4.1.2 (who leave the diagonal out); Klabunde et al.
    (2025), arXiv:2305.06329, descriptive statistics.
    """

    t: float = 2.0
    unit: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.t < math.inf:
            raise OptionError(f"Uniformity: t must be a number > 0: got {self.t!r}.")

    @property
    def range(self) -> tuple[float, float]:
        return (0.0, 4 * self.t if self.unit else math.inf)

    @property
    def invariant_x(self) -> Invariance:
        return RIGID if not self.unit else Invariance.SCALING | Invariance.PERMUTATION | Invariance.ORTHOGONAL

    def _precision(self, engine: PairwiseEngine) -> str:
        return engine.precision

    def _statistics(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> dict[str, float]:
        # rows packed for cosines are at unit length (and shifted, which distances do not see)
        layer = engine.packed(x, "cosine" if self.unit else "sqeuclidean", label=label)
        how = gaussian_map(layer.few * 2 if self.unit else layer.few, self.t)
        sweep = engine.backend.SumSweep(
            [layer.panels], [], metric="sqeuclidean", maps=[how], origins=[0.0], row_sums=False
        )
        above_diagonal = float(np.sum(engine.run(sweep, "uniformity")["first"][0]))
        n = float(len(x))
        if how[0] == "expm1":
            return {"uniformity": math.log1p(2 * above_diagonal / n / n)}
        return {"uniformity": math.log((n + 2 * above_diagonal) / (n * n))}
