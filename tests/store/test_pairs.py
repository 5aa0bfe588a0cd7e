"""Two stores are read side by side only if their rows are the same."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.core.errors import LayerError, OptionError, RowMismatchError
from pyrepsim.store import check_same_rows, paired_chunks, paired_layer_chunks


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


def test_nothing_selected_is_no_chunk(make_store, rows):
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


def test_a_longer_store_is_named_by_its_first_row_too_many(make_store, arrays, rows):
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


def test_two_stores_are_no_layers(store):
    with pytest.raises(OptionError, match=r"reads two layers: got ActivationStore\. .*store\['layer\.0'\]"):
        paired_chunks(store, store)
