"""Converting activations to the type of the store, in blocks of rows. This is the only step that loses precision."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator

import numpy as np

from ..backends import get_backend
from ..core.errors import NonFiniteError
from .layout import PAGE

SHIFT_ROWS = 4096
"""Rows whose mean is recorded as the shift: enough for a provisional mean, and few enough to be fast."""

_BLOCK_VALUES = 1 << 22
"""Values in a block. Linux caches files that are written in large blocks in large pieces, which are read a third faster
than after writes of half a megabyte."""


class DoesNotFit(Exception):
    """A finite value would become infinite in the type of the store."""


class Converter:
    """Converts an array of shape (n_rows, width) to contiguous blocks of ``dtype``, and computes statistics.

    After the last block, ``absmax`` is the largest magnitude stored and ``shift()`` the mean of the first 4096 stored
    rows. Both depend on the stored values only, not on the type of the array or on the backend.
    """

    def __init__(self, array: np.ndarray, dtype: np.dtype, where: str) -> None:
        self._array, self._dtype, self._where = array, dtype, where
        self._sum = np.zeros(array.shape[1], dtype=np.float64)
        self.absmax = 0.0

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield blocks of complete rows. A block is valid until the next one is requested.

        Raises NonFiniteError with the place of the first NaN or infinity, or DoesNotFit.
        """
        narrow = get_backend().narrow
        n_rows, width = self._array.shape
        step = max(1, _BLOCK_VALUES // width)
        rows_in_pages = PAGE // math.gcd(PAGE, width * self._dtype.itemsize)  # so many rows end with a page
        step -= step % rows_in_pages if step > rows_in_pages else 0
        buffer = None if self._array.dtype == self._dtype else np.empty((min(step, n_rows), width), dtype=self._dtype)
        for start in range(0, n_rows, step):
            source = np.ascontiguousarray(self._array[start : start + step])
            out = None if buffer is None else buffer[: len(source)]
            largest, stored = narrow(source, out, self._sum, max(0, SHIFT_ROWS - start))
            if not math.isfinite(largest):
                self._raise_non_finite(source, start)
            if not math.isfinite(stored):
                raise DoesNotFit
            self.absmax = max(self.absmax, stored)
            yield source if out is None else out

    def shift(self) -> str:
        mean = self._sum / max(1, min(SHIFT_ROWS, len(self._array)))
        with np.errstate(under="ignore"):
            return base64.b64encode(mean.astype("<f4").tobytes()).decode("ascii")

    def _raise_non_finite(self, source: np.ndarray, start: int) -> None:
        row, column = np.argwhere(~np.isfinite(source.astype(np.float64)))[0]
        raise NonFiniteError(
            f"Activations must be finite: {self._where}, row {start + row}, feature {column} is "
            f"{float(source[row, column])}. If the model runs in half precision, try bfloat16 or float32."
        )
