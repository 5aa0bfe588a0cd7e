"""Claims: one worker a cell. A claim is a file that says who works; it dies with its process, or falls silent."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["CLAIM", "SILENCE", "claim", "guarded", "holder"]

SILENCE = 600.0  # seconds without a sign of life after which a claim on another host is stale
_BEAT = 30.0
CLAIM = ".claim"
"""The file in a folder that is claimed."""


@contextmanager
def guarded(root: Path) -> Iterator[float]:
    """One process at a time is in here; yields the file system's clock, which other hosts share."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".guard").open("w") as file:
        with suppress(OSError):  # no locks on this file system: a claim is still made by one process alone (O_EXCL)
            fcntl.flock(file, fcntl.LOCK_EX)
        os.utime(file.fileno())
        yield os.fstat(file.fileno()).st_mtime


@contextmanager
def claim(root: Path, folder: Path, *, silence: float = SILENCE) -> Iterator[bool]:
    """Yield whether `folder` is ours until the end of the block; a stale claim on it is taken over."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CLAIM
    with guarded(root) as now:
        if _stale(path, now, silence):
            path.unlink(missing_ok=True)
        ours = _create(path)
    if not ours:
        yield False
        return
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(path, stop), daemon=True)
    heart.start()
    try:
        yield True
    finally:
        stop.set()
        heart.join()
        path.unlink(missing_ok=True)


def holder(folder: Path, now: float | None = None, *, silence: float = SILENCE) -> dict[str, Any] | None:
    """Who works on `folder` ("host", "pid", "since"), or None if nobody does."""
    path = folder / CLAIM
    try:
        told = json.loads(path.read_text())
        if _stale(path, time.time() if now is None else now, silence):
            return None
        return {"host": told["host"], "pid": told["pid"], "since": told["since"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _create(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC)
    except FileExistsError:
        return False
    with os.fdopen(fd, "w") as file:
        pid = os.getpid()
        json.dump({"host": socket.gethostname(), "pid": pid, "began": _began(pid), "since": time.time()}, file)
    return True


def _stale(path: Path, now: float, silence: float) -> bool:
    """Whether the claim's process is gone, as far as this host can tell, or was silent for too long."""
    try:
        told, heard = json.loads(path.read_text()), path.stat().st_mtime
        host, pid, began = told["host"], int(told["pid"]), told["began"]
    except FileNotFoundError:
        return False
    except (OSError, ValueError, KeyError, TypeError):
        # Killed between making and filling it; the maker holds the guard for as long as that takes.
        return True
    if host == socket.gethostname() and (not _alive(pid) or began != _began(pid)):
        return True
    return now - heard > silence


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _began(pid: int) -> str | None:
    """When the process started, in ticks since boot: a number given anew is not the same process. None off Linux."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _beat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(_BEAT):
        try:
            os.utime(path)
        except OSError:
            return  # taken over or removed: the work goes on, and is done twice at worst
