"""Sweeps on a device besides the sums of pairwise.py: distances, their histograms, and nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.errors import OptionError, ShapeError
from .pairwise import DeviceSweep, Panels, layer_fields, same_rows, shape_fields, tile_sides

__all__ = ["DistanceSweep", "HistogramSweep", "JointHistogramSweep", "NeighbourSweep"]

_STAGED_ROWS = 512  # rows of the matrix on the device before they are copied to the host


def _entry(panels: Panels) -> type:
    return np.float64 if panels.is_double else np.float32


def _same_features(x: Panels, y: Panels) -> None:
    if x.n_features != y.n_features or x.precision != y.precision:
        raise ShapeError(
            f"rows that are compared must have the same features and precision: got {x.n_features} in {x.precision} "
            f"and {y.n_features} in {y.precision}."
        )


class DistanceSweep(DeviceSweep):
    """Fills ``out``: condensed, in SciPy's order, where y is None, else (n, m)."""

    def __init__(self, x: Panels, y: Panels | None, *, metric: str, out: Any) -> None:
        other = x if y is None else y
        _same_features(x, other)
        device, n, m = x.device, x.n_rows, other.n_rows
        strip = device.kernels.strip
        wanted = (n * (n - 1) // 2,) if y is None else (n, m)
        if tuple(out.shape) != wanted:
            raise ShapeError(f"out must have shape {wanted}: got {tuple(out.shape)}.")
        self._rows = min(_STAGED_ROWS, -(-n // strip) * strip)
        cols = min(2048, -(-m // strip) * strip)
        self._n, self._m, self._condensed, self._out = n, m, y is None, out
        self._held = device.empty((self._rows, cols), _entry(x))
        self._staged = device.empty(min(self._rows * m, out.size), _entry(x))
        self._panels = (x, other)
        shape = shape_fields(x, other, metric, (self._rows, cols), symmetric=y is None)
        layers = [layer_fields(x, other, self._held)]
        super().__init__(device, device.kernels.PairDistances(shape, layers, device.cublas))

    def _at(self, row: int) -> int:
        """Index of the first entry of a row in ``out``."""
        row = min(row, self._n)
        return row * (2 * self._n - row - 1) // 2 if self._condensed else row * self._m

    def run(self, begin: int, end: int, _n_threads: int = 1) -> None:
        flat = self._out.reshape(-1)
        for task in range(begin, end):
            first, last = self._at(task * self._rows), self._at((task + 1) * self._rows)
            with self._device.here():
                self._kernel.run(task, self._device.address(self._staged), self._device.stream)
            made = self._staged[: last - first]
            if isinstance(flat, np.ndarray):
                flat[first:last] = self._device.to_host(made)
            else:
                with self._device.work():
                    flat[first:last] = made
        self._device.synchronize()

    def result(self) -> Any:
        return self._out


class _Counts(DeviceSweep):
    def __init__(
        self,
        layers: Sequence[Panels],
        pairs: Sequence[tuple[int, int]],
        cells: tuple[int, ...],
        *,
        metric: str,
        low: Any,
        high: Any,
        bins: int,
    ) -> None:
        same_rows(layers)
        device = layers[0].device
        side = tile_sides(layers[0], len(layers))
        self._counts = device.zeros(cells, np.uint64)
        tiles = [device.empty((side, side), _entry(panels)) for panels in layers]
        lows, highs = (np.broadcast_to(np.asarray(v, np.float64), len(layers)) for v in (low, high))
        fields = [
            layer_fields(x, x, held, low=float(a), bin_scale=bins / (float(b) - float(a)), bins=bins)
            for x, held, a, b in zip(layers, tiles, lows, highs, strict=True)
        ]
        self._kept = (list(layers), tiles)
        shape = shape_fields(layers[0], layers[0], metric, (side, side), symmetric=True)
        counts = device.address(self._counts)
        super().__init__(device, device.kernels.PairHistograms(shape, fields, list(pairs), device.cublas, counts))

    def result(self) -> np.ndarray:
        return self._device.to_host(self._counts)


class HistogramSweep(_Counts):
    """Number of pairs of rows whose distance is in each bin of [low, high): (layers, bins), uint64."""

    def __init__(self, layers: Sequence[Panels], *, metric: str, low: Any, high: Any, bins: int) -> None:
        super().__init__(layers, (), (len(layers), bins), metric=metric, low=low, high=high, bins=bins)


class JointHistogramSweep(_Counts):
    """Number of pairs of rows in each pair of bins, for each pair of layers: (pairs, bins, bins), uint64."""

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
        pairs = [(int(i), int(j)) for i, j in pairs]
        super().__init__(layers, pairs, (len(pairs), bins, bins), metric=metric, low=low, high=high, bins=bins)


class NeighbourSweep(DeviceSweep):
    """Indices (n, k) int64 and values (n, k), nearest first, ties by index; without y a row is not its own
    neighbour.
    """

    def __init__(self, x: Panels, y: Panels | None, *, metric: str, k: int) -> None:
        other = x if y is None else y
        _same_features(x, other)
        device = x.device
        most = min(device.kernels.most_neighbours, other.n_rows - (y is None))
        if not 1 <= k <= most:
            raise OptionError(f"k must be from 1 to {most} for {other.n_rows} rows on the GPU: got {k}.")
        strip = device.kernels.strip
        rows, cols = (min(2048, -(-panels.n_rows // strip) * strip) for panels in (x, other))
        held = -(-x.n_rows // rows) * rows
        self._n, self._sign = x.n_rows, -1 if metric == "dot" else 1
        self._values = device.to_device(np.full((held, k), np.inf, _entry(x)))
        self._indices = device.to_device(np.full((held, k), device.kernels.no_neighbour, np.int32))
        tile = device.empty((rows, cols), _entry(x))
        self._kept = (x, other, tile)
        shape = shape_fields(x, other, metric, (rows, cols), symmetric=False)
        kernel = device.kernels.PairNeighbours(
            shape=shape,
            layer=layer_fields(x, other, tile),
            blas=device.cublas,
            without_self=y is None,
            k=k,
            values=device.address(self._values),
            indices=device.address(self._indices),
        )
        super().__init__(device, kernel)

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        indices = self._device.to_host(self._indices)[: self._n].astype(np.int64)
        return indices, self._sign * self._device.to_host(self._values)[: self._n]
