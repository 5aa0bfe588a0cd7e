"""A small file may claim any size: what it needs is compared with the memory before anything is allocated."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core import memory, outputs
from pyrepsim.core.errors import PyrepsimError, ShapeError
from pyrepsim.store import document_rows, export, open_store
from pyrepsim.store.columns import ROW_BYTES, RowsDigest
from pyrepsim.store.frozen_plan import freeze_plan
from pyrepsim.store.layout import (
    DTYPES,
    MANIFEST,
    PAGE,
    journal_parts,
    layer_header,
    layer_parts,
    tokens_header,
    tokens_parts,
)
from pyrepsim.store.manifest import FileRecord, LayerRecord, Manifest, Plan, ShardRecord


def sparse_store(path: Path, n_rows: int, width: int) -> Path:
    """Write a sealed store whose files have the right sizes and headers, and otherwise only holes."""
    plan = freeze_plan(
        path, *Plan.make({}, {"a": width}, [n_rows], dtype="float16", overflow="error", checksum="sha256")
    )
    tokens, layer, dtype = tokens_parts(0), layer_parts(0, 0), DTYPES["float16"]
    heads = {tokens: tokens_header(plan.digest, 0, n_rows)}
    heads[layer] = layer_header(plan.digest, "a", 0, n_rows, width, dtype)
    sizes = {tokens: PAGE + n_rows * ROW_BYTES, layer: PAGE + 2 * n_rows * width}
    for parts, head in heads.items():
        file = path.joinpath(*parts)
        file.parent.mkdir(parents=True)
        with file.open("wb") as sparse:
            sparse.write(head)
            sparse.truncate(sizes[parts])
    shift = base64.b64encode(np.zeros(width, "<f4").tobytes()).decode()
    of_layer = LayerRecord("float16", sizes[layer], "0" * 64, 0, 1.0, shift)
    record = ShardRecord(0, n_rows, plan.digest, FileRecord(sizes[tokens], "0" * 64), {"a": of_layer})
    (path / "journal").mkdir()
    outputs.write_durably(path.joinpath(*journal_parts(0)), record.to_bytes())
    digest = ShardRecord.read(path, plan, 0)[1]
    manifest = Manifest(plan.digest, n_rows, (digest,), RowsDigest().hexdigest(), None)
    outputs.write_durably(path.joinpath(*MANIFEST), manifest.to_bytes())
    return path


READS = {
    "array": lambda store: np.asarray(store["a"]),
    "float64": lambda store: np.asarray(store["a"], dtype=np.float64),
    "columns": lambda store: store.columns.doc_id,
    "mask": lambda store: store.columns.mask(),
    "all": lambda store: store.columns.mask("all"),
    "documents": document_rows,
    "moments": lambda store: rs.compare(store, store, "LinearCKA"),
    "rows": lambda store: rs.compare(store, store, "MutualKNN", tokens="all"),
    "permutations": lambda store: rs.permutation_test(store, store, "LinearCKA"),
    "profile": rs.profile,
    "export": lambda store: export(store, store.path.parent / "out"),
}


def test_a_chunk_of_any_size_is_a_view_of_a_map(tmp_path):
    store = open_store(sparse_store(tmp_path / "s", 500_000_000, 700), io="mmap")
    assert next(store["a"].chunks(store.n_rows)).shape == (500_000_000, 700)


@pytest.mark.parametrize("io", ["mmap", "pread"])
@pytest.mark.parametrize("read", [name for name in READS if name != "export"])
def test_a_sparse_store_of_terabytes_ends_in_no_memory_error(tmp_path, monkeypatch, read, io):
    monkeypatch.setattr(memory, "_total_memory", lambda: 1 << 28)
    store = open_store(sparse_store(tmp_path / "s", 500_000_000, 700), io=io)
    with pytest.raises(PyrepsimError, match="must fit into memory"):
        READS[read](store)


@pytest.mark.parametrize("read", ["array", "float64", "profile"])
def test_a_layer_with_very_wide_rows_is_refused(tmp_path, monkeypatch, read):
    monkeypatch.setattr(memory, "_total_memory", lambda: 1 << 26)
    store = open_store(sparse_store(tmp_path / "s", 300_000, 1_000_000), io="pread")
    with pytest.raises(PyrepsimError, match="must fit into memory"):
        READS[read](store)


def test_what_does_not_fit_now_is_said_too(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    store = open_store(sparse_store(tmp_path / "s", 1000, 3))
    monkeypatch.setattr("pyrepsim.store.representation.np.empty", refuse)
    with pytest.raises(ShapeError, match="of which less is free now"):
        store["a"].read(0, 10)
