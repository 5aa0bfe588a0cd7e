"""Sums over squared norms, which debiased CKA and squared distances need in addition to the scatter.

Products are added in an order of their own, not by BLAS: the same sums give the same bits on every processor. On a
device they are those of cuBLAS.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends import get_backend
from ..core.lazy import lazy
from .state import State

__all__ = ["Norms"]


class Norms:
    """Sums of squared norms around the shifts of a state, from which the scatter gives sums around the means.

    u and v are rows of the two sides minus their shifts, e and f the means of u and v; a = |u - e|^2, b = |v - f|^2.
    """

    def __init__(self, state: State, r: int, s: int, device: Any = None) -> None:
        """Of sides r (u) and s (v); `device` has their arrays, but for the norms."""
        self._state, self._r, self._s, self._device = state, r, s, device

    @property
    def n_samples(self) -> float:
        return self._state.n_samples

    @property
    def _u(self) -> np.ndarray:
        return self._state.weighted[self._r]

    @property
    def _v(self) -> np.ndarray:
        return self._state.weighted[self._s]

    @property
    def _place(self) -> Any:
        return self._device or get_backend()

    @lazy
    def e(self) -> np.ndarray:
        return self._u[0] / self.n_samples

    @lazy
    def f(self) -> np.ndarray:
        return self._v[0] / self.n_samples

    @property
    def total_u(self) -> float:
        """sum |u|^2."""
        return self._state.norms[0, self._r]

    @property
    def total_v(self) -> float:
        """sum |v|^2."""
        return self._state.norms[0, self._s]

    @property
    def products(self) -> float:
        """sum |u|^2 |v|^2."""
        return self._state.norms[1 + self._r, self._s]

    @property
    def weighting_v(self) -> np.ndarray:
        """sum |u|^2 v, (d_v,)."""
        return self._v[1 + self._r]

    @property
    def weighting_u(self) -> np.ndarray:
        """sum |v|^2 u, (d_u,)."""
        return self._u[1 + self._s]

    def product(self, scatter: np.ndarray) -> Any:
        """sum a b - (sum a)(sum b) / n: a number where the sums are."""
        n, e, f = self.n_samples, self.e, self.f
        place = self._place
        return (
            self.products
            - self.total_u * self.total_v / n
            - 2 * place.dot(f, self.weighting_v)
            - 2 * place.dot(e, self.weighting_u)
            + 4 * place.dot(place.vector_matrix(e, scatter), f)
            + 2 * place.dot(f, f) * self.total_u
            + 2 * place.dot(e, e) * self.total_v
        )

    def weighted_v(self, scatter: np.ndarray) -> np.ndarray:
        """sum a (v - f), (d_v,)."""
        return self.weighting_v - 2 * self._place.vector_matrix(self.e, scatter) - self.f * self.total_u

    def weighted_u(self, scatter: np.ndarray) -> np.ndarray:
        """sum b (u - e), (d_u,)."""
        return self.weighting_u - 2 * self._place.vector_matrix(self.f, scatter.T) - self.e * self.total_v
