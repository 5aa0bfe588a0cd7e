"""Files are complete, or as they were before; durable files have the bytes that were written, in pieces of any size."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xxhash

from pyrepsim.core import outputs
from pyrepsim.core.errors import StoreError
from pyrepsim.core.outputs import DurableFile, replacing, sweep, temporary_folder

LARGE = 2 << 20
SIZES = [0, 1, 4095, LARGE - 4097, LARGE, 1, LARGE - 1, 3 * LARGE + 17, 5, 0, LARGE // 2]


def test_a_file_is_replaced_at_the_end(tmp_path: Path):
    path = tmp_path / "new" / "f.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert [entry.name for entry in path.parent.iterdir()] == ["f.txt"]


def test_after_an_error_the_old_file_stays(tmp_path: Path):
    path = tmp_path / "f.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="mine"), replacing(path) as temporary:
        temporary.write_text("half")
        raise ValueError("mine")
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_error_of_the_system_is_explained(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"f\.txt was not \((Not a directory|File exists)\)\. To continue, choose"):
        with replacing(tmp_path / "file" / "f.txt"):
            pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="folder was not"), replacing(tmp_path / "folder") as temporary:
        temporary.write_text("x")
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("most", [None, 300_001])
def test_pieces_of_any_size(tmp_path, monkeypatch, most):
    writev, ends = os.writev, []

    def watched(fd, parts):
        taken = writev(fd, parts) if most is None else os.write(fd, b"".join(parts)[:most])
        ends.append(os.lseek(fd, 0, os.SEEK_CUR))
        return taken

    monkeypatch.setattr(os, "writev", watched)
    data = np.random.default_rng(0).bytes(sum(SIZES))
    cuts = np.cumsum([0, *SIZES])
    with DurableFile(tmp_path / "x", head=b"h" * 4096) as file:
        for start, stop in itertools.pairwise(cuts):
            piece = bytearray(data[start:stop])
            file.write(piece)
            piece[:] = b"z" * len(piece)  # the caller's again
        file.finish()
    whole = b"h" * 4096 + data
    assert (tmp_path / "x").read_bytes() == whole
    assert (file.n_bytes, file.checksum()) == (len(whole), xxhash.xxh3_128_hexdigest(whole))
    if most is None:
        assert all(end % LARGE == 0 for end in ends[:-1])


@pytest.mark.parametrize("can_start", [True, False])
def test_the_disk_starts_writing_all_but_the_end_at_once(tmp_path, monkeypatch, can_start):
    calls = []
    start = (lambda fd, offset, n_bytes, flags: calls.append((offset, n_bytes))) if can_start else None
    monkeypatch.setattr(outputs, "_SYNC_FILE_RANGE", start)
    with DurableFile(tmp_path / "x", head=b"h" * 4096) as file:
        for _ in range(3):
            file.write(b"a" * (LARGE + 5))
        file.finish()
    assert (tmp_path / "x").stat().st_size == 4096 + 3 * (LARGE + 5)
    assert calls == ([(0, LARGE), (LARGE, LARGE), (2 * LARGE, LARGE)] if can_start else [])


@pytest.mark.parametrize("name", ["f.txt", "f" * 255, "\u00e9" * 127])
def test_temporary_names_are_random_fit_and_follow_no_link(tmp_path: Path, name: str):
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path, names = tmp_path / name, set()
    for fixed in (f".{name[:100]}.{os.getpid()}.tmp", f".tmp-{name[:100]}", f"{name[:100]}.tmp"):
        (tmp_path / fixed).symlink_to(victim)
    for _ in range(2):
        with replacing(path) as temporary:
            assert temporary.exists()
            assert not temporary.is_symlink()
            names.add(temporary.name)
            temporary.write_text("new")
        with DurableFile(path, head=b"whole") as file:
            names.add(file.temporary.name)
            file.finish()
    assert len(names) == 4
    assert path.read_bytes() == b"whole"
    assert victim.read_text() == "untouched"


LEAVE = """
import os, signal, sys
from pathlib import Path
from pyrepsim.core.outputs import DurableFile, replacing
with replacing(Path(sys.argv[1])) as temporary, DurableFile(Path(sys.argv[1])) as file:
    temporary.write_text("half")
    file.write(b"half")
    print("written", flush=True)
    if len(sys.argv) > 2:
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def temporaries(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name.startswith(".tmp-"))


def test_the_temporary_files_of_a_killed_process_are_swept_and_those_of_a_living_one_are_not(tmp_path: Path):
    command = [sys.executable, "-c", LEAVE, str(tmp_path / "f.txt")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as alive:
        assert alive.stdin
        assert alive.stdout
        assert alive.stdout.readline() == "written\n"
        living = temporaries(tmp_path)
        assert len(living) == 2
        assert subprocess.run([*command, "kill"], stdout=subprocess.DEVNULL, check=False).returncode == -9
        assert len(temporaries(tmp_path)) == 4
        with replacing(tmp_path / "other") as temporary:  # only those of the same file are looked at
            assert len(temporaries(tmp_path)) == 5
            temporary.write_text("x")
        with replacing(tmp_path / "f.txt") as temporary:
            temporary.write_text("x")
        assert temporaries(tmp_path) == living
        alive.stdin.close()
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize(("silent", "left"), [(0, 1), (10_000, 0)])
def test_without_locks_a_temporary_file_is_swept_once_it_is_silent(tmp_path: Path, monkeypatch, silent: int, left: int):
    monkeypatch.setattr("pyrepsim.core.locks._flock", lambda *_: "unlocked")
    (tmp_path / ".tmp-0123456789ab-f.txt").write_text("half")
    written = time.time() - silent
    os.utime(tmp_path / ".tmp-0123456789ab-f.txt", (written, written))
    sweep(tmp_path)
    assert len(temporaries(tmp_path)) == left


def test_sweeping_leaves_links_and_the_files_of_others(tmp_path: Path):
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / ".tmp-0123456789ab-link").symlink_to(tmp_path / "victim")
    (tmp_path / ".tmp-notes").write_text("mine")
    sweep(tmp_path)
    assert (tmp_path / "victim").read_text() == "untouched"
    assert len(temporaries(tmp_path)) == 2


def test_a_temporary_folder_is_removed_at_the_end_or_swept(tmp_path: Path):
    with temporary_folder(tmp_path) as place:
        (place / "f").write_text("x")
        sweep(tmp_path)
        assert (place / "f").exists()
    assert temporaries(tmp_path) == []
    (tmp_path / place.name / "inner").mkdir(parents=True)  # as a killed process leaves it
    sweep(tmp_path)
    assert temporaries(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, r"free some space \(\d.* left\)"),
        (errno.EDQUOT, "quota"),
        (errno.EIO, "dmesg"),
        (errno.EMFILE, r"ulimit -n \(it is \d+ now\)"),
        (errno.ENFILE, "close other programs"),
        (errno.ENAMETOOLONG, "choose a shorter name"),
        (errno.EROFS, "not mounted as read-only"),
        (errno.EACCES, "that you may write to"),
        (errno.EPERM, "that you may write to"),
        (errno.ELOOP, "without symbolic links"),
        (errno.EISDIR, "this is a folder"),
    ],
)
def test_each_error_of_the_system_has_its_own_advice(tmp_path: Path, number: int, advice: str):
    with pytest.raises(StoreError, match=advice), replacing(tmp_path / "f.txt"):
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []
