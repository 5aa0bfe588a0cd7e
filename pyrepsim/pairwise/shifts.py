"""The point that is taken off all rows before their products: near the mean, and with few binary digits."""

from __future__ import annotations

import numpy as np

__all__ = ["on_grid"]

_FINEST = 2.0**-5
"""A grid of sd / 16 to sd / 32: taken off, it leaves rows as small as the mean would."""


def on_grid(mean: np.ndarray, few: np.ndarray) -> np.ndarray:
    """``mean`` (d,) rounded to a power of two near a thirty-second of each feature's spread over ``few`` rows (m, d).

    x - c is then exact in float32 for whole numbers, float16 and bfloat16, so that distances that are equal stay equal
    (the low bits of the mean itself would round each row in another way). A constant feature loses its own value.
    """
    rows = few.astype(np.float64)
    sd = rows.std(axis=0)
    constant = rows.min(axis=0) == rows.max(axis=0)
    grid = np.ldexp(_FINEST, np.frexp(np.where(sd > 0, sd, 1.0))[1])
    rounds = ~constant & (np.abs(mean) < grid * 2.0**52)
    return np.where(constant, rows[0], np.where(rounds, np.round(mean / grid) * grid, mean))
