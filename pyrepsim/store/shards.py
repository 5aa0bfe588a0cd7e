"""Shard files, opened and checked: the rows of a layer's shard, and the columns of a token shard."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core import files
from ..core.files import Parts
from ..core.memory import allocating
from .columns import COLUMNS, ROW_BYTES
from .layout import PAGE, check_header, tokens_header, tokens_parts

if TYPE_CHECKING:
    from .reader import ActivationStore


def read_columns(root: Path, plan_digest: str, shard: int, rows: int, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return columns of a token shard, each of shape (rows,), after checking its size and header."""
    parts = tokens_parts(shard)
    where = f"{files.file_name(parts)} of {root}"
    offsets, offset = {}, PAGE
    for name, dtype in COLUMNS.items():
        offsets[name] = offset
        offset += rows * dtype.itemsize
    with files.opened(root, parts) as fd:
        files.check_size(fd, PAGE + rows * ROW_BYTES, where)
        head = bytearray(PAGE)
        files.read_into(fd, memoryview(head), 0, where)
        check_header(bytes(head), tokens_header(plan_digest, shard, rows), where)
        chosen = {name: COLUMNS[name] for name in names}
        n_bytes = rows * sum(dtype.itemsize for dtype in chosen.values())
        with allocating(n_bytes, where, "Write stores with smaller shards."):
            columns = {name: np.empty(rows, dtype) for name, dtype in chosen.items()}
            for name, column in columns.items():
                files.read_into(fd, memoryview(column.view(np.uint8)), offsets[name], where)
    return columns


_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
_LIBC.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_LIBC.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_MAP_FAILED = ctypes.c_void_p(-1).value

HUGEPAGE = getattr(mmap, "MADV_HUGEPAGE", None)
"""Linux then reads and maps two megabytes at a time, and the next two in advance. Compared with MADV_WILLNEED this is
almost twice as fast from the disk, and three times as fast from the page cache."""

_SMALLER = "Choose a smaller chunk_size, or fewer rows."
GATHER_BYTES = 16 << 20
"""When single rows are read, bytes of the file that are covered at a time; this limits the memory."""


class _Map:
    """A read-only memory map of the first bytes of a file. Unlike Python's own, it keeps no descriptor of the file."""

    def __init__(self, fd: int, n_bytes: int) -> None:
        address = _LIBC.mmap(None, n_bytes, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
        if address == _MAP_FAILED:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        whole = (ctypes.c_ubyte * n_bytes).from_address(address)
        weakref.finalize(whole, _LIBC.munmap, address, n_bytes).atexit = False  # once no array needs it
        self._address, self.n_bytes, self.buffer = address, n_bytes, memoryview(whole).toreadonly()

    def madvise(self, advice: int, start: int = 0, n_bytes: int | None = None) -> None:
        """Tell the system about pages; it may ignore this."""
        _LIBC.madvise(self._address + start, self.n_bytes - start if n_bytes is None else n_bytes, advice)


def most_open_files() -> int:
    """Return how many files a reader keeps open at most: a quarter of what the process may open."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1 << 16 if limit == resource.RLIM_INFINITY else max(1, limit // 4)


class ShardFile:
    """The payload of a layer's shard file: a read-only array of shape (rows, width).

    With ``mapped``, pages that were read are released again, so that the process's memory stays small; the data stay
    in the system's page cache. A mapped file must not be truncated while in use, because the system would end the
    process. Therefore only sealed stores on local disks are mapped.
    """

    def __init__(
        self, root: Path, parts: Parts, *, shape: tuple[int, int], dtype: np.dtype, head: bytes, mapped: bool
    ) -> None:
        self._where = f"{files.file_name(parts)} of {root}"
        self._shape, self._dtype = shape, dtype
        self._stride = shape[1] * dtype.itemsize
        n_bytes = PAGE + shape[0] * self._stride
        self._map: _Map | None = None
        self._dropped = 0
        self._fd = files.open_file(root, parts)
        try:
            files.check_size(self._fd, n_bytes, self._where)
            actual = bytearray(PAGE)
            files.read_into(self._fd, memoryview(actual), 0, self._where)
            check_header(bytes(actual), head, self._where)
            if mapped and shape[0]:
                with contextlib.suppress(OSError):  # a limit of maps or of addresses: the file is read instead
                    self._map = _Map(self._fd, n_bytes)
            if self._map is not None:
                self._rows = np.frombuffer(self._map.buffer, np.uint8, offset=PAGE).view(dtype).reshape(shape)
                self._close_file()
        except BaseException:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether the file keeps a descriptor open; a mapped one does not."""
        return self._fd >= 0

    def close(self) -> None:
        """Release all pages and close the file. Arrays that were returned stay valid."""
        if self._map is not None:
            self._drop(self._map.n_bytes)
            self._map = None
        self._close_file()

    def _close_file(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def read(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return the rows of a slice (a view if mapped), or rows by ascending numbers (a copy)."""
        if isinstance(rows, slice):
            out = self._range(rows.start, rows.stop)
        else:
            out = self._gather(rows)
        out.flags.writeable = False
        return out

    def expect_pass(self) -> None:
        """Tell the system that most pages will be read in order, so that it reads many at a time, in advance."""
        if self._map is not None and HUGEPAGE is not None:
            self._map.madvise(HUGEPAGE)

    def release_before(self, row: int) -> None:
        """Release the pages of rows below ``row``."""
        self._drop(PAGE + row * self._stride)

    def _drop(self, end: int) -> None:
        if self._map is None:
            return
        if end < self._map.n_bytes:
            end -= end % mmap.PAGESIZE
        if end > self._dropped:
            self._map.madvise(mmap.MADV_DONTNEED, self._dropped, end - self._dropped)
            self._dropped = end

    def _range(self, start: int, stop: int) -> np.ndarray:
        if self._map is not None:
            return self._rows[start:stop]
        with allocating((stop - start) * self._stride, f"Rows {start} to {stop} of {self._where}", _SMALLER):
            out = np.empty((stop - start, self._shape[1]), dtype=self._dtype)
        if out.size:
            flat = memoryview(out.reshape(-1).view(np.uint8))
            files.read_into(self._fd, flat, PAGE + start * self._stride, self._where)
        return out

    def _gather(self, rows: np.ndarray) -> np.ndarray:
        bits = np.dtype(f"u{self._dtype.itemsize}")  # copied as integers of the same size
        with allocating(len(rows) * self._stride, f"{len(rows)} rows of {self._where}", _SMALLER):
            out = np.empty((len(rows), self._shape[1]), dtype=bits)
        span = max(1, GATHER_BYTES // self._stride)
        done = 0
        while done < len(rows):
            first = int(rows[done])
            stop = int(np.searchsorted(rows, first + span))
            last = int(rows[stop - 1]) + 1
            source = self._range(first, last).view(bits)
            np.take(source, rows[done:stop] - first, axis=0, out=out[done:stop], mode="clip")
            self.release_before(last)
            done = stop
        return out.view(self._dtype)


class ShardCache:
    """Shard files of one store that stay open between reads. Use it in a with-block.

    Parameters
    ----------
    store : ActivationStore
        With ``io="pread"`` memory does not grow. With memory maps, the pages that were read stay in memory until
        their file is closed.
    max_files : int
        How many files are open at once, and at most a quarter of what the process may open; the one that was not used
        for longest is closed first.
    max_bytes : int, optional
        All files are closed each time that so many bytes were read.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import ShardCache
    >>> store = rs.write_store("acts/base", {"layer.0": np.arange(6.0).reshape(3, 2)}, shard_rows=2)
    >>> with ShardCache(store) as shards:
    ...     shards.read("layer.0", 1, slice(0, 1))
    array([[4., 5.]], dtype=float16)
    """

    def __init__(self, store: ActivationStore, *, max_files: int = 256, max_bytes: int | None = None) -> None:
        self._store, self._max_files, self._max_bytes = store, min(max_files, most_open_files()), max_bytes
        self._files: OrderedDict[tuple[str, int], ShardFile] = OrderedDict()
        self._n_bytes = 0

    def __enter__(self) -> ShardCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all files. Arrays that were returned stay valid."""
        while self._files:
            self._files.popitem()[1].close()
        self._n_bytes = 0

    def read(self, layer: str, shard: int, rows: slice) -> np.ndarray:
        """Return rows of one shard of a layer, numbered inside the shard: a read-only array, as stored."""
        if self._max_bytes is not None and self._n_bytes > self._max_bytes:
            self.close()
        key = (layer, shard)
        if key in self._files:
            self._files.move_to_end(key)
        else:
            while len(self._files) >= self._max_files:
                self._files.popitem(last=False)[1].close()
            self._files[key] = self._store[layer].open_shard(shard)
        values = self._files[key].read(rows)
        self._n_bytes += values.nbytes
        return values
