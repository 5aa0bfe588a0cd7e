"""Rows in device memory, and the search for values in them that must not enter a sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["DeviceRows", "first_directionless_row", "first_nonfinite", "stage"]

_NONE = np.iinfo(np.uint64).max


class DeviceRows:
    """Rows (n_samples, n_features) of one floating-point type on a device, with the interface of an array.

    values : a 2-D CuPy array; bfloat16 as uint16, because CuPy may not know it.
    dtype : the NumPy type of the elements (``ml_dtypes.bfloat16`` for bfloat16).
    ours : whether the memory is a dense copy that only this package uses.
    bad : after a scan, ``(first NaN or infinity as row * width + column, first row of zeros, first constant row)``,
    each
        the largest uint64 if there is none.
    """

    def __init__(self, values: Any, dtype: np.dtype, *, ours: bool = False) -> None:
        self.values, self.dtype, self.ours = values, dtype, ours
        self.bad: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        """A slice of rows stays on the device; a single entry is a NumPy number."""
        part = self.values[index]
        return DeviceRows(part, self.dtype, ours=self.ours) if part.ndim else self._on_host(part)[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows in device memory must be copied to become a NumPy array: got copy=False")
        host = self._on_host(self.values)
        return host if dtype is None else host.astype(dtype)

    def _on_host(self, values: Any) -> np.ndarray:
        return values.get().view(self.dtype)


def stage(device: Any, views: Sequence[np.ndarray | DeviceRows]) -> list[DeviceRows]:
    """Dense device copies of ``views``, scanned and complete; work that was queued before may still be running."""
    taken = device.take(views)
    indices = device.largest_indices((len(taken), 3))
    for rows, at in zip(taken, indices, strict=True):
        device.kernels.scan_rows(
            data=device.address(rows.values),
            dtype=rows.dtype.name,
            rows=len(rows),
            cols=rows.shape[1],
            stride=rows.shape[1],
            first_bad=device.address(at),
            stream=device.copy_stream,
        )
    for rows, bad in zip(taken, device.read_on_copy_stream(indices), strict=True):
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
