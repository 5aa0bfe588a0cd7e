"""Rows are matched by their tokens: two stores row by row, and texts and sentences with one store."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.core.errors import LayerError, OptionError, RowMismatchError, StoreError
from pyrepsim.data.documents import Corpus, Document
from pyrepsim.store import (
    check_same_rows,
    count_documents,
    document_rows,
    match_texts,
    match_words,
    paired_chunks,
    paired_layer_chunks,
    write_store,
)
from pyrepsim.store.columns import word_hashes

SENTENCES = [["a", "b", "c"], ["d", "e"], ["a", "b"], ["d", "e"]]
TEXTS = [" ".join(words) for words in SENTENCES]


@pytest.fixture
def pair(make_store, arrays):
    """Other values, other shards, the same rows."""
    other = {"embeddings": -arrays["embeddings"], "layer.0": arrays["layer.0"][:, :3]}
    return make_store("x"), make_store("y", other, shard_rows=[7, 33, 10], dtype="bfloat16")


@pytest.mark.parametrize("tokens", ["content", "all", "special", "cls"])
@pytest.mark.parametrize("size", [1, 4, 7, 50, 8192])
@pytest.mark.parametrize("start", [0, 3])
def test_chunks_are_pairs_of_the_same_rows(pair, tokens, size, start):
    x, y = pair
    mask = x.columns.mask(tokens)
    chunks = list(paired_chunks(x["layer.0"], y["layer.0"], size, start=start, tokens=tokens))
    assert all(1 <= len(a) == len(b) <= size for a, b in chunks)
    for side, store in enumerate(pair):
        got = np.concatenate([chunk[side] for chunk in chunks])
        np.testing.assert_array_equal(got, np.asarray(store["layer.0"])[mask][start:])


def test_all_layers_in_one_pass(pair):
    x, y = pair
    chunks = list(paired_layer_chunks(x, y, chunk_size=9))
    mask = x.columns.mask()
    for side, store in enumerate(pair):
        for name in store:
            got = np.concatenate([chunk[side][name] for chunk in chunks])
            np.testing.assert_array_equal(got, np.asarray(store[name])[mask])
    some = next(paired_layer_chunks(x, y, ["layer.0"], ["embeddings", "layer.0"]))
    assert [list(side) for side in some] == [["layer.0"], ["embeddings", "layer.0"]]


def test_dense_pairs_are_views(pair):
    for a, b in paired_chunks(pair[0][0], pair[1][0], tokens="all"):
        assert not a.flags.owndata
        assert not b.flags.owndata


def test_a_store_with_itself(store):
    for a, b in paired_chunks(store["layer.0"], store["layer.0"], 8):
        np.testing.assert_array_equal(a, b)


def test_without_selected_rows_there_are_no_chunks(make_store, rows):
    store = make_store(columns={name: rows[name] for name in ("doc_id", "position", "token_id")})
    assert list(paired_chunks(store[0], store[1], tokens="special")) == []


def test_the_first_differing_row_is_named_with_both_identities(make_store, rows):
    token_id = rows["token_id"].copy()
    token_id[[23, 40]] = 31_000, 32_000
    x, y = make_store("x"), make_store("y", columns=rows | {"token_id": token_id})
    old = rows["token_id"][23]
    message = (
        rf"first differ in row 23: document 3, position 2, token {old} against document 3, position 2, "
        r"token 31000\. Extract both with one plan: extract\(\.\.\., same_plan_as="
    )
    with pytest.raises(RowMismatchError, match=message):
        paired_chunks(x[0], y[0])
    with pytest.raises(RowMismatchError, match="row 23"):
        check_same_rows(x, y)


def test_for_stores_of_different_lengths_the_first_extra_row_is_named(make_store, arrays, rows):
    short = {name: array[:44] for name, array in arrays.items()}
    cut = {name: column[:44] for name, column in rows.items()}
    x, y = make_store("x"), make_store("y", short, columns=cut, shard_rows=[44])
    for a, b in ((x, y), (y, x)):
        with pytest.raises(RowMismatchError, match=r"that only one has is 44: document 6, position 2"):
            check_same_rows(a, b)


def test_plans_must_agree_about_rows(make_store):
    x = make_store("x", plan={"rows": {"texts": "a", "batches": 4}, "model": 1})
    y = make_store("y", plan={"rows": {"texts": "a", "batches": 8}, "model": 2})
    z = make_store("z", plan={"model": 2})
    with pytest.raises(RowMismatchError, match=r"rows.batches \(4 in the first, 8 in the second\)"):
        check_same_rows(x, y)
    check_same_rows(x, z)  # a store of plain arrays says nothing about texts


def test_flags_must_select_the_same_rows(make_store, rows):
    flags = rows["flags"].copy()
    flags[12] = 1
    x, y = make_store("x"), make_store("y", columns=rows | {"flags": flags})
    with pytest.raises(RowMismatchError, match=r"row 12 .*has flags 0 in .* and 1 in"):
        paired_chunks(x[0], y[0])
    assert sum(len(a) for a, _ in paired_chunks(x[0], y[0], tokens="all")) == 50


def test_bad_options_are_refused_at_once(pair):
    x, y = pair
    with pytest.raises(OptionError, match="tokens must be one of"):
        paired_chunks(x[0], y[0], tokens="words")
    with pytest.raises(OptionError, match="at least 1"):
        paired_chunks(x[0], y[0], 0)
    with pytest.raises(LayerError, match=r"layer\.7"):
        paired_layer_chunks(x, y, ["layer.7"])


def test_stores_instead_of_layers_are_refused(store):
    with pytest.raises(OptionError, match=r"reads two layers: got ActivationStore\. .*store\['layer\.0'\]"):
        paired_chunks(store, store)


def store_of(path, plan_rows=None):
    lengths = [len(words) for words in SENTENCES]
    columns = {
        "doc_id": np.repeat(np.arange(len(lengths)), lengths),
        "position": np.concatenate([np.arange(n) for n in lengths]),
        "token_id": word_hashes(word for words in SENTENCES for word in words),
    }
    layer = np.arange(2 * sum(lengths), dtype=np.float32).reshape(-1, 2)
    options = {"shard_rows": 4, "dtype": "float32"}
    return write_store(path, {"a": layer, "b": -layer}, columns=columns, plan={"rows": plan_rows or {}}, **options)


def fingerprint(texts, words):
    make = (lambda text: Document.from_words("", text.split(" "))) if words else (lambda text: Document("", text))
    return Corpus(tuple(make(text) for text in texts), "").fingerprint


@pytest.mark.parametrize("words", [False, True])
def test_texts_are_matched_by_the_fingerprint_in_the_plan(tmp_path, words):
    store = store_of(tmp_path / "s", {"texts": fingerprint(TEXTS, words), "documents": 4})
    assert match_texts(store, TEXTS).tolist() == [0, 1, 2, 3]
    assert match_texts(store, ["d e", "x", "a b"], TEXTS).tolist() == [1, -1, 2]
    with pytest.raises(RowMismatchError, match=r"holds 4 other documents \(there are 3 texts to find, 2 of them"):
        match_texts(store, ["x", "y", "y"])


def test_a_store_of_each_text_once(tmp_path):
    store = store_of(tmp_path / "s", {"texts": fingerprint(["p", "q", "r", "s"], False), "documents": 4})
    assert match_texts(store, ["p", "q", "q", "r", "s", "p"]).tolist() == [0, 1, 1, 2, 3, 0]


def test_without_a_fingerprint_the_number_of_documents_decides(tmp_path):
    store = store_of(tmp_path / "s")
    assert match_texts(store, ["p", "q", "q", "r", "s"]).tolist() == [0, 1, 1, 2, 3]
    assert match_texts(store, ["p", "q", "q", "r"]).tolist() == [0, 1, 2, 3]


def test_sentences_are_matched_by_the_hashes_of_their_words(tmp_path):
    store = store_of(tmp_path / "s")
    assert match_words(store, [["d", "e"], ["a", "b", "c"], ["a", "b"], ["b", "c"]]).tolist() == [3, 0, 5, -1]
    assert document_rows(store) == [(0, 3), (3, 5), (5, 7), (7, 9)]


def test_a_hash_is_31_bits_of_xxh32():
    assert word_hashes(["a", "naïve"]).tolist() == [0x550D7456, 625248281]


def test_documents_out_of_order_are_refused(tmp_path):
    columns = {"doc_id": np.array([0, 1, 0]), "position": np.arange(3), "token_id": np.arange(3)}
    store = write_store(tmp_path / "s", {"a": np.ones((3, 2))}, columns=columns)
    with pytest.raises(StoreError, match="row 2 of .* goes back to document 0"):
        count_documents(store)
