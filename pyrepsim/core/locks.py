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
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

__all__ = ["SILENCE", "LockState", "lock", "lock_descriptor", "own", "owner"]

LockState = Literal["held", "busy", "unlocked"]

SILENCE = 600.0
"""Seconds after which an owner on another host that has not renewed its lock file is taken for dead."""

_RENEW_SECONDS = 30.0
_LARGEST = 4096  # bytes of a lock file
_NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL)

_descriptors: set[int] = set()


def _close_in_child() -> None:
    """A child process does not keep the locks of its parent: they would outlive the parent."""
    for fd in _descriptors:
        with suppress(OSError):
            os.close(fd)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_in_child)


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
    pid = os.getpid()
    fd, state, _ = _open_locked(path, wait)
    try:
        yield state
    finally:
        if os.getpid() == pid:
            try:
                if state != "busy":
                    _remove(path)
            finally:
                _close(fd)  # or this process would wait for itself the next time


@contextmanager
def own(path: Path, *, silence: float = SILENCE, request: str | None = None) -> Iterator[bool]:
    """Own the file `path` for the length of a with-block, unless another process does.

    Parameters
    ----------
    path : Path
        The lock file; its folder is created if necessary. It is removed at the end.
    silence : float
        Seconds after which a silent owner on another host is taken for dead.
    request : str, optional
        What the owner does, for others to read.

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
    True ['host', 'pid', 'request', 'since']
    >>> owner(Path("cell/.lock")) is None
    True
    """
    pid = os.getpid()
    fd, state, created = _open_locked(path, wait=False, make_folder=True)
    try:
        ours = state != "busy"
        if ours and not created:
            try:
                ours = not _is_alive(fd, path, state, silence)
                if ours and state == "unlocked":  # only one process can create it anew
                    _retire(path, fd)
                    new = _create(path)
                    ours = new is not None
                    if new is not None:
                        _close(fd)
                        fd = new
            except FileNotFoundError:  # its last owner has removed the folder
                ours = False
        if not ours:
            yield False
            return
        record = _write_owner(fd, request)
        stop = threading.Event()
        renewal = threading.Thread(target=_renew, args=(path, record, stop), daemon=True)
        renewal.start()
        try:
            yield True
        finally:
            if os.getpid() == pid:
                stop.set()
                renewal.join()
                if _has(path, record):
                    _remove(path)
    finally:
        if os.getpid() == pid:
            _close(fd)


def owner(path: Path, *, silence: float = SILENCE) -> dict[str, Any] | None:
    """Return who owns the file `path` ("host", "pid", "since" and "request"), or None if nobody does."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            record = json.loads(os.pread(fd, _LARGEST, 0))
            name = {"host": str(record["host"]), "pid": int(record["pid"]), "since": float(record["since"])}
            name["request"] = record.get("request")
            state = _flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            alive = state == "busy" or _is_alive(fd, path, state, silence, now=time.time())
        finally:
            os.close(fd)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    return name if alive else None


def lock_descriptor(fd: int, path: Path) -> LockState:
    """Lock an open file until it is closed; "busy" also if it does not have the name `path` any more."""
    state = _flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return state if _is_at(fd, path) else "busy"


def _open_locked(path: Path, wait: bool, make_folder: bool = False) -> tuple[int, LockState, bool]:
    """Return a descriptor of the lock file, the state of the lock, and whether this call created the file."""
    while True:
        try:
            if make_folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            created = (fd := _create(path)) is not None
        except FileNotFoundError:
            if not make_folder or path.parent.is_symlink():
                raise
            continue  # its last owner removed the folder in the meantime
        except FileExistsError:  # by mkdir
            if os.path.lexists(path.parent) and not path.parent.is_dir():
                raise
            continue  # its last owner removed the folder just after mkdir had met it
        if fd is None:
            try:
                fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # its owner has removed the file
            _descriptors.add(fd)
        try:
            state = _flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if state == "busy" or _is_at(fd, path):
                return fd, state, created
        except BaseException:
            _close(fd)
            raise
        _close(fd)  # its owner removed the file between our open and our lock: try the new one


def _create(path: Path) -> int | None:
    """Return a descriptor of a new file, or None if there is a file."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return None
    _descriptors.add(fd)
    return fd


def _close(fd: int) -> None:
    _descriptors.discard(fd)
    os.close(fd)


def _remove(path: Path) -> None:
    """Remove a lock file. One that stays does no harm: it is not locked, and the next owner takes it over."""
    with suppress(OSError):
        path.unlink()


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


def _write_owner(fd: int, request: str | None) -> bytes:
    pid = os.getpid()
    record = {"host": socket.gethostname(), "boot": _boot(), "pid_namespace": _pid_namespace(), "pid": pid}
    data = json.dumps({**record, "started": _started(pid), "since": time.time(), "request": request}).encode()
    os.ftruncate(fd, 0)
    os.pwrite(fd, data, 0)
    return data


def _has(path: Path, record: bytes) -> bool:
    """Whether the file still names this owner: a silent one may have been replaced by a process on another host."""
    try:
        return path.read_bytes() == record
    except OSError:
        return False


def _is_alive(fd: int, path: Path, state: LockState, silence: float, now: float | None = None) -> bool:
    """Whether the owner that the open file names still runs, given that its ``flock`` did not stop us.

    On the same machine a lock that is free has no owner. Without locks the process itself is looked up, if its number
    means the same here. From another machine, the time of the file decides.
    """
    renewed = os.fstat(fd).st_mtime
    try:
        record = json.loads(os.pread(fd, _LARGEST, 0))
        host, pid = record["host"], int(record["pid"])
        boot, namespace, started = (record.get(key) for key in ("boot", "pid_namespace", "started"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        if state == "held":
            return False  # the owner died before it had written its name
    else:
        if boot == _boot() and state == "held":
            return False
        if boot == _boot() and namespace == _pid_namespace():
            return _exists(pid) and _started(pid) in (started, "unknown")
        if host == socket.gethostname() and renewed < _boot_time():
            return False  # the machine was restarted since; another machine of that name would have renewed the file
    return (_clock_of(path.parent) if now is None else now) - renewed <= silence


def _retire(path: Path, fd: int) -> None:
    """Remove the open file of a dead owner. If another process has replaced it in the meantime, that file stays."""
    aside = path.with_name(f".tmp-{secrets.token_hex(6)}-{path.name}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if not _is_at(fd, aside):
            with suppress(OSError):
                os.link(aside, path)
        aside.unlink()


def _clock_of(folder: Path) -> float:
    """The time on the file system's own clock, which all hosts share."""
    path = folder / f".tmp-{secrets.token_hex(6)}-clock"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.utime(fd)
        return os.fstat(fd).st_mtime
    finally:
        os.close(fd)
        path.unlink(missing_ok=True)


def _boot() -> str:
    """An identifier of the running kernel: equal in all its containers, another after a restart (on Linux)."""
    return _read("/proc/sys/kernel/random/boot_id") or socket.gethostname()


def _boot_time() -> float:
    """When this machine was started, in seconds since 1970; 0 where this is unknown."""
    for line in (_read("/proc/stat") or "").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _pid_namespace() -> str | None:
    """An identifier of the container within which process numbers are unique. None where there is no Linux."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a process started, in ticks since boot: tells apart two processes with the same number.

    None for a process that has ended, "unknown" where the system does not say.
    """
    text = _read(f"/proc/{pid}/stat")
    if text is None:
        return "unknown"
    fields = text.rpartition(")")[2].split()
    return fields[19] if fields and fields[0] not in ("Z", "X") else None


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
