"""The backend "cuda-emulated": pyrepsim.backends.cuda over NumPy's memory and the kernels as compiled by g++."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache

from pyrepsim.backends.cuda import (
    kendall_counts,
    kendall_of_rows,
    midranks,
    moments,
    pairwise,
    ranks_of_rows,
    round_entries,
    spearman_sums,
)
from pyrepsim.backends.cuda import rows as device_rows
from pyrepsim.backends.cuda.device import Device, Libraries
from pyrepsim.backends.cuda.pairwise import SumSweep
from pyrepsim.backends.cuda.rows import DeviceRows
from pyrepsim.backends.cuda.tables import DistanceSweep, HistogramSweep, JointHistogramSweep, NeighbourSweep
from pyrepsim.backends.reference_pairwise import centre_on_grid
from pyrepsim.core.arrays import checked_rows
from pyrepsim.core.arrays import rows_view as host_rows_view
from tests.cuda_emulation.build import emulated_kernels
from tests.cuda_emulation.cupy_on_numpy import Machine
from tests.cuda_emulation.queued_kernels import QueuedKernels

__all__ = [
    "DistanceSweep",
    "HistogramSweep",
    "JointHistogramSweep",
    "Moments",
    "NeighbourSweep",
    "Panels",
    "SumSweep",
    "centre_on_grid",
    "first_directionless_row",
    "first_nonfinite",
    "kendall_counts",
    "kendall_of_rows",
    "mean_row",
    "midranks",
    "moment_precisions",
    "most_rows_of_small_sets",
    "name",
    "on_device",
    "ranks_of_rows",
    "round_entries",
    "rows_view",
    "spearman_sums",
    "stage",
    "tile_precisions",
    "writable_on_device",
]

name = "cuda-emulated"
moment_precisions = ("fp64", "fp32")
tile_precisions = ("fp32", "fp64", "fast")
most_rows_of_small_sets = 0


class EmulatedDevice(Device):
    """A device of emulated kernels and memory, whose work is as late as `machine` makes it."""

    block_rows = 512  # so that a few rows are several blocks

    def __init__(self, machine: Machine, index: int = 0) -> None:
        kernels = QueuedKernels(emulated_kernels(), machine)
        super().__init__(Libraries(kernels, machine, machine.dgemm, cublas=""), index)


@cache
def machine() -> Machine:
    """What stands for the module ``cupy``."""
    return Machine()


@cache
def device() -> EmulatedDevice:
    return EmulatedDevice(machine())


def on_device(_index):
    return nullcontext()


def rows_view(array, label="X"):
    if isinstance(array, DeviceRows):
        return array
    there = device().foreign(array, label)
    return host_rows_view(array, label) if there is None else checked_rows(there, label)


def writable_on_device(array, label):
    return device().writable(array, label)


def stage(views):
    return device_rows.stage(device(), views)


def first_nonfinite(rows, _n_threads=1):
    return device_rows.first_nonfinite(device(), rows)


def first_directionless_row(rows, transform, _n_threads=1):
    return device_rows.first_directionless_row(device(), rows, transform)


def Moments(widths, pairs, *, transform, precision):
    return moments.Moments(device(), widths, pairs, transform=transform, precision=precision)


def mean_row(rows, transform, _n_threads=1):
    return pairwise.mean_row(device(), rows, transform)


def Panels(rows, *, transform, shift, precision, blocks, n_threads=1):
    return pairwise.Panels(device(), rows, transform=transform, shift=shift, precision=precision, blocks=blocks)
