"""What a measure reads: centred moments of one representation (`Side`) and of two (`Pair`).

FOLDED: Sums over squared norms, around the means: what debiased CKA and squared distances read beside the scatter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.lazy import lazy
from .singular import column_products, singular_triplets
from .state import State

__all__ = ["Norms", "Pair", "Side"]


@dataclass(frozen=True, eq=False)
class Norms:
    """Sums of squared norms around the shifts of a state, which the centred scatter S of both sides moves to the means.

    Rows u and v are those of the two sides less their shifts, e and f their means; a = |u - e|^2, b = |v - f|^2.
    """

    n_samples: float
    e: np.ndarray
    f: np.ndarray
    total_u: float
    """sum |u|^2."""
    total_v: float
    """sum |v|^2."""
    products: float
    """sum |u|^2 |v|^2."""
    weighting_v: np.ndarray
    """sum |u|^2 v, (d_v,)."""
    weighting_u: np.ndarray
    """sum |v|^2 u, (d_u,)."""

    @classmethod
    def of(cls, state: State, r: int, s: int) -> Norms:
        """Of sides r (u) and s (v)."""
        n, u, v = state.n_samples, state.weighted[r], state.weighted[s]
        own, products = state.norms[0], state.norms[1 + r, s]
        return cls(n, u[0] / n, v[0] / n, own[r], own[s], products, weighting_v=v[1 + r], weighting_u=u[1 + s])

    def product(self, scatter: np.ndarray) -> float:
        """sum a b - (sum a)(sum b) / n."""
        n, e, f = self.n_samples, self.e, self.f
        return float(
            self.products
            - self.total_u * self.total_v / n
            - 2 * f @ self.weighting_v
            - 2 * e @ self.weighting_u
            + 4 * e @ scatter @ f
            + 2 * (f @ f) * self.total_u
            + 2 * (e @ e) * self.total_v
        )

    def weighted_v(self, scatter: np.ndarray) -> np.ndarray:
        """sum a (v - f), (d_v,)."""
        return self.weighting_v - 2 * (self.e @ scatter) - self.f * self.total_u

    def weighted_u(self, scatter: np.ndarray) -> np.ndarray:
        """sum b (u - e), (d_u,)."""
        return self.weighting_u - 2 * (scatter @ self.f) - self.e * self.total_v


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
    norm_sq: float
    """|S|_F^2."""
    norms: Norms
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
    def norm_spread(self) -> float:
        """sum a^2 - (sum a)^2 / n with a = |x - m|^2: the scatter of squared norms."""
        return self.norms.product(self.scatter)

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

    def within_rank(self, covariances: np.ndarray) -> np.ndarray:
        """S W W^T C, of covariances C (d, k) of the features with others: without what lies beyond the rank."""
        _, vectors, scale = self._scaled_spectrum
        beyond = vectors[:, self.rank :]
        if not beyond.size:
            return covariances
        part = beyond @ (beyond.T @ (scale[:, None] * covariances))
        return np.where(self.varying[:, None], covariances - part / np.where(self.varying, scale, 1.0)[:, None], 0.0)

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
    cross_sq: float
    """|S_xy|_F^2."""
    norms: Norms
    mirror: Pair | None = field(default=None, repr=False)
    """The same pair the other way round, whose decompositions serve."""

    @property
    def n_samples(self) -> float:
        return self.x.n_samples

    @property
    def copies(self) -> float:
        return self.x.copies

    @lazy
    def norm_products(self) -> float:
        """sum a b - (sum a)(sum b) / n with a = |x - m_x|^2, b = |y - m_y|^2: the cross scatter of squared norms."""
        if self.x is self.y:
            return self.x.norm_spread
        if self.mirror is not None:
            return self.mirror.norm_products
        return self.norms.product(self.cross)

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

    @lazy
    def singular_values(self) -> np.ndarray:
        """Singular values of S_xy, descending."""
        if self.mirror is not None:
            return self.mirror.singular_values
        if self.x is self.y:
            return np.sort(np.abs(self.x.spectrum[0]))[::-1]
        return np.linalg.svd(self.cross, compute_uv=False)

    @lazy
    def known(self) -> dict[Any, np.ndarray]:
        """Correlations that a measure has found of this pair or its mirror, by measure."""
        return {} if self.mirror is None else self.mirror.known

    @lazy
    def canonical(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Canonical correlations rho, descending, between their weights in X and in Y: (k,) each, k the lower rank.

        The weight of rho_i in X is sum_j |<h_i, x_j>|, h_i = a_i^T (x - m_x) its variate of unit norm: <h_i, x_j> =
        (S_x a_i)_j.
        """
        if self.mirror is not None or self.x.rank > self.y.rank:
            mirror = self.mirror or Pair(self.y, self.x, self.cross.T, self.cross_sq, self.norms)
            weights_y, rho, weights_x = mirror.canonical
            return weights_x, rho, weights_y
        if self.x is self.y:  # W^T S W is I, up to rounding
            rho = column_products(self.x.loadings, self.x.whitening)
            loaded_x = loaded_y = self.x.loadings
        else:
            half = self.x.whitening.T @ self.cross
            images = self.y.loadings, self.y.within_rank(half.T)
            left, rho, loaded_y = singular_triplets(half @ self.y.whitening, images)
            loaded_x = self.x.loadings @ left
        order = np.argsort(-rho, kind="stable")
        return np.abs(loaded_x).sum(axis=0)[order], rho[order], np.abs(loaded_y).sum(axis=0)[order]

    @classmethod
    def of_side(cls, side: Side) -> Pair:
        """A representation paired with itself."""
        return cls(side, side, side.scatter, side.norm_sq, side.norms)

    def swapped(self) -> Pair:
        """Y first."""
        return Pair(self.y, self.x, self.cross.T, self.cross_sq, self.norms, mirror=self)
