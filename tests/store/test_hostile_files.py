"""Damaged or forged shard files, headers and links: each is refused."""

from __future__ import annotations

import json
import os
import struct

import pytest

from pyrepsim.core.errors import CorruptStoreError
from pyrepsim.store import StoreWriter, list_stores, open_store, verify

SHARD = "layers/L01/shard-00002.safetensors"

# ---- headers ----------------------------------------------------------------------------------------------


def activation(text, **changes):
    header = json.loads(text)
    header["activation"] |= changes
    return json.dumps(header, separators=(",", ":"))


def metadata(text, **changes):
    header = json.loads(text)
    header["__metadata__"] |= changes
    return json.dumps(header, separators=(",", ":"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: activation(text, shape=[8, 17]), r"'shape': \[8, 17\]"),
        (lambda text: activation(text, shape=[1 << 40, 1 << 40]), "'shape'"),
        (lambda text: activation(text, shape=[1 << 62, 8]), r"larger than 2\^53"),
        (lambda text: activation(text, shape=[-17, -8]), r"\[-17, -8\]"),
        (lambda text: activation(text, data_offsets=[0, 1 << 40]), "data_offsets"),
        (lambda text: activation(text, data_offsets=[-8, 264]), "data_offsets"),
        (lambda text: activation(text, dtype="BF16"), "'dtype': 'BF16'"),
        (lambda text: activation(text, more=1), "'more': 1"),
        (lambda text: metadata(text, layer="embeddings"), "'layer': 'embeddings'"),
        (lambda text: metadata(text, shard="0"), "'shard': '0'"),
        (lambda text: metadata(text, plan="0" * 64), "'plan': '0000"),
        (lambda text: text.replace("activation", "activatiom"), "the entry 'activation' is missing"),
        (lambda text: text[:-1] + ',"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}', "'x' is unknown"),
        (lambda text: text[:-1] + ',"activation":{}}', "the key 'activation' occurs twice"),
        (lambda text: text.replace('"shape"', '"dtype":"F16","shape"'), "the key 'dtype' occurs twice"),
        (lambda text: json.dumps(json.loads(text)), "the same entries in other bytes"),
        (lambda text: f"[{text}]", "a JSON list instead of an object"),
        (lambda text: "[" * 4000, "strict JSON"),
        (lambda text: "\x00" * 4088, "strict JSON"),
        (lambda text: text[:-1], "strict JSON"),
        (lambda text: text + "\n", "the same entries in other bytes"),
    ],
)
def test_a_wrong_header(store, refused, change, message):
    path = store.path / SHARD
    data = path.read_bytes()
    text = change(data[8:4096].decode().rstrip())
    path.write_bytes(data[:8] + text.encode().ljust(4088) + data[4096:])
    refused(f"{SHARD} of .*{message}")


@pytest.mark.parametrize("length", [0, 4087, 4096, 1 << 20, 1 << 63, (1 << 64) - 1])
def test_a_wrong_length_of_a_header(store, refused, length):
    path = store.path / SHARD
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    refused(f"it states {length} header bytes instead of 4088")


def test_a_wrong_token_header(store):
    path = store.path / "tokens/shard-00002.safetensors"
    path.write_bytes(path.read_bytes().replace(b"position", b"positiom"))
    with pytest.raises(CorruptStoreError, match="the entry 'position' is missing"):
        _ = open_store(store.path).columns.doc_id
    assert [problem.shard for problem in verify(store.path, collect=True)] == [2]


# ---- files ------------------------------------------------------------------------------------------------

ANY_FILE = pytest.mark.parametrize(
    "name", ["plan.json", "manifest.json", "journal/00002.json", "tokens/shard-00002.safetensors", SHARD]
)


@ANY_FILE
def test_a_symbolic_link_is_not_followed(store, refused, tmp_path, name):
    """Not even to the right bytes."""
    path = store.path / name
    path.rename(tmp_path / "target")
    path.symlink_to(tmp_path / "target")
    refused("it is a symbolic link")


@pytest.mark.parametrize("name", ["layers", "layers/L01", "tokens", "journal"])
def test_a_linked_folder_is_not_followed(store, refused, tmp_path, name):
    path = store.path / name
    path.rename(tmp_path / "target")
    path.symlink_to(tmp_path / "target")
    refused("it is a symbolic link")


@ANY_FILE
def test_a_fifo_does_not_hang(store, refused, name):
    (store.path / name).unlink()
    os.mkfifo(store.path / name)
    refused("must be a regular file")


@ANY_FILE
def test_a_folder_in_place_of_a_file(store, refused, name):
    (store.path / name).unlink()
    (store.path / name).mkdir()
    refused("must be a regular file")


@pytest.mark.parametrize("name", ["journal/00002.json", "tokens/shard-00002.safetensors", SHARD])
def test_a_missing_file(store, refused, name):
    (store.path / name).unlink()
    refused(f"{name} of .* must exist")


@pytest.mark.parametrize("name", ["tokens/shard-00002.safetensors", SHARD])
@pytest.mark.parametrize("change", [-1, 1, 4096, -272])
def test_a_file_of_another_size(store, refused, name, change):
    path = store.path / name
    size = path.stat().st_size
    os.truncate(path, size + change)
    refused(f"{name} of .* must have {size} bytes: it has {size + change}")


def test_a_shard_that_is_cut_after_opening(store):
    """mmap must look at the size before it maps: reading behind the end of a mapped file raises SIGBUS."""
    opened = {io: open_store(store.path, io=io) for io in ("mmap", "pread")}
    os.truncate(store.path / SHARD, 4096 + 16)
    for kind in opened.values():
        with pytest.raises(CorruptStoreError, match="it has 4112"):
            list(kind["layer.0"].chunks())


def test_a_shard_that_is_cut_while_it_is_read(store):
    chunks = open_store(store.path, io="pread")["layer.0"].chunks(5)
    next(chunks)
    os.truncate(store.path / "layers/L01/shard-00000.safetensors", 4096 + 16)
    with pytest.raises(CorruptStoreError, match="at least 4256 bytes: it has 4112"):
        list(chunks)


def test_a_store_that_is_replaced_after_opening(make_store, arrays):
    store = make_store()
    halved = {name: array / 2 for name, array in arrays.items()}
    make_store(layers=halved, overwrite=True, plan={"other": 1})
    with pytest.raises(CorruptStoreError, match="was replaced since it was opened"):
        next(store["layer.0"].chunks())


def test_the_folder_itself_may_be_reached_through_a_link(store, tmp_path):
    (tmp_path / "link").symlink_to(store.path)
    assert open_store(tmp_path / "link").digest == store.digest


def test_hostile_entries_of_docs(tmp_path, arrays, rows):
    widths = {name: array.shape[1] for name, array in arrays.items()}
    writer = StoreWriter.create(tmp_path / "s", {}, layers=widths, shard_rows=[50])
    writer.commit(0, rows, arrays)
    store = writer.seal(docs=[{"doc_id": 0, "key": "abc"}])
    path = store.path / "docs.jsonl"
    size = path.stat().st_size
    path.write_bytes(b'{"a": 1, "a": 2}'.ljust(size))
    with pytest.raises(CorruptStoreError, match=r"line 1 of docs.jsonl of .* the key 'a' occurs twice"):
        list(open_store(store.path).docs())
    path.write_bytes(b"x")
    with pytest.raises(CorruptStoreError, match=r"docs.jsonl of .* must have"):
        open_store(store.path)


def test_a_hostile_folder_does_not_stop_a_listing(store, tmp_path):
    (tmp_path / "evil").mkdir()
    os.mkfifo(tmp_path / "evil" / "plan.json")
    states = {info.name: info.state for info in list_stores(tmp_path)}
    assert states == {"evil": "unreadable", "store": "sealed"}


def test_nothing_is_unpickled_and_no_name_from_a_file_is_opened(store, monkeypatch):
    """All paths that are opened below the store follow from numbers."""
    seen = []
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest, **kw: (seen.append(str(path)), real(path, *rest, **kw))[1])
    opened = open_store(store.path)
    list(opened["layer.0"].chunks())
    _ = opened.columns.doc_id
    names = {"plan.json", "manifest.json", "journal", "tokens", "layers", "L00", "L01", str(store.path)}
    names |= {f"{k:05d}.json" for k in range(4)} | {f"shard-{k:05d}.safetensors" for k in range(4)}
    assert set(seen) <= names
