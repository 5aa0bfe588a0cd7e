"""Paths that users give: one check for all of them, and reading of files that must be regular files."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

from .errors import OptionError, PyrepsimError

__all__ = ["as_path", "open_regular", "read_regular"]


def as_path(path: Any, what: str = "A path", *, error: type[PyrepsimError] = OptionError) -> Path:
    r"""Return `path` as a Path, if a file of that name can exist.

    Parameters
    ----------
    path : str or path-like
    what : str
        The beginning of the message.
    error : type
        The class of the error that is raised.

    Raises
    ------
    PyrepsimError
        If it is not text, is empty, holds a character that no file name can have, or is too long for the file system.

    Examples
    --------
    >>> from pyrepsim.core.paths import as_path
    >>> as_path("acts/base").name
    'base'
    >>> as_path("acts\0")
    Traceback (most recent call last):
        ...
    pyrepsim.core.errors.OptionError: A path must be a name that a file can have: 'acts\x00' has a NUL character. ...
    """
    rule = f"{what} must be"
    name = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(name, str):
        raise error(f"{rule} text or a pathlib.Path: got {type(path).__name__}. Give the name of a file or folder.")
    if not name:
        raise error(f"{rule} the name of a file or folder: got an empty text. Give its name.")
    rule, remedy = f"{rule} a name that a file can have: {name[:80]!r}", "Give another one."
    if "\0" in name:
        raise error(f"{rule} has a NUL character. {remedy}")
    try:
        os.lstat(name)
    except UnicodeEncodeError as problem:
        raise error(f"{rule} has half of a surrogate pair at character {problem.start}. {remedy}") from problem
    except OSError as problem:
        if problem.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EINVAL):
            raise error(f"{rule} cannot be looked at ({problem.strerror}). {remedy}") from problem
    return Path(name)


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file for reading bytes. Raises OSError also for a folder, a FIFO or a device, and does not wait for it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # NUL, half of a surrogate pair
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is a folder, FIFO or device", str(path))
    return os.fdopen(fd, "rb")


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the bytes of a file. Raises OSError as `open_regular` does, and if there are more than `most`."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise OSError(errno.EFBIG, f"it has {size} bytes, more than {most}", str(path))
        return file.read(most)
