"""verify() reads every byte and names the damaged file."""

from __future__ import annotations

import os

import pytest

from pyrepsim.core.errors import CorruptStoreError, StoreError
from pyrepsim.store import StoreWriter, verify


def test_a_complete_store_has_no_problems(store):
    seen = []
    assert verify(store) == verify(store.path) == verify(str(store.path), progress=seen.append) == []
    assert sum(seen) == store.n_bytes


def test_one_changed_bit_is_detected_anywhere(store, flip, tree):
    """Every file of the store, in header, payload and text."""
    for name, data in tree(store.path).items():
        path = store.path / name
        for at in {0, 100, len(data) // 2, len(data) - 1}:
            flip(path, at)
            (problem, *_) = verify(store, collect=True)
            assert problem.file == name
            with pytest.raises(CorruptStoreError):
                verify(store)
            path.write_bytes(data)
    assert verify(store) == []


def test_the_message_names_file_shard_and_layer(store, flip):
    flip(store.path / "layers/L01/shard-00002.safetensors", 4200)
    with pytest.raises(CorruptStoreError, match=r"^shard 2, layer layer.0: layers/L01/shard-00002.safetensors of"):
        verify(store)
    (problem,) = verify(store, collect=True)
    assert (problem.shard, problem.layer, problem.file) == (2, "layer.0", "layers/L01/shard-00002.safetensors")
    assert "xxh3_128" in problem.message
    assert "run the same extraction again" in problem.message


def test_all_problems_are_collected(store, flip):
    flip(store.path / "layers/L00/shard-00000.safetensors")
    flip(store.path / "tokens/shard-00003.safetensors")
    os.truncate(store.path / "layers/L01/shard-00003.safetensors", 10)
    (store.path / "layers/L00/shard-00002.safetensors").unlink()
    (store.path / "layers/L00/notes.txt").write_text("")
    found = [(problem.shard, problem.layer) for problem in verify(store, collect=True)]
    assert found == [(0, "embeddings"), (2, "embeddings"), (3, None), (3, "layer.0"), (None, None)]


def test_unknown_files_are_reported_but_temporary_ones_are_not(store):
    (store.path / ".tmp-x").write_text("")
    assert verify(store) == []
    (store.path / "README").symlink_to("/etc/hostname")
    (store.path / "layers" / "more").symlink_to("/etc")
    files = [problem.file for problem in verify(store, collect=True)]
    assert files == ["README", "layers/more"]


def test_swapped_shards_and_layers_are_found_by_their_headers(make_store, arrays):
    store = make_store(layers={"a": arrays["layer.0"], "b": -arrays["layer.0"]}, shard_rows=[25, 25])
    a, b = store.path / "layers/L00/shard-00000.safetensors", store.path / "layers/L01/shard-00000.safetensors"
    data = a.read_bytes(), b.read_bytes()
    a.write_bytes(data[1])
    b.write_bytes(data[0])
    assert [problem.layer for problem in verify(store, collect=True)] == ["a", "b"]
    with pytest.raises(CorruptStoreError, match=r"'layer': 'b'\} instead of .*'layer': 'a'\}"):
        next(store["a"].chunks())


def test_an_unsealed_store_is_checked_as_far_as_it_is_committed(tmp_path, arrays, rows, flip):
    layers = {name: array.shape[1] for name, array in arrays.items()}
    writer = StoreWriter.create(tmp_path / "s", {}, layers=layers, shard_rows=[50, 10])
    writer.commit(0, rows, arrays)
    assert verify(writer.path) == []
    flip(tmp_path / "s/layers/L00/shard-00000.safetensors")
    assert [problem.layer for problem in verify(tmp_path / "s", collect=True)] == ["embeddings"]


def test_docs_are_checked(tmp_path, arrays, rows, flip):
    layers = {name: array.shape[1] for name, array in arrays.items()}
    writer = StoreWriter.create(tmp_path / "s", {}, layers=layers, shard_rows=[50])
    writer.commit(0, rows, arrays)
    store = writer.seal(docs=[{"doc_id": 0, "key": "first"}])
    flip(store.path / "docs.jsonl")
    with pytest.raises(CorruptStoreError, match=r"docs.jsonl"):
        verify(store)


def test_a_folder_that_is_not_a_store_is_an_error(tmp_path):
    with pytest.raises(StoreError, match=r"has a file plan\.json"):
        verify(tmp_path, collect=True)
