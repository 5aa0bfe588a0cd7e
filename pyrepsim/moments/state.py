"""Plain sums of shifted rows: they can be added, scaled and moved to another shift.

For side s with rows u = t(x) - c_s (t the row transform, c_s a fixed shift) and a_s = |u|^2, over n samples:

====================  =====================  =================================
``shift[s]``          (d_s,)                 c_s
``products[s]``       (d_s, d_s)             sum u u^T
``cross[k]``          (d_i, d_j)             sum u v^T for pair k = (i, j)
``weighted[s]``       (1 + sides, d_s)       row 0: sum u;  row 1 + r: sum a_r u
``norms``             (1 + sides, sides)     row 0: sum a_s;  row 1 + r: sum a_r a_s
``rounding[s]``       (d_s,)                 sum h^2;  only precision int24
====================  =====================  =================================

h is the largest rounding error of an element of the row: half the unit of its feature and block (csrc/int24/layout.h).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..backends import get_backend
from ..backends.directions import both_directions
from ..core.errors import DTypeError, NonFiniteError, OptionError, ShapeError
from ..core.memory import format_bytes, memory_budget

__all__ = ["State", "check_memory", "checked_layout"]

_LITTLE_MEMORY = 1 << 20
"""Bytes that every process has."""


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
    rounding: tuple[np.ndarray, ...] = ()
    """Precision int24: see the module. Otherwise an empty tuple."""

    @classmethod
    def of_sums(
        cls,
        sums: Mapping[str, Any],
        *,
        transform: str,
        precision: str,
        pairs: tuple[tuple[int, int], ...],
        directions: Sequence[np.ndarray | None] = (),
    ) -> State:
        """Return the state with the sums that a backend's ``Moments`` gave."""
        return cls(
            transform=transform,
            precision=precision,
            pairs=pairs,
            n_samples=sums["n_samples"],
            shift=tuple(sums["shift"]),
            products=tuple(sums["products"]),
            cross=tuple(sums["cross"]),
            weighted=tuple(sums["weighted"]),
            norms=sums["norms"],
            directions=tuple(directions),
            rounding=tuple(sums.get("rounding", ())),
        )

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
            rounding=_add(self.rounding, other.rounding),
        )

    def __rmul__(self, weight: float) -> State:
        return replace(
            self,
            n_samples=weight * self.n_samples,
            products=_scaled(weight, self.products),
            cross=_scaled(weight, self.cross),
            weighted=tuple(weight * sums for sums in self.weighted),
            norms=weight * self.norms,
            rounding=tuple(weight * sums for sums in self.rounding),
        )

    def arrays(self, shift: Any = None) -> dict[str, np.ndarray]:
        """Return the sums by name: ``n_samples``, ``norms``, and for each side s and pair (i, j) ``shift_s``,
        ``products_s``, ``weighted_s`` and ``cross_i_j`` (precision int24 also ``rounding_s``), with the formulas of the
        module.

        Parameters
        ----------
        shift : array-like, or sequence of arrays of shape (d_s,), optional
            The c_s; 0 for plain sums of the rows. By default those of the state, which differ between processes. Sums
            about the same shift can be added (all names but ``shift_s``). A shift far from the means costs digits: with
            |mean| = 1e4 standard deviations and a shift of 0, eight of them.

        Examples
        --------
        >>> import numpy as np
        >>> import pyrepsim as rs
        >>> X = np.random.default_rng(0).standard_normal((100, 3))
        >>> parts = [rs.PairedMoments(3, 3) for _ in range(2)]
        >>> for part, rows in zip(parts, (X[:40], X[40:])):
        ...     part.update(rows, 2 * rows)
        >>> one, other = (part.arrays(shift=0) for part in parts)
        >>> whole = rs.PairedMoments.from_arrays({name: one[name] + other[name] for name in one})
        >>> whole.n_samples, round(rs.LinearCKA().score(whole).value, 6)
        (100.0, 1.0)
        """
        state = self if shift is None else self.around(self._as_shift(shift))
        named = {"n_samples": np.float64(state.n_samples), "norms": state.norms}
        for s in range(len(state.shift)):
            named |= {f"shift_{s}": state.shift[s], f"products_{s}": state.products[s]}
            named[f"weighted_{s}"] = state.weighted[s]
        named |= {f"rounding_{s}": sums for s, sums in enumerate(state.rounding)}
        named |= {f"cross_{i}_{j}": sums for (i, j), sums in zip(state.pairs, state.cross, strict=True)}
        return {name: np.array(array, dtype=np.float64) for name, array in named.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any], *, transform: str = "raw", precision: str = "fp64") -> State:
        """Return the state whose sums are given by the names of `arrays`.

        Sums do not tell whether all rows at length 1 are equal up to rounding. Of such rows, measures of the transform
        "unit" raise DegenerateError if they read the accumulator, but return a number if they read this state.

        Raises
        ------
        ShapeError
            If a name is missing or unknown, or an array does not have its shape.
        DTypeError
            If a sum is not an array of numbers.
        NonFiniteError
            If a sum is not finite, or the number of rows is negative.
        """
        try:
            given = {name: np.array(array, dtype=np.float64) for name, array in arrays.items()}
        except (TypeError, ValueError) as error:
            raise DTypeError(f"sums must be arrays of numbers: {error}. Pass what State.arrays gives.") from error
        widths = []
        while f"products_{len(widths)}" in given:
            widths.append(len(np.atleast_1d(given[f"products_{len(widths)}"])))
        crossed = [name.split("_")[1:] for name in given if name.startswith("cross_")]
        if not all(len(pair) == 2 and all(i.isdecimal() and int(i) < len(widths) for i in pair) for pair in crossed):
            raise ShapeError(f"cross moments are named cross_i_j for sides i and j: got {', '.join(given)}.")
        pairs, sides = tuple((int(i), int(j)) for i, j in crossed), len(widths)
        shapes: dict[str, tuple[int, ...]] = {"n_samples": (), "norms": (1 + sides, sides)}
        for s, d in enumerate(widths):
            shapes |= {f"shift_{s}": (d,), f"products_{s}": (d, d), f"weighted_{s}": (1 + sides, d)}
        if precision == "int24":
            shapes |= {f"rounding_{s}": (d,) for s, d in enumerate(widths)}
        shapes |= {f"cross_{i}_{j}": (widths[i], widths[j]) for i, j in pairs}
        if not sides or {name: array.shape for name, array in given.items()} != shapes:
            wrong = [n for n in {**shapes, **given} if n not in shapes or n not in given or given[n].shape != shapes[n]]
            raise ShapeError(f"sums must have the names and shapes of State.arrays: check {', '.join(wrong) or 'all'}.")
        infinite = [name for name, array in given.items() if not np.isfinite(array).all()]
        if infinite or given["n_samples"] < 0:
            wrong = f"{', '.join(infinite)} not" if infinite else f"n_samples = {given['n_samples']:g}"
            raise NonFiniteError(f"sums must be finite, of 0 or more rows: got {wrong}. Check what was added.")
        return cls(
            transform=transform,
            precision=precision,
            pairs=pairs,
            n_samples=float(given["n_samples"]),
            shift=tuple(given[f"shift_{s}"] for s in range(sides)),
            products=tuple(given[f"products_{s}"] for s in range(sides)),
            cross=tuple(given[f"cross_{i}_{j}"] for i, j in pairs),
            weighted=tuple(given[f"weighted_{s}"] for s in range(sides)),
            norms=given["norms"],
            directions=() if transform == "raw" else (None,) * sides,
            rounding=tuple(given[f"rounding_{s}"] for s in range(sides)) if precision == "int24" else (),
        )

    def _as_shift(self, shift: Any) -> tuple[np.ndarray, ...]:
        several: Any = (shift,) * len(self.widths) if isinstance(shift, Real) else shift
        try:
            wide = zip(several, self.widths, strict=True)
            return tuple(np.array(np.broadcast_to(c, (d,)), np.float64) for c, d in wide)
        except ValueError as error:
            raise ShapeError(f"shift must be a number, or an array for each side: {error}.") from error

    def around(self, shift: tuple[np.ndarray, ...]) -> State:
        """The same sums around another shift: u becomes u - e with e = shift - c, expanded term by term.

        Sums over two sides that are not a pair cannot be moved, because their cross products are not kept; they become
        NaN and are not used.
        """
        if all(np.array_equal(old, new) for old, new in zip(self.shift, shift, strict=True)):
            return self
        n, sides = self.n_samples, range(len(self.shift))
        e = [new - old for old, new in zip(self.shift, shift, strict=True)]
        host = get_backend()
        e_sq = [host.dot(v, v) for v in e]
        total = [w[0] for w in self.weighted]
        norm = [self.norms[0, s] - 2 * host.dot(e[s], total[s]) + n * e_sq[s] for s in sides]

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
            weighted[s][1 + r] = (
                self.weighted[s][1 + r] - 2 * host.vector_matrix(e[r], uv) + e_sq[r] * total[s] - e[s] * norm[r]
            )
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
    host = get_backend()
    e_sq, f_sq = host.dot(e, e), host.dot(f, f)
    return float(
        state.norms[1 + r, s]
        - 2 * host.dot(f, state.weighted[s][1 + r])
        - 2 * host.dot(e, state.weighted[r][1 + s])
        + 4 * host.dot(host.vector_matrix(e, uv), f)
        + f_sq * a
        + e_sq * b
        - 2 * f_sq * host.dot(e, u)
        - 2 * e_sq * host.dot(f, v)
        + n * e_sq * f_sq
    )


def _add(ours: tuple[np.ndarray, ...], theirs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.add(a, b, order="C") for a, b in zip(ours, theirs, strict=True))


def _scaled(weight: float, sums: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    """In C order for any input order, because rows are centred one by one."""
    return tuple(np.multiply(weight, one, order="C") for one in sums)


def checked_layout(
    widths: Sequence[int], pairs: Sequence[tuple[int, int]], kinds: int, memory: int | str | None
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """The widths and pairs as tuples, or an error unless they are valid and their sums fit into memory."""
    if not widths or not all(_is_whole(width) and width > 0 for width in widths):
        raise ShapeError(f"widths must be positive whole numbers, one for each representation: got {tuple(widths)!r}.")
    if not all(len(pair) == 2 and all(_is_whole(i) and 0 <= i < len(widths) for i in pair) for pair in pairs):
        raise OptionError(f"pairs must be (i, j) with i and j below {len(widths)}: got {tuple(pairs)!r}.")
    wide, paired = tuple(int(width) for width in widths), tuple((int(i), int(j)) for i, j in pairs)
    check_memory(wide, paired, kinds, memory)
    return wide, paired


def check_memory(widths: Sequence[int], pairs: Sequence[tuple[int, int]], kinds: int, memory: int | str | None) -> None:
    """Raise ShapeError if the sums of so many row transforms need more memory than may be used."""
    needed = 8 * kinds * (sum([d * d for d in widths]) + sum([widths[i] * widths[j] for i, j in pairs]))
    if memory is None and needed < _LITTLE_MEMORY:
        return
    available = memory_budget(memory)
    if needed > available:
        raise ShapeError(
            f"the d x d sums must fit into memory: widths {tuple(widths)} with {len(pairs)} pairs need "
            f"{format_bytes(needed)} of {format_bytes(available)}. "
            "Compare fewer layers at once, or project the features first."
        )


def _is_whole(value: Any) -> bool:
    return type(value) is int or isinstance(value, Integral)
