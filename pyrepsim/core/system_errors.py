"""What a user can do about an error of the operating system: one table, for all messages."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

from .memory import format_bytes

__all__ = ["remedy"]

_REMEDIES = {
    errno.ENOSPC: "free some space ({space} left) or choose another disk",
    errno.EDQUOT: "remove some of your files, because your quota on this disk is used up, or choose another disk",
    errno.EFBIG: "choose another disk, because this one does not take files of that size",
    errno.EIO: "check the disk or the network: it reports that it fails (see dmesg)",
    errno.ESTALE: "check the network file system: the file was removed on the server",
    errno.EMFILE: "raise the number of files that one process may have open: ulimit -n (it is {limit} now)",
    errno.ENFILE: "close other programs: all processes together have as many files open as the machine allows",
    errno.ENOMEM: "free some memory, or raise the limit of memory of this process (ulimit -v)",
    errno.ENAMETOOLONG: "choose a shorter name or path",
    errno.EROFS: "choose a folder on a disk that is not mounted as read-only",
    errno.ELOOP: "give the path without symbolic links: one of them leads back to itself, or is not allowed here",
    errno.EISDIR: "give the path of a file: this is a folder",
}
_WRITING = {
    errno.EACCES: "choose a folder that you may write to, or change its permissions",
    errno.ENOENT: "check who removed or moved a part of that path",
    errno.ENOTDIR: "choose another path: a part of this one is a file",
    errno.EEXIST: "choose another path: there is a file where a folder should be",
}
_READING = {
    errno.EACCES: "change its permissions: you may not read it",
    errno.ENOENT: "check the path: there is nothing there",
    errno.ENOTDIR: "check the path: a part of it is a file",
    errno.ENXIO: "give the path of a regular file",
}


def remedy(error: OSError, path: str | os.PathLike[str], *, writing: bool) -> str:
    """Return what to do about an error at `path`, as a part of a sentence that begins with a verb.

    Examples
    --------
    >>> import errno
    >>> from pyrepsim.core.system_errors import remedy
    >>> remedy(OSError(errno.ENAMETOOLONG, "File name too long"), "x" * 300, writing=True)
    'choose a shorter name or path'
    """
    number = errno.EACCES if error.errno == errno.EPERM else error.errno
    table = _REMEDIES | (_WRITING if writing else _READING)
    text = table.get(number or 0, "check the path and the disk")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return text.format(space=_free_space(Path(path)), limit=limit)


def _free_space(path: Path) -> str:
    """Return the free space of the disk that holds `path`, or will hold it, as text."""
    for folder in (path, *path.absolute().parents):
        try:
            disk = os.statvfs(folder)
        except (OSError, ValueError):
            continue
        return format_bytes(disk.f_bavail * disk.f_frsize)
    return "an unknown amount"
