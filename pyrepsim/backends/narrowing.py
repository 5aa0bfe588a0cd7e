"""Rows to the type of a store, in plain NumPy: what csrc/convert means."""

from __future__ import annotations

import numpy as np

__all__ = ["narrow"]

_WORDS = {2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}


def narrow(rows: np.ndarray, out: np.ndarray | None, sums: np.ndarray, n_summed: int) -> tuple[float, float]:
    """Write rows (n, width), contiguous along a row, into ``out`` of the same shape, each value to the nearest.

    The first ``n_summed`` rows as stored are added to ``sums`` (width,), one after the other. ``out`` None: rows are
    stored as they are. Returns the largest magnitudes (given, stored), NaN or infinite if there is such a value.
    """
    given = _largest(rows)
    if out is not None:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            if rows.dtype == np.float64 and out.dtype.itemsize == 2:
                rows = _to_odd(rows)
            out[...] = rows.astype(out.dtype)
    stored = rows if out is None else out
    with np.errstate(over="ignore", invalid="ignore"):
        sums[...] = np.concatenate([sums[None], stored[:n_summed].astype(np.float64)]).sum(axis=0)
    return given, given if out is None else _largest(out)


def _to_odd(rows: np.ndarray) -> np.ndarray:
    """float64 to float32, inexact results made odd: rounded once more, they are what rounding once would give."""
    single = rows.astype(np.float32)
    bits = single.view(np.uint32)
    step = np.where(np.abs(single.astype(np.float64)) < np.abs(rows), 1, -1)
    wrong = (single != rows) & (bits % 2 == 0) & ~np.isnan(rows)
    return np.where(wrong, bits + step, bits).astype(np.uint32).view(np.float32)


def _largest(block: np.ndarray) -> float:
    """IEEE magnitudes are ordered like the integers with the same bits, NaN last."""
    if not block.size:
        return 0.0
    word = _WORDS[block.dtype.itemsize]
    bits = (np.ascontiguousarray(block).view(word) & word.type(np.iinfo(word).max >> 1)).max()
    return float(np.asarray(bits, dtype=word).reshape(1).view(block.dtype)[0])
