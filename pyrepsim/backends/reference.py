"""The reference backend: the moments and conversions of the engine (csrc/moments, csrc/convert) in plain NumPy.

It has the same state and the same blocks of 256 rows as the engine, and is written for clarity, not for speed.
``precision="fp32"`` rounds the shifted rows to float32 and multiplies them in float32, block by block, as the engine
does.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ..core.arrays import rows_view
from .reference_pairwise import (
    DistanceSweep,
    HistogramSweep,
    JointHistogramSweep,
    NeighbourSweep,
    Panels,
    SumSweep,
    centre_on_grid,
    dot_rows,
    kendall_counts,
    kendall_of_rows,
    mean_row,
    midranks,
    ranks_of_rows,
    round_entries,
    spearman_sums,
    transformed,
)
from .reference_trees import arborescences

__all__ = [
    "DistanceSweep",
    "HistogramSweep",
    "JointHistogramSweep",
    "Moments",
    "NeighbourSweep",
    "Panels",
    "SumSweep",
    "arborescences",
    "centre",
    "centre_on_grid",
    "dot",
    "dot_rows",
    "first_directionless_row",
    "first_nonfinite",
    "kendall_counts",
    "kendall_of_rows",
    "mean_row",
    "midranks",
    "moment_precisions",
    "most_rows_of_small_sets",
    "name",
    "narrow",
    "on_device",
    "ranks_of_rows",
    "round_entries",
    "rows_view",
    "shift_for",
    "spearman_sums",
    "stage",
    "tile_precisions",
    "transformed",
    "vector_matrix",
    "writable_on_device",
]

_WORDS = {2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}


def narrow(rows: np.ndarray, out: np.ndarray | None, sums: np.ndarray, n_summed: int) -> tuple[float, float]:
    """Convert rows (n, width) to the element type of ``out``, rounding to nearest.

    Without ``out`` the rows are stored as they are. The first ``n_summed`` stored rows are added to ``sums`` (width,)
    one by one. Returns the largest magnitudes before and after; NaN or infinite if there is such a value.
    """
    given = _largest(rows)
    if out is not None:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if rows.dtype == np.float64 and out.dtype.itemsize == 2:
                rows = _to_odd(rows)
            out[...] = rows.astype(out.dtype)
    stored = rows if out is None else out
    with np.errstate(over="ignore", invalid="ignore"):
        sums[...] = np.concatenate([sums[None], stored[:n_summed].astype(np.float64)]).sum(axis=0)
    return given, given if out is None else _largest(out)


def _to_odd(rows: np.ndarray) -> np.ndarray:
    """float64 to float32, rounded to odd, so that a second rounding gives the same result as a single one."""
    single = rows.astype(np.float32)
    bits = single.view(np.uint32)
    step = np.where(np.abs(single.astype(np.float64)) < np.abs(rows), 1, -1)
    wrong = (single != rows) & (bits % 2 == 0) & ~np.isnan(rows)
    return np.where(wrong, bits + step, bits).astype(np.uint32).view(np.float32)


def _largest(block: np.ndarray) -> float:
    """The largest magnitude; IEEE magnitudes are ordered like the integers with the same bits, NaN last."""
    if not block.size:
        return 0.0
    word = _WORDS[block.dtype.itemsize]
    bits = (np.ascontiguousarray(block).view(word) & word.type(np.iinfo(word).max >> 1)).max()
    return float(np.asarray(bits, dtype=word).reshape(1).view(block.dtype)[0])


name = "reference"
most_rows_of_small_sets = 0
moment_precisions = ("fp64", "fp32", "int24")
tile_precisions = ("fp32", "fp64", "bf16")

stage = list  # rows stay where they are

BLOCK_ROWS = 256


def on_device(_index: int) -> AbstractContextManager[None]:
    """Nothing to choose: there is one device, the CPU."""
    return nullcontext()


def writable_on_device(_array: Any, _name: str) -> None:
    """None: results are in host memory."""


def centre(
    products: Sequence[np.ndarray],
    cross: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    sums: Sequence[np.ndarray],
    n_samples: float,
    _n_threads: int = 1,
) -> tuple[list[tuple[float, float]], list[float]]:
    """Sums around the shifts become sums around the means, in place: each matrix minus u v^T / n, with the sums u and v
    of the rows of both sides. Returns sums of squares, and traces.
    """
    root = np.sqrt(n_samples)  # one factor on each side: the scatter stays exactly symmetric
    scaled = [root * (u / n_samples) for u in sums]

    def squares(matrix: np.ndarray, i: int, j: int) -> float:
        matrix -= np.multiply.outer(scaled[i], scaled[j])
        return float(np.square(matrix).sum(axis=1).sum())

    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what overflowed
        own = [(squares(matrix, s, s), float(matrix.trace())) for s, matrix in enumerate(products)]
        return own, [squares(matrix, i, j) for matrix, (i, j) in zip(cross, pairs, strict=True)]


def first_nonfinite(rows: np.ndarray, _n_threads: int = 1) -> tuple[int, int] | None:
    """(row, column) of the first NaN or infinity, in row order."""
    bad = np.argwhere(~np.isfinite(rows))
    return (int(bad[0, 0]), int(bad[0, 1])) if len(bad) else None


def first_directionless_row(rows: np.ndarray, transform: str, _n_threads: int = 1) -> tuple[int, int] | None:
    """(row, -1) of the first row that is all zero (``unit``) or constant (``unit_centred``)."""
    if transform == "raw":
        return None
    against = rows[:, :1] if transform == "unit_centred" else np.zeros((1, 1), rows.dtype)
    bad = np.flatnonzero((rows == against).all(axis=1))
    return (int(bad[0]), -1) if len(bad) else None


def shift_for(block: np.ndarray) -> np.ndarray:
    """A point near the mean, on a grid of sd / 16 to sd / 32 of each feature; the value itself for constant features.

    The low bits of the exact mean are the same in every row and would cause the same rounding error in every product.
    """
    mean, sd = block.mean(axis=0), block.std(axis=0)
    grid = np.ldexp(1.0, np.frexp(np.where(sd > 0, sd, 1.0))[1] - 5)
    rounds = (sd > 0) & np.isfinite(sd) & (np.abs(mean) < grid * 2.0**52)
    shift = np.where(rounds, np.round(mean / grid) * grid, mean)
    return np.where(block.min(axis=0) == block.max(axis=0), block[0], shift)


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """The product of two vectors."""
    return float(np.sum(a * b))


def vector_matrix(a: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """a^T M, (cols,)."""
    return np.sum(a[:, None] * matrix, axis=0)


class Integers:
    """A block of rows as whole numbers v times a power of two for each column, |v| <= 127 (1 + 256 + 256^2)."""

    def __init__(self, rows: np.ndarray) -> None:
        most, largest = 127.0 * (1 + 256 + 256**2), np.abs(rows).max(axis=0)
        exponent = 23 - np.frexp(largest)[1]
        exponent = np.where(np.ldexp(largest, np.minimum(exponent, 500)) > most, exponent - 1, exponent)
        exponent = np.minimum(exponent, 500)
        self.v = np.rint(np.ldexp(rows, exponent)).astype(np.int64)
        self.unit = np.where(largest > 0, np.ldexp(1.0, -exponent), 0.0)

    def product(self, other: Integers) -> np.ndarray:
        """The sums of products: exact integers, rounded once to float64, times the units."""
        return (self.v.T @ other.v).astype(np.float64) * self.unit[:, None] * other.unit

    def squared_norms(self) -> np.ndarray:
        """|u|^2 of each row, added in 16 lanes, which are then added in order: as the engine does."""
        squares = (self.v * self.unit) ** 2
        padded = np.pad(squares, ((0, 0), (0, -squares.shape[1] % 16)))
        lanes = np.add.accumulate(padded.reshape(len(padded), -1, 16), axis=1)[:, -1]
        return np.add.accumulate(lanes, axis=1)[:, -1]


class Moments:
    """Sums over rows u = t(x) - c: moments/state.py has their names and formulas."""

    def __init__(
        self, widths: Sequence[int], pairs: Sequence[tuple[int, int]], *, transform: str, precision: str
    ) -> None:
        self.widths, self.pairs, self.transform, self.precision = list(widths), list(pairs), transform, precision
        sides = len(self.widths)
        self._n_done = 0
        self._shift: list[np.ndarray] = [np.zeros(w) for w in self.widths]
        self._products: list[np.ndarray] = [np.zeros((w, w)) for w in self.widths]
        self._cross: list[np.ndarray] = [np.zeros((self.widths[i], self.widths[j])) for i, j in self.pairs]
        self._weighted: list[np.ndarray] = [np.zeros((1 + sides, w)) for w in self.widths]
        self._norms = np.zeros((1 + sides, sides))
        self._rounding = [np.zeros(w) for w in self.widths] if precision == "int24" else []
        self._pending = [np.zeros((0, w)) for w in self.widths]

    @property
    def n_samples(self) -> int:
        return self._n_done + len(self._pending[0])

    def update(self, chunk: Sequence[np.ndarray], _n_threads: int = 1) -> None:
        self._pending = [
            np.concatenate([old, new.astype(np.float64)]) for old, new in zip(self._pending, chunk, strict=True)
        ]
        while len(self._pending[0]) >= BLOCK_ROWS:
            self._add([rows[:BLOCK_ROWS] for rows in self._pending])
            self._pending = [rows[BLOCK_ROWS:] for rows in self._pending]

    def _add(self, block: list[np.ndarray]) -> None:
        block = [transformed(rows, self.transform) for rows in block]
        if self._n_done == 0:
            self._shift = [shift_for(rows) for rows in block]
        shifted = [rows - shift for rows, shift in zip(block, self._shift, strict=True)]
        if self.precision == "int24":
            self._add_integers([Integers(u) for u in shifted])
            return
        single = np.float32 if self.precision == "fp32" else np.float64
        norms = [(u * u).sum(axis=1) for u in shifted]
        u = [rows.astype(single) for rows in shifted]
        weights = np.stack([np.ones(len(u[0])), *norms], axis=1).astype(single)
        for side, rows in enumerate(u):
            self._products[side] = self._products[side] + rows.T @ rows
            self._weighted[side] = self._weighted[side] + weights.T @ rows
        self._cross = [sums + u[i].T @ u[j] for sums, (i, j) in zip(self._cross, self.pairs, strict=True)]
        self._norms = self._norms + np.concatenate([np.sum(norms, axis=1)[None], np.array(norms) @ np.array(norms).T])
        self._n_done += len(u[0])

    def _add_integers(self, u: list[Integers]) -> None:
        norms = [side.squared_norms() for side in u]
        weights = Integers(np.stack([np.ones(len(norms[0])), *norms], axis=1))
        for s, side in enumerate(u):
            self._products[s] = self._products[s] + side.product(side)
            self._weighted[s] = self._weighted[s] + weights.product(side)
            self._rounding[s] = self._rounding[s] + len(norms[0]) * (side.unit / 2) ** 2
        self._cross = [sums + u[i].product(u[j]) for sums, (i, j) in zip(self._cross, self.pairs, strict=True)]
        terms = np.concatenate([np.stack(norms)[None], [[a * b for b in norms] for a in norms]])
        self._norms = self._norms + np.add.accumulate(terms, axis=-1)[..., -1]  # one after the other, as the engine
        self._n_done += len(norms[0])

    def get_state(self, complete: bool, _n_threads: int = 1) -> dict[str, Any]:
        if complete and len(self._pending[0]):
            complete_copy = Moments(self.widths, self.pairs, transform=self.transform, precision=self.precision)
            complete_copy.set_state(self.get_state(complete=False))
            complete_copy._add(complete_copy._pending)
            complete_copy._pending = [rows[:0] for rows in complete_copy._pending]
            return complete_copy.get_state(complete=True)
        return {
            "n_samples": self.n_samples,
            "shift": [v.copy() for v in self._shift],
            "products": [m.copy() for m in self._products],
            "cross": [m.copy() for m in self._cross],
            "weighted": [m.copy() for m in self._weighted],
            "norms": self._norms.copy(),
            "pending": [rows.copy() for rows in self._pending],
            "rounding": [sums.copy() for sums in self._rounding],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        self._pending = [np.array(rows, dtype=np.float64) for rows in state["pending"]]
        self._n_done = int(state["n_samples"]) - len(self._pending[0])
        self._shift = [np.array(v) for v in state["shift"]]
        self._products: list[np.ndarray] = [np.array(m) for m in state["products"]]
        self._cross = [np.array(m) for m in state["cross"]]
        self._weighted = [np.array(m) for m in state["weighted"]]
        self._norms = np.array(state["norms"])
        self._rounding = [np.array(sums) for sums in state["rounding"]]
