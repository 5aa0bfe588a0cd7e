"""One of two writers into one folder wins, whole; after a failure or a kill the advice of the message works."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pyrepsim.comparison import compare
from pyrepsim.core.errors import LockedError, StoreError
from pyrepsim.core.ownership import owning
from pyrepsim.store import export, open_store, remove_store, verify, write_store

from .faults import injected


def test_of_two_writers_of_other_arrays_one_wins_whole(tmp_path):
    arrays = [np.full((40, 3), value) for value in (1.0, 2.0)]
    for trial in range(8):
        path, start, children = tmp_path / str(trial), time.time() + 0.05, []
        for index, array in enumerate(arrays):
            child = os.fork()
            if child == 0:
                code = 3
                time.sleep(max(0.0, start - time.time()))
                try:
                    write_store(path, {"a": array}, shard_rows=2, overwrite=trial % 2 == 1)
                    code = index
                except StoreError as error:
                    code = 2 if "in use by process" in str(error) or "is not empty" in str(error) else 3
                finally:
                    os._exit(code)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert 3 not in codes
        stored = np.asarray(open_store(path)["a"])
        assert any((stored == arrays[index]).all() for index in codes if index < 2)
        assert verify(path) == []


def test_a_second_writer_waits_as_long_as_it_is_told(tmp_path, arrays):
    with ThreadPoolExecutor(1) as threads, owning(tmp_path / "s"):
        with pytest.raises(LockedError, match="in use by process"):
            threads.submit(write_store, tmp_path / "s", arrays).result()
        with pytest.raises(LockedError):
            threads.submit(write_store, tmp_path / "s", arrays, wait=0.1).result()
        waiting = threads.submit(write_store, tmp_path / "s", arrays, wait=30)
        time.sleep(0.1)
        assert not waiting.done()
    assert waiting.result().n_rows == 50


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("overwrite", [False, True])
def test_after_a_failure_the_same_call_can_be_made_again(tmp_path, arrays, there, overwrite):
    path = tmp_path / "s"
    if there:
        path.mkdir()
    if overwrite:
        write_store(path, {"old": np.ones((3, 2))})
    with injected("write@layer.0:1:enospc"), pytest.raises(StoreError) as caught:
        write_store(path, arrays, shard_rows=20, overwrite=overwrite)
    assert "free some space" in str(caught.value)
    assert "run the same command again: it starts from the beginning" in str(caught.value)
    assert not path.exists() or list(path.iterdir()) == []
    store = write_store(path, arrays, shard_rows=20, overwrite=overwrite)
    assert verify(store) == []


def test_what_a_killed_call_left_can_be_replaced_as_its_message_says(tmp_path, arrays):
    child = os.fork()
    if child == 0:
        with injected("write@layer.0:1:kill"):
            write_store(tmp_path / "s", arrays, shard_rows=20)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    with pytest.raises(StoreError, match=r"holds an unfinished store\. .* overwrite=True"):
        write_store(tmp_path / "s", arrays, shard_rows=20)
    store = write_store(tmp_path / "s", arrays, shard_rows=20, overwrite=True)
    assert not list(store.path.rglob(".*"))


WRITERS = {
    "write": lambda store, out, **options: write_store(out, {"a": np.ones((3, 2))}, **options),
    "export": lambda store, out, **options: export(store, out, **options),
    "compare": lambda store, out, **options: compare(store, store, "LinearCKA", checkpoint=out, **options),
    "remove": lambda store, out, **options: remove_store(store.path, **options),
}


@pytest.mark.parametrize("verb", WRITERS)
def test_each_verb_is_refused_while_another_writes_and_works_afterwards(tmp_path, verb):
    store, out = write_store(tmp_path / "s", {"a": np.random.default_rng(0).standard_normal((9, 3))}), tmp_path / "out"
    with ThreadPoolExecutor(1) as threads, owning(store.path if verb == "remove" else out):
        with pytest.raises(LockedError, match="in use by process"):
            threads.submit(WRITERS[verb], store, out).result()
        waiting = threads.submit(WRITERS[verb], store, out, wait=30)
        time.sleep(0.05)
        assert not waiting.done()
    waiting.result()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_writer_of_a_store_that_was_replaced_changes_nothing(create, commit, tree, make_store, replaced):
    writer = create()
    commit(writer, 0)
    commit(writer, 1)
    remove_store(writer.path)
    if replaced:
        make_store("s", layers={"other": np.ones((20, 2))}, columns=None, shard_rows=[20])
    before = tree(writer.path)
    for call in (lambda: commit(writer, 0), lambda: commit(writer, 1), writer.seal):
        with pytest.raises(StoreError, match="Create the writer again" if replaced else "removed or moved"):
            call()
    assert tree(writer.path) == before


def test_seal_removes_what_killed_writers_left(create, commit):
    writer = create()
    for name in (".lock", "tokens/.tmp-0123456789ab-x", "layers/L01/.tmp-0123456789ab-x", "journal/.claim-00001"):
        (writer.path / name).touch()
    commit(writer, 0)
    commit(writer, 1)
    writer.seal()
    assert not [*writer.path.rglob(".*")]


def test_a_store_that_cannot_be_removed_is_named_with_a_remedy(store, arrays, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("pyrepsim.store.removal.shutil.rmtree", refuse)
    for call in (lambda: remove_store(store.path), lambda: write_store(store.path, arrays, overwrite=True)):
        with pytest.raises(StoreError, match="Removing the store .* that you may write to"):
            call()
