"""Which magnitudes of rows a precision of tiles can hold: their squares must neither overflow nor all vanish."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import numpy as np

from ..core.errors import NonFiniteError

__all__ = ["SIZES", "check_largest_row", "check_sizes", "refuse_sizes"]

SIZES = {"fp32": (1e-16, 1e17), "fp64": (1e-140, 1e140), "bf16": (1e-16, 1e17), "fast": (1e-16, 1e17)}
"""Root mean square of operands whose squares, summed over many features, a precision can represent."""
_HALF_SQUARES = (0.0, 1e37)  # csrc/tiles/README.md, "Range"
_SUMS = (1e-30, 1.7e38)
"""Sums of magnitudes of a row, whose differences float32 can represent."""


def check_sizes(few: np.ndarray, shift: np.ndarray | None, label: str, precision: str) -> None:
    """Raise NonFiniteError if the root mean square of a few shifted rows is out of range."""
    size = _root_mean_square(few, shift)
    low, high = SIZES[precision]
    if not (low <= size <= high or size == 0):
        refuse_sizes(label, f"have root mean square {size:.3g} around their mean", precision)


def check_largest_row(
    rows: np.ndarray,
    shift: np.ndarray | None,
    label: str,
    precision: str,
    *,
    squares: bool,
    number: Callable[[int], int],
) -> None:
    """The range check of float32 packing, for float64 operands whose entries are float32."""
    shifted = _shifted(rows, shift)
    with np.errstate(over="ignore"):
        sizes = np.square(shifted).sum(axis=1) / 2 if squares else np.abs(shifted).sum(axis=1)
    low, high = _HALF_SQUARES if squares else _SUMS
    if not (low <= sizes.max() < high or sizes.max() == 0):
        row = int(sizes.argmax())
        refuse_sizes(label, f"are not (row {number(row)} reaches {np.abs(shifted[row]).max():.3g})", precision)


def refuse_sizes(label: str, fact: str, precision: str) -> NoReturn:
    """Raise NonFiniteError for rows that a precision cannot hold."""
    low, high = SIZES[precision]
    raise NonFiniteError(
        f"rows must have magnitudes whose squares {precision} tiles can hold, {low:g} to {high:g}: those of "
        f"{label} {fact}. Rescale them{'' if precision == 'fp64' else ', or use precision=' + repr('fp64')}."
    )


def _root_mean_square(rows: np.ndarray, shift: np.ndarray | None) -> float:
    """The root mean square of rows - shift; infinite if they overflow."""
    values = _shifted(rows, shift)
    square = float(np.einsum("ij,ij", values, values))
    if 1e-280 < square < 1e280:
        return float(np.sqrt(square / values.size))
    largest = float(np.abs(values).max())
    if largest in (0.0, np.inf):
        return largest
    return largest * float(np.sqrt(np.mean((values / largest) ** 2)))


def _shifted(rows: np.ndarray, shift: np.ndarray | None) -> np.ndarray:
    with np.errstate(over="ignore"):
        return rows.astype(np.float64) if shift is None else rows.astype(np.float64) - shift
