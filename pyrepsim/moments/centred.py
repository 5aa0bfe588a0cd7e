"""From plain sums to `Side` and `Pair`; each matrix is centred once, in place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from threading import Lock

import numpy as np

from ..backends import get_backend
from ..core.errors import NonFiniteError, OptionError, ShapeError, StateError
from .pair import DiagonalSide, Norms, Pair, Side
from .state import State

__all__ = ["EPSILON", "Centred", "refuse_size"]

EPSILON = {"fp64": 2.0**-53, "fp32": 2.0**-24}
_RANGE = {"fp64": (1e-70, 1e70), "fp32": (1e-10, 1e10)}
"""Root mean square of |x - m| whose fourth powers, summed over many rows, a precision can represent."""


class Centred:
    """The sides and pairs of a state. The arrays of the state are centred in place when they are first needed.

    Safe for several threads. Each call of `pair_at` makes a new pair, so results that measures cache in a pair are
    freed with it.
    """

    def __init__(self, state: State, labels: Sequence[str], *, n_threads: int, copies: float = 0.0) -> None:
        if state.n_samples <= 0:
            raise ShapeError("moments need at least one row before they can be read: got none. Call update(...) first.")
        self._state, self._labels, self._n_threads, self._copies = state, labels, n_threads, copies
        self._host = get_backend()  # sums are read into host memory
        self._means = [weighted[0] / state.n_samples for weighted in state.weighted]  # minus the shift
        root = math.sqrt(state.n_samples)  # one factor on each side: the scatter stays exactly symmetric
        self._scaled_means = [root * mean for mean in self._means]
        self._sides: dict[int, Side] = {}
        self._done: dict[tuple[str, int], float] = {}
        self._lock = Lock()
        self.incomplete = False
        """True if centring was interrupted within a matrix: the state must then be read again."""

    @property
    def n_samples(self) -> float:
        return self._state.n_samples

    def side(self, index: int) -> Side:
        """Moments of one representation."""
        if not 0 <= index < len(self._labels):
            raise OptionError(
                f"index must be one of the {len(self._labels)} representations, counted from 0: got {index!r}."
            )
        with self._lock:
            if index not in self._sides:
                self._sides[index] = self._new_side(index)
            return self._sides[index]

    def pair_at(self, k: int) -> Pair:
        """Moments of the k-th pair."""
        i, j = self._state.pairs[k]
        x, y = self.side(i), self.side(j)
        with self._lock:
            cross_sq = self._centre("cross", k, self._state.cross[k], i, j)
        return Pair(x, y, self._state.cross[k], cross_sq, Norms(self._state, i, j))

    def _new_side(self, s: int) -> Side:
        state, n, scatter = self._state, self._state.n_samples, self._state.products[s]
        diagonal = scatter.ndim == 1
        with np.errstate(over="ignore", invalid="ignore"):  # overflow is reported below
            norm_sq = math.nan
            if diagonal:
                scatter = scatter - self._scaled_means[s] ** 2
            else:
                norm_sq = self._centre("products", s, scatter, s, s)
        one_direction = bool(state.directions) and state.directions[s] is not None
        refuse_size(
            float(scatter.sum() if diagonal else scatter.trace()),
            n,
            deviations=self._means[s],
            precision=state.precision,
            label=self._labels[s],
            one_direction=one_direction,
        )
        described = {
            "n_samples": n,
            "mean": state.shift[s] + self._means[s],
            "epsilon": EPSILON[state.precision],
            "label": self._labels[s],
            "copies": self._copies,
            "one_direction": one_direction,
        }
        if diagonal:
            return DiagonalSide(scatter, **described)
        return Side(scatter=scatter, norm_sq=norm_sq, norms=Norms(state, s, s), **described)

    def _centre(self, kind: str, index: int, products: np.ndarray, i: int, j: int) -> float:
        """sum u v^T - n e f^T in place, once; returns its squared norm."""
        if (kind, index) in self._done:
            return self._done[kind, index]
        if self.incomplete:
            raise StateError(
                "moments are centred once: an earlier call was interrupted within a matrix. Make the moments again."
            )
        try:
            squares = self._host.centre(products, self._scaled_means[i], self._scaled_means[j], self._n_threads)
            return self._done.setdefault((kind, index), float(np.add.reduce(squares)))
        except BaseException:
            self.incomplete = True
            raise


def refuse_size(
    total: float, n_samples: float, *, deviations: np.ndarray, precision: str, label: str, one_direction: bool
) -> None:
    """Raise NonFiniteError unless the sums can hold the fourth power of the size of the rows.

    `total` is the sum of |x - m|^2. `deviations` are not all 0 if rows differ, although their squares may be 0.
    """
    low, high = _RANGE[precision]
    size = math.sqrt(max(total, 0.0) / n_samples)
    underflow = size == 0 and bool(deviations.any())
    if not one_direction and (underflow or not (low <= size <= high or size == 0)):
        fact = f"have root mean square {size:.3g} around their mean" if math.isfinite(size) else "overflow them"
        fact = "have squares that are 0 in float64" if underflow else fact
        remedy = "Rescale them, or use precision='fp64'." if precision == "fp32" else "Rescale them."
        raise NonFiniteError(
            f"rows must be of a size whose fourth power the sums can hold, {low:g} to {high:g} in "
            f"{precision}: those of {label} {fact}. {remedy}"
        )
