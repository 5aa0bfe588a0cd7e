"""Files opened without trust: by derived names, through no symbolic link, regular, of a known size."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..core.errors import CorruptStoreError, StoreError
from . import jsonfile
from .layout import Parts

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: a FIFO must not hang us


def name_of(parts: Parts) -> str:
    """A file's name inside its store, for messages."""
    return "/".join(parts)


def open_file(root: Path, parts: Parts) -> int:
    """File descriptor, for reading, of ``root``/``parts``; the caller closes it.

    ``root`` may be reached through links; below it nothing may be one. CorruptStoreError for what is missing
    or is no regular file, StoreError for what may not be read.
    """
    folder = fd = -1
    try:
        folder = os.open(root, _DIRECTORY)
        for part in parts[:-1]:
            deeper = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = deeper
        fd = os.open(parts[-1], _FILE, dir_fd=folder)
    except OSError as error:
        raise _unopened(root, parts, error) from error
    finally:
        if folder >= 0:
            os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise CorruptStoreError(f"{name_of(parts)} of {root} must be a regular file: found a folder, FIFO or device.")
    return fd


def _unopened(root: Path, parts: Parts, error: OSError) -> StoreError:
    where = f"{name_of(parts)} of {root}"
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EMLINK):
        return CorruptStoreError(
            f"{where} must be a regular file inside the store: found a symbolic link or another kind of "
            "file. Copy the store with links resolved (cp -rL), if you trust where they point."
        )
    if error.errno == errno.ENOENT:
        return CorruptStoreError(
            f"{where} must exist: found no such file. Restore it from a copy, or extract this store again."
        )
    return StoreError(f"{where} must be readable: {error.strerror}. Check the permissions and the disk.")


@contextmanager
def opened(root: Path, parts: Parts) -> Iterator[int]:
    """``open_file`` for the length of a with-block."""
    fd = open_file(root, parts)
    try:
        yield fd
    finally:
        os.close(fd)


def check_size(fd: int, n_bytes: int, where: str) -> None:
    """Raise CorruptStoreError unless the open file has exactly ``n_bytes`` bytes."""
    found = os.fstat(fd).st_size
    if found != n_bytes:
        raise CorruptStoreError(
            f"{where} must have {n_bytes} bytes: found {found}. It was cut, extended or replaced after it "
            "was committed; restore it from a copy or extract this shard again."
        )


def read_into(fd: int, buffer: memoryview, offset: int, where: str) -> None:
    """Fill ``buffer`` (of bytes) from ``offset``, however many system calls that takes."""
    done = 0
    while done < len(buffer):
        got = os.preadv(fd, [buffer[done:]], offset + done)
        if not got:
            raise CorruptStoreError(
                f"{where} must have at least {offset + len(buffer)} bytes: found {os.fstat(fd).st_size}. "
                "It was cut while it was being read; stop whatever writes there."
            )
        done += got


def read_small(root: Path, parts: Parts) -> bytes:
    """All bytes of a JSON file, once its size is known to be reasonable."""
    where = f"{name_of(parts)} of {root}"
    with opened(root, parts) as fd:
        size = os.fstat(fd).st_size
        if size > jsonfile.MAX_BYTES:
            raise CorruptStoreError(f"{where} must have at most {jsonfile.MAX_BYTES} bytes: found {size}.")
        data = bytearray(size)
        read_into(fd, memoryview(data), 0, where)
    return bytes(data)


def exists(root: Path, parts: Parts) -> bool:
    """True if there is anything by that name, links included."""
    return os.path.lexists(root.joinpath(*parts))
