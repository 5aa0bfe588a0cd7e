"""One layer of a store: a matrix on disk that is read in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import OptionError
from .header import layer_header
from .layout import DTYPES, layer_parts
from .selection import Selection, cuts
from .shardfile import ShardFile

if TYPE_CHECKING:
    from .reader import ActivationStore


class Representation:
    """All rows of one layer, shape (n_rows, width), as stored; get it as ``store["layer.8"]``.

    Chunks are read-only. They have the store's type, except in shards that were upgraded to float32
    (``dtypes``).
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
        """The type that holds all shards: the store's, or float32 if any shard was upgraded."""
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
        """A provisional mean, shape (width,), float64: of the first 4096 rows of the first shard."""
        width = self.shape[1]
        for record in self.store.records:
            if record.rows:
                return record.layers[self.name].shift_vector(width).astype(np.float64)
        return np.zeros(width)

    def chunks(self, chunk_size: int = 8192, *, start: int = 0, mask: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """Consecutive read-only arrays of shape (at most ``chunk_size``, width); none crosses a shard.

        ``mask``: boolean, one entry per row of the store; the rows to keep. Chunks without gaps are views of
        the memory map, others copies. ``start``: how many of the selected rows to skip, for going on after an
        interruption.

        Raises DTypeError or ShapeError for what is no such mask, OptionError for rows or start out of range,
        CorruptStoreError for a damaged file.
        """
        selection = self.store.selection(mask)
        return self._chunks(selection, cuts([selection], chunk_size, start))

    def _chunks(self, selection: Selection, pieces: Iterator[tuple[int, int]]) -> Iterator[np.ndarray]:
        with LayerPass(self, selection) as layer:
            for first, stop in pieces:
                yield layer.read(first, stop)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows ``start`` to ``stop`` as a new array of shape (stop - start, width) and type ``dtype``."""
        n_rows, width = self.shape
        if not 0 <= start <= stop <= n_rows:
            raise OptionError(f"Rows to read must satisfy 0 <= start <= stop <= {n_rows}: got {start} and {stop}.")
        out = np.empty((stop - start, width), dtype=self.dtype)
        if stop > start:
            selection = self.store.selection(None)
            with LayerPass(self, selection) as layer:
                for first, last in cuts([selection], 1 << 16, start):
                    if first >= stop:
                        break
                    last = min(last, stop)
                    out[first - start : last - start] = layer.read(first, last)
        return out

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """A copy of all rows, in the stored type unless another is asked for."""
        if copy is False:
            raise ValueError(
                "A representation on disk must be copied to become an array: got copy=False. Use chunks()."
            )
        array = self.read(0, self.store.n_rows)
        return array if dtype is None else array.astype(dtype, copy=False)

    def open_shard(self, shard: int) -> ShardFile:
        """The file of one shard, checked; the caller closes it."""
        store, record = self.store, self.store.records[shard]
        shape, dtype = (record.rows, self.shape[1]), DTYPES[record.layers[self.name].dtype]
        head = layer_header(store.plan_digest, self.name, shard, *shape, dtype)
        parts = layer_parts(self._index, shard)
        return ShardFile(store.path, parts, shape=shape, dtype=dtype, head=head, mapped=store.io == "mmap")

    def __reduce__(self) -> tuple[Any, ...]:
        return Representation, (self.store, self.name)

    def __repr__(self) -> str:
        n_rows, width = self.shape
        return f"Representation({self.name!r}, {n_rows:,} rows x {width} features, {self.dtype.name})"


class LayerPass:
    """One walk through the selected rows of a layer, in order, with one shard open at a time."""

    def __init__(self, layer: Representation, selection: Selection) -> None:
        self._layer, self._selection = layer, selection
        self._shard = -1
        self._file: ShardFile | None = None

    def __enter__(self) -> LayerPass:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self, start: int, stop: int) -> np.ndarray:
        """The rows of ranks ``start`` to ``stop``, all inside one shard; earlier ones are done with."""
        shard = self._selection.shard_of(start)
        if self._file is None or shard != self._shard:
            self.__exit__(None, None, None)
            self._file, self._shard = self._layer.open_shard(shard), shard
            if self._selection.is_dense(shard):
                self._file.expect_pass()
        rows = self._selection.local(shard, start, stop)
        self._file.done_before(rows.start if isinstance(rows, slice) else int(rows[0]))
        return self._file.read(rows)
