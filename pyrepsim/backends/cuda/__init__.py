"""The CUDA backend: kernels of csrc/cuda and products by cuBLAS.

It is used only with ``backend="cuda"``: its scores agree with those of the CPU up to rounding only, and other users may
need the GPU. Needs CuPy (``pip install 'pyrepsim[cuda]'``), which is imported at first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.arrays import checked_rows
from ...core.arrays import rows_view as host_rows_view
from .. import get_backend
from ..reference_pairwise import centre_on_grid
from . import moments, pairwise
from . import rows as device_rows
from .device import current_device, on_device, reason_without
from .pairwise import SumSweep
from .rows import DeviceRows
from .tables import DistanceSweep, HistogramSweep, JointHistogramSweep, NeighbourSweep

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
    "reason_without",
    "round_entries",
    "rows_view",
    "spearman_sums",
    "stage",
    "tile_precisions",
    "writable_on_device",
]

name = "cuda"
moment_precisions = ("fp64", "fp32")
tile_precisions = ("fp32", "fp64", "fast")
most_rows_of_small_sets = 0


def rows_view(array: Any, label: str = "X") -> np.ndarray | DeviceRows:
    """Check an input array; arrays on the device (torch, CuPy, JAX, Numba) stay there, others become NumPy views."""
    if isinstance(array, DeviceRows):
        return array
    on_this_device = current_device().foreign(array, label)
    return host_rows_view(array, label) if on_this_device is None else checked_rows(on_this_device, label)


def writable_on_device(array: Any, label: str) -> Any:
    """A CuPy view of an array of another library on the device; None for anything else."""
    return current_device().writable(array, label)


def stage(views: Sequence[np.ndarray | DeviceRows]) -> list[DeviceRows]:
    """Copies on the device, scanned for values that must not enter a sum."""
    return device_rows.stage(current_device(), views)


def first_nonfinite(rows: np.ndarray | DeviceRows, _n_threads: int = 1) -> tuple[int, int] | None:
    return device_rows.first_nonfinite(current_device(), rows)


def first_directionless_row(
    rows: np.ndarray | DeviceRows, transform: str, _n_threads: int = 1
) -> tuple[int, int] | None:
    return device_rows.first_directionless_row(current_device(), rows, transform)


def Moments(
    widths: Sequence[int], pairs: Sequence[tuple[int, int]], *, transform: str, precision: str
) -> moments.Moments:
    """The accumulator on this process's device."""
    return moments.Moments(current_device(), widths, pairs, transform=transform, precision=precision)


def mean_row(rows: np.ndarray | DeviceRows, transform: str, _n_threads: int = 1) -> np.ndarray:
    return pairwise.mean_row(current_device(), rows, transform)


def Panels(
    rows: np.ndarray | DeviceRows,
    *,
    transform: str,
    shift: np.ndarray | None,
    precision: str,
    blocks: np.ndarray,
    n_threads: int = 1,  # noqa: ARG001 - the device has its own
) -> pairwise.Panels:
    """The rows of a layer, packed on this process's device."""
    return pairwise.Panels(current_device(), rows, transform=transform, shift=shift, precision=precision, blocks=blocks)


# Ranks are of entries in host memory, so the CPU backend computes them.


def round_entries(entries: np.ndarray, n_threads: int = 1) -> tuple[float, float]:
    return get_backend().round_entries(entries, n_threads)


def midranks(values: np.ndarray, n_threads: int = 1) -> np.ndarray:
    return get_backend().midranks(values, n_threads)


def spearman_sums(x: np.ndarray, y: np.ndarray, n_threads: int = 1) -> tuple[int, int, int]:
    return get_backend().spearman_sums(x, y, n_threads)


def kendall_counts(x: np.ndarray, y: np.ndarray, n_threads: int = 1) -> tuple[int, int, int, int, int]:
    return get_backend().kendall_counts(x, y, n_threads)


def ranks_of_rows(rows: np.ndarray, n_threads: int = 1) -> np.ndarray:
    return get_backend().ranks_of_rows(rows, n_threads)


def kendall_of_rows(x: np.ndarray, y: np.ndarray, n_threads: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return get_backend().kendall_of_rows(x, y, n_threads)
