"""The bytes on disk: fixed, aligned, and readable by other programs. A change here is a new version of the format."""

from __future__ import annotations

import hashlib
import json
import struct

import ml_dtypes
import numpy as np
import pytest
import xxhash
from safetensors import safe_open
from safetensors.numpy import load_file

from pyrepsim.store import open_store, write_store

PLAN = {"rows": {"texts": "abc"}, "model": {"id": "m", "revision": None}}


@pytest.fixture
def tiny(tmp_path):
    """Three rows of two layers, one shard of two and one of one."""
    layers = {"a": np.array([[0, 1], [2, -3], [4, 5]], np.float32), "b": np.array([[1], [0.5], [-2]], "f4")}
    rows = {"doc_id": np.array([7, 7, 8]), "position": np.array([0, 1, 0]), "token_id": np.array([3, 1, 2])}
    return write_store(tmp_path / "tiny", layers, columns=rows, plan=PLAN, shard_rows=2)


def test_the_files_of_a_store(tiny, tree):
    assert sorted(tree(tiny.path)) == [
        "journal/00000.json",
        "journal/00001.json",
        "layers/L00/shard-00000.safetensors",
        "layers/L00/shard-00001.safetensors",
        "layers/L01/shard-00000.safetensors",
        "layers/L01/shard-00001.safetensors",
        "manifest.json",
        "plan.json",
        "tokens/shard-00000.safetensors",
        "tokens/shard-00001.safetensors",
    ]


def test_a_layer_shard_byte_by_byte(tiny):
    data = (tiny.path / "layers/L00/shard-00000.safetensors").read_bytes()
    header = (
        f'{{"__metadata__":{{"pyrepsim-store":"1","plan":"{tiny.plan_digest}","shard":"0","layer":"a"}},'
        '"activation":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}}'
    )
    assert data == struct.pack("<Q", 4088) + header.encode().ljust(4088) + np.array([0, 1, 2, -3], "<f2").tobytes()


def test_a_token_shard_byte_by_byte(tiny):
    data = (tiny.path / "tokens/shard-00001.safetensors").read_bytes()
    assert data[:8] == struct.pack("<Q", 4088)
    header = json.loads(data[8:4096])
    assert header.pop("__metadata__") == {"pyrepsim-store": "1", "plan": tiny.plan_digest, "shard": "1"}
    assert [(name, entry["dtype"], *entry["data_offsets"]) for name, entry in header.items()] == [
        ("doc_id", "I64", 0, 8),
        ("sent_id", "I32", 8, 12),
        ("position", "I32", 12, 16),
        ("token_id", "I32", 16, 20),
        ("word_id", "I32", 20, 24),
        ("char_start", "I32", 24, 28),
        ("char_end", "I32", 28, 32),
        ("window_id", "I32", 32, 36),
        ("flags", "U8", 36, 37),
    ]
    assert data[4096:] == struct.pack("<qiiiiiiiB", 8, -1, 0, 2, -1, -1, -1, 0, 0)


def test_plan_and_root_digest_are_fixed(tiny):
    assert tiny.plan_digest == "34a7bf74d828255e677a549ecc36bdca9d662c5b8e778204ad6d24dba8798135"
    assert tiny.digest == "ef37be057dc59882947f7d12e26c597dc1dd602c512abb9feb1e5d9279f22443"
    identity = [np.array([7, 7, 8], "<i8"), np.array([0, 1, 0], "<i4"), np.array([3, 1, 2], "<i4")]
    parts = b"".join(hashlib.sha256(column.tobytes()).digest() for column in identity)
    assert tiny.rows_digest == hashlib.sha256(parts).hexdigest()


@pytest.mark.parametrize("name", ["plan.json", "journal/00000.json", "manifest.json"])
def test_each_json_file_ends_with_the_digest_of_the_bytes_before(tiny, name):
    data = (tiny.path / name).read_bytes()
    tail = b',\n "digest": "' + hashlib.sha256(data[:-82]).hexdigest().encode() + b'"\n}\n'
    assert data.endswith(tail)
    assert json.loads(data)["digest"] == tail[14:78].decode()


def test_the_journal_describes_the_files(tiny):
    record = json.loads((tiny.path / "journal/00000.json").read_text())
    data = (tiny.path / "layers/L00/shard-00000.safetensors").read_bytes()
    layer = record["layers"]["a"]
    assert layer["n_bytes"] == len(data)
    assert layer["checksum"] == xxhash.xxh3_128_hexdigest(data)
    assert (layer["dtype"], layer["nonfinite"], layer["absmax"]) == ("float16", 0, 3.0)
    assert (record["shard"], record["rows"], record["plan"]) == (0, 2, tiny.plan_digest)
    np.testing.assert_array_equal(tiny["a"].shift, [1.0, -1.0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_stock_safetensors_opens_every_shard(make_store, dtype):
    store = make_store(dtype=dtype)
    files = sorted(store.path.rglob("*.safetensors"))
    assert len(files) == 4 * 3
    for path in files:
        loaded = load_file(path)  # also for the shard of no rows
        with safe_open(path, "np") as opened:
            assert opened.metadata()["plan"] == store.plan_digest
        if "layers" in path.parts:
            assert loaded["activation"].dtype.name == dtype
    path = store.path / "layers/L01/shard-00002.safetensors"
    np.testing.assert_array_equal(load_file(path)["activation"], store[1].read(20, 37))


def test_payloads_start_on_a_page(store):
    view = next(store["embeddings"].chunks())
    assert view.__array_interface__["data"][0] % 4096 == 0


def test_bfloat16_is_rounded_to_nearest(make_store, arrays):
    stored = np.asarray(make_store(dtype="bfloat16")["layer.0"])
    assert stored.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(stored, arrays["layer.0"].astype(ml_dtypes.bfloat16))


def test_the_digest_does_not_depend_on_the_type_that_values_came_in(make_store, arrays):
    halves = {name: array.astype(np.float16) for name, array in arrays.items()}
    doubles = {name: array.astype(np.float64) for name, array in halves.items()}
    assert make_store("halves", halves).digest == make_store("doubles", doubles).digest


def test_sha256_can_be_the_checksum(tmp_path, arrays, rows):
    from pyrepsim.store import StoreWriter, verify

    widths = {name: array.shape[1] for name, array in arrays.items()}
    writer = StoreWriter.create(tmp_path / "s", {}, layers=widths, shard_rows=[50], checksum="sha256")
    writer.commit(0, rows, arrays)
    store = writer.seal()
    data = (store.path / "layers/L00/shard-00000.safetensors").read_bytes()
    record = json.loads((store.path / "journal/00000.json").read_text())
    assert record["layers"]["embeddings"]["checksum"] == hashlib.sha256(data).hexdigest()
    assert verify(store) == []
    assert open_store(store.path, expect_digest=store.digest).digest == store.digest


def test_a_reader_written_from_the_documentation(make_store):
    """docs/store-format.md is enough: nothing of the package is used, and every promise about digests is checked."""
    store = make_store(dtype="float32")

    def load(path):
        data = path.read_bytes()
        body = json.loads(data)
        assert hashlib.sha256(data[:-82]).hexdigest() == body["digest"]
        return body

    plan, manifest = load(store.path / "plan.json"), load(store.path / "manifest.json")
    assert manifest["plan"] == plan["digest"]
    columns = {name: hashlib.sha256() for name in ("doc_id", "position", "token_id")}
    layers = {layer["name"]: [] for layer in plan["layers"]}
    for shard, n_rows in enumerate(plan["shard_rows"]):
        record = load(store.path / f"journal/{shard:05d}.json")
        assert record["digest"] == manifest["records"][shard]
        paths = {None: store.path / f"tokens/shard-{shard:05d}.safetensors"}
        for index, name in enumerate(layers):
            paths[name] = store.path / f"layers/L{index:02d}/shard-{shard:05d}.safetensors"
        for name, path in paths.items():
            data = path.read_bytes()
            due = record["tokens"] if name is None else record["layers"][name]
            assert (len(data), xxhash.xxh3_128(data).hexdigest()) == (due["n_bytes"], due["checksum"])
            tensors = load_file(path)
            if name is None:
                for column, digest in columns.items():
                    digest.update(tensors[column].tobytes())
            else:
                layers[name].append(tensors["activation"])
                assert len(tensors["activation"]) == n_rows
    identity = b"".join(digest.digest() for digest in columns.values())
    assert hashlib.sha256(identity).hexdigest() == manifest["rows_digest"]
    for name, parts in layers.items():
        np.testing.assert_array_equal(np.concatenate(parts), np.asarray(store[name]))
