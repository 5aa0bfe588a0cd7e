"""After a kill, a full disk or a changed bit at any point of a write, the next run writes the same store."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyrepsim.core.errors import StoreError
from pyrepsim.core.locks import lock
from pyrepsim.core.outputs import DurableFile
from pyrepsim.store import StoreWriter, open_store, verify

from . import worker

ROOT = Path(__file__).parents[2]
KILL_POINTS = [
    "write@plan:*",
    "rename@plan:*",
    "begin:0",
    "write@tokens:2",
    "rename@tokens:2",
    "write@layer.0:2",
    "fsync@layer.0:2",
    "rename@embeddings:2",
    "dirsync@layer.0:2",
    "write@journal:2",
    "rename@journal:2",
    "journal:0",
    "journal:2",
    "seal:*",
    "write@docs:*",
    "write@manifest:*",
    "rename@manifest:*",
    "sealed:*",
]


@pytest.fixture(autouse=True)
def _no_fsync() -> None:
    """Here the disk is meant."""


def start(path: Path, fault: str | None = None) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, worker.__file__, str(path), *([] if fault is None else [fault])]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(path: Path, fault: str | None = None) -> tuple[int, str, str]:
    process = start(path, fault)
    out, err = process.communicate(timeout=60)
    return process.returncode, out.strip(), err


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "s"
    worker.main(str(path))
    return path


@pytest.mark.parametrize("point", KILL_POINTS)
def test_after_a_kill_at_any_point_the_next_run_writes_the_same_store(tmp_path, undisturbed, tree, point):
    path = tmp_path / "s"
    code, _, _ = run(path, f"{point}:kill")
    assert code == -9
    worker.main(str(path))
    assert tree(path) == tree(undisturbed)


def test_killed_again_and_again(tmp_path, undisturbed, tree):
    path = tmp_path / "s"
    for point in ("write@layer.0:0", "dirsync@layer.0:0", "write@journal:0", "begin:2", "sealed:*"):
        assert run(path, f"{point}:kill")[0] == -9
    worker.main(str(path))
    assert tree(path) == tree(undisturbed)


@pytest.mark.parametrize("point", ["write@tokens", "write@layer.0", "fsync@layer.0", "rename@layer.0", "write@journal"])
def test_a_full_disk_is_a_clear_error_and_leaves_only_complete_shards(tmp_path, undisturbed, tree, point):
    path = tmp_path / "s"
    with pytest.raises(StoreError, match=r"No space left on device. To continue, free some space \([\d.]+ \w?B left\)"):
        worker.main(str(path), f"{point}:2:enospc")
    found, due = tree(path), tree(undisturbed)
    assert {name for name in due if "00002" not in name} - {"manifest.json", "docs.jsonl"} == set(found)
    assert all(due[name] == data for name, data in found.items())
    assert verify(path) == []
    worker.main(str(path))
    assert tree(path) == due


def test_a_full_disk_in_another_process_is_reported_on_stderr(tmp_path):
    code, _, err = run(tmp_path / "s", "write:0:enospc")
    assert code == 1
    assert "StoreError: Writing the store" in err


@pytest.mark.parametrize("point", ["write@plan:*", "write@manifest:*", "write@docs:*"])
def test_a_full_disk_at_plan_or_seal(tmp_path, undisturbed, tree, point):
    path = tmp_path / "s"
    with pytest.raises(StoreError, match="No space left"):
        worker.main(str(path), f"{point}:enospc")
    assert not list(path.rglob(".*"))
    worker.main(str(path))
    assert tree(path) == tree(undisturbed)


def test_short_writes_change_nothing(tmp_path, undisturbed, tree):
    worker.main(str(tmp_path / "s"), "write:*:short")
    assert tree(tmp_path / "s") == tree(undisturbed)


@pytest.mark.parametrize("layer", ["embeddings", "layer.0", "tokens"])
def test_a_bit_that_changes_on_the_way_to_the_disk_is_detected(tmp_path, layer):
    worker.main(str(tmp_path / "s"), f"write@{layer}:2:flip")
    (problem, *others) = verify(tmp_path / "s", collect=True)
    assert not others
    assert (problem.shard, problem.layer) == (2, None if layer == "tokens" else layer)


def test_a_system_that_writes_a_few_bytes_at_a_time(tmp_path, undisturbed, tree, monkeypatch):
    monkeypatch.setattr(os, "writev", lambda fd, parts: os.write(fd, b"".join(parts)[:1000]))
    worker.main(str(tmp_path / "s"))
    assert tree(tmp_path / "s") == tree(undisturbed)


def test_many_workers_on_the_same_shards_make_one_store(tmp_path, undisturbed, tree):
    path = tmp_path / "s"
    workers = [start(path) for _ in range(4)]
    for process in workers:
        process.communicate(timeout=60)
    # A worker may find a shard in another's hands when it wants to seal: its error says what is missing.
    assert any(process.returncode == 0 for process in workers)
    assert tree(path) == tree(undisturbed)


def test_the_second_writer_of_a_shard_changes_nothing(tmp_path, tree):
    path = tmp_path / "s"
    options = {"layers": worker.LAYERS, "shard_rows": worker.SHARD_ROWS}
    first = StoreWriter.create(path, {}, **options)
    with lock(path / "journal/.claim-00000") as state:
        assert state == "held"
        at_work = DurableFile(path / "layers/L00/shard-00000.safetensors")
        before = tree(path)
        second = StoreWriter.create(path, {}, **options)  # must not sweep what a living writer has in hand
        assert not second.commit(0, *worker.shard_of(0))
        assert tree(path) == before
        at_work.__exit__()
    assert second.missing() == [0, 1, 2]
    assert first.commit(0, *worker.shard_of(0))
    assert not second.commit(0, *worker.shard_of(0))


def test_without_locks_a_single_writer_works(tmp_path, undisturbed, tree, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("pyrepsim.core.locks.fcntl.flock", refuse)
    worker.main(str(tmp_path / "s"))
    assert tree(tmp_path / "s") == tree(undisturbed)


def test_an_interrupted_commit_leaves_nothing(tmp_path, monkeypatch, tree):
    path = tmp_path / "s"
    writer = StoreWriter.create(path, {}, layers=worker.LAYERS, shard_rows=worker.SHARD_ROWS)
    before = tree(path)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pyrepsim.core.outputs.sync_folder", interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer.commit(0, *worker.shard_of(0))
    assert tree(path) == before


def test_the_order_of_a_commit(tmp_path, monkeypatch):
    """tmp, fsync, rename, fsync of the folder, and only then the journal."""
    events = []
    sync, rename = os.fsync, Path.rename

    def shown(path):
        return re.sub(r"\.tmp-[0-9a-f]{12}-", ".tmp-", Path(path).name)

    monkeypatch.setattr(
        os, "fsync", lambda fd: (events.append(f"sync {shown(os.readlink(f'/proc/self/fd/{fd}'))}"), sync(fd))[1]
    )
    monkeypatch.setattr(Path, "rename", lambda a, b: (events.append(f"{shown(a)} -> {b.name}"), rename(a, b))[1])
    writer = StoreWriter.create(tmp_path / "s", {}, layers={"a": 4}, shard_rows=[30])
    events.clear()
    rows = {name: column[:30] for name, column in worker.shard_of(0)[0].items()}
    writer.commit(0, rows, {"a": worker.shard_of(0)[1]["layer.0"][:30]})
    shard = "shard-00000.safetensors"
    one = [f"sync .tmp-{shard}", f".tmp-{shard} -> {shard}"]
    assert events == [
        *(*one, "sync tokens"),
        *(*one, "sync L00"),
        *("sync .tmp-00000.json", ".tmp-00000.json -> 00000.json", "sync journal"),
    ]
    assert open_store(writer.seal().path).n_rows == 30
