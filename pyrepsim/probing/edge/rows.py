"""Rows of several layers at once, gathered from a store batch by batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from types import TracebackType
from typing import Protocol

import numpy as np

from ...core.errors import ShapeError, StoreError
from ...store import ActivationStore, open_store
from ...store.shards import ShardFile
from .members import LEXICAL

_MOST_FILES = 256  # open at once; the usual limit of a process is 1024
_GAP = 8  # rows between two wanted ones that are cheaper to read than to skip


class RowSource(Protocol):
    """Vectors by row number, for several sources (layers) of one width."""

    names: tuple[str, ...]
    width: int

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Float32 (len(names), len(rows), width) of these rows, ascending and different."""
        ...


class StoreRows:
    """Layers of a store, and the lexical table as one more. Reads what is asked for, no more: resident memory does
    not grow with the store. Use it in a with-block.
    """

    def __init__(self, store: ActivationStore, names: Sequence[str], table: np.ndarray | None = None) -> None:
        # Positioned reads: pages of a map would stay in memory, as batches come back to them at random.
        self._store = open_store(store.path, io="pread", expect_digest=store.digest)
        self.names = tuple(names)
        self._layers = {place: self._store[name] for place, name in enumerate(self.names) if name != LEXICAL}
        widths = {name: store.widths[name] for name in names if name != LEXICAL}
        self._table = table
        if LEXICAL in names:
            if table is None:
                raise StoreError(f"The source {LEXICAL!r} needs a table of word pieces: got none.")
            widths[LEXICAL] = table.shape[1]
            top = int(store.columns.token_id.max())
            if top >= len(table) or (store.columns.token_id[store.columns.mask("content")] < 0).any():
                raise ShapeError(
                    f"A lexical table must have a row for every token id: it has {len(table)}, {store.path} has ids "
                    f"up to {top}. Give the table of the model that made the store."
                )
        if len(set(widths.values())) > 1:
            raise ShapeError(f"Probes that train together read layers of one width: got {widths}. Probe them apart.")
        self.width = next(iter(widths.values()))
        self._starts = np.concatenate([[0], np.cumsum(self._store.shard_rows)])
        self._files: OrderedDict[tuple[int, int], ShardFile] = OrderedDict()

    def __enter__(self) -> StoreRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._files:
            self._files.popitem()[1].close()

    def read(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(self.names), len(rows), self.width), np.float32)
        for low, high, shard in self._runs(rows):
            first = rows[low] - self._starts[shard]
            piece = slice(int(first), int(rows[high - 1] - self._starts[shard]) + 1)
            neighbours = piece.stop - piece.start == high - low
            local = slice(None) if neighbours else rows[low:high] - rows[low]  # a slice copies nothing
            for place in self._layers:
                out[place, low:high] = self._file(place, shard).read(piece)[local]
        if self._table is not None and LEXICAL in self.names:
            out[self.names.index(LEXICAL)] = self._table[self._store.columns.token_id[rows]]
        return out

    def _runs(self, rows: np.ndarray) -> list[tuple[int, int, int]]:
        """Pieces (low, high, shard) of `rows` that lie close together in one shard."""
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        cut = np.flatnonzero((np.diff(rows) > _GAP) | (np.diff(shard) > 0)) + 1
        edges = [0, *cut.tolist(), len(rows)]
        return [(low, high, int(shard[low])) for low, high in pairwise(edges) if low < high]

    def _file(self, place: int, shard: int) -> ShardFile:
        key = (place, shard)
        if key in self._files:
            self._files.move_to_end(key)
            return self._files[key]
        while len(self._files) >= _MOST_FILES:
            self._files.popitem(last=False)[1].close()
        self._files[key] = self._layers[place].open_shard(shard)
        return self._files[key]
