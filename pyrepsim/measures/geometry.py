"""Differences of a statistic of each representation: magnitude, concentricity, uniformity, metric space magnitude."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends.directions import round_off
from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError, OptionError
from ..moments.pair import Pair
from ..pairwise import PairwiseEngine, gaussian_map
from ..pairwise.distances import condensed
from .base import RIGID, SIMILARITY, Invariance, MomentMeasure, Result, RowMeasure, per_layer
from .rows import mean_row, unit_rows

__all__ = ["MAX_ROWS", "Concentricity", "Magnitude", "MetricSpaceMagnitude", "Uniformity"]

MAX_ROWS = 5_000
"""Most rows of `MetricSpaceMagnitude`: its similarity matrix has 200 MB (0.7 GB with factors and distances)."""

_LEAST_ACCURACY = 1e-6
"""Relative error above which a metric space magnitude is refused."""


@dataclass(frozen=True)
class _Difference(RowMeasure):
    """|s(X) - s(Y)| of a statistic s."""

    range = (0.0, math.inf)
    is_distance = True
    depends_on_matching = False

    def evaluate(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        statistics = per_layer(layers, pairs, lambda x, label: self._statistics(x, label, engine))
        differences = [_difference(statistics[i], statistics[j]) for i, j in pairs]
        return [(value, {**details, "precision": self._precision(engine)}) for value, details in differences]

    def _precision(self, engine: PairwiseEngine) -> str:  # noqa: ARG002
        """Return the precision of the statistic: float64, except for statistics from tiles."""
        return "fp64"

    @abstractmethod
    def _statistics(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> dict[str, float]:
        """Return statistics by name; the first one is compared, the others are details."""


_LEAST_SQUARE = 1e-200
"""Squared lengths between this and its inverse have lost nothing to underflow or overflow."""


def cosines_with(x: np.ndarray, towards: np.ndarray, engine: PairwiseEngine, label: str) -> tuple[np.ndarray, float]:
    """Return the cosine of each row with a row of length 1, (n,), and the largest length of a row, in float64."""
    dots, squares = engine.host.dot_rows(x, towards, engine.n_threads)
    least, most = float(np.min(squares)), float(np.max(squares))
    if least > _LEAST_SQUARE and most < 1 / _LEAST_SQUARE:
        return dots / np.sqrt(squares), math.sqrt(most)
    engine.refuse_bad_rows(x, "unit", label)
    odd = ~((squares > _LEAST_SQUARE) & (squares < 1 / _LEAST_SQUARE))
    dots[odd], squares[odd] = np.einsum("nd,d->n", unit_rows(x[odd]), towards), 1.0
    return dots / np.sqrt(squares), math.inf


def _difference(x: Mapping[str, float], y: Mapping[str, float]) -> Result:
    details: dict[str, Any] = {}
    for name in x:
        details |= {f"{name}_x": x[name], f"{name}_y": y[name]}
    first = next(iter(x))
    return abs(x[first] - y[first]), details


@dataclass(frozen=True)
class Magnitude(MomentMeasure):
    """Difference of magnitudes, the lengths of the mean rows.

    value = | |m_x| - |m_y| |, with m the mean row.

    Range [0, inf), in the units of the representations. Symmetric. Invariant to orthogonal maps of either side.

    Notes
    -----
    Computed from moments, exact over all rows. This is not the magnitude of a metric space, which is
    `MetricSpaceMagnitude`.

    ``Score.details`` has ``magnitude_x`` and ``magnitude_y``.

    References
    ----------
    Wang et al. (2022), Towards understanding the instability of network embedding, IEEE TKDE 34(2). Klabunde et al.
    (2025), arXiv:2305.06329, descriptive statistics.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.Magnitude()).value, 4)
    0.0631
    """

    range = (0.0, math.inf)
    is_distance = True
    depends_on_matching = False
    invariant_x = Invariance.PERMUTATION | Invariance.ORTHOGONAL
    reads = "variances"

    @property
    def array_form(self) -> RowMeasure:
        return _ARRAY_MAGNITUDE

    def evaluate(self, pair: Pair) -> Result:
        return _difference(*({"magnitude": float(np.linalg.norm(side.mean))} for side in (pair.x, pair.y)))


@dataclass(frozen=True)
class _ArrayMagnitude(RowMeasure):
    """`Magnitude` of rows in memory: nothing but their means is computed."""

    range = (0.0, math.inf)
    is_distance = True
    invariant_x = Magnitude.invariant_x

    @property
    def public_name(self) -> str:
        return "Magnitude"

    def evaluate(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        def statistic(x: np.ndarray, label: str) -> dict[str, float]:
            mean = engine.backend.mean_row(x, "raw", engine.n_threads)
            magnitude = math.sqrt(mean @ mean)
            if not math.isfinite(magnitude):  # as it is not with one number that is not finite
                engine.refuse_nonfinite(x, label)
            return {"magnitude": magnitude}

        magnitudes = per_layer(layers, pairs, statistic)
        return [_difference(magnitudes[i], magnitudes[j]) for i, j in pairs]


_ARRAY_MAGNITUDE = _ArrayMagnitude()


@dataclass(frozen=True)
class Concentricity(_Difference):
    """Difference of concentricities, the mean cosine of the rows with the mean row.

    value = |c(X) - c(Y)|, c(X) = (1/n) sum_i cos(x_i, m), with m the mean row.

    Range [0, 2]. Symmetric. Invariant to isotropic scaling and orthogonal maps of either side.

    Notes
    -----
    c is near 1 for a representation whose rows lie in a narrow cone.

    ``Score.details`` has ``concentricity_x``, ``concentricity_y``, ``sd_x``, ``sd_y`` (standard deviation of the
    cosines) and ``precision``.

    References
    ----------
    Wang et al. (2022), Towards understanding the instability of network embedding, IEEE TKDE 34(2). Klabunde et al.
    (2025), arXiv:2305.06329, descriptive statistics.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.Concentricity()).value, 4)
    0.0175
    """

    range = (0.0, 2.0)
    invariant_x = Invariance.SCALING | Invariance.PERMUTATION | Invariance.ORTHOGONAL

    def _statistics(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> dict[str, float]:
        mean = engine.host.mean_row(x, "raw", engine.n_threads)
        if not np.isfinite(mean).all():  # as it is not with one number that is not finite
            engine.refuse_nonfinite(x, label)
            mean = mean_row(x)  # without overflow
        cosines, longest = cosines_with(x, unit_rows(mean), engine, label)
        # numbers that were rounded twice, and a sum of n terms in any order
        error = 2 * round_off(x.dtype) + (len(x) + 2) * 2.0**-53
        if not (np.abs(mean) > error * longest).any() and not (np.abs(mean) > error * mean_row(x, absolute=True)).any():
            raise DegenerateError(
                f"{self} needs a mean row with a direction: that of {label} is 0 up to rounding. "
                "Do not centre the features first."
            )
        return {"concentricity": float(np.mean(cosines)), "sd": float(np.std(cosines))}


@dataclass(frozen=True)
class Uniformity(_Difference):
    """Difference of uniformities, the log mean Gaussian potential of all pairs of rows.

    value = |u(X) - u(Y)|, u(X) = log (1/n^2) sum_ij exp(-t |x_i - x_j|^2) over all n^2 pairs, i = j included.

    Range [0, 4 t] for rows of unit length, otherwise [0, inf). Symmetric. Invariant to orthogonal maps of either side,
    and to isotropic scaling (``unit=True``) or to translation (``unit=False``).

    Parameters
    ----------
    t : float, default 2.0
        t > 0.
    unit : bool, default True
        Scale rows to unit length first, as in the paper. False takes rows as they are, as ReSi does: at the norms of
        hidden states all potentials except the diagonal vanish, and u is -log n.

    Notes
    -----
    u is in [-log n, 0]; the lower, the more evenly the rows are spread. Reads rows: time n^2.

    ``Score.details`` has ``uniformity_x``, ``uniformity_y`` and ``precision`` (of the tiles).

    References
    ----------
    Wang & Isola (2020), arXiv:2005.10242, section 4.1.2 (without the diagonal). Klabunde et al. (2025),
    arXiv:2305.06329, descriptive statistics.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.Uniformity()).value, 4)
    0.2363
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
        # rows packed for cosines have unit length (and are shifted, which does not change distances)
        layer = engine.packed(x, "cosine" if self.unit else "sqeuclidean", label=label)
        transform = gaussian_map(layer.few * 2 if self.unit else layer.few, self.t)
        sweep = engine.backend.SumSweep(
            [layer.panels], [], metric="sqeuclidean", maps=[transform], origins=[0.0], row_sums=False
        )
        above_diagonal = float(np.sum(engine.run(sweep, "uniformity")["first"][0]))
        n = float(len(x))
        if transform[0] == "expm1":
            return {"uniformity": math.log1p(2 * above_diagonal / n / n)}
        return {"uniformity": math.log((n + 2 * above_diagonal) / (n * n))}


@dataclass(frozen=True)
class MetricSpaceMagnitude(_Difference):
    """Difference of metric space magnitudes, the effective numbers of points.

    value = |M(X) - M(Y)|, M(X) = sum_ij (Z^-1)_ij with Z_ij = exp(-t d_ij / s) and Euclidean distances d.

    Range [0, inf). Symmetric. Invariant to translation and orthogonal maps of either side, and with ``relative=True``
    to isotropic scaling.

    Parameters
    ----------
    t : float, default 10.0
        The scale t > 0. M tends to 1 for small t, and to the number of points for large t.
    relative : bool, default True
        s is the root mean square distance of the representation. False: s = 1.

    Notes
    -----
    Inverts an n x n matrix: at most 5,000 rows, which take seconds and 0.7 GB. Rows whose similarity is 1 in float64
    count as one point.

    ``Score.details`` has, for each side, ``magnitude``, ``distinct`` (number of points) and ``accuracy`` (about how
    much of the magnitude may be rounding, a fraction), and ``precision`` ("fp64").

    References
    ----------
    Leinster (2013), The magnitude of metric spaces, Documenta Mathematica 18, section 2. Limbeck et al. (2024),
    arXiv:2311.16054 (who integrate the difference over t).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.MetricSpaceMagnitude()).value, 4)
    50.362
    """

    t: float = 10.0
    relative: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.t < math.inf:
            raise OptionError(f"MetricSpaceMagnitude: t must be a number > 0: got {self.t!r}.")

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY if self.relative else RIGID

    def _statistics(self, x: np.ndarray, label: str, engine: PairwiseEngine) -> dict[str, float]:
        n = len(x)
        if n > MAX_ROWS:
            raise DegenerateError(
                f"{self} solves an n x n system: at most {MAX_ROWS:,} rows, got {n:,} of {label}. Take a sample."
            )
        exact = PairwiseEngine(
            backend=engine.backend.name, n_threads=engine.n_threads, precision="fp64", progress=False
        )
        distances = condensed(exact, exact.panels(x, "euclidean", label=label), "euclidean")
        scale = (self.relative and math.sqrt(float(np.mean(np.square(distances))))) or 1.0
        similarity, distinct = _similarity(distances, n, self.t / scale)
        with one_blas_thread():  # the same bits for any number of threads
            magnitude, error = _total_weight(similarity[np.ix_(distinct, distinct)])
        accuracy = error / abs(magnitude)
        if not accuracy < _LEAST_ACCURACY:
            raise DegenerateError(
                f"{self} needs a similarity matrix that can be inverted: the magnitude came out as {magnitude:.6g} "
                f"with relative error {accuracy:.2g}. Rows are too near one another for the scale: take a larger t."
            )
        return {"magnitude": magnitude, "distinct": float(np.count_nonzero(distinct)), "accuracy": accuracy}


def _similarity(distances: np.ndarray, n: int, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Return exp(-rate d) as an (n, n) matrix, and a mask of the rows that equal no earlier row."""
    similarity, distinct = np.ones((n, n)), np.ones(n, dtype=bool)
    begin = 0
    for i in range(n - 1):
        later = distances[begin : begin + n - 1 - i]
        similarity[i, i + 1 :] = similarity[i + 1 :, i] = np.exp(-rate * later)
        distinct[i + 1 :] &= similarity[i, i + 1 :] < 1
        begin += len(later)
    return similarity, distinct


def _total_weight(similarity: np.ndarray) -> tuple[float, float]:
    """Return sum w, where Z w = 1 for positive definite Z, and a first-order bound of its error.

    With the computed w' and r = 1 - Z w', the error is w . r; rounding E of Z's entries adds w . E w.
    """
    try:
        weights = np.linalg.solve(similarity, np.ones(len(similarity)))
    except np.linalg.LinAlgError:
        return math.nan, math.inf
    residual = 1 - np.einsum("ij,j->i", similarity, weights)
    spread = float(np.sum(np.abs(weights)))
    return float(np.sum(weights)), spread * float(np.max(np.abs(residual))) + 2.0**-52 * spread**2
