"""States: damage is found before anything is read, a damaged state is set aside, and the one before it is used."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest

from pyrepsim.core.errors import CorruptStoreError, StoreError
from pyrepsim.core.states import (
    MANIFEST,
    check_files,
    load_state,
    open_sealed,
    save_state,
    set_aside,
    write_manifest,
    write_sealed,
)

REQUEST = {"seed": 0, "layers": ["a", "b"]}


def save(path: Path, state: Any, request: dict[str, Any] = REQUEST) -> None:
    save_state(path, lambda file: pickle.dump(state, file), request)


def load(path: Path, request: dict[str, Any] = REQUEST) -> Any:
    return load_state(path, request, pickle.load)


def flipped(content: bytes, bit: int) -> bytes:
    return content[: bit // 8] + bytes([content[bit // 8] ^ 1 << bit % 8]) + content[bit // 8 + 1 :]


def test_a_state_is_read_as_it_was_written(tmp_path: Path):
    path = tmp_path / "new" / "state"
    assert load(path) is None
    for step in range(3):
        save(path, {"step": step})
        assert load(path) == {"step": step}
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["state", "state.previous"]


def test_every_flipped_bit_and_every_cut_is_found(tmp_path: Path):
    path = tmp_path / "state"
    write_sealed(path, lambda file: file.write(b"sums"), REQUEST)
    content = path.read_bytes()
    damaged = [flipped(content, bit) for bit in range(8 * len(content))]
    damaged += [content[:n] for n in range(len(content))]
    damaged += [content + b"\0", content[:4] + content, content[4:]]
    for one in damaged:
        path.write_bytes(one)
        with pytest.raises(CorruptStoreError, match="must be complete and as it was written"), open_sealed(path):
            pass
    path.write_bytes(content)
    with open_sealed(path) as (request, file):
        assert (request, file.read()) == (REQUEST, b"sums")


def test_the_payload_is_a_file_of_its_own(tmp_path: Path):
    write_sealed(tmp_path / "state", lambda file: file.write(bytes(range(100))), REQUEST)
    with open_sealed(tmp_path / "state") as (_, file):
        assert file.seek(-10, os.SEEK_END) == 90
        assert file.read() == bytes(range(90, 100))
        assert file.seek(3) == 3
        assert file.read(2) == b"\x03\x04"
        assert file.seek(200) == 200
        assert file.read() == b""


def test_a_damaged_state_is_set_aside_and_the_one_before_it_used(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "state"
    for step in range(2):
        save(path, step)
    for name, left in (("state", 0), ("state.previous", None)):
        damaged = flipped((tmp_path / name).read_bytes(), random.Random(0).randrange(100))
        (tmp_path / name).write_bytes(damaged)
        caplog.clear()
        assert load(path) == left
        assert f"renamed to {name}.damaged-1" in caplog.text
        assert ("starts from the beginning" in caplog.text) == (left is None)
        assert (tmp_path / f"{name}.damaged-1").read_bytes() == damaged
    assert load(path) is None


@pytest.mark.parametrize("payload", [b"", b"\x80\x05", b"not a pickle", b"(lp0\n"])
def test_what_cannot_be_read_is_damaged(tmp_path: Path, payload: bytes, caplog: pytest.LogCaptureFixture):
    save_state(tmp_path / "state", lambda file: file.write(payload), REQUEST)
    assert load(tmp_path / "state") is None
    assert "cannot be read" in caplog.text


def test_a_state_of_another_request_is_refused(tmp_path: Path):
    save(tmp_path / "state", 1, {**REQUEST, "seed": 1})
    with pytest.raises(StoreError, match=r"state differs in seed \(1 before, 0 now\)"):
        load(tmp_path / "state")
    assert load(tmp_path / "state", {**REQUEST, "seed": 1}) == 1


def test_a_state_before_it_of_another_request_is_refused(tmp_path: Path):
    save(tmp_path / "state", 1, {**REQUEST, "seed": 1})
    save(tmp_path / "state", 2)
    (tmp_path / "state").write_bytes(b"half")
    with pytest.raises(StoreError, match=r"state.previous differs in seed"):
        load(tmp_path / "state")


def test_what_is_no_file_is_refused(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    for name in ("folder", "fifo", "absent", "nul\0"):
        with pytest.raises(StoreError, match="must be a"), open_sealed(tmp_path / name):
            pass


def test_names_of_damaged_files_are_counted(tmp_path: Path):
    for n in (1, 2, 3):
        (tmp_path / "state").write_text(str(n))
        assert set_aside(tmp_path / "state").name == f"state.damaged-{n}"


def test_a_changed_file_of_a_folder_is_found(tmp_path: Path):
    assert check_files(tmp_path) is None
    for name in ("a", "b", "ours"):
        (tmp_path / name).write_text(name)
    write_manifest(tmp_path, ["a", "b"], REQUEST)
    (tmp_path / "ours").write_text("anything")
    assert check_files(tmp_path) == REQUEST
    (tmp_path / "b").write_text("c")
    with pytest.raises(CorruptStoreError, match="b must be as it was written"):
        check_files(tmp_path)
    (tmp_path / "b").unlink()
    with pytest.raises(CorruptStoreError, match="b must be there"):
        check_files(tmp_path)
    assert check_files(tmp_path, missing=True) == REQUEST
    content = (tmp_path / MANIFEST).read_bytes()
    for bit in range(8 * len(content)):
        (tmp_path / MANIFEST).write_bytes(flipped(content, bit))
        with pytest.raises(CorruptStoreError):
            check_files(tmp_path, missing=True)
