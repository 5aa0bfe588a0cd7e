"""The backend "cuda-emulated": pyrepsim.backends.cuda over NumPy memory and the kernels as compiled by g++."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

from pyrepsim.arrays import rows_view as host_rows_view
from pyrepsim.backends.cuda import kendall_counts, midranks, moments, pairwise, scan, spearman_sums, steady
from pyrepsim.backends.cuda.pairwise import SumSweep
from pyrepsim.backends.cuda.rows import DeviceRows
from pyrepsim.backends.cuda.tables import DistanceSweep, HistogramSweep, JointHistogramSweep, NeighbourSweep
from tests.cuda_emulation.build import emulated_kernels

__all__ = [
    "DistanceSweep",
    "HistogramSweep",
    "JointHistogramSweep",
    "Moments",
    "NeighbourSweep",
    "Panels",
    "SumSweep",
    "first_directionless_row",
    "first_nonfinite",
    "kendall_counts",
    "mean_row",
    "midranks",
    "name",
    "rows_view",
    "spearman_sums",
    "stage",
    "steady",
    "tile_precisions",
]

name = "cuda-emulated"
tile_precisions = ("fp32", "fp64", "fast")


class EmulatedDevice:
    """What pyrepsim.backends.cuda.device.Device offers, in host memory, all work done at once."""

    name = "emulated"
    stream = copy_stream = 0
    block_rows = 512  # so that a few rows are several blocks

    def __init__(self) -> None:
        self.kernels = emulated_kernels()

    @contextmanager
    def work(self):
        yield np

    def empty(self, shape: Any, dtype: Any) -> np.ndarray:
        """Filled with NaN, so that what is read before it is written shows; aligned like device memory."""
        dtype = np.dtype(dtype)
        n_bytes = int(np.prod(shape)) * dtype.itemsize
        memory = np.full(n_bytes + 256, 0xFF, np.uint8)
        begin = -memory.ctypes.data % 256
        return memory[begin : begin + n_bytes].view(dtype).reshape(shape)

    def zeros(self, shape: Any, dtype: Any) -> np.ndarray:
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def to_device(self, array: np.ndarray) -> np.ndarray:
        copy = self.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    def to_host(self, array: np.ndarray) -> np.ndarray:
        return array.copy()

    def address(self, array: np.ndarray) -> int:
        return array.ctypes.data

    def synchronize(self) -> None:
        pass

    def add_products(self, jobs: Any) -> None:
        for left, right, out in jobs:
            out += left.T @ right

    def products(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return self.to_device(left.transpose(0, 2, 1) @ right)

    def take(self, views: Any) -> list[DeviceRows]:
        bits = [view.view(np.uint16) if view.dtype.name == "bfloat16" else view for view in map(np.asarray, views)]
        return [DeviceRows(self.to_device(b), view.dtype, ours=True) for b, view in zip(bits, views, strict=True)]

    def rows_were_read(self) -> None:
        pass

    def largest_indices(self, shape: Any) -> np.ndarray:
        return self.to_device(np.full(shape, np.iinfo(np.uint64).max, np.uint64))

    def read_on_copy_stream(self, array: np.ndarray) -> np.ndarray:
        return array.copy()


@cache
def device() -> EmulatedDevice:
    return EmulatedDevice()


def rows_view(array, label="X"):
    return array if isinstance(array, DeviceRows) else host_rows_view(array, label)


def stage(views):
    return scan.stage(device(), views)


def first_nonfinite(rows, _n_threads=1):
    return scan.first_nonfinite(device(), rows)


def first_directionless_row(rows, transform, _n_threads=1):
    return scan.first_directionless_row(device(), rows, transform)


def Moments(widths, pairs, *, rows, precision):
    return moments.Moments(device(), widths, pairs, rows=rows, precision=precision)


def mean_row(rows, transform, _n_threads=1):
    return pairwise.mean_row(device(), rows, transform)


def Panels(rows, *, transform, shift, precision, blocks, n_threads=1):
    return pairwise.Panels(device(), rows, transform=transform, shift=shift, precision=precision, blocks=blocks)
