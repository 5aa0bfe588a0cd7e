"""Exports hold the stored values, in files that other libraries read."""

from __future__ import annotations

import sys

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from pyrepsim.core.errors import MissingExtraError, OptionError, StoreError
from pyrepsim.store import export, exports, write_store

DTYPES = pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])


@DTYPES
def test_npy(make_store, tmp_path, dtype):
    store = make_store(dtype=dtype)
    files = export(store, tmp_path / "out")
    assert [path.name for path in files] == ["embeddings.npy", "layer.0.npy", "columns.npz"]
    for name in store:
        array = np.load(tmp_path / "out" / f"{name}.npy", mmap_mode="r")
        assert array.dtype.name == ("float32" if dtype == "bfloat16" else dtype)
        np.testing.assert_array_equal(array, np.asarray(store[name]).astype(array.dtype))
    rows = np.load(tmp_path / "out" / "columns.npz")
    for name, column in store.columns.items():
        np.testing.assert_array_equal(rows[name], column)


@DTYPES
def test_safetensors(make_store, tmp_path, dtype):
    store = make_store(dtype=dtype)
    export(store.path, tmp_path / "out", "safetensors")
    for name in store:
        array = load_file(tmp_path / "out" / f"{name}.safetensors")["activation"]
        assert array.dtype.name == dtype
        np.testing.assert_array_equal(array, np.asarray(store[name]))
    rows = load_file(tmp_path / "out" / "columns.safetensors")
    np.testing.assert_array_equal(rows["token_id"], store.columns.token_id)


@DTYPES
def test_arrow(make_store, tmp_path, dtype):
    pa = pytest.importorskip("pyarrow")
    store = make_store(dtype=dtype)
    (path,) = export(store, tmp_path / "out", "arrow")
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    np.testing.assert_array_equal(table["position"].to_numpy(), store.columns.position)
    for name, width in store.widths.items():
        flat = np.concatenate([chunk.flatten().to_numpy() for chunk in table[name].chunks])
        np.testing.assert_array_equal(flat.reshape(-1, width), np.asarray(store[name]).astype(flat.dtype))


def test_mixed_shards_become_float32_exactly(make_store, arrays, tmp_path):
    large = arrays["layer.0"].copy()
    large[30:] *= 1e5
    store = make_store(layers={"layer.0": large})
    assert set(store[0].dtypes) == {"float16", "float32"}
    for kind, load in (("npy", np.load), ("safetensors", lambda path: load_file(path)["activation"])):
        export(store, tmp_path / kind, kind)
        array = load(tmp_path / kind / f"layer.0.{kind}")
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, np.asarray(store[0]))


def test_no_rows(tmp_path):
    store = write_store(tmp_path / "s", {"a": np.ones((0, 3))}, dtype="bfloat16")
    export(store, tmp_path / "npy", "npy")
    assert np.load(tmp_path / "npy" / "a.npy").shape == (0, 3)
    export(store, tmp_path / "st", "safetensors")
    array = load_file(tmp_path / "st" / "a.safetensors")["activation"]
    assert (array.shape, array.dtype) == ((0, 3), ml_dtypes.bfloat16)


def test_bad_exports_are_refused(store, tmp_path, monkeypatch):
    with pytest.raises(OptionError, match="'npy', 'safetensors', 'arrow'"):
        export(store, tmp_path / "out", "hdf5")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    with pytest.raises(StoreError, match="not empty"):
        export(store, tmp_path / "full")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        export(store, tmp_path / "arrow", "arrow")


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_export_leaves_nothing(store, tmp_path, monkeypatch, error, there):
    calls = []

    def fail_at_the_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise error
        return write_rows(*arguments)

    write_rows = exports._write_rows
    monkeypatch.setattr(exports, "_write_rows", fail_at_the_second)
    out = tmp_path / "out"
    if there:
        out.mkdir()
    kind = StoreError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(kind) as caught:
        export(store, out)
    assert out.exists() == there
    assert not there or list(out.iterdir()) == []
    if kind is StoreError:
        message = str(caught.value)
        assert message.startswith(f"The export to {out} failed: No space left on device. To continue, free")
        assert "it starts from the beginning" in message
        assert "shards" not in message


@pytest.mark.parametrize(
    ("layer", "kind"),
    [("columns", "safetensors"), ("doc_id", "arrow"), ("flags", "arrow")],
)
def test_a_layer_named_like_a_token_column_is_refused(make_store, arrays, tmp_path, layer, kind):
    store = make_store(layers={"embeddings": arrays["embeddings"], layer: arrays["layer.0"]})
    with pytest.raises(OptionError, match=rf"the layer '{layer}' of .* Choose format='npy'"):
        export(store, tmp_path / "out", kind)
    assert not (tmp_path / "out").exists()
    export(store, tmp_path / "npy", "npy")
    np.testing.assert_array_equal(np.load(tmp_path / "npy" / f"{layer}.npy"), np.asarray(store[layer]))
    np.testing.assert_array_equal(np.load(tmp_path / "npy" / "columns.npz")["doc_id"], store.columns["doc_id"])


def test_a_file_instead_of_the_folder_is_an_error(store, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(StoreError, match=r"Writing .* needs a folder: .*file is a file\. Choose"):
            export(store, out)
