"""Locks on files: one process at a time. The lock of a process ends with the process, even if it is killed.

`lock` takes an ``flock`` on a file. The kernel releases it when the process ends, so it is never stale: not in another
container on the machine, and not after a restart. `own` also writes the name of the owner into the file, and renews the
file's time every half minute. This decides where ``flock`` cannot: between hosts, and on file systems without locks.

The package filelock (version 4) is not used. Its lock with the name of the owner, SoftFileLease, does not use
``flock``: if a process in another container was killed, its lock would stay until a time limit.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

__all__ = ["SILENCE", "LockState", "lock", "own", "owner"]

LockState = Literal["held", "busy", "unlocked"]

SILENCE = 600.0
"""Seconds after which an owner on another host that has not renewed its lock file is taken for dead."""

_RENEW_SECONDS = 30.0
_NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL)


@contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[LockState]:
    """Lock the file `path` for the length of a with-block.

    Parameters
    ----------
    path : Path
        The lock file, in a folder that exists. It is created, and removed at the end.
    wait : bool
        Wait until the lock is free; otherwise return immediately.

    Yields
    ------
    {"held", "busy", "unlocked"}
        "held": no other process has the lock. "busy": another one has it. "unlocked": this file system has no locks.
    """
    fd, state, _ = _open_locked(path, wait)
    try:
        yield state
    finally:
        if state != "busy":
            path.unlink(missing_ok=True)
        os.close(fd)


@contextmanager
def own(path: Path, *, silence: float = SILENCE) -> Iterator[bool]:
    """Own the file `path` for the length of a with-block, unless another process does.

    Parameters
    ----------
    path : Path
        The lock file; its folder is created if necessary. It is removed at the end.
    silence : float
        Seconds after which a silent owner on another host is taken for dead.

    Yields
    ------
    bool
        Whether we own it. False if another process does. The file of a dead owner is taken over.

    Examples
    --------
    >>> from pathlib import Path
    >>> from pyrepsim.core.locks import own, owner
    >>> with own(Path("cell/.lock")) as ours:
    ...     print(ours, sorted(owner(Path("cell/.lock"))))
    True ['host', 'pid', 'since']
    >>> owner(Path("cell/.lock")) is None
    True
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, state, created = _open_locked(path, wait=False)
    try:
        ours = state != "busy"
        if ours and not created and _is_alive(path, state, silence):
            ours = False
        elif ours and not created and state == "unlocked":  # only one process can create it anew
            path.unlink(missing_ok=True)
            new, ours = _open(path)
            os.close(fd)
            fd = new
        if not ours:
            yield False
            return
        record = _write_owner(fd)
        stop = threading.Event()
        renewal = threading.Thread(target=_renew, args=(path, record, stop), daemon=True)
        renewal.start()
        try:
            yield True
        finally:
            stop.set()
            renewal.join()
            if _has(path, record):
                path.unlink(missing_ok=True)
    finally:
        os.close(fd)


def owner(path: Path, *, silence: float = SILENCE) -> dict[str, Any] | None:
    """Return who owns the file `path` ("host", "pid" and "since"), or None if nobody does."""
    try:
        with path.open("rb") as file:
            record = json.load(file)
            name = {key: record[key] for key in ("host", "pid", "since")}
            state = _flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
            alive = state == "busy" or _is_alive(path, state, silence, now=time.time())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if alive else None


def _open_locked(path: Path, wait: bool) -> tuple[int, LockState, bool]:
    """Return a descriptor of the lock file, the state of the lock, and whether this call created the file."""
    while True:
        fd, created = _open(path)
        try:
            state = _flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if state == "busy" or _is_at(fd, path):
                return fd, state, created
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # its owner removed the file between our open and our lock: try the new one


def _open(path: Path) -> tuple[int, bool]:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_EXCL, 0o666), True
    except FileExistsError:
        return os.open(path, flags, 0o666), False


def _flock(fd: int, operation: int) -> LockState:
    try:
        fcntl.flock(fd, operation)
    except BlockingIOError:
        return "busy"
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return "unlocked"
    return "held"


def _is_at(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False


def _write_owner(fd: int) -> bytes:
    pid = os.getpid()
    record = {"host": socket.gethostname(), "boot": _boot(), "pid_namespace": _pid_namespace(), "pid": pid}
    data = json.dumps({**record, "started": _started(pid), "since": time.time()}).encode()
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)
    return data


def _has(path: Path, record: bytes) -> bool:
    """Whether the file still names this owner: a silent one may have been replaced by a process on another host."""
    try:
        return path.read_bytes() == record
    except OSError:
        return False


def _is_alive(path: Path, state: LockState, silence: float, now: float | None = None) -> bool:
    """Whether the owner that the file names still runs, given that its ``flock`` did not stop us.

    On the same machine a lock that is free has no owner. Without locks the process itself is looked up, if its number
    means the same here. From another machine, the time of the file decides.
    """
    try:
        renewed = path.stat().st_mtime
        record = json.loads(path.read_text())
        host, pid = record["host"], int(record["pid"])
        boot, namespace, started = (record.get(key) for key in ("boot", "pid_namespace", "started"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        if state == "held":
            return False  # the owner died before it had written its name
    else:
        if boot != _boot() and host == socket.gethostname():
            return False  # the machine was restarted
        if boot == _boot() and state == "held":
            return False
        if boot == _boot() and namespace == _pid_namespace():
            return _exists(pid) and _started(pid) == started
    return (_clock_of(path.parent) if now is None else now) - renewed <= silence


def _clock_of(folder: Path) -> float:
    """The time on the file system's own clock, which all hosts share."""
    with tempfile.NamedTemporaryFile(prefix=".tmp-", dir=folder) as file:
        os.utime(file.fileno())
        return os.fstat(file.fileno()).st_mtime


def _boot() -> str:
    """An identifier of the running kernel: equal in all its containers, another after a restart (on Linux)."""
    return _read("/proc/sys/kernel/random/boot_id") or socket.gethostname()


def _pid_namespace() -> str | None:
    """An identifier of the container within which process numbers are unique. None where there is no Linux."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a process started, in ticks since boot: tells apart two processes with the same number."""
    fields = (_read(f"/proc/{pid}/stat") or "").rpartition(")")[2].split()
    return fields[19] if fields and fields[0] != "Z" else None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # a process of another user
    return True


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None


def _renew(path: Path, record: bytes, stop: threading.Event) -> None:
    while not stop.wait(_RENEW_SECONDS) and _has(path, record):
        with suppress(OSError):
            os.utime(path)
