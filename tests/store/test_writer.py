"""Writing stores: accepted and refused arguments, resuming, sealing."""

from __future__ import annotations

import errno
import logging
import os
import shutil

import numpy as np
import pytest

from pyrepsim.core.errors import (
    CorruptStoreError,
    DTypeError,
    LayerError,
    NonFiniteError,
    OptionError,
    ShapeError,
    StoreError,
)
from pyrepsim.store import StoreWriter, open_store, plan_shards, write_store


def test_shards_in_any_order_give_the_same_store(create, commit, make_store, arrays):
    writer = create()
    assert writer.missing() == [0, 1]
    assert commit(writer, 1)
    assert writer.missing() == [0]
    assert commit(writer, 0)
    assert not commit(writer, 0)
    store = writer.seal()
    assert (store.n_rows, store.layers, store.dtype) == (50, ("embeddings", "layer.0"), "float16")
    assert store.plan == {"rows": {"texts": 1}}
    for name, array in arrays.items():
        np.testing.assert_array_equal(np.asarray(store[name]), array.astype(np.float16))
    assert store.digest == make_store("other", shard_rows=[30, 20], plan={"rows": {"texts": 1}}).digest


def test_create_continues_where_the_last_writer_stopped(create, commit):
    commit(create(), 1)
    again = create()
    assert again.missing() == [0]
    commit(again, 0)
    digest = again.seal().digest
    sealed = create()
    assert sealed.missing() == []
    assert not commit(sealed, 0)
    assert sealed.seal().digest == digest


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"plan": {"rows": {"texts": 2}}}, r"plan\.rows\.texts \(1 before, 2 now\)"),
        ({"plan": {"rows": {}, "seed": 3}}, r"plan\.rows\.texts \(only before\)"),
        ({"plan": {"rows": {"texts": 1}, "seed": 3}}, r"plan\.seed \(only now\)"),
        ({"dtype": "float32"}, r"dtype \('float16' before, 'float32' now\)"),
        ({"overflow": "error"}, "overflow"),
        ({"shard_rows": [20, 30]}, r"shard_rows\[0\] \(30 before, 20 now\)"),
        ({"layers": {"embeddings": 5, "layer.0": 9}}, r"layers\[1\]\.width"),
        ({"layers": {"layer.0": 8, "embeddings": 5}}, r"layers\[0\]\.name"),
    ],
)
def test_another_plan_is_refused_with_the_first_key_that_differs(create, changes, key):
    create()
    with pytest.raises(StoreError, match=key):
        create(**changes)


def test_a_folder_with_other_things_is_refused(tmp_path, create):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match=r"holds 'thesis.tex' and no plan.json"):
        create()
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": {}}, "1 to 4096 layers"),
        ({"layers": {"../evil": 3}}, "A-Za-z0-9"),
        ({"layers": {"a/b": 3}}, "A-Za-z0-9"),
        ({"layers": {"..": 3}}, "A-Za-z0-9"),
        ({"layers": {"a\n": 3}}, "A-Za-z0-9"),
        ({"layers": {"a" * 201: 3}}, "A-Za-z0-9"),
        ({"layers": {"a": 0}}, "at least 1"),
        ({"layers": {"a": 2.0}}, "integer"),
        ({"layers": {"a": True}}, "integer"),
        ({"shard_rows": [3, -1]}, "at least 0"),
        ({"shard_rows": [1 << 51]}, "2\\^53"),
        ({"dtype": "float64"}, "dtype must be one of float16, bfloat16, float32"),
        ({"overflow": "clip"}, "overflow must be one of"),
        ({"checksum": "crc32"}, "checksum must be one of"),
        ({"plan": {"path": object()}}, "plan.path is not a JSON type"),
        ({"plan": {"x": float("nan")}}, "plan.x is not a JSON number"),
        ({"plan": {"x": 1 << 60}}, "2\\^53"),
        ({"plan": {1: 2}}, "not a string"),
        ({"plan": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {}}}}}}}}}, "8 levels"),
        ({"plan": {"a": "\ud800"}}, "surrogate pair"),
        ({"plan": [1]}, "must be a dict"),
    ],
)
def test_a_plan_that_could_not_be_read_back_is_refused(create, tmp_path, options, message):
    with pytest.raises(OptionError, match=message):
        create(**options)
    assert not (tmp_path / "s").exists()


def test_numpy_integers_are_integers(create):
    assert create(layers={"a": np.int64(3)}, shard_rows=np.array([2, 3])).shard_rows == (2, 3)


@pytest.mark.parametrize(
    ("layers", "kind", "message"),
    [
        ({"layer.0": np.zeros((29, 8), "f4")}, ShapeError, r"layer.0 of shard 0 must have shape \(30, 8\)"),
        ({"layer.0": np.zeros((30, 7), "f4")}, ShapeError, r"got \(30, 7\)"),
        ({"layer.0": np.zeros(30, "f4")}, ShapeError, r"got \(30,\)"),
        ({"layer.0": np.zeros((30, 8), object)}, DTypeError, "float16, bfloat16, float32, float64"),
        ({"layer.0": np.zeros((30, 8), int)}, DTypeError, "int64"),
        ({"layer.0": np.zeros((30, 8), ">f4")}, DTypeError, "native byte order"),
        ({"layer.0": [[0.0] * 8] * 30}, DTypeError, "got list"),
        ({"layer.9": np.zeros((30, 8), "f4")}, LayerError, "layer.9 is missing or unknown"),
    ],
)
def test_activations_are_checked_before_a_byte_is_written(create, rows, arrays, tree, layers, kind, message):
    writer = create()
    before = tree(writer.path)
    good = {name: array[:30] for name, array in arrays.items()}
    with pytest.raises(kind, match=message):
        writer.commit(0, {name: column[:30] for name, column in rows.items()}, good | layers)
    assert tree(writer.path) == before


@pytest.mark.parametrize("shard", [-1, 2, "0", 0.0])
def test_a_shard_must_be_planned(create, commit, shard):
    with pytest.raises(OptionError, match=r"one of 0..1"):
        create().commit(shard, {}, {})


def test_zero_rows_and_one_row(tmp_path):
    for n_rows, shard_rows in [(0, None), (0, [0, 0]), (1, None), (1, [0, 1])]:
        path = tmp_path / f"{n_rows}-{shard_rows}"
        store = write_store(path, {"a": np.ones((n_rows, 3), "f4")}, shard_rows=shard_rows)
        assert store["a"].shape == (n_rows, 3)
        assert np.asarray(store["a"]).shape == (n_rows, 3)
        assert sum(len(chunk) for chunk in store["a"].chunks(mask=store.columns.mask())) == n_rows
        assert store["a"].shift.tolist() == [float(n_rows)] * 3
        assert len(store.columns["doc_id"]) == n_rows


def test_many_layers(tmp_path):
    arrays = {f"layer.{i}": np.full((4, 2), i, np.float32) for i in range(130)}
    store = write_store(tmp_path / "s", arrays)
    assert (store.path / "layers/L129/shard-00000.safetensors").exists()
    assert len(store) == 130
    assert all((np.asarray(store[i]) == i).all() for i in range(130))


@pytest.mark.parametrize("threads", ["1", "3", "64"])
def test_layers_written_at_once_give_the_same_bytes(tmp_path, rng, tree, monkeypatch, threads):
    layers = {f"layer.{i}": rng.standard_normal((40, 1 + i)) for i in range(9)}
    write_store(tmp_path / "by default", layers, shard_rows=30)
    monkeypatch.setenv("PYREPSIM_NUM_THREADS", threads)
    write_store(tmp_path / "in two shards", layers, shard_rows=30)
    assert tree(tmp_path / "in two shards") == tree(tmp_path / "by default")


def test_if_several_layers_fail_the_first_is_named_and_no_file_is_left(create, rows, arrays, tree):
    writer = create()
    before = tree(writer.path)
    spoiled = {name: np.full_like(array[:30], np.nan) for name, array in arrays.items()}
    for _ in range(5):
        with pytest.raises(NonFiniteError, match=r"layer embeddings, shard 0, row 0, feature 0 is nan"):
            writer.commit(0, {name: column[:30] for name, column in rows.items()}, spoiled)
        assert tree(writer.path) == before


def test_write_store_streams_a_memmap(tmp_path, rng):
    source = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (300, 16))
    source[:] = rng.standard_normal((300, 16))
    store = write_store(tmp_path / "s", {"x": np.load(tmp_path / "x.npy", mmap_mode="r")}, shard_rows=128)
    assert store.shard_rows == (128, 128, 44)
    np.testing.assert_array_equal(np.asarray(store["x"]), source.astype("f2"))
    assert store.columns["doc_id"].tolist() == list(range(300))


def test_write_store_refuses_what_does_not_fit(tmp_path, make_store, arrays):
    with pytest.raises(ShapeError, match="same number of rows"):
        write_store(tmp_path / "a", {"x": np.ones((3, 2)), "y": np.ones((4, 2))})
    with pytest.raises(ShapeError, match="n_rows, width"):
        write_store(tmp_path / "a", {"x": np.ones(3)})
    with pytest.raises(ShapeError, match="n_rows, width"):
        write_store(tmp_path / "a", {})
    with pytest.raises(ShapeError, match="add up to the 50 rows"):
        make_store(shard_rows=[20, 20])
    with pytest.raises(OptionError, match="at least 1"):
        make_store(shard_rows=0)
    first = make_store()
    with pytest.raises(StoreError, match="overwrite=True"):
        make_store()
    twice = {name: array * 2 for name, array in arrays.items()}
    assert make_store(layers=twice, overwrite=True).digest != first.digest


def test_docs_are_kept_and_covered_by_the_root_digest(create, commit):
    writer = create()
    commit(writer, 0)
    commit(writer, 1)
    docs = [{"doc_id": 0, "key": "ü\n", "words_without_tokens": [3]}, {"doc_id": 1}]
    with pytest.raises(OptionError, match=r"entry\.x is not a JSON type"):
        writer.seal(docs=[{"x": object()}])
    store = writer.seal(docs=docs)
    assert list(store.docs()) == docs
    assert writer.seal(docs=[]).digest == store.digest  # sealing twice is sealing once


def test_a_store_without_docs_has_none(store):
    assert list(store.docs()) == []


def test_seal_names_the_missing_shards(create, commit):
    writer = create()
    commit(writer, 0)
    with pytest.raises(StoreError, match=r"1 of 2 are missing .*first: 1"):
        writer.seal()
    with pytest.raises(StoreError, match="1 of 2 shards committed"):
        open_store(writer.path)


def test_a_closed_writer_cannot_commit(create, commit):
    with create() as writer:
        commit(writer, 0)
    with pytest.raises(StoreError, match="must be open"):
        commit(writer, 1)
    assert create().missing() == [1]


@pytest.mark.parametrize("damage", ["cut", "gone", "flipped record"])
def test_a_damaged_shard_of_an_unsealed_store_is_written_again(create, commit, caplog, flip, damage):
    writer = create()
    commit(writer, 0)
    commit(writer, 1)
    path = writer.path / "layers/L01/shard-00001.safetensors"
    if damage == "cut":
        os.truncate(path, 5000 - 4096)
    elif damage == "gone":
        path.unlink()
    else:
        flip(writer.path / "journal/00001.json")
    with caplog.at_level(logging.WARNING, "pyrepsim.store"):
        again = create()
    assert "shard 1 is damaged and will be written again" in caplog.text
    assert again.missing() == [1]
    assert not path.exists()
    commit(again, 1)
    assert len(list(again.seal()["layer.0"].chunks())) == 2


def test_a_damaged_shard_of_a_sealed_store_is_an_error(create, commit):
    writer = create()
    commit(writer, 0)
    commit(writer, 1)
    store = writer.seal()
    os.truncate(store.path / "tokens/shard-00000.safetensors", 4100)
    with pytest.raises(CorruptStoreError, match=r"tokens/shard-00000.safetensors .* it has 4100"):
        create()
    # the remedy that verify() names: take seal and record away, run again
    (store.path / "manifest.json").unlink()
    (store.path / "journal/00000.json").unlink()
    again = create()
    commit(again, 0)
    assert again.seal().digest == store.digest


def test_a_link_in_place_of_a_folder_is_not_written_through(create, tmp_path):
    create()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "s/layers/L00").rmdir()
    (tmp_path / "s/layers/L00").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="it is a link"):
        create()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(create, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pyrepsim.core.outputs.os.open", refuse)
    advice = "not mounted as read-only" if number == errno.EROFS else "that you may write to"
    with pytest.raises(StoreError, match=f"choose a folder .*{advice}"):
        create()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_refused_for_writing_and_read_all_the_same(store, arrays, rows):
    for path in [*store.path.rglob("*"), store.path]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        opened = open_store(store.path)
        assert sum(map(len, opened[0].chunks())) == 50
        with pytest.raises(StoreError, match="may write to"):
            write_store(store.path / "inner", arrays)
    finally:
        for path in [store.path, *store.path.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_plan_shards():
    assert plan_shards(0, 768) == []
    assert plan_shards(10, 768) == [10]
    assert plan_shards(10, 2, "float32", shard_bytes=24) == [3, 3, 3, 1]
    assert plan_shards(3, 1 << 30, shard_bytes=1) == [1, 1, 1]
    assert sum(plan_shards(10**6, 768)) == 10**6
    assert max(plan_shards(10**6, 768)) * 768 * 2 <= 256 << 20
    with pytest.raises(OptionError, match="at least 0"):
        plan_shards(-1, 3)


def test_write_store_takes_lists(tmp_path):
    store = write_store(tmp_path / "s", {"a": [[0.5, 1.5], [2.0, 3.0]]}, columns=None)
    assert np.asarray(store["a"]).tolist() == [[0.5, 1.5], [2.0, 3.0]]
    with pytest.raises(ShapeError, match=r"a has shape \(2,\)"):
        write_store(tmp_path / "t", {"a": [0.5, 1.5]})
    with pytest.raises(ShapeError, match="layer a must be rectangular"):
        write_store(tmp_path / "t", {"a": [[0.5], [1.5, 2.0]]})
    with pytest.raises(ShapeError, match=r"got a ndarray\. Pass \{name: array\}"):
        write_store(tmp_path / "t", np.ones((2, 2)))


@pytest.mark.parametrize("below", [".", "deep/er"])
def test_a_file_where_the_store_should_be(tmp_path, below):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / below
    message = r"Writing .* needs a folder: .*file is a file\. Choose another path"
    with pytest.raises(StoreError, match=message):
        StoreWriter.create(path, {}, layers={"a": 1}, shard_rows=[1])
    with pytest.raises(StoreError, match=message):
        write_store(path, {"a": np.ones((1, 1))})


def test_a_broken_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(StoreError, match=r"link is a broken link\. Choose another path"):
        StoreWriter.create(tmp_path / "link", {}, layers={"a": 1}, shard_rows=[1])


def test_a_folder_removed_while_it_is_written(create, commit):
    writer = create()
    shutil.rmtree(writer.path)
    with pytest.raises(StoreError, match="check who removed or moved a part of that path"):
        commit(writer, 0)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        (
            {"model": {"id": "b"}, "policy": {"words": "mean"}, "batches": "q"},
            r"plan\.model\.id \('a' before, 'b'",
        ),
        ({"policy": {"words": "mean"}, "batches": "q"}, r"plan\.policy\.words"),
        ({"rows": {"texts": "u", "batches": "q", "documents": 3}, "batches": "q"}, r"plan\.rows\.texts"),
        ({"environment": {"torch": "3"}}, r"plan\.environment\.torch"),
        ({"batches": "q"}, r"plan\.batches"),
    ],
)
def test_options_that_the_user_chose_are_named_first(create, changes, named):
    plan = {
        "rows": {"batches": "p", "documents": 2, "texts": "t"},
        "policy": {"words": None},
        "batches": "p",
        "model": {"id": "a"},
        "environment": {"torch": "2"},
    }
    create(plan)
    with pytest.raises(StoreError, match=f"differs in {named}.*overwrite=True, or --overwrite"):
        create(plan | changes, shard_rows=[50] if len(changes) > 1 else [30, 20])


def test_other_layers_are_counted(create):
    create(layers={f"layer.{i}": 8 for i in range(5)})
    with pytest.raises(StoreError, match=r"layers \(5 items before, 3 items now\)"):
        create(layers={f"layer.{i}": 8 for i in range(3)})
