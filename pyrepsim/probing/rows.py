"""Read rows of several layers at once from a store, batch by batch, with bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from ..core.errors import ShapeError, StoreError
from ..store import ActivationStore, ShardCache, open_store
from .edge.recipe import LEXICAL

__all__ = ["RowSource", "StoreRows"]

_GAP = 8  # reading up to this many unneeded rows between two needed ones is faster than two reads


class RowSource(Protocol):
    """Vectors by row number, from several sources (layers) of one width."""

    names: tuple[str, ...]
    width: int

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return these rows, ascending and different, as float32 of shape (len(names), len(rows), width)."""
        ...


class StoreRows:
    """Rows of several layers of a store, and of the lexical table as one more source. Use it in a with-block.

    Files are read at positions and not mapped into memory, so memory does not grow with the store.
    """

    def __init__(self, store: ActivationStore, names: Sequence[str], table: np.ndarray | None = None) -> None:
        self._store = open_store(store.path, io="pread", expect_digest=store.digest)
        self.names = tuple(names)
        widths = {name: store.widths[name] for name in names if name != LEXICAL}
        self._table = table
        if LEXICAL in names:
            if table is None:
                raise StoreError(f"The source {LEXICAL!r} needs a table of word pieces: got none.")
            widths[LEXICAL] = table.shape[1]
            largest = int(store.columns.token_id.max())
            if largest >= len(table) or (store.columns.token_id[store.columns.mask("content")] < 0).any():
                raise ShapeError(
                    f"A lexical table must have a row for every token id: it has {len(table)}, {store.path} has ids "
                    f"up to {largest}. Give the table of the model that made the store."
                )
        if len(set(widths.values())) > 1:
            raise ShapeError(
                f"Probes that train together read layers of one width: got {widths}. Train them separately."
            )
        self.width = next(iter(widths.values()))
        self._starts = np.concatenate([[0], np.cumsum(self._store.shard_rows)])
        self._cache = ShardCache(self._store)

    def __enter__(self) -> StoreRows:
        return self

    def __exit__(self, *_: object) -> None:
        self._cache.close()

    def read(self, rows: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
        """Return these rows as float32 of shape (len(names), len(rows), width). Default: all names of this source."""
        names = self.names if names is None else names
        out = np.empty((len(names), len(rows), self.width), np.float32)
        for low, high, shard in self._runs(rows):
            first = rows[low] - self._starts[shard]
            piece = slice(int(first), int(rows[high - 1] - self._starts[shard]) + 1)
            adjacent = piece.stop - piece.start == high - low
            local = slice(None) if adjacent else rows[low:high] - rows[low]  # a slice copies nothing
            for place, name in enumerate(names):
                if name != LEXICAL:
                    out[place, low:high] = self._cache.read(name, shard, piece)[local]
        if self._table is not None and LEXICAL in names:
            out[names.index(LEXICAL)] = self._table[self._store.columns.token_id[rows]]
        return out

    def _runs(self, rows: np.ndarray) -> list[tuple[int, int, int]]:
        """Cut `rows` into runs (low, high, shard) of ascending rows that are close together in one shard."""
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        step = np.diff(rows)
        cut = np.flatnonzero((step > _GAP) | (step < 1) | (np.diff(shard) != 0)) + 1
        edges = [0, *cut.tolist(), len(rows)]
        return [(low, high, int(shard[low])) for low, high in pairwise(edges) if low < high]
