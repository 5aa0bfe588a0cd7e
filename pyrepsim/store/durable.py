"""Files that are whole or absent after a crash."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import StoreError
from ..core.memory import format_bytes
from . import faults
from .layout import CHECKSUMS, Parts

_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGE_PAGE = 2 << 20
"""Writes end at multiples of this, so that Linux keeps the file in large pages, which are mapped and read faster."""
_SYNC_FILE_RANGE = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _SYNC_FILE_RANGE is not None:
    _SYNC_FILE_RANGE.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_WRITE_ONLY = 2
"""SYNC_FILE_RANGE_WRITE: wait for nothing."""


def temporary(path: Path) -> Path:
    return path.with_name(f".tmp-{path.name}")


def sync(fd: int) -> None:
    os.fsync(fd)


def start_writing(fd: int, offset: int, n_bytes: int) -> None:
    """Let the disk begin with these bytes at once, not when ``sync`` asks for all. Only Linux can be told."""
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(fd, offset, n_bytes, _WRITE_ONLY)  # what goes wrong, ``sync`` says


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync(fd)
    finally:
        os.close(fd)


class DurableFile:
    """A file with a running checksum, under a temporary name until all its bytes are on disk.

    Write, then ``finish()``: fsync, rename, fsync of the folder. Leaving the with-block otherwise removes it.
    """

    def __init__(
        self,
        root: Path,
        parts: Parts,
        *,
        checksum: str,
        head: bytes = b"",
        shard: int | None = None,
        what: str = "",
    ) -> None:
        self._path = root.joinpath(*parts)
        self._shard, self._what = shard, what
        self._digest: Any = CHECKSUMS[checksum](head)
        self._fd = os.open(temporary(self._path), _NEW, 0o666)
        self.n_bytes = len(head)
        self._n_written = 0
        self._held, self._n_held = memoryview(bytearray(_LARGE_PAGE)), 0  # not written yet: ends before a multiple
        try:
            self._write(memoryview(head))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> DurableFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            temporary(self._path).unlink(missing_ok=True)

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``, a flat buffer of bytes."""
        view = memoryview(data)
        self._digest.update(view)
        self.n_bytes += len(view)
        if faults.VARIABLE in os.environ:
            view = self._write_half(view)
        self._write(view)

    def _write(self, view: memoryview) -> None:
        left = min((self._n_written + self._n_held + len(view)) % _LARGE_PAGE, len(view))
        if left < len(view):
            start = self._n_written
            self._put(view[: len(view) - left])
            start_writing(self._fd, start, self._n_written - start)
        self._held[self._n_held : self._n_held + left] = view[len(view) - left :]
        self._n_held += left

    def _put(self, view: memoryview) -> None:
        """What is held, then this."""
        parts = [self._held[: self._n_held], view]
        while parts:  # the system may take less than it is given
            taken = os.writev(self._fd, parts)
            self._n_written += taken
            while parts and taken >= len(parts[0]):
                taken -= len(parts.pop(0))
            parts[:1] = [part[taken:] for part in parts[:1]]
        self._n_held = 0

    def _write_half(self, view: memoryview) -> memoryview:
        """Write half, strike, and return what is left to write, spoiled if that was the wish."""
        half = len(view) // 2
        self._put(view[:half])
        fault, view = faults.strike("write", self._shard, self._what), view[half:]
        if fault == "flip":
            spoiled = bytearray(view)
            spoiled[len(spoiled) // 2] ^= 1
            return memoryview(spoiled)
        if fault == "short":
            self._put(view[: (len(view) + 1) // 2])
            return view[(len(view) + 1) // 2 :]
        return view

    def checksum(self) -> str:
        return self._digest.hexdigest()

    def finish(self) -> None:
        self._put(memoryview(b""))
        sync(self._fd)
        faults.strike("fsync", self._shard, self._what)
        fd, self._fd = self._fd, -1
        os.close(fd)
        try:
            temporary(self._path).rename(self._path)
            faults.strike("rename", self._shard, self._what)
            sync_folder(self._path.parent)
            faults.strike("dirsync", self._shard, self._what)
        except BaseException:
            temporary(self._path).unlink(missing_ok=True)
            raise


def write_durably(root: Path, parts: Parts, data: bytes, *, shard: int | None = None, what: str = "") -> None:
    """A whole small file at once."""
    with DurableFile(root, parts, checksum="xxh3_128", shard=shard, what=what) as file:
        file.write(data)
        file.finish()


def make_folder(folder: Path) -> None:
    """A real folder at ``folder`` (never a link), durable in its parent."""
    try:
        folder.mkdir()
        sync_folder(folder.parent)
    except FileExistsError:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise StoreError(
                f"{folder} must be a folder of the store: found a link or a file. Remove it, or write elsewhere."
            ) from None


WRITING = "Writing the store"
KEPT = "committed shards are kept and it goes on from there"


@contextmanager
def explained(root: Path, *, task: str = WRITING, kept: str = KEPT) -> Iterator[None]:
    """Turn what the system says while writing into a StoreError with a remedy.

    ``kept``: what the same command finds when it is run again.
    """
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            raise StoreError(f"{task} {root} needs a folder: {_not_a_folder(root)}. Choose another path.") from error
        raise StoreError(
            f"{task} {root} must reach the disk: {error.strerror or error}. To go on, {_remedy(error, root, kept)}."
        ) from error


def _remedy(error: OSError, root: Path, kept: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"free some space ({_free(root)} left) or choose another disk, then run the same command again: {kept}"
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "choose a folder you may write to, or change its permissions"
    if error.errno == errno.ENOENT:
        return f"see who removed or moved a part of that folder meanwhile, then run the same command again: {kept}"
    if error.errno == errno.ENAMETOOLONG:
        return "choose a shorter path"
    return f"check the disk, then run the same command again: {kept}"


def _not_a_folder(root: Path) -> str:
    """Which part of the path is in the way, in words."""
    for path in (root, *root.absolute().parents):
        if os.path.lexists(path):
            if path.is_dir():
                break
            kind = "a link that leads nowhere" if path.is_symlink() and not path.exists() else "a file"
            return f"{path} is {kind}"
    return f"something in {root} is a file where a folder should be"


def _free(folder: Path) -> str:
    """Free space where ``folder`` is or would be."""
    for path in (folder, *folder.absolute().parents):
        try:
            found = os.statvfs(path)
        except OSError:
            continue
        return format_bytes(found.f_bavail * found.f_frsize)
    return "an unknown amount"
