"""Reading files of unknown origin: no symbolic links below the root, only regular files, sizes checked first."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from . import json_files
from .errors import CorruptStoreError, StoreError
from .system_errors import remedy

__all__ = [
    "Parts",
    "check_size",
    "exists",
    "file_name",
    "is_remote",
    "open_file",
    "opened",
    "read_into",
    "read_small_file",
]

Parts = tuple[str, ...]
"""The path of a file below a root folder: the names of folders, and last that of the file."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # non-blocking: opening a FIFO must not wait

_REMOTE = frozenset(
    [
        *("nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "9p", "ceph"),
        *("glusterfs", "lustre", "gpfs", "beegfs", "pvfs2", "orangefs", "wekafs", "panfs", "davfs"),
        *("virtiofs", "juicefs"),
    ]
)
_MOUNTS = Path("/proc/mounts")


def file_name(parts: Parts) -> str:
    """Return the path of a file below its root, for messages."""
    return "/".join(parts)


def open_file(root: Path, parts: Parts) -> int:
    """Return a file descriptor for reading the file `parts` below `root`; the caller closes it.

    The path of `root` may contain links; below it there must be none.

    Raises
    ------
    CorruptStoreError
        If the file is missing or is not a regular file.
    StoreError
        If it must not be read.
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
        raise _cannot_open(root, parts, error) from error
    finally:
        if folder >= 0:
            os.close(folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise CorruptStoreError(f"{file_name(parts)} of {root} must be a regular file: it is a folder, FIFO or device.")
    return fd


def _cannot_open(root: Path, parts: Parts, error: OSError) -> StoreError:
    where = f"{file_name(parts)} of {root}"
    if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EMLINK):
        return CorruptStoreError(
            f"{where} must be a regular file inside the store: it is a symbolic link or another kind of "
            "file. Copy the store with links resolved (cp -rL), if you trust their targets."
        )
    if error.errno == errno.ENOENT:
        return CorruptStoreError(
            f"{where} must exist: there is no such file. Restore it from a copy, or extract this store again."
        )
    advice = remedy(error, root, writing=False)
    return StoreError(f"{where} must be readable: {error.strerror}. To continue, {advice}.")


@contextmanager
def opened(root: Path, parts: Parts) -> Iterator[int]:
    """`open_file` for the length of a with-block."""
    fd = open_file(root, parts)
    try:
        yield fd
    finally:
        os.close(fd)


def check_size(fd: int, n_bytes: int, where: str) -> None:
    """Raise CorruptStoreError unless the open file has exactly `n_bytes` bytes."""
    size = os.fstat(fd).st_size
    if size != n_bytes:
        raise CorruptStoreError(
            f"{where} must have {n_bytes} bytes: it has {size}. It was cut, extended or replaced after it "
            "was written; restore it from a copy or extract this shard again."
        )


def read_into(fd: int, buffer: memoryview, offset: int, where: str) -> None:
    """Fill `buffer` (of bytes) with the file's bytes from `offset` on."""
    done = 0
    while done < len(buffer):
        n_read = os.preadv(fd, [buffer[done:]], offset + done)
        if not n_read:
            raise CorruptStoreError(
                f"{where} must have at least {offset + len(buffer)} bytes: it has {os.fstat(fd).st_size}. "
                "It was cut while it was read; stop the program that writes to it."
            )
        done += n_read


def read_small_file(root: Path, parts: Parts) -> bytes:
    """Return all bytes of a JSON file. Raises CorruptStoreError if it is too large to be one."""
    where = f"{file_name(parts)} of {root}"
    with opened(root, parts) as fd:
        size = os.fstat(fd).st_size
        if size > json_files.MAX_BYTES:
            raise CorruptStoreError(f"{where} must have at most {json_files.MAX_BYTES} bytes: it has {size}.")
        data = bytearray(size)
        read_into(fd, memoryview(data), 0, where)
    return bytes(data)


def exists(root: Path, parts: Parts) -> bool:
    """Return whether there is anything by that name, links included."""
    return os.path.lexists(root.joinpath(*parts))


def is_remote(folder: Path, mounts: str | None = None) -> bool:
    """Return whether `folder` is on a network or FUSE file system, as far as /proc/mounts tells.

    Memory maps are fast on local disks, and slow or dangerous on network file systems.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(errors="replace")
        except OSError:
            return False  # not Linux: assumed to be local
    kind = file_system(folder.resolve(), mounts)
    return kind in _REMOTE or (kind.startswith("fuse") and kind not in ("fuseblk", "fusectl"))


def file_system(folder: Path, mounts: str) -> str:
    """Return the type of the file system that holds `folder`: that of the deepest mount point above it."""
    kind, deepest = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _unescaped(fields[1]).rstrip("/") + "/"
        if len(point) >= len(deepest) and f"{folder}/".startswith(point):  # a later mount hides an earlier one
            kind, deepest = fields[2], point
    return kind


def _unescaped(text: str) -> str:
    """Undo the octal codes that the kernel writes for blanks in paths."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
