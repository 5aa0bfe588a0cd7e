"""From plain sums to `Side` and `Pair`; each matrix is centred once, in place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..backends import get_backend
from ..core.errors import NonFiniteError, OptionError, ShapeError
from ..core.lazy import lazy
from .norms import Norms
from .pair import DiagonalSide, Pair, Side
from .readback import Readback
from .state import State

__all__ = ["EPSILON", "Centred", "refuse_overflow", "refuse_size"]

EPSILON = {"fp64": 2.0**-53, "fp32": 2.0**-24, "int24": 2.0**-46}
"""Unit round-off. Sums of precision int24 are those of rows whose rounding errors, less than 2^-22 of the largest
element, are of random sign: of an eigenvalue of their scatter the error is near the square of that."""
_RANGE = {"fp64": (1e-70, 1e70), "fp32": (1e-10, 1e10), "int24": (1e-70, 1e70)}
"""Root mean square of |x - m| whose fourth powers, summed over many rows, a precision can represent."""


class Centred:
    """The sides and pairs of a state, whose arrays are centred in place.

    Safe for several threads. Each call of `pair_at` makes a new pair, so results that measures cache in a pair are
    freed with it. With `readback` the arrays of the state are on its device, but for the norms.
    """

    def __init__(
        self,
        state: State,
        labels: Sequence[str],
        *,
        n_threads: int,
        copies: float = 0.0,
        readback: Readback | None = None,
    ) -> None:
        if state.n_samples <= 0:
            raise ShapeError("moments need at least one row before they can be read: got none. Call update(...) first.")
        self._state, self._labels, self._copies, self._readback = state, labels, copies, readback
        sums = [weighted[0] for weighted in state.weighted]
        self._device = None if readback is None else readback.device
        place = self._device or get_backend()
        self._own, self._cross_sq = place.centre(
            state.products, state.cross, state.pairs, sums, state.n_samples, n_threads
        )
        self._sums = sums if self._device is None else self._device.read_together(sums)
        self._sides: dict[int, Side] = {}

    @property
    def n_samples(self) -> float:
        return self._state.n_samples

    def side(self, index: int) -> Side:
        """Moments of one representation."""
        if not 0 <= index < len(self._labels):
            raise OptionError(
                f"index must be one of the {len(self._labels)} representations, counted from 0: got {index!r}."
            )
        # threads that make it at the same time all get the first one
        return self._sides.get(index) or self._sides.setdefault(index, self._new_side(index))

    def pair_at(self, k: int) -> Pair:
        """Moments of the k-th pair."""
        i, j = self._state.pairs[k]
        norms = Norms(self._state, i, j, self._device)
        return Pair(self.side(i), self.side(j), self._state.cross[k], self._cross_sq[k], norms)

    def between(self, i: int, j: int) -> Pair:
        """Moments of representations i and j in this order, of which the state has (i, j) or (j, i)."""
        if i == j:
            return Pair.of_side(self.side(i))
        if (i, j) in self._places:
            return self.pair_at(self._places[i, j])
        if (j, i) in self._places:
            return self.pair_at(self._places[j, i]).swapped()
        raise OptionError(f"pairs must hold representations {i!r} and {j!r}: got {self._state.pairs}.")

    @lazy
    def _places(self) -> dict[tuple[int, int], int]:
        return {pair: k for k, pair in enumerate(self._state.pairs)}

    def _new_side(self, s: int) -> Side:
        state, n, scatter = self._state, self._state.n_samples, self._state.products[s]
        norm_sq, total = self._own[s]
        mean = self._sums[s] / n  # minus the shift
        one_direction = bool(state.directions) and state.directions[s] is not None
        epsilon, label = EPSILON[state.precision], self._labels[s]
        rounding = state.rounding[s] if state.rounding else None
        deviations = mean if rounding is None else rounding  # integers of small rows are 0, but not their unit
        refuse_size(total, n, deviations, precision=state.precision, label=label, one_direction=one_direction)
        mean = state.shift[s] + mean
        if scatter.ndim == 1:
            return DiagonalSide(n, mean, scatter, epsilon, label, self._copies, one_direction)
        norms = Norms(state, s, s, self._device)
        side = Side(n, mean, scatter, norm_sq, norms, epsilon, label, self._copies, one_direction, rounding)
        if self._readback is not None:
            vars(side).update(readback=self._readback)
        return side


def refuse_overflow(state: State, labels: Sequence[str]) -> None:
    """Raise NonFiniteError if sums of squares or of fourth powers are infinite, which bound all other sums."""
    for s, label in enumerate(labels):
        if not (math.isfinite(state.norms[0, s]) and math.isfinite(state.norms[1 + s, s])):
            n, shift = state.n_samples, state.shift[s]
            refuse_size(math.inf, n, shift, precision=state.precision, label=label, one_direction=False)


def refuse_size(
    total: float, n_samples: float, deviations: np.ndarray, *, precision: str, label: str, one_direction: bool
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
