"""The one lossy step: activations to the store's type, in row blocks, with what was seen on the way."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator

import numpy as np

from ..backends import get_backend
from ..core.errors import NonFiniteError
from .layout import PAGE

SHIFT_ROWS = 4096
"""Rows behind the recorded shift: enough for a provisional mean, too few to cost anything."""

_BLOCK_VALUES = 1 << 22
"""Large, and whole pages: the system then keeps the file in large pieces of its cache, which are mapped and read a
third faster than those that writes of half a megabyte leave."""


class DoesNotFit(Exception):
    """A finite value has no finite counterpart in the store's type."""


class Converter:
    """Turns an array of shape (n, width) into contiguous blocks of ``dtype`` and sums up what it saw.

    After ``blocks`` is exhausted, ``absmax`` is the largest magnitude stored and ``shift()`` the mean of the
    first 4096 stored rows. Both depend on the stored values alone, not on the type they came in or on who
    converts them.
    """

    def __init__(self, array: np.ndarray, dtype: np.dtype, where: str) -> None:
        self._array, self._dtype, self._where = array, dtype, where
        self._sum = np.zeros(array.shape[1], dtype=np.float64)
        self.absmax = 0.0

    def blocks(self) -> Iterator[np.ndarray]:
        """Blocks of whole rows, each to be used up before the next.

        NonFiniteError names the first NaN or infinity, DoesNotFit is for us.
        """
        narrow = get_backend().narrow
        n_rows, width = self._array.shape
        step = max(1, _BLOCK_VALUES // width)
        whole = PAGE // math.gcd(PAGE, width * self._dtype.itemsize)  # rows that end with a page
        step -= step % whole if step > whole else 0
        room = None if self._array.dtype == self._dtype else np.empty((min(step, n_rows), width), dtype=self._dtype)
        for start in range(0, n_rows, step):
            source = np.ascontiguousarray(self._array[start : start + step])
            out = None if room is None else room[: len(source)]
            given, stored = narrow(source, out, self._sum, max(0, SHIFT_ROWS - start))
            if not math.isfinite(given):
                self._blame(source, start)
            if not math.isfinite(stored):
                raise DoesNotFit
            self.absmax = max(self.absmax, stored)
            yield source if out is None else out

    def shift(self) -> str:
        mean = self._sum / max(1, min(SHIFT_ROWS, len(self._array)))
        with np.errstate(under="ignore"):
            return base64.b64encode(mean.astype("<f4").tobytes()).decode("ascii")

    def _blame(self, source: np.ndarray, start: int) -> None:
        row, column = np.argwhere(~np.isfinite(source.astype(np.float64)))[0]
        raise NonFiniteError(
            f"Activations must be finite: {self._where}, row {start + row}, feature {column} is "
            f"{float(source[row, column])}. If the model runs in half precision, try bfloat16 or float32."
        )
