"""Files for the user: whole, or as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyrepsim.core.errors import StoreError
from pyrepsim.core.outputs import replacing


def test_a_file_is_replaced_at_the_end(tmp_path: Path):
    path = tmp_path / "new" / "f.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert [entry.name for entry in path.parent.iterdir()] == ["f.txt"]


def test_what_fails_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "f.txt"
    path.write_text("old")
    with pytest.raises(ValueError, match="mine"), replacing(path) as temporary:
        temporary.write_text("half")
        raise ValueError("mine")
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_what_the_system_refuses_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/f\.txt was not \((Not a directory|File exists)\)\. Choose a path"):
        with replacing(tmp_path / "file" / "f.txt"):
            pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="folder was not"), replacing(tmp_path / "folder") as temporary:
        temporary.write_text("x")
    assert len(list(tmp_path.iterdir())) == 2
