"""Texts and sentences are found in a store by what its plan and its columns say."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.core.errors import RowMismatchError, StoreError
from pyrepsim.data.documents import Corpus, Document
from pyrepsim.store import ShardCache, count_documents, document_rows, match_texts, match_words, open_store, write_store
from pyrepsim.store.columns import word_hashes

SENTENCES = [["a", "b", "c"], ["d", "e"], ["a", "b"], ["d", "e"]]
TEXTS = [" ".join(words) for words in SENTENCES]


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


@pytest.mark.parametrize("options", [{}, {"max_files": 1}, {"max_bytes": 8}])
@pytest.mark.parametrize("io", ["mmap", "pread"])
def test_the_cache_reads_what_the_layer_holds(tmp_path, io, options):
    store = open_store(store_of(tmp_path / "s").path, io=io)
    pieces = [("a", 0, slice(0, 2)), ("b", 1, slice(1, 4)), ("a", 2, slice(0, 1)), ("a", 0, slice(2, 4))]
    with ShardCache(store, **options) as cache:
        found = [cache.read(*piece) for piece in pieces]
        assert len(cache._files) <= options.get("max_files", 3)
    for (layer, shard, rows), values in zip(pieces, found, strict=True):
        np.testing.assert_array_equal(values, np.asarray(store[layer])[4 * shard :][rows])
        assert not values.flags.writeable
