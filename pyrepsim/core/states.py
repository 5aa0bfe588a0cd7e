"""Files that work is resumed from. Each carries a digest of its bytes and the request that it belongs to.

A state is the payload, then the request as JSON, then `_TAIL`: the sizes of both, the xxh3-128 digest of everything
before it, and a constant. A reader checks the digest before it reads anything else, and the request before the payload.
The digest detects accidental changes, not forgery. A finished set of files, such as a saved model, has a manifest
instead: a record with the digest of each file, written last.
"""

from __future__ import annotations

import io
import json
import logging
import os
import struct
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import xxhash

from . import json_files
from .errors import CorruptStoreError, PyrepsimError, StoreError
from .outputs import replacing
from .paths import open_regular
from .resume import check_same_request, plain_json, read_record, write_record

__all__ = [
    "MANIFEST",
    "check_files",
    "load_record",
    "load_state",
    "open_sealed",
    "remove_states",
    "save_state",
    "set_aside",
    "write_manifest",
    "write_sealed",
]

log = logging.getLogger("pyrepsim.states")

T = TypeVar("T")

MANIFEST = "digests.json"
"""Name of the manifest in a folder of files."""

_TAIL = struct.Struct("<QQ16s8s")
_MAGIC = b"\nsealed1"
_READ_BYTES = 1 << 20


def write_sealed(
    path: str | os.PathLike[str], write: Callable[[BinaryIO], object], request: Mapping[str, Any] | None = None
) -> None:
    """Write a file with its digest and request; it is complete and on the disk, or as it was before.

    Parameters
    ----------
    path : path
        The file. An existing one is replaced.
    write : callable
        Called with a binary file to write the payload to.
    request : mapping, optional
        What the payload belongs to, as JSON.

    Raises
    ------
    StoreError
        If the file cannot be written.

    Examples
    --------
    >>> from pyrepsim.core.states import open_sealed, write_sealed
    >>> write_sealed("sums.state", lambda file: file.write(b"sums"), {"seed": 0})
    >>> with open_sealed("sums.state") as (request, file):
    ...     print(request, file.read())
    {'seed': 0} b'sums'
    """
    with replacing(path, sync=True) as temporary:
        _write(temporary, write, request)


def save_state(path: Path, write: Callable[[BinaryIO], object], request: Mapping[str, Any]) -> None:
    """Write a state as `write_sealed` does, and keep the one before it beside it, for `load_state`."""
    with replacing(path, sync=True) as temporary:
        _write(temporary, write, request)
        if path.exists():
            path.replace(_previous(path))


def load_state(path: Path, request: Mapping[str, Any], read: Callable[[BinaryIO], T]) -> T | None:
    """Return what `read` makes of the newest undamaged state of this request, or None if there is none.

    A damaged state is renamed to ``<name>.damaged-<n>``, a warning names it, and the one before it is used.

    Parameters
    ----------
    path : Path
        The file that `save_state` wrote.
    request : mapping
        What the state must belong to.
    read : callable
        Called with a binary file of the payload. An error in it counts as damage.

    Raises
    ------
    StoreError
        If the state belongs to another request, or the file must not be read.
    """
    damaged = False
    for candidate in (path, _previous(path)):
        if not os.path.lexists(candidate):
            continue
        try:
            with open_sealed(candidate) as (recorded, file):
                check_same_request(recorded, request, where=candidate, remedy="Choose another folder, or remove it.")
                return _checked(candidate, read, file)
        except CorruptStoreError as error:
            log.warning("%s It was renamed to %s.", error, set_aside(candidate).name)
            damaged = True
    if damaged:
        log.warning("no undamaged state of %s remains: this part of the work starts from the beginning", path)
    return None


def load_record(path: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the record at `path` if it is of this request; None if there is none, or it was damaged and set aside.

    Raises StoreError for the record of another request.
    """
    try:
        record = read_record(path, remedy="Its work is done again.")
    except CorruptStoreError as error:
        log.warning("%s It was renamed to %s.", error, set_aside(path).name)
        return None
    if record is not None:
        check_same_request(record["request"], request, where=path)
    return record


@contextmanager
def open_sealed(path: str | os.PathLike[str]) -> Iterator[tuple[dict[str, Any], BinaryIO]]:
    """Check a file that `write_sealed` wrote, and open it.

    Yields
    ------
    request : dict
        What the payload belongs to.
    file : binary file
        The payload.

    Raises
    ------
    CorruptStoreError
        If the bytes are not those that were written.
    StoreError
        If there is no such file, or it must not be read.
    """
    where = os.fspath(path)
    try:
        with open_regular(path) as file:
            n_payload, request = _verified(file.fileno(), where)
            yield request, io.BufferedReader(_Payload(file.fileno(), n_payload))
    except PyrepsimError:
        raise
    except OSError as error:
        raise StoreError(f"{where!r} must be a file that can be read: {error.strerror}. Check the path.") from error


def set_aside(path: Path, folder: Path | None = None) -> Path:
    """Rename a damaged file or folder to ``<name>.damaged-<n>``, in `folder` (default: where it is)."""
    place = path.parent if folder is None else folder
    names = (place / f"{path.name}.damaged-{n}" for n in count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        return path.rename(aside)
    except OSError as error:
        raise StoreError(
            f"{path} is damaged and must be set aside: it cannot be renamed ({error.strerror}). Remove it."
        ) from error


def remove_states(folder: Path) -> None:
    """Remove a folder of states whose work is finished, except damaged ones that were set aside."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if ".damaged-" not in path.name and not path.is_dir():
            path.unlink(missing_ok=True)
    for path in [*sorted(folder.rglob("*"), reverse=True), folder]:
        with suppress(OSError):  # it is not empty
            path.rmdir()


def write_manifest(folder: Path, names: Iterable[str], request: Mapping[str, Any] | None = None) -> None:
    """Flush these files of a folder to the disk, and then write the record with the digest of each.

    Parameters
    ----------
    folder : Path
        The folder. It gets the file `MANIFEST`.
    names : iterable of str
        Names of files, below the folder.
    request : mapping, optional
        What the files belong to, as JSON.
    """
    digests = {}
    for name in sorted(names):
        with (folder / name).open("rb") as file:
            os.fsync(file.fileno())
            digests[name] = _digest(file).hexdigest()
    write_record(folder / MANIFEST, request or {}, files=digests)


def check_files(folder: Path, *, missing: bool = False, only: Container[str] | None = None) -> dict[str, Any] | None:
    """Compare the files of a folder with its manifest; return the request of the manifest, None if there is none.

    Parameters
    ----------
    folder : Path
        The folder.
    missing : bool
        Whether files may be missing.
    only : container of str, optional
        Names of the files to check. Default: all.

    Raises
    ------
    CorruptStoreError
        If a file changed after the manifest was written, or is missing.
    """
    record = read_record(folder / MANIFEST, remedy="Restore it from a copy.")
    if record is None:
        return None
    for name, digest in record["files"].items():
        if only is not None and name not in only:
            continue
        try:
            with (folder / name).open("rb") as file:
                same = _digest(file).hexdigest() == digest
        except FileNotFoundError:
            if missing:
                continue
            raise CorruptStoreError(
                f"{folder / name} must be there: {folder / MANIFEST} lists it. Restore it from a copy."
            ) from None
        except OSError as error:
            raise StoreError(f"{folder / name} must be readable: {error.strerror}. Check the disk.") from error
        if not same:
            raise CorruptStoreError(
                f"{folder / name} must be as it was written: its bytes do not have the digest in {MANIFEST}. Restore "
                f"it from a copy; if you changed it on purpose, remove {MANIFEST}."
            )
    return record["request"]


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


def _write(path: Path, write: Callable[[BinaryIO], object], request: Mapping[str, Any] | None) -> None:
    text = json.dumps(plain_json(request or {}), sort_keys=True).encode()
    with path.open("w+b") as file:
        write(file)
        n_payload = file.seek(0, os.SEEK_END)
        file.write(text)
        sizes = struct.pack("<QQ", n_payload, len(text))
        file.seek(0)
        digest = _digest(file)
        digest.update(sizes)
        file.write(sizes + digest.digest() + _MAGIC)


def _digest(file: Any) -> Any:
    """xxh3-128 of the rest of a file."""
    digest, buffer = xxhash.xxh3_128(), memoryview(bytearray(_READ_BYTES))
    while n_read := file.readinto(buffer):
        digest.update(buffer[:n_read])
    return digest


def _verified(fd: int, where: str) -> tuple[int, dict[str, Any]]:
    """The size of the payload and the request of a file whose bytes are those that were written."""
    n_sealed = os.fstat(fd).st_size - _TAIL.size
    if n_sealed < 0:
        raise _changed(where, f"it has {n_sealed + _TAIL.size} bytes and no digest")
    n_payload, n_text, expected, magic = _TAIL.unpack(os.pread(fd, _TAIL.size, n_sealed))
    if magic != _MAGIC or n_payload + n_text != n_sealed:
        raise _changed(where, "it does not end with its digest")
    digest = _digest(_Payload(fd, n_sealed))
    digest.update(struct.pack("<QQ", n_payload, n_text))
    if digest.digest() != expected:
        raise _changed(where, "its bytes do not have the digest at its end")
    try:
        return n_payload, dict(json_files.loads(os.pread(fd, n_text, n_payload)))
    except (ValueError, TypeError) as error:
        raise _changed(where, f"its request cannot be read ({error})") from error


def _checked(path: Path, read: Callable[[BinaryIO], T], file: BinaryIO) -> T:
    try:
        return read(file)
    except PyrepsimError:
        raise
    except Exception as error:  # readers of other libraries raise many types
        raise _changed(str(path), f"it cannot be read ({type(error).__name__}: {error})") from error


def _changed(where: str, fact: str) -> CorruptStoreError:
    return CorruptStoreError(
        f"{where!r} must be complete and as it was written: {fact}. Restore it from a copy, or start again."
    )


class _Payload(io.RawIOBase):
    """The first bytes of an open file."""

    def __init__(self, fd: int, n_bytes: int) -> None:
        self._fd, self._n_bytes, self._at = fd, n_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._n_bytes}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")[: max(0, self._n_bytes - self._at)]
        n_read = os.preadv(self._fd, [view], self._at) if len(view) else 0
        self._at += n_read
        return n_read
