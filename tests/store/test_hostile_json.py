"""Invalid plans, records and manifests: each is refused, with the file named.

All their digests are correct, so that the check behind the digest must refuse them.
"""

from __future__ import annotations

import base64
import json
import os

import numpy as np
import pytest

from pyrepsim.core import json_files
from pyrepsim.core.errors import CorruptStoreError, StoreError
from pyrepsim.store import StoreWriter, open_store, verify

# ---- plan.json --------------------------------------------------------------------------------------------

PLAN = '{"format": "pyrepsim-store", "version": 1, "plan": {%s}, "layers": [{"name": "a", "width": 1}], '
PLAN += '"shard_rows": [1], "dtype": "float16", "overflow": "error", "checksum": "sha256"'


def test_the_valid_text_of_these_tests_is_accepted(store, forge):
    forge("plan.json", text=PLAN % "")
    with pytest.raises(CorruptStoreError, match=r"manifest.json .* as in the plan"):
        open_store(store.path)


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ('"x": 1, "x": 2', "the key 'x' occurs twice"),
        ('"x": NaN', "NaN is not a JSON number"),
        ('"x": Infinity', "Infinity is not a JSON number"),
        ('"x": -Infinity', "-Infinity is not a JSON number"),
        ('"x": 1e999', "too large for float64"),
        ('"x": 9007199254740993', r"larger than 2\^53"),
        ('"x": -9007199254740993', r"larger than 2\^53"),
        ('"x": ' + "9" * 100_000, r"larger than 2\^53"),
        ('"x": ' + "[" * 100_000 + "]" * 100_000, "strict JSON"),
        ('"x": ' + "[" * 7 + "]" * 7, "more than 8 levels deep"),
        ('"x": "\\ud800"', "half of a surrogate pair"),
        ('"\\ud800": 1', "half of a surrogate pair"),
        ('"x": 1,', "strict JSON"),
        ('"x": 01', "strict JSON"),
        ('"x": "\n"', "strict JSON"),
    ],
)
def test_invalid_json(forge, refused, inside, message):
    forge("plan.json", text=PLAN % inside)
    refused(message)


def test_text_that_is_not_utf_8(forge, refused):
    forge("plan.json", text=(PLAN % '"x": "?"').encode().replace(b"?", b"\xff"))
    refused("strict JSON: 'utf-8' codec")


def test_a_byte_order_mark(forge, refused):
    forge("plan.json", text=b"\xef\xbb\xbf" + (PLAN % "").encode())
    refused("strict JSON")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda plan: plan.update(format="zarr"), "must have format 'pyrepsim-store': found 'zarr'"),
        (lambda plan: plan.update(extra=1), "must have the keys format, version, plan"),
        (lambda plan: plan.pop("dtype"), "must have the keys"),
        (lambda plan: plan.update(shard_rows=[20, 0, 17, 13.0]), "integer of at least 0: got 13.0"),
        (lambda plan: plan.update(shard_rows=[20, 0, 17, True]), "integer of at least 0: got True"),
        (lambda plan: plan.update(shard_rows=[20, 0, 17, -13]), "integer of at least 0: got -13"),
        (lambda plan: plan.update(shard_rows=[1 << 52, 1 << 52]), r"more than 2\^53 bytes"),
        (lambda plan: plan.update(shard_rows=[0] * 100_001), "at most 100000 shards"),
        (lambda plan: plan.update(shard_rows={}), "'shard_rows' of .* must be a list"),
        (lambda plan: plan["layers"][0].update(name="../../etc/passwd"), "A-Za-z0-9"),
        (lambda plan: plan["layers"][0].update(name=".."), "A-Za-z0-9"),
        (lambda plan: plan["layers"][0].update(name="/etc"), "A-Za-z0-9"),
        (lambda plan: plan["layers"][0].update(name="a\nb"), "A-Za-z0-9"),
        (lambda plan: plan["layers"][0].update(name=""), "A-Za-z0-9"),
        (lambda plan: plan["layers"][0].update(name=3), "'name' of a layer .* must be a string"),
        (lambda plan: plan["layers"][0].update(name="layer.0"), "two layers have the same name"),
        (lambda plan: plan["layers"][0].update(width=0), "at least 1"),
        (lambda plan: plan["layers"][0].update(width=5.0), "must be a whole number"),
        (lambda plan: plan["layers"][0].update(file="/etc/passwd"), "must have the keys name, width"),
        (lambda plan: plan.update(layers=["a"]), "a layer of .* must have the keys"),
        (lambda plan: plan.update(layers=[]), "1 to 4096 layers"),
        (lambda plan: plan.update(dtype="float8"), "dtype must be one of"),
        (lambda plan: plan.update(dtype=["float16"]), "'dtype' of .* must be a string"),
        (lambda plan: plan.update(checksum="none"), "checksum must be one of"),
        (lambda plan: plan.update(plan=[]), "'plan' of .* must be an object"),
        (lambda plan: plan["layers"][0].update(width=6), "as in the plan"),
    ],
)
def test_invalid_plans(forge, refused, edit, message):
    forge("plan.json", edit)
    refused(message)


def test_another_version_is_an_error_of_its_own(store, forge):
    forge("plan.json", lambda plan: plan.update(version=2))
    with pytest.raises(StoreError, match="reads stores of version 1: .* has 2. Upgrade") as caught:
        open_store(store.path)
    assert not isinstance(caught.value, CorruptStoreError)


@pytest.mark.parametrize("name", ["plan.json", "manifest.json", "journal/00002.json"])
def test_a_huge_json_file_is_refused_unread(store, refused, name):
    os.truncate(store.path / name, json_files.MAX_BYTES + 1)
    refused(f"{name} .* at most {json_files.MAX_BYTES} bytes")


@pytest.mark.parametrize("data", [b"", b"{}", b"\x00" * 200, b"[" * 200])
@pytest.mark.parametrize("name", ["plan.json", "manifest.json", "journal/00002.json"])
def test_a_json_file_without_a_digest(store, refused, name, data):
    (store.path / name).write_bytes(data)
    refused(f"{name} of .* must end with its digest")


@pytest.mark.parametrize("name", ["plan.json", "manifest.json", "journal/00002.json"])
def test_a_json_file_that_was_edited(store, refused, name):
    path = store.path / name
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n ", 1))
    refused(f"{name} of .* must match its own digest")


# ---- journal ----------------------------------------------------------------------------------------------


def layer(record):
    return record["layers"]["layer.0"]


def shift(*values):
    return base64.b64encode(np.array(values, "<f4").tobytes()).decode()


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda record: record.update(rows=18), "'rows' of .* must be 17"),
        (lambda record: record.update(rows=17.0), "'rows' of .* must be a whole number"),
        (lambda record: record.update(shard=0), "'shard' of .* must be 2"),
        (lambda record: record.update(plan="0" * 64), "belongs to another store"),
        (lambda record: record.update(path="/etc"), "must have the keys"),
        (lambda record: record["layers"].pop("embeddings"), "must list the layers of the plan"),
        (lambda record: record["layers"].update(more=layer(record)), "must list the layers of the plan"),
        (lambda record: record["layers"].update(embeddings=3), "layer embeddings in .* must have the keys"),
        (lambda record: record["tokens"].update(n_bytes=5000), "'n_bytes' of tokens in .* must be"),
        (lambda record: layer(record).update(n_bytes=1 << 40), "'n_bytes' of layer layer.0 in .* must be 4368"),
        (lambda record: layer(record).update(dtype="bfloat16"), "must be stored as float16 or float32"),
        (lambda record: layer(record).update(dtype="object"), "must be stored as float16 or float32"),
        (lambda record: layer(record).update(dtype="float32"), "'n_bytes' of layer layer.0 in .* must be 4640"),
        (lambda record: layer(record).update(nonfinite=1), "'nonfinite' of .* must be 0"),
        (lambda record: layer(record).update(absmax=-1.0), "within its absmax"),
        (lambda record: layer(record).update(absmax=1), "'absmax' of .* must be a number with a point"),
        (lambda record: layer(record).update(shift="not base64!"), "base64"),
        (lambda record: layer(record).update(shift=shift(1, 2)), "shift of 8 values"),
        (lambda record: layer(record).update(shift=shift(*[1e30] * 8)), "within its absmax"),
        (lambda record: layer(record).update(shift=shift(*[np.nan] * 8)), "within its absmax"),
        (lambda record: layer(record).update(checksum=None), "'checksum' of .* must be a string"),
    ],
)
def test_invalid_records(forge, refused, edit, message):
    forge("journal/00002.json", edit)
    refused(message)


def test_a_type_that_the_plan_forbids(tmp_path, arrays, rows):
    """float32 is an upgrade: not with overflow='error'."""
    widths = {name: array.shape[1] for name, array in arrays.items()}
    writer = StoreWriter.create(tmp_path / "s", {}, layers=widths, shard_rows=[50], overflow="error")
    writer.commit(0, rows, arrays)
    path = tmp_path / "s/journal/00000.json"
    body = json.loads(path.read_text())
    del body["digest"]
    body["layers"]["layer.0"].update(dtype="float32")
    path.write_bytes(json_files.dump(body))
    with pytest.raises(CorruptStoreError, match="must be stored as float16: found 'float32'"):
        writer.seal()


def test_a_false_checksum_in_the_journal_is_found_by_verify(store, forge):
    forge("journal/00002.json", lambda record: layer(record).update(checksum="0" * 32))
    assert open_store(store.path).digest != store.digest
    (problem,) = verify(store.path, collect=True)
    assert (problem.shard, problem.layer) == (2, "layer.0")


def test_a_record_that_is_not_in_the_manifest(store, forge, refused):
    old = (store.path / "manifest.json").read_bytes()
    forge("journal/00002.json", lambda record: layer(record).update(absmax=1e4))
    (store.path / "manifest.json").write_bytes(old)
    refused("journal/00002.json of .* must have the digest")


def test_swapped_records(store, refused):
    first, second = store.path / "journal/00000.json", store.path / "journal/00002.json"
    data = first.read_bytes(), second.read_bytes()
    first.write_bytes(data[1])
    second.write_bytes(data[0])
    refused("'shard' of journal/00000.json .* must be 0")


# ---- manifest.json ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda manifest: manifest.update(n_rows=51), "'n_rows' of manifest.json .* must be 50"),
        (lambda manifest: manifest.update(plan="0" * 64), "belongs to another store"),
        (lambda manifest: manifest["records"].pop(), "a digest for each of 4 shards"),
        (lambda manifest: manifest["records"].append("0" * 64), "a digest for each of 4 shards"),
        (lambda manifest: manifest.update(records=[1, 2, 3, 4]), "a digest for each of 4 shards"),
        (lambda manifest: manifest["records"].__setitem__(0, "z" * 64), "a digest for each of 4 shards"),
        (lambda manifest: manifest.update(rows_digest="abc"), "'rows_digest' of .* must be a SHA-256 digest: 'abc'"),
        (lambda manifest: manifest.update(rows_digest="\u001b" * 64), "'rows_digest' of .* must be a SHA-256 digest"),
        (lambda manifest: manifest.update(records="abcd"), "'records' of .* must be a list"),
        (lambda manifest: manifest.update(docs={"n_bytes": 1}), "docs in .* must have the keys"),
        (lambda manifest: manifest.update(docs={"n_bytes": 1, "checksum": ""}), "docs.jsonl of .* must exist"),
        (lambda manifest: manifest.update(shards=[]), "must have the keys"),
        (lambda manifest: manifest.update(format="x"), "must have format"),
    ],
)
def test_invalid_manifests(forge, refused, edit, message):
    forge("manifest.json", edit)
    refused(message)


def test_a_false_digest_of_the_rows_is_found_by_verify(store, forge):
    forge("manifest.json", lambda manifest: manifest.update(rows_digest="0" * 64))
    with pytest.raises(CorruptStoreError, match="must hold the digest of the rows"):
        verify(store.path)
