"""Checks of arguments and rows that every user of a backend makes: numbers of threads, and rows that enter sums."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from types import ModuleType
from typing import Any

from ..core.errors import DegenerateError, NonFiniteError, OptionError
from . import default_threads
from .directions import first_row_of_rounding

__all__ = ["check_directions", "check_finite", "checked_threads"]

_MOST_THREADS = 4096
_FACTS = {
    "unit": "is all zero and has no direction, so its cosine is undefined",
    "unit_centred": "is constant across features, so its correlation is undefined",
}


def checked_threads(n_threads: int | None) -> int:
    """The number of threads, by default all cores of this process, or OptionError."""
    if n_threads is not None and not (isinstance(n_threads, Integral) and 1 <= n_threads <= _MOST_THREADS):
        raise OptionError(f"n_threads must be a whole number from 1 to {_MOST_THREADS}: got {n_threads!r}.")
    return int(n_threads or default_threads())


def check_finite(backend: ModuleType, rows: Any, label: str, n_threads: int, number: Callable[[int], int]) -> None:
    """Raise NonFiniteError for NaN or infinity; ``number(i)`` is the number of row i in the message."""
    bad = backend.first_nonfinite(rows, n_threads)
    if bad is not None:
        raise NonFiniteError(
            f"{label} must be finite: got {rows[bad]} at row {number(bad[0])}, feature {bad[1]}. "
            "Drop or repair such rows in both representations."
        )


def check_directions(
    backend: ModuleType, rows: Any, transform: str, label: str, n_threads: int, number: Callable[[int], int]
) -> None:
    """Raise DegenerateError for a row that ``transform`` cannot normalise."""
    bad = backend.first_directionless_row(rows, transform, n_threads)
    row = first_row_of_rounding(rows, transform) if bad is None else bad[0]
    if row is not None:
        raise DegenerateError(
            f"row {number(row)} of {label} {_FACTS[transform]}. Leave such rows out, "
            "or use a metric that does not divide by row norms (euclidean, sqeuclidean, dot)."
        )
