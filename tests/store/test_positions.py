"""Selections of rows by position: against a loop over documents."""

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DTypeError, OptionError, RowMismatchError, ShapeError
from pyrepsim.store import TokenFlag
from pyrepsim.store.columns import token_mask

SELECTIONS = [slice(0, 2), slice(-3, None), slice(1, -1), slice(None, None, 2), slice(-4, -1, 2), slice(2, 1)]
TEXTS = ["0:2", "-3:", "1:-1", "::2", "-4:-1:2", "2:1"]


def columns(seed: int = 0) -> dict[str, np.ndarray]:
    """Documents of 0 to 7 content tokens between two special tokens."""
    rng = np.random.default_rng(seed)
    lengths = [1, 5, 0, 7, 2, 3]
    doc_id = np.repeat(np.arange(len(lengths)), [n + 2 for n in lengths])
    position = np.concatenate([np.arange(n + 2) for n in lengths])
    special = np.concatenate([[1, *[0] * n, 1] for n in lengths])
    flags = special | np.where(special, 0, rng.integers(0, 2, len(special)) * int(TokenFlag.FIRST_SUBWORD))
    return {"doc_id": doc_id, "position": position, "token_id": rng.integers(0, 9, len(doc_id)), "flags": flags}


def by_loop(table: dict[str, np.ndarray], part: slice) -> np.ndarray:
    mask = np.zeros(len(table["doc_id"]), bool)
    for document in set(table["doc_id"].tolist()):
        rows = [r for r in range(len(mask)) if table["doc_id"][r] == document and not table["flags"][r] & 1]
        for row in sorted(rows, key=lambda r: table["position"][r])[part]:
            mask[row] = True
    return mask


@pytest.mark.parametrize(("part", "text"), [*zip(SELECTIONS, TEXTS, strict=True)])
@pytest.mark.parametrize("shuffled", [False, True])
def test_slices_are_those_of_each_document(part, text, shuffled):
    table = columns()
    if shuffled:
        order = np.random.default_rng(1).permutation(len(table["doc_id"]))
        table = {name: column[order] for name, column in table.items()}
    expected = by_loop(table, part)
    for tokens in (part, text):
        assert np.array_equal(token_mask(table, tokens, len(expected)), expected)
    first, last = (token_mask(table, name, len(expected)) for name in ("first", "last"))
    assert np.array_equal(first, by_loop(table, slice(0, 1)))
    assert np.array_equal(last, by_loop(table, slice(-1, None)))


def test_other_selections_and_what_is_refused(tmp_path):
    table = columns()
    n = len(table["doc_id"])
    store = rs.write_store(tmp_path / "a", {"layer.0": np.random.default_rng(0).standard_normal((n, 4))}, columns=table)
    has = store.columns
    assert np.array_equal(has.mask(range(1, 6, 2)), has.mask("1:6:2"))
    assert np.array_equal(has.mask("first_subword"), (table["flags"] & 2) > 0)
    assert np.array_equal(has.mask(lambda c: c["token_id"] > 4), table["token_id"] > 4)
    assert np.array_equal(has.mask(table["token_id"] > 4), table["token_id"] > 4)
    for wrong in ("nouns", "1", range(5, 0, -1), range(-3, 0), slice(None, None, -1), "::0", 3, None, slice("a", 1)):
        with pytest.raises(OptionError, match="tokens must be one of"):
            has.mask(wrong)
    with pytest.raises(ShapeError, match="one value for each"):
        has.mask(np.ones(3, bool))
    with pytest.raises(DTypeError, match="boolean"):
        has.mask(lambda c: c["token_id"])
    with pytest.raises(RowMismatchError, match="at least one row"):
        rs.compare(store, store, "LinearCKA", tokens="assistant")


@pytest.mark.parametrize("tokens", ["last", "-2:", lambda c: c["token_id"] > 2])
def test_compare_and_profile_use_the_selected_rows(tmp_path, tokens):
    table = columns()
    rng = np.random.default_rng(3)
    rows = [rng.standard_normal((len(table["doc_id"]), 3)).astype(np.float32) for _ in range(2)]
    x, y = (
        rs.write_store(tmp_path / name, {"layer.0": part}, columns=table, dtype="float32")
        for name, part in zip("xy", rows, strict=True)
    )
    mask = x.columns.mask(tokens)
    for measure in ("LinearCKA", "RSA(metric='euclidean')"):
        (score,) = rs.compare(x, y, measure, tokens=tokens)
        assert score.n_samples == mask.sum()
        expected = rs.compare(rows[0][mask], rows[1][mask], measure).value
        assert score.value == pytest.approx(expected, rel=1e-6)
    assert score.provenance["tokens"] == tokens or "mask" in score.provenance["tokens"]
    matrix = rs.compare_all([x["layer.0"], y["layer.0"]], "LinearCKA", tokens=tokens)
    assert matrix.n_samples == mask.sum()
    assert rs.profile(x, tokens=tokens)[0].n_samples == mask.sum()
