"""Centred moments of one representation (`Side`) and of two (`Pair`), which measures read.

The matrices are NumPy's, or CuPy's where a GPU made the sums. The formulas are the same: they call NumPy's functions,
which hand arrays of CuPy to CuPy. Numbers that a decision or a result needs are `read` (readback.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy as np

from ..backends import get_backend
from ..core.lazy import lazy
from .norms import Norms
from .readback import Readback, Reader, read_now
from .singular import column_products, nuclear_norm, singular_triplets

__all__ = ["DiagonalSide", "Pair", "Side"]


LEAST_SD = 8 * 2.0**-53
"""Standard deviation of a feature that varies, as a fraction of its mean: less may be rounding of the mean."""
LEAST_SCALED = 1e-12
"""After scaling to unit diagonal, directions with less than this fraction of the largest eigenvalue are rounding errors
of the rows: float32 leaves about 1e-14 in a direction that a LayerNorm has removed."""


def scaled_spectrum(scatter: np.ndarray, varying: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues (descending) and eigenvectors of the scatter scaled to unit diagonal, and the scale (0: constant).

    `varying` is the mask of features that are not constant; None: all.
    """
    scale = 1.0 / np.sqrt(scatter.diagonal() if varying is None else np.where(varying, scatter.diagonal(), np.inf))
    values, vectors = np.linalg.eigh(scatter * (scale[:, None] * scale))
    return values[::-1], vectors[:, ::-1], scale


def count_above(values: np.ndarray, least: float) -> int:
    """The number of values, in descending order, that are above a limit: most often all of them."""
    return len(values) if values.item(-1) > least else int(np.count_nonzero(values > least))


@dataclass(frozen=True, eq=False)
class Side:
    """Moments of one representation: of its rows x (after the row transform), centred at their mean m.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> moments = rs.MomentsSet([2])
    >>> moments.update([np.array([[1.0, 0.0], [3.0, 4.0]])])
    >>> side = moments.side(0)
    >>> side.mean, side.scatter.tolist(), side.rank
    (array([2., 2.]), [[2.0, 4.0], [4.0, 8.0]], 1)
    """

    n_samples: float
    mean: np.ndarray
    """m, (d,)."""
    scatter: np.ndarray
    """S = sum (x - m)(x - m)^T, (d, d): unnormalised."""
    norm_sq: float
    """|S|_F^2."""
    norms: Norms
    epsilon: float
    """Unit round-off of the products that made the sums."""
    label: str = "X"
    copies: float = 0.0
    """The number of pairs of rows that are a row and its own copy: bootstrap resamples repeat rows."""
    one_direction: bool = False
    """Whether all rows at length 1 are equal up to rounding (backends/directions.py); False for raw rows."""
    rounding: np.ndarray | None = None
    """Precision int24: the sum over rows of the square of the largest rounding error of each feature, (d,)."""
    readback: ClassVar[Readback | None] = None
    """Of an instance whose `scatter` is on a device: how values come to the host. `mean` is always on the host."""

    @lazy
    def known(self) -> dict[Any, Any]:
        """What measures have computed for this side, and values that were read."""
        return {}

    def read(self, name: str, compute: Callable[[], Any]) -> Any:
        """What ``compute()`` returns, with its vectors and numbers on the host; computed once on a device."""
        return compute() if self.readback is None else self.readback.read(self.known, (), name, compute)

    @property
    def place(self) -> Any:
        """What computes products of vectors where the scatter is: a backend or a device."""
        return get_backend() if self.readback is None else self.readback.device

    def there(self, array: np.ndarray) -> Any:
        """An array of the host where the scatter is."""
        return array if self.readback is None else self.readback.to_device(array)

    @lazy
    def mean_there(self) -> Any:
        return self.there(self.mean)

    @property
    def n_features(self) -> int:
        return len(self.mean)

    @lazy
    def squares(self) -> np.ndarray:
        """The diagonal of S: n times the variances of the features, (d,)."""
        return self.scatter.diagonal() if self.readback is None else self.read("squares", self.scatter.diagonal)

    @lazy
    def total(self) -> float:
        """tr S: n times the total variance."""
        return float(self.read("total", self.scatter.trace))

    @lazy
    def rounding_error(self) -> float:
        """Largest rounding error of the centred rows of a feature that varies, relative to its size; 0 if not int24.

        r = max_j sqrt(sum h_j^2 / S_jj). By the Cauchy-Schwarz inequality an entry of the scatter is wrong by at most
        (2 r + r^2) sqrt(S_ii S_jj).
        """
        if self.rounding is None:
            return 0.0
        return math.sqrt(np.max(self.rounding[self.varying] / self.squares[self.varying], initial=0.0))

    @property
    def sums_error(self) -> float:
        """Largest error of a sum of products of squared norms, relative to what it would be if nothing cancelled.

        10 times the typical error of an entry of the scatter (`MomentsSet`) in float64, and in float32 and int24.
        """
        return 1e-13 if self.epsilon == 2.0**-53 else 1e-5

    @lazy
    def norm_spread(self) -> float:
        """sum a^2 - (sum a)^2 / n with a = |x - m|^2: the scatter of squared norms."""
        return float(self.read("norm_spread", lambda: self.norms.product(self.scatter)))

    @lazy
    def varying(self) -> np.ndarray:
        """Mask of features that vary by more than the rounding error of their mean; the others are constant."""
        sd = np.sqrt(np.maximum(self.squares, 0.0) / self.n_samples)
        return sd > LEAST_SD * np.abs(self.mean)

    @lazy
    def is_constant(self) -> bool:
        """Whether no feature varies. Nearly always the feature of the largest variance does."""
        k = int(self.squares.argmax())
        sd = math.sqrt(max(self.squares.item(k), 0.0) / self.n_samples)
        return not sd > LEAST_SD * abs(self.mean.item(k)) and not self.varying.any()

    @lazy
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of S, descending, and the eigenvectors as columns."""
        values, vectors = np.linalg.eigh(self.scatter)
        return values[::-1], vectors[:, ::-1]

    @lazy
    def eigenvalues(self) -> np.ndarray:
        """The eigenvalues of `spectrum` on the host."""
        return self.read("eigenvalues", lambda: self.spectrum[0])

    @lazy
    def whitening(self) -> np.ndarray:
        """W, (d, rank), with W^T S W = I over the numerical range of S.

        S is scaled to unit diagonal first. This does not change canonical correlations, and it keeps rounding errors
        of large features out of small ones. Constant features are left out.
        """
        values, vectors, scale = self._scaled_spectrum
        return scale[:, None] * vectors[:, : self.rank] / np.sqrt(values[: self.rank])

    @lazy
    def loadings(self) -> np.ndarray:
        """S W, (d, rank): n times the covariances of the features with the whitened features."""
        return self.scatter @ self.whitening

    def within_rank(self, covariances: np.ndarray) -> np.ndarray:
        """S W W^T C for covariances C (d, k) of the features with others: the part of C within the rank."""
        _, vectors, scale = self._scaled_spectrum
        beyond = vectors[:, self.rank :]
        if not beyond.size:
            return covariances
        part = beyond @ (beyond.T @ (scale[:, None] * covariances))
        varying = scale > 0
        return np.where(varying[:, None], covariances - part / np.where(varying, scale, 1.0)[:, None], 0.0)

    @lazy
    def rank(self) -> int:
        """Numerical rank of S scaled to unit diagonal."""
        values = self._scaled_values
        return min(self.rank_of(values), count_above(values, LEAST_SCALED * values.item(0)))

    @lazy
    def condition(self) -> float:
        """Largest eigenvalue over the smallest one within the rank, after scaling to unit diagonal."""
        values = self._scaled_values
        return values.item(0) / values.item(self.rank - 1)

    @property
    def accuracy(self) -> float:
        """Approximate relative error of whitened quantities: condition number times unit round-off."""
        return self.condition * self.epsilon

    @lazy
    def _scaled_spectrum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return scaled_spectrum(self.scatter, None if self.varying.all() else self.there(self.varying))

    @property
    def _scaled_values(self) -> np.ndarray:
        values = self._scaled_spectrum[0]
        return values if self.readback is None else self.read("scaled_values", lambda: values)

    def with_itself(self) -> Pair:
        """The representation paired with itself."""
        return Pair(self, self, self.scatter, self.norm_sq, self.norms)

    def rank_of(self, eigenvalues: np.ndarray) -> int:
        """The number of eigenvalues (descending) above max(d, 100) epsilon times the largest, at most n - 1.

        Rounding errors of the sums are a few epsilon even for few features, hence the 100.
        """
        least = max(self.n_features, 100) * self.epsilon * eigenvalues.item(0)
        return int(min(count_above(eigenvalues, least), max(self.n_samples - 1, 0)))


class DiagonalSide(Side):
    """Moments of one representation of whose scatter only the diagonal was summed."""

    def __init__(
        self,
        n_samples: float,
        mean: np.ndarray,
        squares: np.ndarray,
        epsilon: float,
        label: str,
        copies: float,
        one_direction: bool,
    ) -> None:
        vars(self).update(n_samples=n_samples, mean=mean, squares=squares, epsilon=epsilon)
        vars(self).update(label=label, copies=copies, one_direction=one_direction)

    @lazy
    def total(self) -> float:
        return float(np.sum(self.squares))


@dataclass(frozen=True, eq=False)
class Pair:
    """Moments of two representations over the same rows.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> X = np.random.default_rng(0).standard_normal((100, 3))
    >>> moments = rs.PairedMoments(3, 3)
    >>> moments.update(X, 2 * X)
    >>> pair = moments.pair()
    >>> pair.n_samples, pair.cross.shape, pair.canonical[1].round(4)
    (100, (3, 3), array([1., 1., 1.]))
    """

    x: Side
    y: Side
    cross: np.ndarray
    """S_xy = sum (x - m_x)(y - m_y)^T, (d_x, d_y)."""
    cross_sq: float
    """|S_xy|_F^2."""
    norms: Norms
    mirror: Pair | None = field(default=None, repr=False)
    """The pair (y, x), whose decompositions are reused."""

    @property
    def n_samples(self) -> float:
        return self.x.n_samples

    @property
    def copies(self) -> float:
        return self.x.copies

    @lazy
    def _read(self) -> dict[Any, Any]:
        """Values that were read. All pairs of a side with itself share them."""
        return self.x.known if self.x is self.y else {}

    def reader(self, *of: Any) -> Reader:
        """The function ``read(name, compute)`` for values of a measure, or of another key."""
        readback = self.x.readback
        return read_now if readback is None else partial(readback.read, self._read, of)

    def read(self, name: str, compute: Callable[[], Any]) -> Any:
        """What ``compute()`` returns, with its vectors and numbers on the host; computed once on a device."""
        return compute() if self.x.readback is None else self.x.readback.read(self._read, (), name, compute)

    @lazy
    def norm_products(self) -> float:
        """sum a b - (sum a)(sum b) / n with a = |x - m_x|^2, b = |y - m_y|^2: the cross scatter of squared norms."""
        if self.x is self.y:
            return self.x.norm_spread
        if self.mirror is not None:
            return self.mirror.norm_products
        return float(self.read("norm_products", lambda: self.norms.product(self.cross)))

    @lazy
    def weighted_x(self) -> np.ndarray:
        """sum b (x - m_x), (d_x,)."""
        if self.mirror is not None:
            return self.mirror.weighted_y
        return self.norms.weighted_u(self.cross)

    @lazy
    def weighted_y(self) -> np.ndarray:
        """sum a (y - m_y), (d_y,)."""
        if self.mirror is not None:
            return self.mirror.weighted_x
        return self.norms.weighted_v(self.cross)

    @property
    def largest_error(self) -> float:
        """Bound of the error of an entry of S_xx, S_yy or S_xy, relative to sqrt(S_ii S_jj), in precision int24."""
        r, s = self.x.rounding_error, self.y.rounding_error
        return max(2 * r + r * r, 2 * s + s * s)  # between them is r + s + r s

    @lazy
    def singular_values(self) -> np.ndarray:
        """Singular values of S_xy, descending."""
        if self.mirror is not None:
            return self.mirror.singular_values
        if self.x is self.y:
            return np.sort(np.abs(self.x.eigenvalues))[::-1]
        return self.read("singular_values", lambda: np.linalg.svd(self.cross, compute_uv=False))

    @lazy
    def nuclear_norm(self) -> float:
        """The sum of the singular values of S_xy."""
        if self.mirror is not None:
            return self.mirror.nuclear_norm
        return self.x.total if self.x is self.y else nuclear_norm(self.cross, self.reader("nuclear_norm"))

    @lazy
    def known(self) -> dict[Any, np.ndarray]:
        """Correlations that measures have computed for this pair or its mirror, by measure."""
        return {} if self.mirror is None else self.mirror.known

    @lazy
    def canonical(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights in X, canonical correlations rho in descending order, weights in Y: (k,) each, k the smaller rank.

        The weight of rho_i in X is sum_j |<h_i, x_j>| with the canonical variate h_i = a_i^T (x - m_x) of unit norm,
        and <h_i, x_j> = (S_x a_i)_j.
        """
        if self.mirror is not None or self.x.rank > self.y.rank:
            turned = self.mirror or Pair(self.y, self.x, self.cross.T, self.cross_sq, self.norms)
            weights_y, rho, weights_x = vars(self).setdefault("_turned", turned).canonical  # keeps what was read
            return weights_x, rho, weights_y
        weights_x, rho, weights_y = self.read("canonical", self._canonical)
        order = np.argsort(-rho, kind="stable")
        return weights_x[order], rho[order], weights_y[order]

    def _canonical(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`canonical` where the sums are, in no particular order."""
        if self.x is self.y:  # W^T S W is I, up to rounding
            rho = column_products(self.x.loadings, self.x.whitening)
            loaded_x = loaded_y = self.x.loadings
        else:
            half = self.x.whitening.T @ self.cross
            images = self.y.loadings, self.y.within_rank(half.T)
            read = self.reader("canonical")
            left, rho, loaded_y = singular_triplets(half @ self.y.whitening, images, read)
            loaded_x = self.x.loadings @ left
        return np.abs(loaded_x).sum(axis=0), rho, np.abs(loaded_y).sum(axis=0)

    @lazy
    def mean_cross(self) -> float:
        """m_x^T S_xy m_y."""
        place, x, y = self.x.place, self.x.mean_there, self.y.mean_there
        return float(self.read("mean_cross", lambda: place.dot(place.vector_matrix(x, self.cross), y)))

    @lazy
    def mean_weighted(self) -> tuple[float, float]:
        """m_x . sum b (x - m_x) and m_y . sum a (y - m_y)."""
        dot, m, w = self.x.place.dot, (self.x.mean_there, self.y.mean_there), (self.weighted_x, self.weighted_y)
        x, y = self.read("mean_weighted", lambda: tuple(map(dot, m, w)))
        return float(x), float(y)

    @staticmethod
    def of_side(side: Side) -> Pair:
        """A representation paired with itself."""
        return side.with_itself()

    def swapped(self) -> Pair:
        """The pair (y, x)."""
        return Pair(self.y, self.x, self.cross.T, self.cross_sq, self.norms, mirror=self)
