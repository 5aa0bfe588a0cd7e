"""The one lossy step: activations to the store's type, in row blocks, with what was seen on the way."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import numpy as np

from ..errors import NonFiniteError

SHIFT_ROWS = 4096
"""Rows behind the recorded shift: enough for a provisional mean, too few to cost anything."""

_BLOCK_VALUES = 1 << 18
_WORDS = {2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}


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
        """Blocks of whole rows; NonFiniteError names the first NaN or infinity, DoesNotFit is for us."""
        n_rows, width = self._array.shape
        step = max(1, _BLOCK_VALUES // width)
        for start in range(0, n_rows, step):
            source = np.ascontiguousarray(self._array[start : start + step])
            top = largest(source)
            if not np.isfinite(top):
                self._blame(source, start)
            with np.errstate(over="ignore", under="ignore"):
                block = source.astype(self._dtype, copy=False)
            if block is not source:
                top = largest(block)
                if not np.isfinite(top):
                    raise DoesNotFit
            self.absmax = max(self.absmax, top)
            if start < SHIFT_ROWS:
                with np.errstate(over="ignore"):
                    self._sum += block[: SHIFT_ROWS - start].astype(np.float64).sum(axis=0)
            yield block

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


def largest(block: np.ndarray) -> float:
    """The largest magnitude in a contiguous block; infinite or NaN if there is such a value.

    IEEE magnitudes are ordered like the integers with the same bits, which NumPy compares far faster than
    halves; NaN comes last.
    """
    if not block.size:
        return 0.0
    word = _WORDS[block.dtype.itemsize]
    bits = (block.view(word) & word.type(np.iinfo(word).max >> 1)).max()
    return float(np.asarray(bits, dtype=word).reshape(1).view(block.dtype)[0])
