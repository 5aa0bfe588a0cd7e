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
    rows = few.astype(np.float64)
    low, centre, high = np.quantile(rows, [0.25, 0.5, 0.75], axis=0)
    constant = rows.min(axis=0) == rows.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # rows of a size whose squares overflow keep their median
        spread = np.where(high > low, high - low, rows.std(axis=0))
        usable = ~constant & (spread > 0) & np.isfinite(spread)
        grid = np.ldexp(_FINEST, np.frexp(np.where(usable, spread, 1.0))[1])
        rounded = np.where(usable & (np.abs(centre) < grid * 2.0**52), np.round(centre / grid) * grid, centre)
    return np.where(constant, rows[0], rounded)
