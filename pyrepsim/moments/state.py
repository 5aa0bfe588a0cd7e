"""Plain sums of shifted rows: they can be added, scaled and moved to another shift.

For side s with rows u = t(x) - c_s (t the row transform, c_s a fixed shift) and a_s = |u|^2, over n samples:

====================  =====================  =================================
``shift[s]``          (d_s,)                 c_s
``products[s]``       (d_s, d_s)             sum u u^T
``cross[k]``          (d_i, d_j)             sum u v^T for pair k = (i, j)
``weighted[s]``       (1 + sides, d_s)       row 0: sum u;  row 1 + r: sum a_r u
``norms``             (1 + sides, sides)     row 0: sum a_s;  row 1 + r: sum a_r a_s
====================  =====================  =================================
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..backends.directions import both_directions
from ..core.errors import OptionError

__all__ = ["State"]


@dataclass(frozen=True)
class State:
    """The sums of several representations (sides) and of chosen pairs of them; the module docstring has the formulas.

    ``a + b`` are the sums of both samples together; ``w * a`` counts each sample w times (resampling weights).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> moments = rs.MomentsSet([3])
    >>> moments.update([np.eye(3)])
    >>> (2 * moments.state() + moments.state()).n_samples
    9
    """

    transform: str
    precision: str
    pairs: tuple[tuple[int, int], ...]
    n_samples: float
    shift: tuple[np.ndarray, ...]
    products: tuple[np.ndarray, ...]
    cross: tuple[np.ndarray, ...]
    weighted: tuple[np.ndarray, ...]
    norms: np.ndarray
    directions: tuple[np.ndarray | None, ...] = ()
    """For each side the directions that all rows agree with up to rounding (backends/directions.py), or None. Raw rows
    have an empty tuple."""

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(len(c) for c in self.shift)

    def __add__(self, other: State) -> State:
        """The state of both samples together, around this state's shift."""
        if (self.transform, self.precision, self.pairs, self.widths) != (
            other.transform,
            other.precision,
            other.pairs,
            other.widths,
        ):
            raise OptionError(
                "two states can be added if transform, precision, pairs and widths are equal: got "
                f"({self.transform}, {self.precision}, {self.pairs}, {self.widths}) and "
                f"({other.transform}, {other.precision}, {other.pairs}, {other.widths})."
            )
        if other.n_samples == 0:
            return self
        if self.n_samples == 0:
            return other
        other = other.around(self.shift)
        return replace(
            self,
            n_samples=self.n_samples + other.n_samples,
            products=_add(self.products, other.products),
            cross=_add(self.cross, other.cross),
            weighted=_add(self.weighted, other.weighted),
            norms=self.norms + other.norms,
            directions=tuple(map(both_directions, self.directions, other.directions)),
        )

    def __rmul__(self, weight: float) -> State:
        return replace(
            self,
            n_samples=weight * self.n_samples,
            products=_scaled(weight, self.products),
            cross=_scaled(weight, self.cross),
            weighted=tuple(weight * sums for sums in self.weighted),
            norms=weight * self.norms,
        )

    def around(self, shift: tuple[np.ndarray, ...]) -> State:
        """The same sums around another shift: u becomes u - e with e = shift - c, expanded term by term.

        Sums over two sides that are not a pair cannot be moved, because their cross products are not kept; they become
        NaN and are not used.
        """
        if all(np.array_equal(old, new) for old, new in zip(self.shift, shift, strict=True)):
            return self
        n, sides = self.n_samples, range(len(self.shift))
        e = [new - old for old, new in zip(self.shift, shift, strict=True)]
        e_sq = [float(v @ v) for v in e]
        total = [w[0] for w in self.weighted]
        norm = [self.norms[0, s] - 2 * float(e[s] @ total[s]) + n * e_sq[s] for s in sides]

        def moved(sums: np.ndarray, i: int, j: int) -> np.ndarray:
            return sums - np.outer(total[i], e[j]) - np.outer(e[i], total[j]) + n * np.outer(e[i], e[j])

        known = {(s, s): self.products[s] for s in sides}
        for (i, j), sums in zip(self.pairs, self.cross, strict=True):
            known[i, j], known[j, i] = sums, sums.T
        norms = np.full_like(self.norms, np.nan)
        norms[0] = norm
        weighted = [np.full_like(w, np.nan) for w in self.weighted]
        for s in sides:
            weighted[s][0] = total[s] - n * e[s]
        for (r, s), uv in known.items():
            weighted[s][1 + r] = self.weighted[s][1 + r] - 2 * (e[r] @ uv) + e_sq[r] * total[s] - e[s] * norm[r]
            norms[1 + r, s] = sum_of_norm_products(self, r, s, uv, e[r], e[s])
        return replace(
            self,
            shift=tuple(np.array(c) for c in shift),
            products=tuple(moved(sums, s, s) for s, sums in enumerate(self.products)),
            cross=tuple(moved(sums, i, j) for (i, j), sums in zip(self.pairs, self.cross, strict=True)),
            weighted=tuple(weighted),
            norms=norms,
        )


def sum_of_norm_products(state: State, r: int, s: int, uv: np.ndarray, e: np.ndarray, f: np.ndarray) -> float:
    """sum |u - e|^2 |v - f|^2 over the rows of sides r (u) and s (v), from the sums, for any e and f."""
    n, a, b = state.n_samples, state.norms[0, r], state.norms[0, s]
    u, v = state.weighted[r][0], state.weighted[s][0]
    e_sq, f_sq = float(e @ e), float(f @ f)
    return float(
        state.norms[1 + r, s]
        - 2 * f @ state.weighted[s][1 + r]
        - 2 * e @ state.weighted[r][1 + s]
        + 4 * e @ uv @ f
        + f_sq * a
        + e_sq * b
        - 2 * f_sq * (e @ u)
        - 2 * e_sq * (f @ v)
        + n * e_sq * f_sq
    )


def _add(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.add(a, b, order="C") for a, b in zip(ours, theirs, strict=True))


def _scaled(weight: float, sums: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """In C order for any input order, because rows are centred one by one."""
    return tuple(np.multiply(weight, one, order="C") for one in sums)
