"""Stored activations equal those of a forward pass of each text alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyrepsim.core.errors import TextError
from pyrepsim.data import read_texts
from pyrepsim.extraction import extract
from pyrepsim.models import Encoder, demo_models, load_encoder
from pyrepsim.store import ActivationStore, TokenFlag

from .reference import forward_alone, relative_error, tokens_alone

# Padding changes float32 activations of a real model by 2e-7 of their size, of these random ones by up to 1e-6.
FLOAT32 = 3e-6
ROUNDING = {"float32": FLOAT32, "float16": 2.0**-11 + FLOAT32, "bfloat16": 2.0**-8 + FLOAT32}


def stored(store: ActivationStore, layer: str, document: int) -> np.ndarray:
    return np.asarray(store[layer])[store.columns.doc_id == document]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["base", "gpt2"])
def test_every_row_equals_a_forward_pass_of_its_text_alone(
    encoders: dict[str, Encoder], kind: str, dtype: str, sentences: list[str], tmp_path: Path
):
    encoder = encoders[kind]
    store = extract(encoder, sentences, tmp_path / "store", dtype=dtype, batch_tokens=60)
    assert store.layers == tuple(encoder.layers)
    assert store.dtype == dtype
    total = 0
    for document, text in enumerate(sentences):
        ids = tokens_alone(encoder, text)
        mine = store.columns.doc_id == document
        assert store.columns.token_id[mine].tolist() == ids, "no padding, nothing missing, in order"
        assert store.columns.position[mine].tolist() == list(range(len(ids)))
        if ids:
            for layer, wanted in zip(store.layers, forward_alone(encoder, ids), strict=True):
                assert relative_error(stored(store, layer, document), wanted) <= ROUNDING[dtype]
        total += len(ids)
    assert store.n_rows == total


def test_the_tolerance_detects_a_shift_by_one_row_or_layer(base: Encoder, tmp_path: Path):
    """A shift by one row or one layer is far outside the tolerance."""
    text = "the keys to the cabinet are here"
    store = extract(base, [text], tmp_path / "store", dtype="float32")
    states = forward_alone(base, tokens_alone(base, text))
    assert relative_error(stored(store, "layer.0", 0), np.roll(states[1], 1, axis=0)) > 1e4 * FLOAT32
    assert relative_error(stored(store, "layer.0", 0), states[2]) > 1e4 * FLOAT32


def test_special_tokens_are_flagged(base: Encoder, sentences: list[str], tmp_path: Path):
    store = extract(base, sentences, tmp_path / "store")
    special = np.isin(store.columns.token_id, [2, 3])  # text is never tokenised as these
    assert np.array_equal(store.columns.mask("special"), special)
    assert np.array_equal(store.columns.mask("content"), ~special)
    assert store.columns.mask("cls").sum() == len(sentences)


@pytest.mark.parametrize("kind", ["base", "gpt2"])
@pytest.mark.parametrize("words", ["first", "mean"])
def test_rows_by_word(encoders: dict[str, Encoder], kind: str, words: str, sentences: list[str], tmp_path: Path):
    encoder = encoders[kind]
    texts = [text.split() for text in sentences]
    store = extract(encoder, texts, tmp_path / "store", words=words, dtype="float32", batch_tokens=60)
    assert store.n_rows == sum(map(len, texts))
    assert not store.columns.has(TokenFlag.SPECIAL).any()
    for document, given in enumerate(texts):
        mine = store.columns.doc_id == document
        assert store.columns.position[mine].tolist() == list(range(len(given)))
        if not given:
            continue
        text = " ".join(given)
        spans = zip(store.columns.char_start[mine], store.columns.char_end[mine], strict=True)
        assert [text[start:end] for start, end in spans] == given
        encoding = encoder.tokenizer(text, split_special_tokens=True, return_offsets_mapping=True)
        word_of = word_of_tokens(given, encoding["offset_mapping"], encoding.encodings[0].special_tokens_mask)
        states = forward_alone(encoder, encoding["input_ids"])
        for layer, state in zip(store.layers, states, strict=True):
            rows = [state[[w == index for w in word_of]] for index in range(len(given))]
            wanted = np.stack([row[0] if words == "first" else row.mean(axis=0) for row in rows])
            assert relative_error(stored(store, layer, document), wanted) <= FLOAT32


def word_of_tokens(words: list[str], offsets: list[tuple[int, int]], special: list[int]) -> list[int]:
    """By counting the characters of each word off, one token after the other."""
    starts = np.cumsum([0, *(len(word) + 1 for word in words)])
    found = []
    for (start, end), is_special in zip(offsets, special, strict=True):
        text = " ".join(words)
        while start < end and text[start].isspace():
            start += 1
        blank = is_special or start == end
        found.append(-1 if blank else int(np.searchsorted(starts, start, side="right")) - 1)
    return found


@pytest.mark.parametrize("kind", ["base", "gpt2"])
def test_each_token_is_stored_once_from_its_best_window(
    encoders: dict[str, Encoder], kind: str, sentences: list[str], tmp_path: Path
):
    encoder = encoders[kind]
    texts = ["the keys", " ".join(sentences), "run"]
    length = 20
    store = extract(encoder, texts, tmp_path / "s", long="window", max_length=length, dtype="float32")
    ids = tokens_alone(encoder, texts[1])
    mine = store.columns.doc_id == 1
    assert store.columns.token_id[mine].tolist() == ids
    assert store.columns.position[mine].tolist() == list(range(len(ids)))
    assert store.columns.has(TokenFlag.TRUNCATED_CONTEXT)[mine].all()
    assert not store.columns.has(TokenFlag.TRUNCATED_CONTEXT)[~mine].any()
    edge = 1 if kind == "base" else 0  # [CLS] and [SEP] around every window
    content, capacity = ids[edge : len(ids) - edge], length - 2 * edge
    windows = store.columns.window_id[mine]
    assert np.diff(windows).min() >= 0
    assert windows.max() >= len(content) / capacity
    activations = stored(store, "layer.1", 1)
    starts = np.round(np.linspace(0, len(content) - capacity, windows.max() + 1)).astype(int)
    for window, start in enumerate(starts):
        piece = [*ids[:edge], *content[start : start + capacity], *ids[len(ids) - edge :]]
        state = forward_alone(encoder, piece)[2]
        rows = np.flatnonzero(windows == window)
        inside = rows - start
        assert (inside[1:-1] >= 0).all()
        assert (inside[1:-1] < length).all()
        assert relative_error(activations[rows], state[np.minimum(inside, length - 1)]) <= FLOAT32
    assert [entry.get("windows", False) for entry in store.docs()] == [False, True, False]


@pytest.mark.parametrize("words", [None, "mean"])
def test_truncation_keeps_the_beginning(base: Encoder, words: str | None, tmp_path: Path):
    text = "the running keys are here " * 4
    store = extract(base, [text, "keys"], tmp_path / "s", long="truncate", max_length=9, words=words, dtype="float32")
    ids = tokens_alone(base, text)
    kept = [*ids[:8], ids[-1]]  # [CLS] the run ##ning keys are here the [SEP]
    state = forward_alone(base, kept)[1]
    mine = store.columns.doc_id == 0
    if words is None:
        assert store.columns.token_id[mine].tolist() == kept
        assert store.columns.position[mine].tolist() == [*range(8), len(ids) - 1]
        wanted = state
    else:
        wanted = np.stack([state[1], state[2:4].mean(axis=0), *state[4:8]])
    assert relative_error(stored(store, "layer.0", 0), wanted) <= FLOAT32
    assert store.columns.has(TokenFlag.TRUNCATED_CONTEXT).tolist() == mine.tolist()


def test_a_word_cut_by_truncation_has_no_row(base: Encoder, tmp_path: Path):
    store = extract(base, ["keys xyz keys keys"], tmp_path / "s", long="truncate", max_length=5, words="first")
    assert store.columns.position.tolist() == [0]  # [CLS] keys x ##y [SEP]


def test_a_word_that_fits_no_window_is_refused(base: Encoder, tmp_path: Path):
    with pytest.raises(TextError, match="document '0' has a word of 12 tokens for windows of 6"):
        extract(base, ["keys " + "q" * 12], tmp_path / "s", long="window", max_length=8, words="first")


def test_words_stay_whole_in_windows(base: Encoder, tmp_path: Path):
    text = " ".join(["keys", "xyz", "running", "qqqq"] * 12)
    store = extract(base, [text], tmp_path / "s", long="window", max_length=18, words="mean", dtype="float32")
    assert store.columns.position.tolist() == list(range(48))
    assert (np.diff(store.columns.window_id) >= 0).all()


def test_documents_without_tokens_keep_their_number(encoders: dict[str, Encoder], tmp_path: Path):
    texts = ["", "the keys", "", "run", ""]
    store = extract(encoders["gpt2"], texts, tmp_path / "s")
    assert np.unique(store.columns.doc_id).tolist() == [1, 3]
    store = extract(encoders["base"], texts, tmp_path / "t")
    assert np.unique(store.columns.doc_id).tolist() == [0, 1, 2, 3, 4]


def test_one_text_of_one_token(encoders: dict[str, Encoder], tmp_path: Path):
    store = extract(encoders["gpt2"], ["a"], tmp_path / "s", dtype="float32")
    assert store.n_rows == 1


@pytest.mark.parametrize("which", [0, 1, "e5"])
def test_real_models_on_real_sentences(which: int | str, request: pytest.FixtureRequest, tmp_path: Path):
    data = request.getfixturevalue("shared_data")
    folder = data / "models" / "e5-small" if which == "e5" else demo_models()[which]  # type: ignore[index]
    encoder = load_encoder(folder, device="cpu")
    texts = [document.text for document in read_texts(data / "ud_ewt" / "en_ewt-ud-dev.conllu")[40:60]]
    store = extract(encoder, texts, tmp_path / "s", dtype="float32")
    errors = [
        relative_error(stored(store, layer, document), wanted)
        for document in range(0, 20, 7)
        for layer, wanted in zip(
            store.layers, forward_alone(encoder, tokens_alone(encoder, texts[document])), strict=True
        )
    ]
    assert max(errors) < FLOAT32
