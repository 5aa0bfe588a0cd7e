"""What a measure reads: centred moments of one representation (`Side`) and of two (`Pair`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..blas import one_blas_thread
from ..errors import NonFiniteError, ShapeError
from .lazy import lazy
from .singular import singular_triplets
from .state import State, sum_of_norm_products

__all__ = ["Pair", "Side", "pair_of", "side_of"]

_EPSILON = {"fp64": 2.0**-53, "fp32": 2.0**-24}
_RANGE = {"fp64": (1e-70, 1e70), "fp32": (1e-10, 1e10)}
"""Root mean square of |x - m| whose fourth powers the sums of a precision hold, with room for many rows."""
_LEAST_SCALED = 1e-12
"""At unit diagonal, a direction with less than this share of the largest eigenvalue is rounding of the rows: float32
leaves about 1e-14 in a direction that a LayerNorm has removed."""


@dataclass(frozen=True, eq=False)
class Side:
    """Moments of one representation: rows x (after the row transform), centred at their mean m."""

    n_samples: float
    mean: np.ndarray
    """m, (d,)."""
    scatter: np.ndarray
    """S = sum (x - m)(x - m)^T, (d, d): unnormalised."""
    norm_spread: float
    """sum a^2 - (sum a)^2 / n with a = |x - m|^2: the scatter of squared norms."""
    norm_weighted: np.ndarray
    """sum a (x - m), (d,)."""
    epsilon: float
    """Unit round-off of the products that made the sums."""
    label: str = "X"
    copies: float = 0.0
    """How many of the n (n - 1) / 2 pairs of rows are of a row with its own copy: bootstrap replicates repeat rows."""

    @property
    def n_features(self) -> int:
        return len(self.mean)

    @lazy
    def total(self) -> float:
        """tr S: n times the total variance."""
        return float(np.trace(self.scatter))

    @lazy
    def norm_sq(self) -> float:
        """|S|_F^2."""
        return float(np.sum(self.scatter * self.scatter))

    @lazy
    def varying(self) -> np.ndarray:
        """Mask of features that vary by more than the rounding of their mean: the others are constant."""
        sd = np.sqrt(np.maximum(np.diag(self.scatter), 0.0) / self.n_samples)
        return sd > 8 * 2.0**-53 * np.abs(self.mean)

    @lazy
    def is_constant(self) -> bool:
        return not self.varying.any()

    @lazy
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues of S, descending, and the eigenvectors as columns."""
        values, vectors = np.linalg.eigh(self.scatter)
        return values[::-1], vectors[:, ::-1]

    @lazy
    def whitening(self) -> np.ndarray:
        """W, (d, rank), with W^T S W = I over the numerical range of S.

        S is scaled to unit diagonal first, which changes no canonical correlation and keeps features of very
        different size apart from rounding. Constant features are left out.
        """
        values, vectors, scale = self._scaled_spectrum
        return scale[:, None] * vectors[:, : self.rank] / np.sqrt(values[: self.rank])

    @lazy
    def loadings(self) -> np.ndarray:
        """S W, (d, rank): the covariances of the features with the whitened ones, times n."""
        return self.scatter @ self.whitening

    @lazy
    def rank(self) -> int:
        """Numerical rank of S scaled to unit diagonal."""
        values = self._scaled_spectrum[0]
        return min(self.rank_of(values), int(np.count_nonzero(values > _LEAST_SCALED * values[0])))

    @lazy
    def condition(self) -> float:
        """Largest over smallest eigenvalue counted in the rank, after scaling to unit diagonal."""
        values = self._scaled_spectrum[0]
        return float(values[0] / values[self.rank - 1])

    @property
    def accuracy(self) -> float:
        """About how much of a whitened quantity may be rounding: condition times round-off."""
        return self.condition * self.epsilon

    @lazy
    def _scaled_spectrum(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scale = np.zeros(self.n_features)
        scale[self.varying] = 1.0 / np.sqrt(np.diag(self.scatter)[self.varying])
        values, vectors = np.linalg.eigh(self.scatter * np.outer(scale, scale))
        return values[::-1], vectors[:, ::-1], scale

    def rank_of(self, eigenvalues: np.ndarray) -> int:
        """How many of the descending eigenvalues stand above max(d, 100) epsilon of the largest, at most n - 1.

        Rounding of the sums leaves a few epsilon, however few features there are.
        """
        above = eigenvalues > max(self.n_features, 100) * self.epsilon * eigenvalues[0]
        return int(min(np.count_nonzero(above), max(self.n_samples - 1, 0)))


@dataclass(frozen=True, eq=False)
class Pair:
    """Moments of two representations over the same rows."""

    x: Side
    y: Side
    cross: np.ndarray
    """S_xy = sum (x - m_x)(y - m_y)^T, (d_x, d_y)."""
    norm_products: float
    """sum a b - (sum a)(sum b) / n with a = |x - m_x|^2, b = |y - m_y|^2: the cross scatter of squared norms."""
    weighted_x: np.ndarray
    """sum b (x - m_x), (d_x,)."""
    weighted_y: np.ndarray
    """sum a (y - m_y), (d_y,)."""
    mirror: Pair | None = field(default=None, repr=False)
    """The same pair the other way round, whose decompositions serve."""

    @property
    def n_samples(self) -> float:
        return self.x.n_samples

    @property
    def copies(self) -> float:
        return self.x.copies

    @lazy
    def cross_sq(self) -> float:
        """|S_xy|_F^2."""
        return float(np.sum(self.cross * self.cross))

    @lazy
    def singular_values(self) -> np.ndarray:
        """Singular values of S_xy, descending."""
        if self.mirror is not None:
            return self.mirror.singular_values
        return np.linalg.svd(self.cross, compute_uv=False)

    @lazy
    def known(self) -> dict[Any, np.ndarray]:
        """Correlations that a measure has found of this pair or its mirror, by measure."""
        return {} if self.mirror is None else self.mirror.known

    @lazy
    def whitened(self) -> np.ndarray:
        """W_x^T S_xy W_y, (rank_x, rank_y), whose singular values are the canonical correlations."""
        return self.x.whitening.T @ self.cross @ self.y.whitening

    @lazy
    def canonical(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """L, rho, R with `whitened` = L diag(rho) R^T, rho descending."""
        if self.mirror is not None:
            left, rho, right = self.mirror.canonical
            return right, rho, left
        return singular_triplets(self.whitened)

    @classmethod
    def of_side(cls, side: Side) -> Pair:
        """A representation paired with itself."""
        return cls(side, side, side.scatter, side.norm_spread, side.norm_weighted, side.norm_weighted)

    def swapped(self) -> Pair:
        """Y first."""
        return Pair(self.y, self.x, self.cross.T, self.norm_products, self.weighted_y, self.weighted_x, mirror=self)


@one_blas_thread()
def side_of(state: State, s: int, label: str, *, copies: float = 0.0) -> Side:
    """Centre the sums of one side at its mean."""
    n = state.n_samples
    if n <= 0:
        raise ShapeError("moments need at least one row before they can be read: got none. Call update(...) first.")
    total = state.weighted[s][0]
    e = total / n
    with np.errstate(over="ignore", invalid="ignore"):  # what overflowed is named below
        scatter = _centred(state.products[s], n, e, e)  # as pairs are centred: equal sides stay equal
    low, high = _RANGE[state.precision]
    size = float(np.sqrt(max(np.trace(scatter), 0.0) / n))
    lost = size == 0 and bool(total.any())  # rows that vary, of which float64 holds no squares
    if lost or not (low <= size <= high or size == 0):
        fact = f"have root mean square {size:.3g} around their mean" if np.isfinite(size) else "overflow them"
        fact = "have squares that are 0 in float64" if lost else fact
        remedy = "Rescale them, or use precision='fp64'." if state.precision == "fp32" else "Rescale them."
        raise NonFiniteError(
            f"rows must be of a size whose fourth power the sums can hold, {low:g} to {high:g} in {state.precision}: "
            f"those of {label} {fact}. {remedy}"
        )
    norm_spread, weighted = _norms(state, s, s, state.products[s], e, e)
    return Side(
        n_samples=n,
        mean=state.shift[s] + e,
        scatter=scatter,
        norm_spread=norm_spread,
        norm_weighted=weighted,
        epsilon=_EPSILON[state.precision],
        label=label,
        copies=copies,
    )


@one_blas_thread()
def pair_of(state: State, k: int, x: Side, y: Side) -> Pair:
    """Centre the cross sums of pair k, whose sides were centred before."""
    i, j = state.pairs[k]
    n, uv = state.n_samples, state.cross[k]
    e, f = state.weighted[i][0] / n, state.weighted[j][0] / n
    norm_products, weighted_y = _norms(state, i, j, uv, e, f)
    _, weighted_x = _norms(state, j, i, uv.T, f, e)
    return Pair(x, y, _centred(uv, n, e, f), norm_products, weighted_x, weighted_y)


def _centred(products: np.ndarray, n: int, e: np.ndarray, f: np.ndarray) -> np.ndarray:
    """sum u v^T - n e f^T, by way of one matrix: fresh memory costs as much as the arithmetic."""
    out = np.outer(e, f)
    out *= n
    return np.subtract(products, out, out=out)


def _norms(state: State, r: int, s: int, uv: np.ndarray, e: np.ndarray, f: np.ndarray) -> tuple[float, np.ndarray]:
    """With a = |u - e|^2, b = |v - f|^2: the centred sum of a b, and sum a (v - f)."""
    n = state.n_samples
    a = state.norms[0, r] - n * float(e @ e)
    b = state.norms[0, s] - n * float(f @ f)
    spread = sum_of_norm_products(state, r, s, uv, e, f) - a * b / n
    weighted = state.weighted[s][1 + r] - 2 * (e @ uv) - f * state.norms[0, r] + 2 * n * float(e @ e) * f
    return spread, weighted
