"""Files are complete, or as they were before; durable files have the bytes that were written, in pieces of any size."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
import xxhash

from pyrepsim.core import outputs
from pyrepsim.core.errors import StoreError
from pyrepsim.core.outputs import DurableFile, replacing

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
    with pytest.raises(StoreError, match=r"file/f\.txt was not \((Not a directory|File exists)\)\. Choose a path"):
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
