"""Chunks are the stored rows for any chunk size, shards, mask, start and way of reading."""

from __future__ import annotations

import gc
import pickle
import threading

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyrepsim.core.errors import CorruptStoreError, DTypeError, LayerError, OptionError, ShapeError, StoreError
from pyrepsim.store import ShardCache, StoreWriter, open_store, paired_chunks, remove_store, shards, verify, write_store

IO = pytest.mark.parametrize("io", ["mmap", "pread"])


def joined(chunks, width):
    return np.concatenate([np.empty((0, width)), *chunks])


@st.composite
def readings(draw):
    shard_rows = draw(st.lists(st.integers(0, 9), max_size=6))
    n_rows = sum(shard_rows)
    mask = draw(st.none() | st.lists(st.booleans(), min_size=n_rows, max_size=n_rows))
    selected = n_rows if mask is None else sum(mask)
    return shard_rows, mask, draw(st.integers(1, 12)), draw(st.integers(0, selected))


@IO
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reading=readings())
def test_chunks_are_the_selected_rows_in_order(tmp_path_factory, io, reading):
    shard_rows, mask, rows, start = reading
    n_rows = sum(shard_rows)
    array = np.arange(n_rows * 3, dtype=np.float32).reshape(n_rows, 3)
    path = tmp_path_factory.mktemp("store") / "s"
    layer = open_store(write_store(path, {"a": array}, shard_rows=shard_rows).path, io=io)["a"]
    mask = None if mask is None else np.array(mask, dtype=bool)
    chunks = list(layer.chunks(rows, start=start, mask=mask))
    due = array if mask is None else array[mask]
    np.testing.assert_array_equal(joined(chunks, 3), due[start:])
    assert all(1 <= len(chunk) <= rows for chunk in chunks)
    assert not any(chunk.flags.writeable for chunk in chunks)
    shard_of_row = np.repeat(np.arange(len(shard_rows)), shard_rows)
    numbers = shard_of_row if mask is None else shard_of_row[mask]
    at = start
    for chunk in chunks:
        assert len(set(numbers[at : at + len(chunk)])) == 1, "a chunk crosses a shard"
        at += len(chunk)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_read_is_a_slice(tmp_path_factory, data):
    shard_rows = data.draw(st.lists(st.integers(0, 5), max_size=4))
    n_rows = sum(shard_rows)
    start = data.draw(st.integers(0, n_rows))
    stop = data.draw(st.integers(start, n_rows))
    array = np.arange(n_rows * 2, dtype=np.float32).reshape(n_rows, 2)
    path = tmp_path_factory.mktemp("store") / "s"
    got = write_store(path, {"a": array}, shard_rows=shard_rows)["a"].read(start, stop)
    np.testing.assert_array_equal(got, array[start:stop])
    assert got.flags.writeable


def test_dense_chunks_are_views_of_the_map_and_stay_valid(store, arrays):
    chunks = list(store["embeddings"].chunks(8))
    assert not any(chunk.flags.owndata for chunk in chunks)
    gc.collect()
    np.testing.assert_array_equal(joined(chunks, 5), arrays["embeddings"].astype("f2"))
    with pytest.raises(ValueError, match="read-only"):
        chunks[0][0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        chunks[0].flags.writeable = True


def test_a_mask_without_gaps_inside_a_chunk_gives_views(store):
    mask = np.zeros(50, dtype=bool)
    mask[5:12] = mask[40:] = True
    chunks = list(store[0].chunks(mask=mask))
    assert [len(chunk) for chunk in chunks] == [7, 10]
    assert all(isinstance(chunk.base, np.ndarray) for chunk in chunks)


@IO
def test_sparse_masks_are_gathered_in_pieces(make_store, monkeypatch, io, rng):
    monkeypatch.setattr("pyrepsim.store.shards.GATHER_BYTES", 30)
    store = open_store(make_store().path, io=io)
    mask = rng.random(50) < 0.3
    for name in store:
        np.testing.assert_array_equal(
            joined(store[name].chunks(mask=mask), store.widths[name]), np.asarray(store[name])[mask]
        )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_mmap_and_pread_agree(make_store, dtype):
    path = make_store(dtype=dtype).path
    mapped, read = open_store(path, io="mmap"), open_store(path, io="pread")
    mask = mapped.columns.mask("content")
    for name in mapped:
        for options in ({}, {"mask": mask}, {"mask": mask, "start": 11}, {"chunk_size": 3}):
            pairs = zip(mapped[name].chunks(**options), read[name].chunks(**options), strict=True)
            for x, y in pairs:
                assert x.dtype == y.dtype
                assert x.dtype.name == dtype
                np.testing.assert_array_equal(x, y)


def test_local_folders_are_mapped_and_remote_ones_read(store, monkeypatch):
    assert store.io == "mmap"
    monkeypatch.setattr("pyrepsim.store.reader.is_remote", lambda path: True)
    assert open_store(store.path).io == "pread"
    assert open_store(store.path, io="mmap").io == "mmap"
    with pytest.raises(OptionError, match="'auto', 'mmap', 'pread'"):
        open_store(store.path, io="direct")


@IO
@pytest.mark.parametrize("mask", [False, True])
def test_resident_memory_stays_small(tmp_path, io, mask):
    n_rows, width = 50_000, 512  # 51 MB a layer, one shard
    array = np.ones((n_rows, width), np.float16)
    store = open_store(write_store(tmp_path / "s", {"a": array, "b": array}).path, io=io)
    del array
    wanted = np.arange(n_rows) % 10 != 0 if mask else None
    process = psutil.Process()
    for _ in store["a"].chunks(512, mask=wanted):
        pass  # whatever is allocated once has been
    before, most = process.memory_info().rss, 0
    for _ in zip(store["a"].chunks(512, mask=wanted), store["b"].chunks(512, mask=wanted), strict=True):
        most = max(most, process.memory_info().rss)
    assert most - before < 16 << 20


def test_layers_share_the_selection_of_a_mask(store):
    mask = store.columns.mask("content")
    assert store.selection(mask) is store.selection(store.columns.mask("content"))
    own = mask.copy()
    assert store.selection(own) is not store.selection(own)  # its owner may change it
    chunks = store[0].chunks(chunk_size=4, mask=own)
    first = next(chunks)
    own[:] = False
    rest = list(chunks)
    np.testing.assert_array_equal(joined([first, *rest], 5), np.asarray(store[0])[mask])


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"mask": np.ones(49, bool)}, ShapeError, r"shape \(50,\): got \(49,\)"),
        ({"mask": np.ones((50, 1), bool)}, ShapeError, r"got \(50, 1\)"),
        ({"mask": np.ones(50, int)}, DTypeError, "boolean array: got an array of int64"),
        ({"mask": [True] * 50}, DTypeError, "got list"),
        ({"chunk_size": 0}, OptionError, "at least 1"),
        ({"chunk_size": 2.0}, OptionError, "whole number"),
        ({"start": 51}, OptionError, r"0\.\.50"),
        ({"start": -1}, OptionError, r"0\.\.50"),
        ({"start": 3, "mask": np.arange(50) < 2}, OptionError, r"0\.\.2"),
    ],
)
def test_bad_chunk_options_are_refused_at_once(store, options, kind, message):
    with pytest.raises(kind, match=message):
        store[0].chunks(**options)


def test_layers_by_name_and_number(store):
    assert store[-1].name == store[1].name == store[np.int64(1)].name == "layer.0"
    assert list(store) == ["embeddings", "layer.0"] == list(store.layers)
    assert "layer.0" in store
    assert "layer.1" not in store
    assert (len(store), store["layer.0"].shape, len(store["layer.0"])) == (2, (50, 8), 50)
    with pytest.raises(LayerError, match=r"embeddings, layer.0: got 'layer_0'. Did you mean 'layer.0'"):
        store["layer_0"]
    for wrong in (2, -3, None, "zebra"):
        with pytest.raises(LayerError, match=r"has the layers embeddings, layer\.0"):
            store[wrong]


def test_as_an_array(store, arrays):
    layer = store["layer.0"]
    assert np.asarray(layer).dtype == np.float16
    assert np.asarray(layer, dtype=np.float64).dtype == np.float64
    assert np.array(layer, copy=True).flags.writeable
    with pytest.raises(ValueError, match="must be copied"):
        np.array(layer, copy=False)
    with pytest.raises(OptionError, match="0 <= start <= stop <= 50"):
        layer.read(3, 51)


def test_facts_about_a_layer(store, arrays):
    layer = store["layer.0"]
    stored = arrays["layer.0"].astype("f2").astype("f8")
    assert layer.absmax == np.abs(stored).max()
    np.testing.assert_allclose(layer.shift, stored[:20].mean(axis=0), rtol=1e-6)
    assert layer.n_bytes == 4 * 4096 + 50 * 8 * 2
    assert store.n_bytes == 12 * 4096 + 50 * (13 * 2 + 37)
    assert repr(layer) == "Representation('layer.0', 50 rows x 8 features, float16)"


def test_the_digest_identifies_a_store(make_store):
    store, other = make_store("a"), make_store("b", dtype="float32")
    assert open_store(store.path, expect_digest=store.digest).digest == store.digest
    with pytest.raises(CorruptStoreError, match=f"must have the root digest {other.digest}"):
        open_store(store.path, expect_digest=other.digest)


def test_a_store_survives_pickling_but_not_replacement(make_store):
    store = make_store()
    copy = pickle.loads(pickle.dumps(store))
    assert (copy.digest, copy.io) == (store.digest, store.io)
    layer = pickle.loads(pickle.dumps(store["layer.0"]))
    np.testing.assert_array_equal(np.asarray(layer), np.asarray(store["layer.0"]))
    frozen = pickle.dumps(store)
    make_store(dtype="float32", overwrite=True)
    with pytest.raises(CorruptStoreError, match="another store, or was replaced"):
        pickle.loads(frozen)


def test_a_folder_that_is_not_a_store_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="there is none at"):
        open_store(tmp_path / "nothing")
    with pytest.raises(StoreError, match=r"has a file plan.json"):
        open_store(tmp_path)


def test_representations_are_escaped_in_html(make_store):
    page = make_store("<b>", plan={"model": "<script>"})._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "<b>" not in page
    assert "embeddings (5), layer.0 (8)" in page


def test_repr_shortens_many_layers(tmp_path):
    store = write_store(tmp_path / "s", {f"layer.{i}": np.ones((1, 1)) for i in range(40)})
    assert "layer.11, ..., layer.38, layer.39" in repr(store)


def test_threads_can_read_the_same_store(store):
    mask = store.columns.mask("content")
    due = {name: np.asarray(store[name])[mask] for name in store}
    failures = []

    def walk(name):
        for rows in range(1, 12):
            if not np.array_equal(joined(store[name].chunks(rows, mask=mask), store.widths[name]), due[name]):
                failures.append((name, rows))

    threads = [threading.Thread(target=walk, args=(name,)) for name in store for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_an_abandoned_pass_closes_its_file(store):
    process = psutil.Process()
    before = process.num_fds()
    for io in ("mmap", "pread"):
        chunks = open_store(store.path, io=io)[0].chunks(3)
        next(chunks)
        del chunks
    gc.collect()
    assert process.num_fds() == before


def test_sizes_are_in_words(store):
    assert "kB)" in repr(store)
    assert "kB</td>" in store._repr_html_()


@pytest.mark.parametrize("advice", [shards.HUGEPAGE, -1, None], ids=["huge pages", "unknown advice", "no advice"])
def test_large_pages_are_not_required(tmp_path, monkeypatch, advice):
    monkeypatch.setattr(shards, "HUGEPAGE", advice)
    array = np.arange(3000, dtype=np.float32).reshape(1000, 3)
    layer = open_store(write_store(tmp_path / "s", {"a": array}, dtype="float32").path)["a"]
    np.testing.assert_array_equal(joined(layer.chunks(300), 3), array)


@pytest.mark.parametrize(("every", "whole"), [(None, True), (1, True), (10, True), (64, True), (100, False)])
def test_all_of_a_shard_is_read_in_advance_if_many_of_its_rows_are_selected(tmp_path, monkeypatch, every, whole):
    calls = []
    monkeypatch.setattr(shards.ShardFile, "expect_pass", lambda file: calls.append(file))
    layer = open_store(write_store(tmp_path / "s", {"a": np.ones((12_800, 3))}, shard_rows=[6400, 6400]).path)["a"]
    mask = None if every is None else np.arange(12_800) % every == 0
    assert sum(len(chunk) for chunk in layer.chunks(500, mask=mask)) == 12_800 // (every or 1)
    assert len(calls) == (2 if whole else 0)


@pytest.mark.parametrize("options", [{}, {"max_files": 1}, {"max_bytes": 8}])
@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_the_cache_reads_what_the_layer_holds(tmp_path, io, options):
    layer = np.arange(18, dtype=np.float32).reshape(-1, 2)
    path = write_store(tmp_path / "s", {"a": layer, "b": -layer}, shard_rows=4, dtype="float32").path
    store = open_store(path, io=io)
    pieces = [("a", 0, slice(0, 2)), ("b", 1, slice(1, 4)), ("a", 2, slice(0, 1)), ("a", 0, slice(2, 4))]
    with ShardCache(store, **options) as cache:
        found = [cache.read(*piece) for piece in pieces]
        assert len(cache._files) <= options.get("max_files", 3)
    for (layer, shard, rows), values in zip(pieces, found, strict=True):
        np.testing.assert_array_equal(values, np.asarray(store[layer])[4 * shard :][rows])
        assert not values.flags.writeable


READS = {
    "chunks": lambda store: list(store[0].chunks()),
    "array": lambda store: np.asarray(store[0]),
    "columns": lambda store: store.columns.doc_id,
    "mask": lambda store: store.columns.mask(),
    "docs": lambda store: list(store.docs()),
    "verify": verify,
    "pickle": lambda store: pickle.loads(pickle.dumps(store)),
    "pairs": lambda store: list(paired_chunks(store[0], store[0])),
    "shards": lambda store: ShardCache(store).read(store.layers[0], 0, slice(0, 1)),
}


@pytest.mark.parametrize("io", ["mmap", "pread"])
@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("now", ["the same", "others", "none"])
def test_a_handle_reads_the_store_that_it_opened_or_nothing(tmp_path, io, read, now):
    def write(path, scale):
        rng = np.random.default_rng(0)
        writer = StoreWriter.create(path, {}, layers={"a": 3}, shard_rows=[4, 5])
        for shard, n_rows in enumerate((4, 5)):
            columns = {"doc_id": np.arange(n_rows), "position": np.zeros(n_rows, int), "token_id": np.arange(n_rows)}
            writer.commit(shard, columns, {"a": scale * rng.standard_normal((n_rows, 3))})
        return writer.seal(docs=[{"doc_id": 0}])

    write(tmp_path / "s", 1.0)
    store = open_store(tmp_path / "s", io=io)
    remove_store(tmp_path / "s")
    if now == "the same":
        write(tmp_path / "s", 1.0)
        READS[read](store)
        return
    if now == "others":
        write(tmp_path / "s", 2.0)
    with pytest.raises(StoreError, match="was replaced since it was opened" if read != "pickle" else None):
        READS[read](store)


def test_arrays_of_a_replaced_store_are_still_those_that_were_read(tmp_path):
    old, new = np.ones((4, 3)), np.zeros((4, 3))
    chunk = next(open_store(write_store(tmp_path / "s", {"a": old}).path, io="mmap")["a"].chunks())
    store = write_store(tmp_path / "s", {"a": new}, overwrite=True)
    assert (chunk == 1).all()
    assert (np.asarray(store["a"]) == 0).all()


def test_a_store_that_was_replaced_during_a_pass_is_noticed_at_its_next_shard(tmp_path):
    layers = {"a": np.ones((6, 3))}
    chunks = write_store(tmp_path / "s", layers, shard_rows=2)["a"].chunks()
    next(chunks)
    write_store(tmp_path / "s", {"a": 2 * layers["a"]}, shard_rows=2, overwrite=True)
    with pytest.raises(CorruptStoreError, match="was replaced since it was opened"):
        list(chunks)
