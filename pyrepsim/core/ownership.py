"""Exclusive ownership of a folder, for every command that writes to one.

The owner has the file ``.lock`` in the folder, and workers that share a folder have ``.lock-<worker>``; see `locks`.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import LockedError, OptionError
from .locks import own, owner
from .outputs import explain_errors, is_working_file, sweep

__all__ = ["LOCK", "empty_folder", "owning", "sweep_locks"]

LOCK = ".lock"
"""Name of the lock file of a folder; the names of those of workers begin with it."""

_here = threading.local()
os.register_at_fork(after_in_child=lambda: _here.__dict__.clear())  # a child does not own what its parent does


@contextmanager
def owning(
    folder: str | os.PathLike[str],
    *,
    wait: float | None = None,
    member: str | None = None,
    request: str | None = None,
) -> Iterator[None]:
    """Own a folder for the length of a with-block: no other process, and no other thread, writes to it.

    Parameters
    ----------
    folder : path
        The folder; it is created if necessary. A call inside the with-block, in the same thread, owns it already.
    wait : float, optional
        Seconds to wait for another owner. None: do not wait.
    member : str, optional
        The name of one of several workers that share the folder. Only a worker of the same name, or one that wants the
        folder alone, is another owner for it.
    request : str, optional
        The digest of what the workers do. A worker with another one is another owner too.

    Raises
    ------
    LockedError
        If another process owns the folder; the message names it.
    StoreError
        If the folder cannot be written.

    Examples
    --------
    >>> from pyrepsim.core.ownership import owning
    >>> from pathlib import Path
    >>> from pyrepsim.core.outputs import write_durably
    >>> with owning("owned"):
    ...     write_durably(Path("owned/table.csv"), b"layer,score")
    >>> [path.name for path in Path("owned").iterdir()]
    ['table.csv']
    """
    root = Path(folder)
    if wait is not None and (isinstance(wait, bool) or not isinstance(wait, int | float) or not wait >= 0):
        raise OptionError(f"wait must be a number of seconds, 0 or more: got {wait!r}.")
    key = os.path.realpath(root)
    folders: set[str] = _here.__dict__.setdefault("folders", set())
    if key in folders:
        yield
        return
    created = not os.path.lexists(root)
    pid, pause, deadline = os.getpid(), 0.02, time.monotonic() + (wait or 0.0)
    with ExitStack() as stack:
        if created:
            stack.callback(_remove_if_empty, root, pid)
        while (other := _take(stack, root, member, request)) is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _locked(root, other, member)
            time.sleep(min(pause, left))
            pause = min(1.0, 1.5 * pause)
        sweep(root)
        folders.add(key)
        try:
            yield
        finally:
            folders.discard(key)


def empty_folder(folder: Path) -> None:
    """Remove everything in a folder that we own, except its lock."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif not is_working_file(entry.name):
            entry.unlink()


def _remove_if_empty(folder: Path, pid: int) -> None:
    if os.getpid() == pid:
        with suppress(OSError):
            folder.rmdir()


def _take(stack: ExitStack, root: Path, member: str | None, request: str | None) -> dict[str, Any] | None:
    """Own the folder until the stack is closed and return None, or return who owns it."""
    path = root / (LOCK if member is None else f"{LOCK}-{member}")
    with explain_errors(root, task="Writing to the folder", kept="finished steps are skipped"):
        for _ in range(5):  # one who only looks at a lock file holds it for a moment
            with ExitStack() as inner:
                if inner.enter_context(own(path, request=request)):
                    other = _other_owner(root, path, member, request)
                    if other is None:
                        stack.enter_context(inner.pop_all())
                    return other
            if (other := owner(path)) is not None:
                return other
            time.sleep(0.01)
    return {}


def _other_owner(root: Path, ours: Path, member: str | None, request: str | None) -> dict[str, Any] | None:
    """Return who else owns the folder, or None; a single owner removes the files of dead workers."""
    for path in sorted(root.glob(f"{LOCK}*")):
        if path == ours:
            continue
        other = owner(path)
        if other is None and member is None:
            with own(path) as dead:
                other = None if dead else owner(path) or {}
        if other is not None and (member is None or path.name == LOCK or other.get("request") != request):
            return other
    return None


def _locked(root: Path, other: dict[str, Any], member: str | None) -> LockedError:
    who = "another process"
    if other:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(other["since"]))
        who = f"process {other['pid']} on {other['host']}, since {since}"
    workers = "" if member is None else f" Workers that share a folder need different numbers: this is {member}."
    return LockedError(
        f"One process at a time writes to a folder: {root} is in use by {who}. Wait for it (wait=SECONDS, or --wait "
        f"SECONDS on the command line), stop it, or choose another folder.{workers}"
    )


def sweep_locks(folder: Path) -> None:
    """Remove the lock files that killed processes left in a finished folder, where this is possible."""
    for path in folder.glob(f"{LOCK}*"):
        with suppress(OSError), own(path):
            pass
