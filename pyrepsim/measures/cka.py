"""Alignment of Gram matrices and of distance matrices: CKA (linear and RBF), RV2 and distance correlation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..moments.pair import Pair, Side
from ..pairwise import Packed, PairwiseEngine, gaussian_map, median_entry, pair_sums
from .base import (
    RIGID,
    SIMILARITY,
    Invariance,
    Measure,
    MomentMeasure,
    Result,
    RowMeasure,
    at_least_rows,
    geometric_mean,
    one_of,
)
from .shape import angle_and_distance

__all__ = ["RV2", "DistanceCorrelation", "KernelCKA", "LinearCKA"]


def cosine_of(measure: Measure, xy: float, xx: float, yy: float) -> float:
    """Return xy / sqrt(xx yy), exactly 1 when all three are equal."""
    if not (xx > 0 and yy > 0):
        raise DegenerateError(
            f"{measure} is undefined here: its self-similarities must be positive, got {xx:.3g} and {yy:.3g}. "
            "Too few rows for the number of features: pass more samples, or use LinearCKA(debiased=False)."
        )
    return xy / geometric_mean(xx, yy)


def refuse_rounding(measure: Measure, side: Side, own: float, size: float) -> None:
    """Raise DegenerateError if a self-similarity is rounding beside `size`, what it would be if nothing cancelled."""
    if not own > side.sums_error * size:
        raise DegenerateError(
            f"{measure} is undefined here: the self-similarity of {side.label} without its diagonal is only rounding "
            "(all rows equally far from each other, or too few rows for the number of features). Pass more samples, or "
            "use LinearCKA(debiased=False)."
        )


@dataclass(frozen=True)
class LinearCKA(MomentMeasure):
    """Linear centred kernel alignment.

    value = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)). Biased: HSIC(X, Y) = |S_xy|_F^2. Debiased: the unbiased estimator
    of Song et al., computed exactly from the scatter and sums of squared norms.

    Range [0, 1]; debiased [-1, 1]. Symmetric. Invariant to translation, isotropic scaling and orthogonal maps of either
    side.

    Parameters
    ----------
    debiased : bool, default False
        Use the unbiased HSIC: 0 in expectation for independent representations. Needs 4 rows.

    Notes
    -----
    With few rows and many features the biased value approaches 1 even for unrelated representations.

    The biased value equals the RV coefficient, and the whitened cosine of squared-Euclidean RDMs.

    ``Score.details`` has ``hsic_xy``, ``hsic_xx`` and ``hsic_yy``, ``angle`` = arccos(value) and ``distance`` =
    sqrt(2 - 2 value).

    References
    ----------
    Kornblith et al. (2019), arXiv:1905.00414, section 3. Song et al. (2012), JMLR 13, equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.LinearCKA(debiased=True)).value, 4)
    0.4023
    """

    debiased: bool = False

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.debiased else (0.0, 1.0)

    @property
    def biased_by_few_rows(self) -> bool:
        return not self.debiased

    @property
    def biased_by_copies(self) -> bool:
        return self.debiased

    invariant_x = SIMILARITY
    reads = "products"
    from_gram = True

    def evaluate(self, pair: Pair) -> Result:
        x, y, n = pair.x, pair.y, pair.n_samples
        if self.debiased:
            at_least_rows(self, x, 4)

            # Song's estimator over centred rows. sum a b is split into its centred part and (sum a)(sum b) / n, so
            # that the large terms cancel in the formula and not in floating point.
            def hsic(product_sq: float, total_x: float, total_y: float, norms: float) -> float:
                return (product_sq - total_x * total_y / (n - 1) - n / (n - 2) * norms) / (n * (n - 3))

            xy = hsic(pair.cross_sq, x.total, y.total, pair.norm_products)
            xx = hsic(x.norm_sq, x.total, x.total, x.norm_spread)
            yy = hsic(y.norm_sq, y.total, y.total, y.norm_spread)
            for side, own in ((x, xx), (y, yy)):
                # without cancellation the terms would be about |S|^2 + (tr S)^2 / (n - 1) + n / (n - 2) sum |x - m|^4
                size = side.norm_sq + side.total**2 / (n - 1) + n / (n - 2) * (side.norm_spread + side.total**2 / n)
                refuse_rounding(self, side, own * n * (n - 3), size)
        else:
            xy, xx, yy = pair.cross_sq, x.norm_sq, y.norm_sq
        value = cosine_of(self, xy, xx, yy)
        return value, {"hsic_xy": xy, "hsic_xx": xx, "hsic_yy": yy, **angle_and_distance(value)}


@dataclass(frozen=True)
class RV2(MomentMeasure):
    """Modified RV coefficient: the cosine of the two centred Gram matrices without their diagonals.

    value = (|S_xy|^2 - q_xy) / sqrt((|S_xx|^2 - q_xx) (|S_yy|^2 - q_yy)), q_xy = sum_i |x_i - m_x|^2 |y_i - m_y|^2.

    Range [-1, 1]. Symmetric. Invariant to translation, isotropic scaling and orthogonal maps of either side. Needs
    3 rows.

    Notes
    -----
    Without the diagonals, many features no longer push the value towards 1.

    ``Score.details`` has ``angle`` = arccos(value) and ``distance`` = sqrt(2 - 2 value).

    References
    ----------
    Smilde et al. (2009), Bioinformatics 25(3), equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.RV2()).value, 4)
    0.4023
    """

    range = (-1.0, 1.0)
    biased_by_copies = True
    invariant_x = SIMILARITY
    reads = "products"
    from_gram = True

    def evaluate(self, pair: Pair) -> Result:
        x, y, n = pair.x, pair.y, pair.n_samples
        at_least_rows(self, x, 3)
        xy = pair.cross_sq - (pair.norm_products + x.total * y.total / n)
        xx = x.norm_sq - (x.norm_spread + x.total**2 / n)
        yy = y.norm_sq - (y.norm_spread + y.total**2 / n)
        for side, own in ((x, xx), (y, yy)):
            refuse_rounding(self, side, own, side.norm_sq + side.norm_spread + side.total**2 / n)
        value = cosine_of(self, xy, xx, yy)
        return value, angle_and_distance(value)


@dataclass(frozen=True)
class KernelCKA(RowMeasure):
    """Centred kernel alignment with the RBF kernel k(x, y) = exp(-|x - y|^2 / (2 sigma^2)).

    value = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)). Biased: HSIC(K, L) = tr(K H L H). Debiased: the unbiased estimator
    of Song et al.

    Range [0, 1]; debiased [-1, 1]. Symmetric. Invariant to translation and orthogonal maps of either side, and with
    ``bandwidth="median"`` to isotropic scaling.

    Parameters
    ----------
    kernel : {"rbf"}, default "rbf"
    bandwidth : float or "median", default "median"
        sigma, in the units of the representations, the same for both sides; or `fraction` times the median distance
        between rows of each side. A small sigma compares neighbours only; a large one gives linear CKA.
    fraction : float, default 1.0
        Of the median distance.
    debiased : bool, default False
        Use the unbiased HSIC: 0 in expectation for independent representations. Needs 4 rows.

    Notes
    -----
    Reads rows: time n^2, and no n x n matrix is stored. The biased value of unrelated representations is high if there
    are few rows.

    ``Score.details`` has ``bandwidth_x``, ``bandwidth_y``, ``precision`` (of the tiles), ``angle`` = arccos(value) and
    ``distance`` = sqrt(2 - 2 value).

    References
    ----------
    Kornblith et al. (2019), arXiv:1905.00414, section 3. Cortes et al. (2012), JMLR 13, definition 4. Song et al.
    (2012), JMLR 13, equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.KernelCKA(debiased=True)).value, 4)
    0.3831
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
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.debiased else (0.0, 1.0)

    @property
    def biased_by_few_rows(self) -> bool:
        return not self.debiased

    @property
    def invariant_x(self) -> Invariance:
        return SIMILARITY if isinstance(self.bandwidth, str) else RIGID

    def evaluate(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        packed = engine.packed_layers(layers, "sqeuclidean")
        sigmas = [self._sigma(layer, engine) for layer in packed]
        maps = [gaussian_map(layer.few, 0.5 / sigma / sigma) for layer, sigma in zip(packed, sigmas, strict=True)]
        results = []
        for sums, (i, j) in zip(pair_sums(engine, packed, pairs, maps=maps, row_sums=True), pairs, strict=True):
            value = sums.u_centred() if self.debiased else sums.centred()
            details = {"bandwidth_x": sigmas[i], "bandwidth_y": sigmas[j], "precision": engine.precision}
            results.append((value, {**details, **angle_and_distance(value)}))
        return results

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


@dataclass(frozen=True)
class DistanceCorrelation(RowMeasure):
    """Distance correlation: dependence of any form, also nonlinear.

    value = sqrt(<A, B> / sqrt(<A, A> <B, B>)), with A and B the doubly centred matrices of Euclidean distances.

    Range [0, 1]; debiased [-1, 1]. Symmetric. Invariant to translation, isotropic scaling and orthogonal maps of either
    side.

    Parameters
    ----------
    debiased : bool, default False
        The bias-corrected squared distance correlation: the same quotient, without the root, of U-centred matrices
        without their diagonals. It is 0 in expectation for independent sides, so it can be negative. Needs 4 rows.

    Notes
    -----
    In the population the value is 0 only for independent sides. With few rows or many features it is high whatever the
    data are. Reads rows: time n^2, and no n x n matrix is stored.

    ``Score.details`` has ``precision`` (of the tiles) and, unless debiased, ``squared``.

    References
    ----------
    Szekely, Rizzo & Bakirov (2007), Annals of Statistics 35(6), definitions 4 and 5. Debiased: Szekely & Rizzo (2014),
    Annals of Statistics 42(6), equations 3.1 to 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.DistanceCorrelation()).value, 4)
    0.6448
    """

    debiased: bool = False

    @property
    def range(self) -> tuple[float, float]:
        return (-1.0, 1.0) if self.debiased else (0.0, 1.0)

    @property
    def biased_by_few_rows(self) -> bool:
        return not self.debiased

    invariant_x = SIMILARITY

    def evaluate(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        packed = engine.packed_layers(layers, "euclidean")
        results: list[Result] = []
        for sums in pair_sums(engine, packed, pairs, row_sums=True):
            if self.debiased:
                results.append((sums.u_centred(), {"precision": engine.precision}))
            else:
                squared = sums.centred()
                results.append((math.sqrt(max(squared, 0.0)), {"precision": engine.precision, "squared": squared}))
        return results
