"""Locks: one process at a time; the lock of a dead process is free."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from pyrepsim.core import locks
from pyrepsim.core.locks import lock, own, owner

OWNER = "import sys, time; from pathlib import Path; from pyrepsim.core.locks import own\n"
OWNER += "with own(Path(sys.argv[1])) as ours:\n    print(ours, flush=True); time.sleep(60)"


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without locks."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("pyrepsim.core.locks.fcntl.flock", refuse)


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_lock_file_that_is_removed_before_it_is_locked_is_created_again(tmp_path, monkeypatch):
    flock, locked = locks._flock, []

    def late(fd, operation):
        if not locked:
            (tmp_path / "x").unlink()  # as its last owner does
        locked.append(fd)
        return flock(fd, operation)

    monkeypatch.setattr(locks, "_flock", late)
    with lock(tmp_path / "x") as state:
        assert state == "held"
        assert len(locked) == 2
        with lock(tmp_path / "x") as other:
            assert other == "busy"
    assert not (tmp_path / "x").exists()


def test_a_folder_that_its_owner_removes_while_it_is_created_is_created_again(tmp_path, monkeypatch):
    make, calls = os.mkdir, []

    def mkdir(path, *arguments, **options):
        calls.append(path)
        if len(calls) == 1:  # it was there, and is not there any more
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        return make(path, *arguments, **options)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with own(tmp_path / "out" / ".lock") as ours:
        assert ours
    assert len(calls) == 2
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError), own(tmp_path / "file" / ".lock"):
        pass


def test_without_locks_the_state_is_unlocked(tmp_path, no_flock):
    with lock(tmp_path / "x") as state:
        assert state == "unlocked"


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path):
    path = tmp_path / "steps" / "x" / ".lock"
    path.parent.mkdir(parents=True)
    here = {"host": socket.gethostname(), "boot": locks._boot(), "pid_namespace": locks._pid_namespace()}
    path.write_text(json.dumps({**here, "pid": dead_pid(), "started": "1", "since": 0}))
    assert owner(path) is None
    with own(path) as ours:
        assert ours
        assert (owner(path) or {})["pid"] == os.getpid()
        with own(path) as again:
            assert not again
    assert not path.exists()


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path):
    path = tmp_path / ".lock"
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert (owner(path) or {})["pid"] == process.pid
    with own(path) as ours:
        assert not ours
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert path.exists()
    assert owner(path) is None
    with own(path) as ours:
        assert ours


@pytest.mark.parametrize(("silent", "taken"), [(0, False), (10_000, True)])
def test_a_lock_of_another_host_is_taken_over_once_it_is_silent(tmp_path: Path, silent: float, taken: bool):
    path = tmp_path / ".lock"
    path.write_text(json.dumps({"host": "another-host", "pid": 1, "started": None, "since": 0}))
    renewed = time.time() - silent
    os.utime(path, (renewed, renewed))
    assert (owner(path) is None) == taken
    with own(path) as ours:
        assert ours == taken
    assert path.exists() == (not taken)
    assert {entry.name for entry in tmp_path.iterdir()} <= {".lock"}


@pytest.mark.parametrize("taken", [False, True])
def test_without_locks_a_process_of_this_container_is_looked_up(tmp_path: Path, no_flock: None, taken: bool):
    path = tmp_path / ".lock"
    if not taken:
        with own(path) as ours, own(path) as again:
            assert ours
            assert not again
            assert owner(path)
        return
    here = {"host": socket.gethostname(), "boot": locks._boot(), "pid_namespace": locks._pid_namespace()}
    path.write_text(json.dumps({**here, "pid": os.getpid(), "started": "an earlier time", "since": 0}))
    assert owner(path) is None
    with own(path) as ours:
        assert ours
    assert not path.exists()


@pytest.mark.parametrize(("silent", "taken"), [(0, False), (10_000, True)])
def test_without_locks_the_process_numbers_of_another_container_mean_nothing(
    tmp_path: Path, no_flock: None, silent: float, taken: bool
):
    path = tmp_path / ".lock"
    record = {"host": "container", "boot": locks._boot(), "pid_namespace": "pid:[1]", "pid": dead_pid(), "since": 0}
    path.write_text(json.dumps(record))
    renewed = time.time() - silent
    os.utime(path, (renewed, renewed))
    with own(path) as ours:
        assert ours == taken


@pytest.mark.parametrize("flock", [False, True])
@pytest.mark.parametrize("restarted", [True, False])
def test_after_a_restart_locks_are_free_but_not_those_of_another_machine_of_that_name(
    tmp_path: Path, request: pytest.FixtureRequest, restarted: bool, flock: bool
):
    if not flock:
        request.getfixturevalue("no_flock")
    path = tmp_path / ".lock"
    record = {"host": socket.gethostname(), "boot": "another", "pid": os.getpid(), "started": None, "since": 0}
    path.write_text(json.dumps({**record, "started": locks._started(os.getpid())}))
    renewed = locks._boot_time() - 5 if restarted else time.time() - 5
    os.utime(path, (renewed, renewed))
    with own(path) as ours:
        assert ours == restarted


def test_a_half_written_lock_file_has_no_owner(tmp_path: Path):
    (tmp_path / ".lock").write_text('{"host": "')
    assert owner(tmp_path / ".lock") is None
    with own(tmp_path / ".lock") as ours:
        assert ours


def test_an_owner_that_was_replaced_leaves_the_new_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(locks, "_RENEW_SECONDS", 0.01)
    path = tmp_path / ".lock"
    with own(path) as ours:
        assert ours
        path.write_text("another owner")
        os.utime(path, (0, 0))
        time.sleep(0.1)
        assert path.stat().st_mtime == 0
    assert path.read_text() == "another owner"


def test_the_file_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(locks, "_RENEW_SECONDS", 0.01)
    with own(tmp_path / ".lock"):
        os.utime(tmp_path / ".lock", (0, 0))
        deadline = time.time() + 10
        while (tmp_path / ".lock").stat().st_mtime == 0 and time.time() < deadline:
            time.sleep(0.01)
        assert (tmp_path / ".lock").stat().st_mtime > 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, PermissionError])
def test_a_lock_file_that_cannot_be_removed_is_free_afterwards(tmp_path, monkeypatch, error):
    path = tmp_path / ".lock"

    def refuse(*_, **__):
        raise error

    for take in (lock, own):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            with pytest.raises(KeyboardInterrupt) if error is KeyboardInterrupt else nullcontext():
                with take(path):
                    pass
        with take(path) as state:
            assert state in ("held", True)
        assert not path.exists()
