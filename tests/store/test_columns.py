"""Token columns: types, masks, identity."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.core.errors import DTypeError, OptionError, ShapeError
from pyrepsim.store import TokenFlag, write_store
from pyrepsim.store.columns import COLUMNS, RowsDigest, check_columns


def test_columns_have_their_types_and_missing_ones_are_filled(store, rows):
    for name, dtype in COLUMNS.items():
        assert store.columns[name].dtype == dtype
        assert store.columns[name].shape == (50,)
    for name, column in rows.items():
        np.testing.assert_array_equal(store.columns[name], column)
    assert set(store.columns.word_id) == set(store.columns.sent_id) == set(store.columns.char_end) == {-1}
    assert set(store.columns.window_id) == {0}
    assert store.columns.doc_id is store.columns["doc_id"]
    assert not store.columns.doc_id.flags.writeable
    assert list(store.columns) == list(COLUMNS)
    with pytest.raises(AttributeError, match="there is no 'speaker'"):
        _ = store.columns.speaker


def test_masks(store, rows):
    special = rows["flags"] == TokenFlag.SPECIAL
    expected = {
        "all": np.ones(50, bool),
        "content": ~special,
        "special": special,
        "cls": special & (rows["position"] == 0),
    }
    for tokens, mask in expected.items():
        np.testing.assert_array_equal(store.columns.mask(tokens), mask)
        assert store.columns.mask(tokens) is store.columns.mask(tokens)
        assert not store.columns.mask(tokens).flags.writeable
    assert expected["cls"].sum() == 8
    np.testing.assert_array_equal(store.columns.mask(), expected["content"])
    with pytest.raises(OptionError, match="'content', 'all', 'special', 'cls'"):
        store.columns.mask("words")


def test_flags_are_bits(tmp_path, rows):
    flags = np.array([0, 1, 2, 4, 8, 16, 31, 6], np.uint8)
    rows = {name: column[:8] for name, column in rows.items()} | {"flags": flags}
    table = write_store(tmp_path / "s", {"a": np.ones((8, 1))}, columns=rows).columns
    assert table.has(TokenFlag.UNKNOWN).tolist() == [False] * 4 + [True, False, True, False]
    both = table.has(TokenFlag.FIRST_SUBWORD | TokenFlag.LAST_SUBWORD)
    assert both.tolist() == [False] * 6 + [True, True]
    assert table.mask("content").tolist() == [True, False, True, True, True, True, False, True]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"speaker": np.zeros(50, int)}, OptionError, "may be any of doc_id, sent_id"),
        ({"token_id": None}, OptionError, "must include doc_id, position, token_id"),
        ({"position": np.zeros(49, int)}, ShapeError, r"position of rows must have shape \(50,\): got \(49,\)"),
        ({"position": np.zeros((50, 1), int)}, ShapeError, r"got \(50, 1\)"),
        ({"position": np.zeros(50)}, DTypeError, "integers: got float64"),
        ({"token_id": np.full(50, 1 << 31)}, DTypeError, "fit in int32: got values from 2147483648"),
        ({"flags": np.full(50, -1)}, DTypeError, "fit in uint8"),
        ({"doc_id": np.full(50, 1 << 63, np.uint64)}, DTypeError, "fit in int64"),
    ],
)
def test_bad_columns_are_refused(rows, change, kind, message):
    rows = {name: column for name, column in (rows | change).items() if column is not None}
    with pytest.raises(kind, match=message):
        check_columns(rows, 50, "rows")


def test_the_rows_digest_does_not_depend_on_shards_dtype_or_other_columns(make_store, rows):
    store = make_store("a")
    other = make_store("b", shard_rows=[50], dtype="float32", columns=rows | {"word_id": np.arange(50)})
    assert store.rows_digest == other.rows_digest
    assert store.digest != other.digest


@pytest.mark.parametrize("name", ["doc_id", "position", "token_id"])
def test_the_rows_digest_changes_with_one_row(make_store, rows, name):
    changed = rows[name].copy()
    changed[49] += 1
    assert make_store("a").rows_digest != make_store("b", columns=rows | {name: changed}).rows_digest


def test_the_rows_digest_changes_if_a_value_moves_to_the_next_column():
    one, other = RowsDigest(), RowsDigest()
    one.update({"doc_id": np.array([1]), "position": np.array([2, 3]), "token_id": np.array([])})
    other.update({"doc_id": np.array([1]), "position": np.array([2]), "token_id": np.array([3])})
    assert one.hexdigest() != other.hexdigest()


def test_identity_as_text(store, rows):
    token = rows["token_id"][9]
    assert store.columns.identity(9) == f"document 1, position 2, token {token}"
    assert "50 rows" in repr(store.columns)
