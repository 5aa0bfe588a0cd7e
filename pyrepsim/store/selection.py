"""Which rows of a store are wanted, worked out once and shared by all layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..core.errors import DTypeError, OptionError, ShapeError


class Selection:
    """The rows that a mask selects, addressed by their rank among the selected: 0 ... n_selected - 1.

    ``bounds[k] .. bounds[k + 1]`` are the ranks of shard k. Row numbers inside a shard are found when that
    shard is reached and kept for one shard, since all layers pass through it together.
    """

    def __init__(self, shard_rows: Sequence[int], mask: np.ndarray | None = None) -> None:
        self._starts = np.concatenate([[0], np.cumsum(shard_rows, dtype=np.int64)])
        self._mask = mask
        if mask is None:
            self.bounds = self._starts
        else:
            _check_mask(mask, int(self._starts[-1]))
            counts = [np.count_nonzero(mask[a:b]) for a, b in zip(self._starts[:-1], self._starts[1:], strict=True)]
            self.bounds = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._kept: tuple[int, np.ndarray | None] = (-1, None)

    @property
    def n_selected(self) -> int:
        return int(self.bounds[-1])

    def shard_of(self, rank: int) -> int:
        """The shard that holds the row of this rank."""
        return int(np.searchsorted(self.bounds, rank, side="right")) - 1

    def is_dense(self, shard: int) -> bool:
        """Whether so many rows of a shard are wanted (one in 64) that all of it may as well be fetched."""
        wanted, there = (int(ends[shard + 1] - ends[shard]) for ends in (self.bounds, self._starts))
        return 64 * wanted >= there

    def local(self, shard: int, start: int, stop: int) -> slice | np.ndarray:
        """Ranks ``start`` to ``stop``, all of ``shard``, as rows inside it: a slice if contiguous."""
        first, last = start - int(self.bounds[shard]), stop - int(self.bounds[shard])
        rows = self._rows(shard)
        if rows is None:
            return slice(first, last)
        part = rows[first:last]
        if part[-1] - part[0] == len(part) - 1:
            return slice(int(part[0]), int(part[-1]) + 1)
        return part

    def _rows(self, shard: int) -> np.ndarray | None:
        if self._mask is None:
            return None
        kept_shard, rows = self._kept  # read and replaced as one object: threads may share a selection
        if kept_shard != shard:
            a, b = self._starts[shard], self._starts[shard + 1]
            full = self.bounds[shard + 1] - self.bounds[shard] == b - a
            rows = None if full else np.flatnonzero(self._mask[a:b])
            self._kept = (shard, rows)
        return rows


def cuts(selections: Sequence[Selection], chunk_size: int, start: int) -> Iterator[tuple[int, int]]:
    """Pieces (first rank, one past the last) of at most ``chunk_size`` ranks, inside one shard of each."""
    n_selected = selections[0].n_selected
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int | np.integer) or chunk_size < 1:
        raise OptionError(f"chunk_size must be a whole number of rows, at least 1: got {chunk_size!r}.")
    if isinstance(start, bool) or not isinstance(start, int | np.integer) or not 0 <= start <= n_selected:
        raise OptionError(f"start must lie in 0..{n_selected}, the selected rows to skip: got {start!r}.")
    return _cuts(np.unique(np.concatenate([selection.bounds for selection in selections])), int(chunk_size), int(start))


def _cuts(edges: np.ndarray, chunk_size: int, at: int) -> Iterator[tuple[int, int]]:
    for edge in map(int, edges):
        while at < edge:
            stop = min(at + chunk_size, edge)
            yield at, stop
            at = stop


def _check_mask(mask: np.ndarray, n_rows: int) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        found = f"an array of {mask.dtype}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise DTypeError(f"A mask must be a boolean array: got {found}. Try store.columns.mask('content').")
    if mask.shape != (n_rows,):
        raise ShapeError(f"A mask must have one entry per row, shape ({n_rows},): got {mask.shape}.")
