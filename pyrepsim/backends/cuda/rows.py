"""Rows in device memory, with the face of an array that the accumulators need."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["DeviceRows"]


class DeviceRows:
    """(n_samples, n_features) rows of one floating type on a device.

    values : a 2-D CuPy array. bfloat16, which CuPy may not know, as uint16.
    dtype : the NumPy type of the elements (``ml_dtypes.bfloat16`` for bfloat16).
    ours : whether the memory is a dense copy of our own, which nobody changes.
    bad : for rows that were scanned, ``(first NaN or infinity as row * width + column, first row of zeros, first
        constant row)``, each the largest uint64 where there is none.
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
        """A slice of rows stays on the device; an entry comes as a NumPy number."""
        part = self.values[index]
        return DeviceRows(part, self.dtype, ours=self.ours) if part.ndim else self._on_host(part)[()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("rows in device memory are copied to become a NumPy array: copy=False cannot be had")
        host = self._on_host(self.values)
        return host if dtype is None else host.astype(dtype)

    def _on_host(self, values: Any) -> np.ndarray:
        return values.get().view(self.dtype)
