"""From the gate to the device: rows are copied there, and looked through there, before anything is added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .rows import DeviceRows

__all__ = ["first_directionless_row", "first_nonfinite", "stage"]

_NONE = np.iinfo(np.uint64).max


def stage(device: Any, views: Sequence[np.ndarray | DeviceRows]) -> list[DeviceRows]:
    """Dense device copies of `views`, scanned; complete when this returns, while older work may still go on."""
    taken = device.take(views)
    found = device.largest_indices((len(taken), 3))
    for rows, at in zip(taken, found, strict=True):
        device.kernels.scan_rows(
            data=device.address(rows.values),
            dtype=rows.dtype.name,
            rows=len(rows),
            cols=rows.shape[1],
            stride=rows.shape[1],
            found=device.address(at),
            stream=device.copy_stream,
        )
    for rows, bad in zip(taken, device.read_on_copy_stream(found), strict=True):
        rows.bad = bad
    return taken


def first_nonfinite(device: Any, rows: np.ndarray | DeviceRows) -> tuple[int, int] | None:
    """(row, column) of the first NaN or infinity, in row order."""
    entry = _scanned(device, rows)[0]
    if entry == _NONE:
        return None
    row, column = divmod(int(entry), rows.shape[1])
    return row, column


def first_directionless_row(device: Any, rows: np.ndarray | DeviceRows, transform: str) -> tuple[int, int] | None:
    """(row, -1) of the first row that is all zero (``unit``) or constant (``unit_centred``)."""
    if transform == "raw":
        return None
    row = _scanned(device, rows)[1 if transform == "unit" else 2]
    return None if row == _NONE else (int(row), -1)


def _scanned(device: Any, rows: np.ndarray | DeviceRows) -> np.ndarray:
    known = rows.bad if isinstance(rows, DeviceRows) else None
    return stage(device, [rows])[0].bad if known is None else known  # type: ignore[return-value]
