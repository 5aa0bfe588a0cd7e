"""Folders have one owner at a time: process, thread or worker; a late comer is refused at once, or waits."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pyrepsim.core import locks
from pyrepsim.core.errors import LockedError, OptionError, StoreError
from pyrepsim.core.ownership import LOCK, owning

OWNER = "import sys, time; from pyrepsim.core.ownership import owning\n"
OWNER += "with owning(sys.argv[1], member=(sys.argv[2:] or [None])[0]):\n"
OWNER += "    print('owned', flush=True); sys.stdin.read()"


class Owner:
    """Another process that owns a folder."""

    def __init__(self, folder: Path, *arguments: str):
        command = [sys.executable, "-c", OWNER, str(folder), *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        assert self.process.stdout.readline() == "owned\n"

    def __enter__(self) -> Owner:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.process.communicate()  # its input ends


@pytest.fixture(params=["flock", "no flock"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system with or without locks."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    if request.param == "no flock":
        monkeypatch.setattr("pyrepsim.core.locks.fcntl.flock", refuse)


def test_a_late_comer_is_refused_at_once_and_told_who_owns_the_folder(tmp_path: Path, file_system: None):
    with Owner(tmp_path) as other:
        started = time.monotonic()
        with pytest.raises(LockedError) as caught, owning(tmp_path):
            pass
        assert time.monotonic() - started < 1
        message = str(caught.value)
        assert re.search(rf"{tmp_path} is in use by process {other.process.pid} on \S+, since \d{{4}}-", message)
        assert "wait=SECONDS" in message
        assert "--wait" in message
    with owning(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_it_waits_as_long_as_it_is_told(tmp_path: Path, file_system: None):
    with Owner(tmp_path) as other:
        started = time.monotonic()
        with pytest.raises(LockedError), owning(tmp_path, wait=0.3):
            pass
        assert 0.3 <= time.monotonic() - started < 2
        threading.Timer(0.3, other.stop).start()
        with owning(tmp_path, wait=30):
            assert other.process.poll() is not None


@pytest.mark.parametrize("wait", [-1, float("nan"), "10", True])
def test_wait_is_a_number_of_seconds(tmp_path: Path, wait):
    with pytest.raises(OptionError, match="wait must be a number of seconds"), owning(tmp_path, wait=wait):
        pass


def test_a_killed_owner_is_no_owner(tmp_path: Path, file_system: None):
    other = Owner(tmp_path)
    other.process.send_signal(signal.SIGKILL)
    other.stop()
    assert (tmp_path / LOCK).exists()
    with owning(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def test_the_owner_owns_it_in_calls_inside_but_its_threads_and_children_do_not(tmp_path: Path, file_system: None):
    refused: list[BaseException] = []

    def try_it() -> None:
        try:
            with owning(tmp_path):
                pass
        except LockedError as error:
            refused.append(error)

    (tmp_path / "link").symlink_to(tmp_path)
    with owning(tmp_path):
        with owning(tmp_path / "link"):
            pass
        assert (tmp_path / LOCK).exists()
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
        assert len(refused) == 1
        child = os.fork()
        if child == 0:
            try_it()
            os._exit(len(refused))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    try_it()
    assert len(refused) == 1


def test_a_child_of_the_owner_neither_keeps_nor_ends_the_lock(tmp_path: Path):
    go, ready = os.pipe(), os.pipe()
    parent = os.fork()
    if parent == 0:
        with owning(tmp_path):
            child = os.fork()
            if child == 0:
                os.write(ready[1], b"%d\n" % os.getpid())
                os.read(go[0], 1)
                # the with-block ends here in the child too
            else:
                time.sleep(60)
        os._exit(0)
    os.read(ready[0], 20)
    with pytest.raises(LockedError), owning(tmp_path):
        pass
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    with owning(tmp_path):  # though the child lives
        os.write(go[1], b"x")
        time.sleep(0.2)
        assert (tmp_path / LOCK).exists()


def test_workers_share_a_folder_and_exclude_a_single_owner(tmp_path: Path, file_system: None):
    with Owner(tmp_path, "0-of-2") as first:
        with owning(tmp_path, member="1-of-2"):
            pass
        for member in (None, "0-of-2"):
            with pytest.raises(LockedError, match=f"process {first.process.pid} "), owning(tmp_path, member=member):
                pass
        first.process.kill()
    with owning(tmp_path):  # sweeps the file of the killed worker
        assert [path.name for path in tmp_path.glob(".lock*")] == [LOCK]
    with Owner(tmp_path), pytest.raises(LockedError), owning(tmp_path, member="0-of-2"):
        pass
    assert not list(tmp_path.glob(".lock*"))


def test_a_folder_that_its_last_owner_removes_while_it_is_taken_over_is_created_again(tmp_path: Path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    def retire_and_remove(path: Path, fd: int) -> None:
        retire(path, fd)
        path.parent.rmdir()
        monkeypatch.setattr(locks, "_retire", retire)

    retire, folder = locks._retire, tmp_path / "out"
    monkeypatch.setattr("pyrepsim.core.locks.fcntl.flock", refuse)
    monkeypatch.setattr(locks, "_retire", retire_and_remove)
    folder.mkdir()
    with Owner(folder) as other:
        other.process.kill()
        other.process.wait()
    assert (folder / LOCK).exists()
    with owning(folder):
        assert (folder / LOCK).exists()
    assert locks._retire is retire


def test_of_many_that_start_together_one_owns_the_folder(tmp_path: Path, file_system: None):
    for trial in range(10):
        folder, start, children = tmp_path / str(trial), time.time() + 0.05, []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                code = 3
                time.sleep(max(0.0, start - time.time()))
                try:
                    with owning(folder):
                        os.close(os.open(folder / "mine", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                        time.sleep(0.05)
                        (folder / "mine").unlink()
                    code = 0
                except LockedError:
                    code = 2
                finally:
                    os._exit(code)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert set(codes) <= {0, 2}
        assert 0 in codes


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file is a file"), owning(tmp_path / "file"):
        pass

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("pyrepsim.core.locks.os.open", refuse)
    with pytest.raises(StoreError, match="not mounted as read-only"), owning(tmp_path):
        pass


def test_a_new_folder_stays_only_if_something_was_written(tmp_path: Path):
    with pytest.raises(ValueError, match="mine"), owning(tmp_path / "a" / "b"):
        raise ValueError("mine")
    assert not (tmp_path / "a" / "b").exists()
    with owning(tmp_path / "c"):
        (tmp_path / "c" / "f").write_text("")
    assert (tmp_path / "c" / "f").exists()
