"""The sums of rows that are all in memory, by any backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

__all__ = ["ROWS_PER_CALL", "sums_of"]

ROWS_PER_CALL = 16_384
"""More rows are summed in parts of this many, so that Ctrl-C works between them. The sums stay the same."""


def sums_of(
    backend: ModuleType,
    rows: Sequence[Any],
    pairs: Sequence[tuple[int, int]],
    *,
    transform: str,
    precision: str,
    n_threads: int,
    diagonals: bool = False,
    advance: Callable[[int], object] | None = None,
) -> dict[str, Any]:
    """Return what ``Moments`` of the backend gives for the rows of all sides, which were checked.

    ``advance`` is called with the number of rows of each part. ``diagonals`` needs the CPU backend.
    """
    options = {"transform": transform, "precision": precision}
    if backend.name == "cpu":  # the loop below in one call, which for few rows takes less time
        return backend.sums_of(
            rows, pairs, **options, diagonals=diagonals, part=ROWS_PER_CALL, n_threads=n_threads, advance=advance
        )
    moments = backend.Moments([side.shape[1] for side in rows], pairs, **options)
    for start in range(0, len(rows[0]), ROWS_PER_CALL):
        part = [side[start : start + ROWS_PER_CALL] for side in rows]
        moments.update(part, n_threads)
        if advance is not None:
            advance(len(part[0]))
    return moments.get_state(True, n_threads)
