"""Sums over squared norms, around the means: what debiased CKA and squared distances read beside the scatter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .state import State

__all__ = ["Norms"]


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
