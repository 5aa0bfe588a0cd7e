"""Writing files so that each is complete or absent: written under a temporary name, and renamed at the end.

A temporary file is created anew under a random name, so that nothing in a folder, such as a link, can take its place.
Its writer keeps it locked; `sweep` removes those of processes that have ended.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import xxhash

from .errors import PyrepsimError, StoreError
from .files import is_remote
from .locks import SILENCE, lock_descriptor
from .paths import as_path
from .system_errors import remedy

__all__ = [
    "CHECKSUMS",
    "DurableFile",
    "explain_errors",
    "has_files",
    "is_working_file",
    "make_folder",
    "open_temporary",
    "replacing",
    "sweep",
    "sync_folder",
    "temporary_folder",
    "write_durably",
]

CHECKSUMS: dict[str, Callable[..., Any]] = {"xxh3_128": xxhash.xxh3_128, "sha256": hashlib.sha256}

_WORKING = (".tmp-", ".lock", ".claim-")
"""How the names of temporary files and of lock files begin."""

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{12}-.*", re.DOTALL)
_ELSEWHERE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.EFBIG)
"""Errors after which the same command does not work in the same folder."""

_KEPT_NAME = 40
"""Letters of the file's own name in that of its temporary file: fewer than a name may have."""

_LARGE_PAGE = 2 << 20
"""Writes end at multiples of this, so that Linux keeps the file in large pages, which are mapped and read faster."""

_SYNC_FILE_RANGE = getattr(ctypes.CDLL(None), "sync_file_range", None)
if _SYNC_FILE_RANGE is not None:
    _SYNC_FILE_RANGE.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_WRITE_ONLY = 2
"""SYNC_FILE_RANGE_WRITE: start writing, wait for nothing."""


@contextmanager
def replacing(path: str | os.PathLike[str], *, sync: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside `path` that is renamed to it at the end, so that no reader sees half a file.

    Parameters
    ----------
    path : str or path-like
        The file. Missing folders are created.
    sync : bool
        Flush the file to the disk before it is renamed, so that it also survives a loss of power.

    Yields
    ------
    Path
        Where to write the file.

    Raises
    ------
    StoreError
        If the system refuses a step. An existing file then stays as it was.

    Examples
    --------
    >>> from pathlib import Path
    >>> from pyrepsim.core.outputs import replacing
    >>> with replacing("results/table.csv") as temporary:
    ...     _ = temporary.write_text("layer,score")
    >>> Path("results/table.csv").read_text()
    'layer,score'
    """
    path = as_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        fd, temporary = open_temporary(path)
        try:
            yield temporary
            if sync:
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            os.close(fd)
            temporary.unlink(missing_ok=True)
    except PyrepsimError:
        raise
    except UnicodeEncodeError as error:
        raise StoreError(
            f"The texts in a file must be valid Unicode: {path} was not written, because "
            f"{error.object[max(0, error.start - 20) : error.end]!r} has half of a surrogate pair. Replace it."
        ) from error
    except OSError as error:
        raise StoreError(
            f"A file must be written completely: {path} was not ({error.strerror or error}). To continue, "
            f"{remedy(error, path, writing=True)}."
        ) from error


def open_temporary(path: Path) -> tuple[int, Path]:
    """Create a temporary file for `path`, in its folder, with a random name. The caller closes, renames or removes it.

    Returns
    -------
    tuple of int and Path
        A descriptor for writing, which keeps the file locked while it is open, and the name.
    """
    while True:
        temporary = path.with_name(f".tmp-{secrets.token_hex(6)}-{path.name[-_KEPT_NAME:]}")
        fd = os.open(temporary, _NEW, 0o666)
        if lock_descriptor(fd, temporary) != "busy":
            return fd, temporary
        os.close(fd)  # it was swept before it was locked


@contextmanager
def temporary_folder(folder: Path) -> Iterator[Path]:
    """Yield a new folder with a random name inside `folder`, and remove it with all it holds at the end."""
    while True:
        place = folder / f".tmp-{secrets.token_hex(6)}-folder"
        place.mkdir(mode=0o700)
        fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if lock_descriptor(fd, place) != "busy":
            break
        os.close(fd)  # it was swept before it was locked
    try:
        yield place
    finally:
        os.close(fd)
        shutil.rmtree(place, ignore_errors=True)


def is_working_file(name: str) -> bool:
    """Return whether this is the name of a temporary file or a lock, which readers ignore."""
    return name.startswith(_WORKING)


def has_files(folder: Path) -> bool:
    """Return whether a folder holds anything but working files; False if there is no folder."""
    return folder.is_dir() and any(not is_working_file(entry.name) for entry in folder.iterdir())


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove the temporary files and folders in a folder whose writers have ended; those for the file `name`, or all.

    On file systems without locks, and between hosts, a file that was not written for ten minutes has no writer.
    """
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    except OSError:
        return
    for entry in found:
        if name is not None and not entry.name.endswith(f"-{name[-_KEPT_NAME:]}"):
            continue
        with suppress(OSError):
            folder_left = entry.is_dir(follow_symlinks=False)
            if not folder_left and not entry.is_file(follow_symlinks=False):
                continue
            fd = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                state = lock_descriptor(fd, Path(entry.path))
                silent = time.time() - os.fstat(fd).st_mtime > SILENCE
                if state != "busy" and (silent or (state == "held" and not is_remote(folder))):
                    shutil.rmtree(entry.path) if folder_left else os.unlink(entry.path)
            finally:
                os.close(fd)


class DurableFile:
    """A file with a running checksum that keeps a temporary name until all its bytes are on the disk.

    Call `write` as often as necessary, then `finish`: it flushes the file, renames it, and flushes its folder. Leaving
    the with-block without `finish` removes the file.

    Parameters
    ----------
    path : Path
        The final path, in a folder that exists.
    checksum : {"xxh3_128", "sha256"}
        The kind of checksum.
    head : bytes
        The first bytes of the file.
    """

    def __init__(self, path: Path, *, checksum: str = "xxh3_128", head: bytes = b"") -> None:
        self.path = path
        self.n_bytes = len(head)
        self._digest: Any = CHECKSUMS[checksum](head)
        self._fd, self.temporary = open_temporary(path)
        self._n_written = 0
        self._pending, self._n_pending = memoryview(bytearray(_LARGE_PAGE)), 0  # bytes after the last full page
        try:
            self._append(memoryview(head))
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> DurableFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
            self.temporary.unlink(missing_ok=True)

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`, a flat buffer of bytes."""
        view = memoryview(data)
        self._digest.update(view)
        self.n_bytes += len(view)
        self._append(view)

    def checksum(self) -> str:
        """Return the checksum of all bytes written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def finish(self) -> None:
        """Flush the file to the disk and give it its final name."""
        self._put(memoryview(b""))
        _sync(self._fd)
        self.temporary.rename(self.path)
        fd, self._fd = self._fd, -1
        os.close(fd)
        sync_folder(self.path.parent)

    def _append(self, view: memoryview) -> None:
        rest = min((self._n_written + self._n_pending + len(view)) % _LARGE_PAGE, len(view))
        if rest < len(view):
            start = self._n_written
            self._put(view[: len(view) - rest])
            _start_writing(self._fd, start, self._n_written - start)
        self._pending[self._n_pending : self._n_pending + rest] = view[len(view) - rest :]
        self._n_pending += rest

    def _put(self, view: memoryview) -> None:
        """Write the pending bytes and then these."""
        parts = [self._pending[: self._n_pending], view]
        while parts:  # the system may write less than it was given
            n_written = os.writev(self._fd, parts)
            self._n_written += n_written
            while parts and n_written >= len(parts[0]):
                n_written -= len(parts.pop(0))
            parts[:1] = [part[n_written:] for part in parts[:1]]
        self._n_pending = 0


def write_durably(path: Path, data: bytes) -> None:
    """Write a small file that is complete and on the disk when this returns."""
    with DurableFile(path) as file:
        file.write(data)
        file.finish()


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _sync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Create a folder and flush its name to the disk. Raises StoreError if there is a link or a file instead."""
    try:
        folder.mkdir()
        sync_folder(folder.parent)
    except FileExistsError:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise StoreError(
                f"{folder} must be a folder: it is a link or a file. Remove it, or write elsewhere."
            ) from None


@contextmanager
def explain_errors(root: Path, *, task: str, kept: str) -> Iterator[None]:
    """Turn an OSError while writing into a StoreError with a remedy.

    Parameters
    ----------
    root : Path
        The folder that is written.
    task : str
        The beginning of the message, such as "The export to".
    kept : str
        What happens to finished files when the command is run again, for the message.
    """
    try:
        yield
    except PyrepsimError:
        raise
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTDIR):
            raise StoreError(f"{task} {root} needs a folder: {_not_a_folder(root)}. Choose another path.") from error
        advice = remedy(error, root, writing=True)
        if error.errno not in _ELSEWHERE:
            advice += f", then run the same command again: {kept}"
        raise StoreError(f"{task} {root} failed: {error.strerror or error}. To continue, {advice}.") from error


def _not_a_folder(root: Path) -> str:
    """Return which part of the path is not a folder, as text."""
    for path in (root, *root.absolute().parents):
        if os.path.lexists(path):
            if path.is_dir():
                break
            kind = "a broken link" if path.is_symlink() and not path.exists() else "a file"
            return f"{path} is {kind}"
    return f"something in {root} is a file where a folder should be"


def _sync(fd: int) -> None:
    os.fsync(fd)


def _start_writing(fd: int, offset: int, n_bytes: int) -> None:
    """Let the disk start to write these bytes, so that flushing the file takes less time (Linux only)."""
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(fd, offset, n_bytes, _WRITE_ONLY)  # fsync reports any error
