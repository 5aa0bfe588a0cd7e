"""One layer of a store, read in chunks, and the selection of rows that several layers share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import DTypeError, OptionError, ShapeError
from ..core.memory import allocating
from .layout import DTYPES, layer_header, layer_parts
from .shards import ShardFile

if TYPE_CHECKING:
    from .reader import ActivationStore


class Representation:
    """All rows of one layer, as stored: a matrix of shape (n_rows, width) on disk. Get it as ``store["layer.8"]``.

    Chunks are read-only. They have the type of the store, except in shards that were stored as float32 (see
    `dtypes`).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> store = rs.write_store("acts/base", {"layer.0": np.arange(6.0).reshape(3, 2)})
    >>> layer = store["layer.0"]
    >>> layer
    Representation('layer.0', 3 rows x 2 features, float16)
    >>> [chunk.shape for chunk in layer.chunks(2)]
    [(2, 2), (1, 2)]
    >>> np.asarray(layer, dtype=np.float64).sum()
    np.float64(15.0)
    """

    ndim = 2

    def __init__(self, store: ActivationStore, name: str) -> None:
        self.store, self.name = store, name
        self._index = store.layers.index(name)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_rows, width)."""
        return self.store.n_rows, self.store.widths[self.name]

    def __len__(self) -> int:
        return self.store.n_rows

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The stored type of each shard."""
        return tuple(record.layers[self.name].dtype for record in self.store.records)

    @property
    def dtype(self) -> np.dtype:
        """The type that holds all shards: that of the store, or float32 if any shard was stored as float32."""
        return DTYPES["float32" if "float32" in self.dtypes else self.store.dtype]

    @property
    def n_bytes(self) -> int:
        """Bytes on disk, headers included."""
        return sum(record.layers[self.name].n_bytes for record in self.store.records)

    @property
    def absmax(self) -> float:
        """The largest magnitude in any row; 0 for no rows."""
        return max((record.layers[self.name].absmax for record in self.store.records), default=0.0)

    @property
    def shift(self) -> np.ndarray:
        """A provisional mean, float64 of shape (width,): that of the first 4096 rows of the first shard with rows."""
        width = self.shape[1]
        for record in self.store.records:
            if record.rows:
                return record.layers[self.name].shift_vector(width).astype(np.float64)
        return np.zeros(width)

    def chunks(self, chunk_size: int = 8192, *, start: int = 0, mask: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Iterate over the rows in order.

        Parameters
        ----------
        chunk_size : int
            Rows of a chunk, at most. A chunk does not cross the end of a shard.
        start : int
            How many of the selected rows to skip, to continue after an interruption.
        mask : ndarray of shape (n_rows,), bool, optional
            Which rows of the store to read; all by default.

        Yields
        ------
        ndarray of shape (<= chunk_size, width)
            Read-only. Rows without gaps are a view of the memory map; others are copied.

        Raises
        ------
        DTypeError, ShapeError
            If `mask` is not such an array.
        OptionError
            If `chunk_size` or `start` is out of range.
        CorruptStoreError
            If a file is damaged.
        """
        selection = self.store.selection(mask)
        return self._chunks(selection, cut_chunks([selection], chunk_size, start))

    def _chunks(self, selection: Selection, pieces: Iterator[tuple[int, int]]) -> Iterator[np.ndarray]:
        with LayerPass(self, selection) as layer:
            for first, stop in pieces:
                yield layer.read(first, stop)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return rows ``start`` to ``stop`` as a new array of shape (stop - start, width) and type `dtype`."""
        n_rows, width = self.shape
        if not 0 <= start <= stop <= n_rows:
            raise OptionError(f"Rows to read must satisfy 0 <= start <= stop <= {n_rows}: got {start} and {stop}.")
        with self._allocating(stop - start, self.dtype):
            out = np.empty((stop - start, width), dtype=self.dtype)
        if stop > start:
            selection = self.store.selection(None)
            with LayerPass(self, selection) as layer:
                for first, last in cut_chunks([selection], 1 << 16, start):
                    if first >= stop:
                        break
                    last = min(last, stop)
                    out[first - start : last - start] = layer.read(first, last)
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return a copy of all rows, in the stored type or in `dtype`."""
        if copy is False:
            raise ValueError(
                "A representation on disk must be copied to become an array: got copy=False. Use chunks()."
            )
        if dtype is None or np.dtype(dtype) == self.dtype:
            return self.read(0, self.store.n_rows)
        with self._allocating(self.store.n_rows, self.dtype, np.dtype(dtype)):
            return self.read(0, self.store.n_rows).astype(dtype)

    def _allocating(self, n_rows: int, *dtypes: np.dtype) -> AbstractContextManager[None]:
        n_bytes = n_rows * self.shape[1] * sum(dtype.itemsize for dtype in dtypes)
        return allocating(n_bytes, f"{n_rows:,} rows of {self.name} of {self.store.path}", "Read it by chunks().")

    def open_shard(self, shard: int) -> ShardFile:
        """Return the checked file of one shard; the caller closes it."""
        store, record = self.store, self.store.records[shard]
        shape, dtype = (record.rows, self.shape[1]), DTYPES[record.layers[self.name].dtype]
        head = layer_header(store.plan_digest, self.name, shard, *shape, dtype)
        parts = layer_parts(self._index, shard)
        file = None
        try:
            with store.reading():
                file = ShardFile(store.path, parts, shape=shape, dtype=dtype, head=head, mapped=store.io == "mmap")
        except BaseException:
            if file is not None:
                file.close()
            raise
        return file

    def __reduce__(self) -> tuple[Any, ...]:
        return Representation, (self.store, self.name)

    def __repr__(self) -> str:
        n_rows, width = self.shape
        return f"Representation({self.name!r}, {n_rows:,} rows x {width} features, {self.dtype.name})"


class Selection:
    """The rows that a mask selects, numbered by their rank among the selected rows: 0 to n_selected - 1.

    ``bounds[k]`` to ``bounds[k + 1]`` are the ranks of shard k. The row numbers inside a shard are computed when it is
    reached, and kept for one shard only, because all layers pass through it together.
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
        """Return the shard that holds the row of this rank."""
        return int(np.searchsorted(self.bounds, rank, side="right")) - 1

    def is_dense(self, shard: int) -> bool:
        """Return whether at least one row in 64 of a shard is selected, so that reading all of it is faster."""
        n_selected, n_rows = (int(ends[shard + 1] - ends[shard]) for ends in (self.bounds, self._starts))
        return 64 * n_selected >= n_rows

    def local(self, shard: int, start: int, stop: int) -> slice | np.ndarray:
        """Return the rows inside a shard that have the ranks ``start`` to ``stop``: a slice if they have no gaps."""
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
        kept_shard, rows = self._kept  # read and replaced as one object, because threads may share a selection
        if kept_shard != shard:
            a, b = self._starts[shard], self._starts[shard + 1]
            full = self.bounds[shard + 1] - self.bounds[shard] == b - a
            rows = None if full else np.flatnonzero(self._mask[a:b])
            self._kept = (shard, rows)
        return rows


class LayerPass:
    """Reads the selected rows of a layer in order, with one shard open at a time. Use it in a with-block.

    With ``keep_open=False`` a file that is not mapped is closed after each chunk, for many layers read together.
    """

    def __init__(self, layer: Representation, selection: Selection, *, keep_open: bool = True) -> None:
        self._layer, self._selection, self._keep_open = layer, selection, keep_open
        self._shard = -1
        self._file: ShardFile | None = None

    def __enter__(self) -> LayerPass:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return the rows of ranks ``start`` to ``stop``, all inside one shard. Earlier rows are released."""
        shard = self._selection.shard_of(start)
        if self._file is None or shard != self._shard:
            self._close()
            self._file, self._shard = self._layer.open_shard(shard), shard
            if self._selection.is_dense(shard):
                self._file.expect_pass()
        rows = self._selection.local(shard, start, stop)
        self._file.release_before(rows.start if isinstance(rows, slice) else int(rows[0]))
        values = self._file.read(rows)
        if self._file.is_open and not self._keep_open:
            self._close()
        return values

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def cut_chunks(selections: Sequence[Selection], chunk_size: int, start: int) -> Iterator[tuple[int, int]]:
    """Divide the selected rows into chunks (first rank, one past the last), each inside one shard."""
    n_selected = selections[0].n_selected
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int | np.integer) or chunk_size < 1:
        raise OptionError(f"chunk_size must be a whole number of rows, at least 1: got {chunk_size!r}.")
    if isinstance(start, bool) or not isinstance(start, int | np.integer) or not 0 <= start <= n_selected:
        raise OptionError(f"start must be in 0..{n_selected}, the number of selected rows to skip: got {start!r}.")
    return _cut(np.unique(np.concatenate([selection.bounds for selection in selections])), int(chunk_size), int(start))


def _cut(edges: np.ndarray, chunk_size: int, first: int) -> Iterator[tuple[int, int]]:
    for edge in map(int, edges):
        while first < edge:
            stop = min(first + chunk_size, edge)
            yield first, stop
            first = stop


def _check_mask(mask: np.ndarray, n_rows: int) -> None:
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        kind = f"an array of {mask.dtype}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise DTypeError(f"A mask must be a boolean array: got {kind}. Try store.columns.mask('content').")
    if mask.shape != (n_rows,):
        raise ShapeError(f"A mask must have one entry per row, shape ({n_rows},): got {mask.shape}.")
