"""The reference backend: the pairwise sweeps and ranks of the engine (csrc/tiles, ranks, neighbours) in plain NumPy.

It has the same names, blocks and tasks as the engine, and is written for clarity, not for speed. Every distance is
computed from differences, in float64 from the packed values, and rounded to the type of the tile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations_with_replacement, product
from typing import Any

import ml_dtypes
import numpy as np

__all__ = [
    "DistanceSweep",
    "HistogramSweep",
    "JointHistogramSweep",
    "NeighbourSweep",
    "Panels",
    "SumSweep",
    "centre_on_grid",
    "dot_rows",
    "kendall_counts",
    "kendall_of_rows",
    "mean_row",
    "midranks",
    "ranks_of_rows",
    "round_entries",
    "spearman_sums",
]

_PACKED: dict[str, Any] = {"fp32": np.float32, "fp64": np.float64, "bf16": ml_dtypes.bfloat16}
_TILE: dict[str, Any] = {"fp32": np.float32, "fp64": np.float64, "bf16": np.float32}
_CHUNK = 256
_FINEST = 2.0**-5
"""The grid is 1/32 to 1/16 of the spread; subtracting the rounded median makes rows about as small as the exact one."""


def transformed(rows: np.ndarray, kind: str) -> np.ndarray:
    """Rows in float64: unchanged (``raw``), scaled to length 1 (``unit``), or centred and scaled (``unit_centred``)."""
    rows = rows.astype(np.float64)
    if kind == "raw":
        return rows
    # scaled near 1, so that sums and squares do not over- or underflow
    rows = np.ldexp(rows, -np.frexp(np.abs(rows).max(axis=1, keepdims=True))[1])
    if kind == "unit_centred":
        rows = rows - rows.mean(axis=1, keepdims=True)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def mean_row(rows: np.ndarray, transform: str, _n_threads: int = 1) -> np.ndarray:
    """Mean of the transformed rows, (d,)."""
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), _CHUNK):
        total += transformed(rows[start : start + _CHUNK], transform).sum(axis=0)
    return total / len(rows)


def dot_rows(rows: np.ndarray, towards: np.ndarray, _n_threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The products of each row with ``towards`` (d,) and with itself, (n,) each."""
    x = rows.astype(np.float64)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # the caller looks at the products
        return np.einsum("nd,d->n", x, towards), np.einsum("nd,nd->n", x, x)


def centre_on_grid(few: np.ndarray) -> np.ndarray:
    """The median c of each feature over ``few`` rows (m, d), rounded to a power of two near 1/32 of its spread.

    x - c is then exact in float32 for integers, float16 and bfloat16, so equal distances stay equal (the low bits of
    a mean would round each row differently). Medians are robust to a few huge rows. For a constant feature c is its
    value.
    """
    m, kind = len(few), np.float64 if few.dtype == np.float64 else np.float32
    ordered = np.sort(np.ascontiguousarray(few.T, dtype=kind), axis=1)  # float32 sorts ten times as fast as float64
    least, low, high, most = (ordered[:, i].astype(np.float64) for i in (0, m // 4, m - 1 - m // 4, m - 1))
    centre = sum(0.5 * ordered[:, i].astype(np.float64) for i in ((m - 1) // 2, m // 2))
    constant, flat = least == most, low == high
    with np.errstate(over="ignore", invalid="ignore"):  # huge rows keep their median
        spread = high - low
        spread[flat] = few[:, flat].astype(np.float64).std(axis=0)
        usable = ~constant & (spread > 0) & np.isfinite(spread)
        grid = np.ldexp(_FINEST, np.frexp(np.where(usable, spread, 1.0))[1])
        rounded = np.where(usable & (np.abs(centre) < grid * 2.0**52), np.round(centre / grid) * grid, centre)
    return np.where(constant, least, rounded)


class Panels:
    """Rows u = t(x) - c, rounded to the packed type, in blocks."""

    def __init__(
        self,
        rows: np.ndarray,
        *,
        transform: str,
        shift: np.ndarray | None,
        precision: str,
        blocks: np.ndarray,
        n_threads: int = 1,  # noqa: ARG002
        isa: str = "auto",  # noqa: ARG002
    ) -> None:
        u = transformed(rows, transform)
        self.rows = (u if shift is None else u - shift).astype(_PACKED[precision])
        self.precision, self.blocks = precision, np.asarray(blocks, dtype=np.int64)
        self.n_rows, self.n_features = rows.shape

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes

    def block(self, i: int) -> np.ndarray:
        return self.rows[self.blocks[i] : self.blocks[i + 1]].astype(np.float64)


def pair_values(x: np.ndarray, y: np.ndarray, metric: str) -> np.ndarray:
    """The metric between rows of x and rows of y, (n, m) in float64."""
    if metric == "dot":
        return np.stack([(y * row).sum(axis=1) for row in x])
    out = np.empty((len(x), len(y)))
    for r, row in enumerate(x):
        difference = np.abs(y - row)
        if metric == "manhattan":
            out[r] = difference.sum(axis=1)
        elif metric == "chebyshev":
            out[r] = difference.max(axis=1)
        else:
            out[r] = (difference * difference).sum(axis=1)
    if metric in ("cosine", "correlation"):
        return out / 2
    if metric == "euclidean":
        return np.sqrt(out)
    if metric == "angular":
        return 2 / math.pi * np.arcsin(np.minimum(np.sqrt(out) / 2, 1.0))
    return out


class _Sweep:
    """A sweep over every pair of rows; tasks are pairs of blocks, i <= j within one set of rows."""

    def __init__(self, left: Sequence[Panels], right: Sequence[Panels] | None, metric: str) -> None:
        self._left, self._right, self._metric = list(left), None if right is None else list(right), metric
        n = len(self._left[0].blocks) - 1
        if right is None:
            self._tasks = list(combinations_with_replacement(range(n), 2))
        else:
            self._tasks = list(product(range(n), range(len(right[0].blocks) - 1)))

    @property
    def n_tasks(self) -> int:
        return len(self._tasks)

    def run(self, begin: int, end: int, _n_threads: int = 1) -> None:
        for i, j in self._tasks[begin:end]:
            others = self._left if self._right is None else self._right
            tiles = [
                pair_values(a.block(i), b.block(j), self._metric).astype(_TILE[a.precision])
                for a, b in zip(self._left, others, strict=True)
            ]
            self._reduce(i, j, tiles)

    def _reduce(self, i: int, j: int, tiles: list[np.ndarray]) -> None:
        raise NotImplementedError

    def _entries(self, i: int, j: int, tile: np.ndarray) -> np.ndarray:
        """The entries of pairs, each pair once: row before column."""
        return tile[np.triu_indices(len(tile), 1)] if self._right is None and i == j else tile.ravel()

    def _rows_of(self, i: int) -> slice:
        return slice(int(self._left[0].blocks[i]), int(self._left[0].blocks[i + 1]))


def bin_of(values: np.ndarray, low: float, high: float, bins: int) -> np.ndarray:
    """clip(floor((v - low) bins / (high - low)), 0, bins - 1)."""
    place = np.floor((values.astype(np.float64) - low) * (bins / (high - low)))
    return np.clip(place, 0, bins - 1).astype(np.int64)


def _mapped(values: np.ndarray, entry_map: tuple[Any, ...] | None) -> np.ndarray:
    if entry_map is None:
        return values.astype(np.float64)
    if entry_map[0] == "rbf":
        return np.exp(-entry_map[1] * values.astype(np.float64))
    if entry_map[0] == "expm1":
        return np.expm1(-entry_map[1] * values.astype(np.float64))
    _, low, high, table = entry_map
    return np.asarray(table, np.float64)[bin_of(values, low, high, len(table))]


class SumSweep(_Sweep):
    """Sums of entries v (mapped, minus an origin) of each layer and of their products, for each pair of blocks."""

    def __init__(
        self,
        layers: Sequence[Panels],
        pairs: Sequence[tuple[int, int]],
        *,
        metric: str,
        maps: Sequence[tuple[Any, ...] | None],
        origins: Sequence[float],
        row_sums: bool,
    ) -> None:
        super().__init__(layers, None, metric)
        self._pairs, self._maps, self._origins = list(pairs), list(maps), list(origins)
        blocks, count = len(layers[0].blocks) - 1, len(layers)
        self._out = {
            "entries": np.zeros((blocks, blocks), np.int64),
            "first": np.zeros((count, blocks, blocks)),
            "second": np.zeros((count, blocks, blocks)),
            "cross": np.zeros((len(self._pairs), blocks, blocks)),
        }
        if row_sums:
            self._out["rows"] = np.zeros((count, layers[0].n_rows))

    def _reduce(self, i: int, j: int, tiles: list[np.ndarray]) -> None:
        values = [_mapped(t, m) - o for t, m, o in zip(tiles, self._maps, self._origins, strict=True)]
        flat = [self._entries(i, j, v) for v in values]
        self._out["entries"][i, j] = flat[0].size
        for layer, v in enumerate(flat):
            self._out["first"][layer, i, j] = v.sum()
            self._out["second"][layer, i, j] = v @ v
        for k, (a, b) in enumerate(self._pairs):
            self._out["cross"][k, i, j] = flat[a] @ flat[b]
        if "rows" in self._out:
            for layer, v in enumerate(values):
                each = np.triu(v, 1) if i == j else v
                self._out["rows"][layer, self._rows_of(i)] += each.sum(axis=1)
                self._out["rows"][layer, self._rows_of(j)] += each.sum(axis=0)

    def result(self) -> dict[str, np.ndarray]:
        return self._out


class DistanceSweep(_Sweep):
    """Writes the entries to ``out``: condensed, in the order of SciPy, or (n, m)."""

    def __init__(self, x: Panels, y: Panels | None, *, metric: str, out: np.ndarray) -> None:
        super().__init__([x], None if y is None else [y], metric)
        self._out, self._n = out, x.n_rows

    def _reduce(self, i: int, j: int, tiles: list[np.ndarray]) -> None:
        rows = self._rows_of(i)
        if self._right is not None:
            blocks = self._right[0].blocks
            self._out[rows, int(blocks[j]) : int(blocks[j + 1])] = tiles[0]
            return
        columns = self._rows_of(j)
        for r in range(rows.start, rows.stop):
            first = max(r + 1, columns.start)
            begin = r * (2 * self._n - r - 1) // 2 + first - r - 1
            self._out[begin : begin + columns.stop - first] = tiles[0][r - rows.start, first - columns.start :]

    def result(self) -> np.ndarray:
        return self._out


class HistogramSweep(_Sweep):
    """Counts of the entries of each layer in each bin, (layers, bins); low and high are common or one for each
    layer.
    """

    def __init__(self, layers: Sequence[Panels], *, metric: str, low: Any, high: Any, bins: int) -> None:
        super().__init__(layers, None, metric)
        self._ranges, self._counts = _ranges(low, high, len(layers)), np.zeros((len(layers), bins), np.uint64)

    def _reduce(self, i: int, j: int, tiles: list[np.ndarray]) -> None:
        bins = self._counts.shape[1]
        for counts, tile, (low, high) in zip(self._counts, tiles, self._ranges, strict=True):
            places = bin_of(self._entries(i, j, tile), low, high, bins)
            counts += np.bincount(places, minlength=bins).astype(np.uint64)

    def result(self) -> np.ndarray:
        return self._counts


class JointHistogramSweep(_Sweep):
    """Counts of the entries of two layers in each pair of bins, (pairs, bins, bins)."""

    def __init__(
        self,
        layers: Sequence[Panels],
        pairs: Sequence[tuple[int, int]],
        *,
        metric: str,
        low: Any,
        high: Any,
        bins: int,
    ) -> None:
        super().__init__(layers, None, metric)
        self._pairs, self._ranges, self._bins = list(pairs), _ranges(low, high, len(layers)), bins
        self._counts = np.zeros((len(self._pairs), bins, bins), np.uint64)

    def _reduce(self, i: int, j: int, tiles: list[np.ndarray]) -> None:
        places = [
            bin_of(self._entries(i, j, tile), low, high, self._bins)
            for tile, (low, high) in zip(tiles, self._ranges, strict=True)
        ]
        for k, (a, b) in enumerate(self._pairs):
            joint = np.bincount(places[a] * self._bins + places[b], minlength=self._bins**2)
            self._counts[k] += joint.reshape(self._bins, self._bins).astype(np.uint64)

    def result(self) -> np.ndarray:
        return self._counts


def _ranges(low: Any, high: Any, count: int) -> list[tuple[float, float]]:
    return list(zip(np.broadcast_to(low, count).tolist(), np.broadcast_to(high, count).tolist(), strict=True))


class NeighbourSweep(_Sweep):
    """The k nearest rows of each row, nearest first, ties by index; for dot the largest products."""

    def __init__(self, x: Panels, y: Panels | None, *, metric: str, k: int) -> None:
        super().__init__([x], None if y is None else [y], metric)
        self._k = k
        self._values = np.full((x.n_rows, (x if y is None else y).n_rows), np.inf)

    def _reduce(self, i: int, j: int, tiles: list[np.ndarray]) -> None:
        sign = -1.0 if self._metric == "dot" else 1.0
        tile, rows = sign * tiles[0].astype(np.float64), self._rows_of(i)
        if self._right is not None:
            blocks = self._right[0].blocks
            self._values[rows, int(blocks[j]) : int(blocks[j + 1])] = tile
            return
        columns = self._rows_of(j)
        if i == j:
            np.fill_diagonal(tile, np.inf)
        self._values[rows, columns], self._values[columns, rows] = tile, tile.T

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self._values, axis=1, kind="stable")[:, : self._k]
        values = np.take_along_axis(self._values, order, axis=1)
        values = -values if self._metric == "dot" else values
        return order.astype(np.int64), values.astype(_TILE[self._left[0].precision])


def round_entries(entries: np.ndarray, _n_threads: int = 1) -> tuple[float, float]:
    """Round the significands of finite entries in place to 20 bits of 24, or 40 of 53; returns their range."""
    unsigned, low = (np.uint32, 4) if entries.dtype == np.float32 else (np.uint64, 13)
    bits = entries.view(unsigned)
    bits += unsigned(1 << (low - 1))
    bits &= unsigned(~unsigned((1 << low) - 1))
    return float(entries.min()), float(entries.max())


def midranks(values: np.ndarray, _n_threads: int = 1) -> np.ndarray:
    """Rank of each value, counted from 1; equal values get their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + 1 + last) / 2.0)[place]


def spearman_sums(x: np.ndarray, y: np.ndarray, _n_threads: int = 1) -> tuple[int, int, int]:
    """(sum a^2, sum a b, sum b^2) for a = 2 rank(x) - (n + 1) and b likewise from y: exact integers."""
    a, b = ((2 * midranks(v)).astype(np.int64) - (len(v) + 1) for v in (x, y))
    return int(np.sum(a.astype(object) * a)), int(np.sum(a.astype(object) * b)), int(np.sum(b.astype(object) * b))


def kendall_counts(x: np.ndarray, y: np.ndarray, _n_threads: int = 1) -> tuple[int, int, int, int, int]:
    """(pairs, concordant - discordant, ties in x, ties in y, ties in both) over all pairs of entries."""
    a, b = (np.unique(v, return_inverse=True)[1].astype(np.int64) for v in (x, y))
    ties_x, ties_y, both = (_tied_pairs(key) for key in (a, b, a * (b.max() + 1) + b))
    pairs = len(a) * (len(a) - 1) // 2
    discordant = _inversions(b[np.lexsort((b, a))])  # sorted by x, ties by y
    return pairs, pairs - ties_x - ties_y + both - 2 * discordant, ties_x, ties_y, both


def ranks_of_rows(rows: np.ndarray, _n_threads: int = 1) -> np.ndarray:
    """Twice the mid-ranks of each row."""
    return np.array([2 * midranks(row) for row in rows]).astype(np.uint32).reshape(rows.shape)


def kendall_of_rows(x: np.ndarray, y: np.ndarray, _n_threads: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(concordant - discordant (a, b), ties in x (a,), ties in y (b,)) of every row of x with every row of y."""
    difference = np.array([[kendall_counts(row, other)[1] for other in y] for row in x])
    ties_x, ties_y = (np.array([_tied_pairs(row) for row in side]) for side in (x, y))
    return difference, ties_x, ties_y


def _tied_pairs(keys: np.ndarray) -> int:
    counts = np.unique(keys, return_counts=True)[1]
    return int(np.sum(counts * (counts - 1) // 2))


def _inversions(values: np.ndarray) -> int:
    """The number of pairs i < j with v_i > v_j, counted at the highest bit in which the two differ."""
    total = 0
    for bit in range(int(values.max()).bit_length()):
        prefix = values >> (bit + 1)
        order = np.argsort(prefix, kind="stable")
        ones = (values[order] >> bit) & 1
        before = np.cumsum(ones) - ones
        start = np.searchsorted(prefix[order], prefix[order], side="left")  # of the group with this prefix
        total += int(np.sum((before - before[start])[ones == 0]))
    return total
