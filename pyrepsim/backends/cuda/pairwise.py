"""Pairwise sweeps on a device: rows are packed once, cuBLAS multiplies tiles, our kernels reduce them in the L2 cache.

Names and meanings are those of the sweeps of `pyrepsim._core`. Precisions:

* ``"fp32"``: rows are rounded to float32. Tensor cores multiply two half-precision numbers for each element (22 bits),
  summed in float32; the error of an entry is about 1e-6 of the two squared norms.
* ``"fp64"``: float64 throughout.
* ``"fast"``: rows are rounded to half precision (11 bits) after shift and scaling, so each row moves by at most 2^-11
of
  its length. For metrics that are functions of products, not for manhattan and chebyshev.

On Hopper GPUs, sums of many rows over pairs of layers are made by one kernel that keeps the products in registers
(csrc/cuda/tiles/fused.h). It rounds the entries of the first layer to 11 bits (to nearest), so that a sum of N products
has a relative error of about 2^-13 / sqrt(N).

Where the squared distance is less than a sixteenth of the squared norms, the entry is recomputed from differences in
float64. Results have the same bits in every run on one device. In sums over huge or tiny float32 entries, entries are
multiplied by a power of two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...core.errors import OptionError, ShapeError
from .rows import DeviceRows, stage

__all__ = ["DeviceSweep", "Panels", "SumSweep", "layer_fields", "mean_row", "shape_fields", "tile_sides"]

_CHUNK = 8192  # rows converted to float64 at once
_MOST_TILE = 4096
_L2_BYTES = 36 << 20  # memory of the tiles of all layers that stays in the L2 cache of a large GPU
_FEWEST_FUSED = 2048
_PAYS_FUSED = 20_000  # number of rows above which the fused kernel is faster
_NOT_PRODUCTS = ("manhattan", "chebyshev")
_SUMMED_AS_THEY_ARE = (1e-9, 1e15)  # bounds on entries whose squares float32 can sum
_TYPES = {"fp32": (np.float32, np.float16), "fp64": (np.float64, np.float64), "fast": (np.float16, np.float16)}


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _prepared(device: Any, rows: Any, transform: str, shift: np.ndarray | None) -> Iterator[tuple[int, Any]]:
    """Yield (first row, u = t(x) - shift in float64 on the device) for chunks of rows."""
    n, d = rows.shape
    taken_off = device.to_device(np.zeros(d) if shift is None else np.ascontiguousarray(shift, np.float64))
    norms = device.empty(min(n, _CHUNK), np.float64)
    for begin in range(0, n, _CHUNK):
        part = rows[begin : begin + _CHUNK]
        if not (isinstance(part, DeviceRows) and part.ours):
            (part,) = stage(device, [part])
        u = device.empty((len(part), d), np.float64)
        device.kernels.prepare_rows(
            device.address(part.values), part.dtype.name, len(part), d, d, transform, device.address(taken_off), "fp64",
            device.address(u), device.address(norms), device.stream,
        )  # fmt: skip
        device.rows_were_read()
        yield begin, u


def mean_row(device: Any, rows: Any, transform: str) -> np.ndarray:
    """Mean of the transformed rows, (d,) float64, summed in a fixed order."""
    total = np.zeros(rows.shape[1])
    for _, u in _prepared(device, rows, transform, None):
        with device.work():
            total += device.to_host(u.sum(axis=0))
    return total / rows.shape[0]


class Panels:
    """The rows of one layer, converted, transformed, shifted and packed once."""

    def __init__(
        self,
        device: Any,
        rows: Any,
        *,
        transform: str,
        shift: np.ndarray | None,
        precision: str,
        blocks: np.ndarray,
    ) -> None:
        if precision not in _TYPES:
            raise OptionError(f"precision of the GPU's tiles must be one of {', '.join(_TYPES)}: got {precision!r}.")
        self.device, self.precision = device, precision
        self.n_rows, self.n_features = (int(size) for size in rows.shape)
        self.blocks = np.asarray(blocks, np.int64)
        self.is_double = precision == "fp64"
        self.value_type, self.operand_type = (np.dtype(kind) for kind in _TYPES[precision])
        self.stride = _up(self.n_features, 8)
        single = np.float64 if self.is_double else np.float32
        # tiles can extend beyond the last row, into rows of zeros
        padded = _up(self.n_rows, device.kernels.strip)
        self._held = padded + min(padded, _MOST_TILE)
        self.values = device.zeros((self._held, self.stride), self.value_type)
        self.operand = self.values
        if precision == "fp32":
            self.operand = device.zeros((self._held, 4 * self.stride), np.float16)
        self.half_squares, self.scales = device.zeros(self._held, single), device.zeros(self._held, single)
        for begin, u in _prepared(device, rows, transform, shift):
            device.kernels.pack_pairs(
                device.address(u), len(u), self.n_features, precision, self.stride,
                *(device.address(a[begin:]) for a in (self.values, self.operand, self.half_squares, self.scales)),
                device.stream,
            )  # fmt: skip
        with device.work():
            longest, scale = float(self.half_squares.max()), float(self.scales.max())
        self.largest = 4096 * scale
        """No element of a row is larger; for tiles of float32."""
        _check_range(longest, raw=transform == "raw", is_double=self.is_double)

    @property
    def nbytes(self) -> int:
        both = (self.values, self.operand) if self.operand is not self.values else (self.values,)
        return int(sum(array.nbytes for array in (*both, self.half_squares, self.scales)))

    def side(self) -> dict[str, int]:
        """Addresses, as in the kernels' struct PackedSide."""
        names = ("values", "half_squares", "scales", "operand")
        return {name: self.device.address(getattr(self, name)) for name in names}


def _check_range(half_square: float, *, raw: bool, is_double: bool) -> None:
    """Raise ValueError if squares overflow or, in float32, all underflow: the rule of csrc/tiles/panels.cpp."""
    if not half_square < (1e300 if is_double else 1e37):
        raise ValueError(f"rows must be shorter than {'1e150' if is_double else '4e18'} for products of their type")
    if raw and not is_double and 0 < half_square <= 1e-28:
        raise ValueError(f"the longest row has length {np.sqrt(2 * half_square):.3g}, whose float32 products underflow")


def layer_fields(x: Panels, y: Panels, tile: Any, **map_fields: Any) -> dict[str, Any]:
    """The kernels' struct PairLayer for rows of x against rows of y."""
    split = x.precision == "fp32"
    fields = {
        "left": x.side(),
        "right": y.side(),
        "value_type": x.value_type.name,
        "operand_type": x.operand_type.name,
        "value_stride": x.stride,
        "operand_stride": 4 * x.stride if split else x.stride,
        "left_offset": x.stride if split else 0,
        "n_features": x.n_features,
        "depth": 3 * x.stride if split else x.stride,
        "map": "none",
        "gamma": 0.0,
        "low": 0.0,
        "bin_scale": 0.0,
        "bins": 0,
        "table": 0,
        "origin": 0.0,
        "unit": 1.0,
        "noise_scale": 1.0,
        "tile": x.device.address(tile),
    }
    return fields | map_fields


def shape_fields(x: Panels, y: Panels, metric: str, tile: tuple[int, int], *, symmetric: bool) -> dict[str, Any]:
    """The kernels' struct SweepShape."""
    if x.precision == "fast" and metric in _NOT_PRODUCTS:
        raise OptionError(
            f"precision='fast' is for metrics that are inner products: got metric={metric!r}. Use precision='fp32'."
        )
    return {
        "metric": metric,
        "is_double": x.is_double,
        "symmetric": symmetric,
        "n_left": x.n_rows,
        "n_right": y.n_rows,
        "tile_rows": tile[0],
        "tile_cols": tile[1],
    }


def tile_sides(panels: Panels, n_tiles: int, limit: int = 2048) -> int:
    """Side length of square tiles, so that ``n_tiles`` of them stay in the L2 cache and products are still fast."""
    entry = 8 if panels.is_double else 4
    side = limit
    while side > 1024 and n_tiles * side * side * entry > _L2_BYTES:
        side -= 256
    return min(side, _up(panels.n_rows, panels.device.kernels.strip))


def _segments(blocks: np.ndarray, n: int, multiple: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows cut at block boundaries and multiples: starts and n, then the first segment of each multiple and block."""
    begin = np.union1d(blocks, np.arange(0, n, multiple, dtype=np.int64)).astype(np.int64)
    multiples = np.append(np.arange(0, n, multiple, dtype=np.int64), n)
    return begin, np.searchsorted(begin, multiples), np.searchsorted(begin, blocks)


class DeviceSweep:
    """A sweep whose tasks are rows of tiles."""

    def __init__(self, device: Any, kernel: Any) -> None:
        self._device, self._kernel = device, kernel

    @property
    def n_tasks(self) -> int:
        return self._kernel.n_tasks

    def run(self, begin: int, end: int, _n_threads: int = 1) -> None:
        with self._device.here():
            for task in range(begin, end):
                self._kernel.run(task, self._device.stream)
        self._device.synchronize()


class SumSweep(DeviceSweep):
    """Sums of v, v^2 and v_i v_j over pairs of rows for each pair of blocks; v is the entry minus its layer's
    origin.
    """

    def __init__(
        self,
        layers: Sequence[Panels],
        pairs: Sequence[tuple[int, int]],
        *,
        metric: str,
        maps: Sequence[tuple | None],
        origins: Sequence[float],
        row_sums: bool,
        tile: tuple[int, int] | None = None,
        lanes: int = 1,
        fused: bool | None = None,
    ) -> None:
        same_rows(layers)
        first, device = layers[0], layers[0].device
        strip = device.kernels.strip
        self._layers, self._pairs = list(layers), [(int(i), int(j)) for i, j in pairs]
        n, blocks, n_layers = first.n_rows, first.blocks, len(layers)
        rows, cols = tile or (tile_sides(first, lanes * n_layers),) * 2
        single = np.float64 if first.is_double else np.float32
        # in fp32 (two halves for each element) it gains only 5 %, which does not justify its rounding
        wanted = (n >= _PAYS_FUSED and first.precision == "fast") if fused is None else fused
        self._units = [_unit(panels, metric, entry_map) for panels, entry_map in zip(layers, maps, strict=True)]
        unscaled = all(unit == 1 for unit in self._units)
        self.fused = wanted and not row_sums and unscaled and _fused(layers, self._pairs, metric)
        kernels = device.kernels
        row_cut, col_cut = (kernels.fused_row_cut, kernels.fused_cols) if self.fused else (strip, strip)
        names = ("begin", "of_cut", "of_block")
        row_cuts = dict(zip(names, _segments(blocks, n, row_cut), strict=True))
        col_cuts = dict(zip(names, _segments(blocks, n, col_cut), strict=True))
        cuts = {
            "row_begin": row_cuts["begin"],
            "rows_of_cut": row_cuts["of_cut"],
            "rows_of_block": row_cuts["of_block"],
            "col_begin": col_cuts["begin"],
            "cols_of_cut": col_cuts["of_cut"],
            "cols_of_block": col_cuts["of_block"],
        }
        block_of = np.searchsorted(blocks, row_cuts["begin"][:-1], side="right") - 1
        of_tile_row = np.searchsorted(row_cuts["begin"], np.append(np.arange(0, n, rows), n))
        n_arrays, n_segments, n_blocks = 2 * n_layers + len(self._pairs), len(col_cuts["begin"]) - 1, len(blocks) - 1
        n_strips = -(-n // strip)
        self._sums = device.zeros((n_arrays, n_blocks, n_blocks), np.float64)
        self._rows = device.zeros((n_layers, n), np.float64) if row_sums else None
        partial_rows = int(np.diff(of_tile_row).max())
        memory: dict[str, Any] = {
            "sums": self._sums,
            "partial": device.empty((n_arrays, partial_rows, n_segments), np.float64),
            "rows": self._rows,
            "row_partial": device.empty((n_layers, n_strips, rows), np.float64) if row_sums else None,
            "col_partial": device.empty((n_layers, rows // strip, n_strips * strip), np.float64) if row_sums else None,
        }
        on_device = {name: device.to_device(np.ascontiguousarray(cut, np.int64)) for name, cut in cuts.items()}
        segments = {name: device.address(cut) for name, cut in on_device.items()} | {
            "of_tile_row": of_tile_row.tolist(),
            "block_of_segment": block_of.tolist(),
            "n_col_segments": n_segments,
            "n_blocks": n_blocks,
        }
        tiles = [device.empty((1,) if self.fused else (lanes, rows, cols), single) for _ in layers]
        tables: list[Any] = []
        fields = [
            layer_fields(
                panels,
                panels,
                held,
                origin=float(origin),
                unit=unit,
                noise_scale=_noise_scale(panels, metric, entry_map) if self.fused else 1.0,
                **_map_fields(device, entry_map, tables),
            )
            for panels, held, entry_map, origin, unit in zip(layers, tiles, maps, origins, self._units, strict=True)
        ]
        kernel = device.kernels.PairSums(
            shape=shape_fields(first, first, metric, (rows, cols), symmetric=True),
            layers=fields,
            pairs=self._pairs,
            segments=segments,
            memory={name: 0 if array is None else device.address(array) for name, array in memory.items()},
            blas=device.cublas,
            lanes=lanes,
            fused=self.fused,
        )
        super().__init__(device, kernel)
        self._kept = (memory, on_device, tiles, tables)  # memory whose addresses the kernels hold

    def result(self) -> dict[str, np.ndarray]:
        units, n_layers = np.array(self._units), len(self._layers)
        squared = [*units**2, *(units[i] * units[j] for i, j in self._pairs)]
        sums = self._device.to_host(self._sums) / np.array([*units, *squared])[:, None, None]
        sizes = np.diff(self._layers[0].blocks).astype(np.float64)
        entries = np.triu(np.outer(sizes, sizes), 1) + np.diag(sizes * (sizes - 1) / 2)
        result = {
            "entries": entries,
            "first": sums[:n_layers],
            "second": sums[n_layers : 2 * n_layers],
            "cross": sums[2 * n_layers :],
        }
        if self._rows is not None:
            result["rows"] = self._device.to_host(self._rows) / units[:, None]
        return result


def _unit(panels: Panels, metric: str, entry_map: tuple | None) -> float:
    """A power of two that scales entries below 1 if float32 cannot sum their squares; otherwise 1."""
    largest, d = panels.largest, panels.n_features
    bounds = {
        "dot": d * largest**2,
        "sqeuclidean": 4 * d * largest**2,
        "euclidean": 2 * np.sqrt(d) * largest,
        "manhattan": 2 * d * largest,
        "chebyshev": 2 * largest,
    }
    if panels.is_double or entry_map is not None or metric not in bounds:
        return 1.0
    bound, (low, high) = bounds[metric], _SUMMED_AS_THEY_ARE
    return 1.0 if low <= bound <= high or bound == 0 else float(np.ldexp(1.0, -int(np.frexp(bound)[1])))


def _fused(layers: Sequence[Panels], pairs: Sequence[tuple[int, int]], metric: str) -> bool:
    """Whether the fused kernel applies: each layer is in one pair, operands are halves, and there are enough rows."""
    first = layers[0]
    once = sorted(index for pair in pairs for index in pair) == list(range(len(layers)))
    return (
        once
        and not first.is_double
        and first.n_rows >= _FEWEST_FUSED
        and all(first.device.kernels.fused_available(metric, panels.stride) for panels in layers)
        and all(_spread(panels) < 1000 for panels in layers)
    )


def _spread(panels: Panels) -> float:
    """Largest over mean of the squared norms."""
    with panels.device.work():
        largest, total = (float(v) for v in (panels.half_squares.max(), panels.half_squares.sum(dtype=np.float64)))
    return largest * panels.n_rows / total if total else 1.0


def _noise_scale(panels: Panels, metric: str, entry_map: tuple | None) -> float:
    """A power of two that scales entries near 1, so that half precision can hold them."""
    typical = 1.0
    if entry_map is not None:
        typical = float(np.abs(entry_map[3]).max()) if entry_map[0] == "table" else 1.0
    elif metric in ("euclidean", "sqeuclidean"):
        with panels.device.work():
            mean = float(panels.half_squares.sum(dtype=np.float64)) / panels.n_rows
        typical = np.sqrt(4 * mean) if metric == "euclidean" else 4 * mean
    return float(np.ldexp(1.0, -int(np.frexp(typical)[1]))) if typical else 1.0


def same_rows(layers: Sequence[Panels]) -> None:
    """Raise an error unless all layers have the same rows, blocks and precision."""
    for panels in layers[1:]:
        if panels.n_rows != layers[0].n_rows or not np.array_equal(panels.blocks, layers[0].blocks):
            raise ShapeError(
                f"layers of a sweep must have the same rows and blocks: got {layers[0].n_rows} and {panels.n_rows} "
                "rows. Pass the same samples of each layer."
            )
        if panels.precision != layers[0].precision:
            raise OptionError(
                f"layers of a sweep must have one precision: got {layers[0].precision} and {panels.precision}."
            )


def _map_fields(device: Any, entry_map: tuple | None, kept: list[Any]) -> dict[str, Any]:
    if entry_map is None:
        return {}
    if entry_map[0] in ("rbf", "expm1"):
        return {"map": entry_map[0], "gamma": float(entry_map[1])}
    _, low, high, table = entry_map
    kept.append(device.to_device(np.ascontiguousarray(table, np.float32)))
    return {
        "map": "table",
        "low": float(low),
        "bin_scale": len(table) / (float(high) - float(low)),
        "bins": len(table),
        "table": device.address(kept[-1]),
    }
