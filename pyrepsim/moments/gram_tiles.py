"""Sums over tiles of the n x n matrices of inner products of centred rows, for many representations at once.

With X the centred rows of a representation, (n, d), and K = X X^T, the sums that many measures read are

    |S_xy|_F^2 = <K, L>,    |S_xx|_F^2 = <K, K>,    tr S_xx = tr K,    |x_i - m|^2 = K_ii.

Rows are cut into blocks. For each pair of blocks the tile of K of every representation is computed once, and the sums
of products of two tiles are added for each pair of representations. So L representations take L n^2 d / 2 products and
L^2 n^2 / 2 for the sums, where their scatters and cross scatters take L^2 n d^2 / 2; and the memory is that of 2 L
tiles and 2 L blocks of rows, neither n x n nor d x d.

Precision fp64: an entry of a tile has an error of about 1e-14 |x_i - m| |x_j - m|. Precision fp32: rows are rounded to
float32 after they are centred, products are summed in float32 over 256 features and then in float64, so an entry has an
error of at most 258 2^-24 = 1.6e-5 times |x_i - m| |x_j - m|, and of about 1e-6 in practice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from ..backends.checks import check_directions, check_finite
from ..backends.directions import any_direction, shared_direction
from ..core.errors import DegenerateError
from ..core.lazy import lazy
from ..core.memory import memory_budget
from .centred import EPSILON, refuse_size
from .pair import Pair, Side

__all__ = ["BlockRows", "DenseRows", "TilePair", "TileSide", "n_tiles", "sums_over_tiles", "tiles_are_less"]

_BLOCK_ROWS = 512
_LEAST_BLOCK_ROWS = 64
_BLOCKS_KEPT = 2
"""Blocks of each representation that are multiplied by one other block, which is so read half as often."""
_SLICE = 8192
"""Entries of a tile whose products are summed at once: those of all representations then stay in the cache."""
_SUMMED_FEATURES = 256
"""Features whose products are summed in float32."""
_FEW_PRODUCTS = 1 << 24
"""Fewer products in all than this are computed by one thread."""
_CACHED_ELEMENTS = 1 << 16
"""Elements of rows that are transformed at once: they stay in the cache."""
_LEAST_REST = 2.0**-51
"""Rounding of a mean that is subtracted, as a fraction of it: below what `Side.varying` counts as constant."""

Reader = Callable[[int, int], Iterator[np.ndarray]]
"""Yields the rows from one number to another, in one or more arrays."""


class BlockRows(Protocol):
    """The rows of one representation, as tiles need them."""

    n_rows: int
    n_features: int

    def side(self) -> TileSide:
        """Check the rows, and return all sums but `norm_sq`. Called before the methods below."""
        ...

    def block(self, start: int, stop: int, /) -> Any:
        """Return some rows in the form that `product` takes."""
        ...

    def product(self, first: Any, second: Any, out: np.ndarray, /) -> None:
        """Write the inner products of the centred rows of two blocks."""
        ...


class TileSide(Side):
    """Sums of one representation that need no d x d matrix."""

    def __init__(
        self,
        *,
        mean: np.ndarray,
        squares: np.ndarray,
        squared_norms: np.ndarray,
        along_mean: np.ndarray,
        **described: Any,
    ) -> None:
        vars(self).update(n_samples=len(squared_norms), mean=mean, squares=squares, copies=0.0, norms=None, **described)
        vars(self).update(squared_norms=squared_norms, along_mean=along_mean)

    squared_norms: np.ndarray
    """|x - m|^2 of each row, (n,)."""
    along_mean: np.ndarray
    """(x - m) . m of each row, (n,)."""

    @lazy
    def total(self) -> float:
        return float(np.sum(self.squared_norms))

    @lazy
    def spread(self) -> np.ndarray:
        """|x - m|^2 minus its mean over the rows, (n,)."""
        return self.squared_norms - np.mean(self.squared_norms)

    @lazy
    def norm_spread(self) -> float:
        return float(self.spread @ self.spread)

    def with_itself(self) -> TilePair:
        return TilePair(self, self, self.norm_sq)


class TilePair(Pair):
    """Sums of two representations that need no d x d matrix; see `TileSide`."""

    x: TileSide
    y: TileSide

    def __init__(self, x: TileSide, y: TileSide, cross_sq: float) -> None:
        vars(self).update(x=x, y=y, cross_sq=cross_sq, mirror=None, norms=None)

    @lazy
    def norm_products(self) -> float:
        return float(self.x.spread @ self.y.spread)

    @lazy
    def mean_cross(self) -> float:
        return float(self.x.along_mean @ self.y.along_mean)

    @lazy
    def mean_weighted(self) -> tuple[float, float]:
        return float(self.y.squared_norms @ self.x.along_mean), float(self.x.squared_norms @ self.y.along_mean)


class DenseRows:
    """Rows of one representation after a row transform, centred block by block.

    Parameters
    ----------
    read : callable
        ``read(start, stop)`` yields the rows from `start` to `stop`, in one or more arrays.
    shape : (int, int)
        Number of rows and of features.
    transform : {"raw", "unit", "unit_centred"}
    label : str
        Its name in messages.
    precision : {"fp64", "fp32"}
    backend : module
        A backend that reads rows in the memory of the CPU.
    """

    def __init__(
        self,
        read: Reader,
        shape: tuple[int, int],
        *,
        transform: str,
        label: str,
        precision: str,
        backend: ModuleType,
    ) -> None:
        self.n_rows, self.n_features = shape
        self._read, self._transform, self._label = read, transform, label
        self._precision, self._backend = precision, backend
        self._mean = np.zeros(self.n_features)
        self._rest: np.ndarray | None = None

    def side(self) -> TileSide:
        direction = None if self._transform == "raw" else any_direction(self.n_features)
        total = np.zeros(self.n_features)
        for start, rows in self._parts():
            check_finite(self._backend, rows, self._label, 1, lambda i, start=start: start + i)
            check_directions(self._backend, rows, self._transform, self._label, 1, lambda i, start=start: start + i)
            direction = None if direction is None else shared_direction(rows, self._transform, direction)
            with np.errstate(over="ignore", invalid="ignore"):  # rows that are too large are refused below
                total += np.sum(self._transformed(rows), axis=0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = total / self.n_rows
            self._mean = mean
            rest = np.zeros(self.n_features)
            for start in self._starts():
                rest += np.sum(self._centred(start, start + _BLOCK_ROWS), axis=0)
            rest /= self.n_rows  # the rounding of the mean; small ones change sums by their squares only
            if (np.abs(rest) > _LEAST_REST * np.abs(mean)).any():
                self._rest = rest
            mean = mean + rest
            squares, norms, along = np.zeros(self.n_features), np.empty(self.n_rows), np.empty(self.n_rows)
            varies = False
            for start in self._starts():
                rows = self._centred(start, start + _BLOCK_ROWS)
                squares += np.einsum("nd,nd->d", rows, rows)
                norms[start : start + len(rows)] = np.einsum("nd,nd->n", rows, rows)
                along[start : start + len(rows)] = np.einsum("nd,d->n", rows, mean)
                varies = varies or bool(rows.any())
        refuse_size(
            float(squares.sum()),
            self.n_rows,
            deviations=np.array([varies]),
            precision=self._precision,
            label=self._label,
            one_direction=direction is not None,
        )
        return TileSide(
            mean=mean,
            squares=squares,
            squared_norms=norms,
            along_mean=along,
            epsilon=EPSILON[self._precision],
            label=self._label,
            one_direction=direction is not None,
        )

    def block(self, start: int, stop: int, /) -> np.ndarray:
        rows = self._centred(start, stop)
        return rows if self._precision == "fp64" else rows.astype(np.float32)

    def product(self, first: np.ndarray, second: np.ndarray, out: np.ndarray, /) -> None:
        if self._precision == "fp64":
            np.matmul(first, second.T, out=out)
            return
        out[:] = 0.0
        for begin in range(0, self.n_features, _SUMMED_FEATURES):
            part = slice(begin, begin + _SUMMED_FEATURES)
            out += first[:, part] @ second[:, part].T

    def _starts(self) -> range:
        return range(0, self.n_rows, _BLOCK_ROWS)

    def _parts(self) -> Iterator[tuple[int, np.ndarray]]:
        for start in self._starts():
            done = start
            for rows in self._read(start, min(start + _BLOCK_ROWS, self.n_rows)):
                yield done, rows
                done += len(rows)

    def _centred(self, start: int, stop: int) -> np.ndarray:
        """The transformed rows minus their mean, in float64 and C order for any memory layout."""
        stop = min(stop, self.n_rows)
        out, done = np.empty((stop - start, self.n_features)), 0
        step = max(1, _CACHED_ELEMENTS // self.n_features)
        for rows in self._read(start, stop):
            for begin in range(0, len(rows), step):
                part = rows[begin : begin + step]
                centred = out[done : done + len(part)]
                centred[:] = part if self._transform == "raw" else self._transformed(part)
                centred -= self._mean  # not in one step, in which NumPy converts half precision slowly
                done += len(part)
        if self._rest is not None:
            out -= self._rest
        return out

    def _transformed(self, rows: np.ndarray) -> np.ndarray:
        x = np.array(rows, dtype=np.float64, order="C")
        if self._transform != "raw":
            largest = np.maximum(np.max(x, axis=1, keepdims=True), -np.min(x, axis=1, keepdims=True))
            x /= largest  # squares of rows near 1e200 would overflow
            if self._transform == "unit_centred":
                x -= np.mean(x, axis=1, keepdims=True)
            x /= np.sqrt(np.einsum("nd,nd->n", x, x))[:, None]
        return x


def tiles_are_less(widths: Sequence[int], pairs: Sequence[tuple[int, int]], n_rows: int) -> bool:
    """Whether tiles take fewer products than scatters: n sum d < sum d^2 / 2 + sum d_x d_y over the pairs.

    The factor of two between both sides is that of `L n^2 d / 2`, since making tiles is not only products. For one pair
    of representations this is n < (d_x + d_y) / 2.
    """
    if len(pairs) == 1 and len(widths) == 2:
        return 2 * n_rows < sum(widths)
    crossed = {(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]}
    scatters = sum(d * d for d in widths) + 2 * sum(widths[i] * widths[j] for i, j in crossed)
    return 2 * n_rows * sum(widths) < scatters


def sums_over_tiles(
    layers: Sequence[BlockRows],
    pairs: Sequence[tuple[int, int]],
    *,
    n_threads: int,
    memory: int | str | None = None,
    advance: Callable[[int], object] | None = None,
) -> list[TilePair | DegenerateError]:
    """Return the sums of each pair of representations, which have the same bits for any number of threads.

    A pair with a representation whose rows cannot be transformed, such as a row of zeros, has its error instead.

    Parameters
    ----------
    layers : sequence of BlockRows
        All of the same number of rows.
    pairs : sequence of (int, int)
        Indices into `layers`.
    n_threads : int
        Each computes the tiles of one representation at a time. There are no more than their blocks leave room for.
    memory
        Blocks have 512 rows, or half as many until the tiles and blocks of one thread fit into a quarter of this
        memory.
    advance : callable, optional
        Called with 1 for each tile of each representation: see `n_tiles`.
    """
    n_rows, widths = layers[0].n_rows, [layer.n_features for layer in layers]
    size = min(_block_rows(widths, memory), n_rows)
    n_threads = min(n_threads, _threads_that_fit(widths, size, memory))
    alone = n_threads <= 1 or n_rows * n_rows * sum(widths) < _FEW_PRODUCTS
    n_parts = 1 if alone else n_threads
    with nullcontext() if alone else ThreadPoolExecutor(n_threads, thread_name_prefix="pyrepsim-tiles") as threads:
        run = map if threads is None else threads.map
        sides = list(run(_checked, layers))
        summed = [k for k, side in enumerate(sides) if isinstance(side, TileSide)]
        wanted = {(min(pair), max(pair)) for pair in pairs if {*pair} <= {*summed}}
        sums = dict.fromkeys(sorted(wanted | {(k, k) for k in summed}), 0.0)
        parts = [list(sums)[k::n_parts] for k in range(n_parts)]
        tiles = np.empty((_BLOCKS_KEPT, len(layers), size * size))
        for begin in range(0, n_rows, _BLOCKS_KEPT * size):
            kept = [dict[int, Any]() for _ in layers]
            for other in range(begin, n_rows, size):
                firsts = range(begin, min(begin + _BLOCKS_KEPT * size, other + 1), size)
                shapes = [(min(size, n_rows - first), min(size, n_rows - other)) for first in firsts]
                used = [tiles[t, :, : rows * columns] for t, (rows, columns) in enumerate(shapes)]
                own = [[tile[k].reshape(shape) for tile, shape in zip(used, shapes, strict=True)] for k in summed]
                fill = partial(_fill, firsts=firsts, other=other, advance=advance)
                list(run(fill, [layers[k] for k in summed], [kept[k] for k in summed], own))
                for first, tile in zip(firsts, used, strict=True):
                    weight = 1.0 if first == other else 2.0  # the tile on the other side of the diagonal is equal
                    for part in run(partial(_products, tile), parts):
                        for pair, total in part.items():
                            sums[pair] += weight * total
    for k in summed:
        vars(sides[k])["norm_sq"] = sums[k, k]
    return [_pair_of(sides[i], sides[j], sums.get((min(i, j), max(i, j)), 0.0)) for i, j in pairs]


def _fill(
    layer: BlockRows,
    kept: dict[int, Any],
    tiles: Sequence[np.ndarray],
    *,
    firsts: range,
    other: int,
    advance: Callable[[int], object] | None,
) -> None:
    """Write the tiles of the blocks at `firsts` with the block at `other`, which is kept if it is one of them."""
    second = layer.block(other, other + tiles[0].shape[1])
    if other in firsts:
        kept[other] = second
    for first, tile in zip(firsts, tiles, strict=True):
        layer.product(kept[first], second, tile)
        if advance is not None:
            advance(1)


def _checked(layer: BlockRows) -> TileSide | DegenerateError:
    try:
        return layer.side()
    except DegenerateError as error:
        return error


def _pair_of(
    x: TileSide | DegenerateError, y: TileSide | DegenerateError, cross_sq: float
) -> TilePair | DegenerateError:
    if isinstance(x, DegenerateError):
        return x
    return y if isinstance(y, DegenerateError) else TilePair(x, y, cross_sq)


def n_tiles(layers: Sequence[BlockRows], memory: int | str | None) -> int:
    """The number of calls of `advance` of `sums_over_tiles`."""
    blocks = -(-layers[0].n_rows // _block_rows([layer.n_features for layer in layers], memory))
    return len(layers) * blocks * (blocks + 1) // 2


def _block_rows(widths: Sequence[int], memory: int | str | None) -> int:
    size = _BLOCK_ROWS
    while size > _LEAST_BLOCK_ROWS and _threads_that_fit(widths, size, memory) < 1:
        size //= 2
    return size


def _threads_that_fit(widths: Sequence[int], size: int, memory: int | str | None) -> int:
    """Return how many threads have room for a block each, beside the tiles and the blocks that are kept."""
    left = memory_budget(memory) // 4 - 8 * size * _BLOCKS_KEPT * (len(widths) * size + sum(widths))
    return left // (8 * size * max(widths))


def _products(tiles: np.ndarray, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], float]:
    """Return sum_k a_k b_k of each pair of tiles; the bits of a pair do not depend on which others there are."""
    sums = dict.fromkeys(pairs, 0.0)
    for begin in range(0, tiles.shape[1], _SLICE):
        part = tiles[:, begin : begin + _SLICE]
        for i, j in pairs:
            sums[i, j] += float(np.vdot(part[i], part[j]))
    return sums
