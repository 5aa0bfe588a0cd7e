"""The point that is taken off all rows before their products: amid them, and with few binary digits."""

from __future__ import annotations

import numpy as np

__all__ = ["centre_on_grid"]

_FINEST = 2.0**-5
"""A grid of a sixteenth to a thirty-second of the spread: taken off, it leaves rows as small as the median would."""


def centre_on_grid(few: np.ndarray) -> np.ndarray:
    """The median of each feature over ``few`` rows (m, d), rounded to a power of two near 1 / 32 of its spread.

    x - c is then exact in float32 for whole numbers, float16 and bfloat16, so that distances that are equal stay equal
    (the low bits of a mean would round each row in another way). Medians, so that a few huge rows do not push the
    others to where float32 is coarse. A constant feature loses its own value.
    """
    m, kind = len(few), np.float64 if few.dtype == np.float64 else np.float32
    ordered = np.sort(np.ascontiguousarray(few.T, dtype=kind), axis=1)  # float32 sorts ten times as fast as float64
    least, low, high, most = (ordered[:, i].astype(np.float64) for i in (0, m // 4, m - 1 - m // 4, m - 1))
    centre = sum(0.5 * ordered[:, i].astype(np.float64) for i in ((m - 1) // 2, m // 2))
    constant, flat = least == most, low == high
    with np.errstate(over="ignore", invalid="ignore"):  # rows of a size whose squares overflow keep their median
        spread = high - low
        spread[flat] = few[:, flat].astype(np.float64).std(axis=0)
        usable = ~constant & (spread > 0) & np.isfinite(spread)
        grid = np.ldexp(_FINEST, np.frexp(np.where(usable, spread, 1.0))[1])
        rounded = np.where(usable & (np.abs(centre) < grid * 2.0**52), np.round(centre / grid) * grid, centre)
    return np.where(constant, least, rounded)
