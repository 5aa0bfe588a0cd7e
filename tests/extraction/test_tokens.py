"""Tokens and their words, compared with Hugging Face's own alignment, also on difficult texts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pyrepsim.core.errors import ModelError, TextError
from pyrepsim.data import read_texts
from pyrepsim.extraction.tokens import TokenTable, tokenise
from pyrepsim.models import Encoder
from tests.helpers.tiny_models import byte_level, wordpiece

AWKWARD = ["don't", "\u200b", "##keys", "", "[SEP]", "Großstadt", "\ufeffkeys", "the\x00keys", "naïve", "🙂", "un-able"]


def document(table: TokenTable, index: int) -> slice:
    return slice(int(table.ptr[index]), int(table.ptr[index + 1]))


def test_words_of_word_lists_equal_those_of_hugging_face():
    tokenizer = wordpiece()
    lists = [AWKWARD, ["the", "keys"], [], AWKWARD[::-1], ["\u200b"]]
    table = tokenise(read_texts(lists), tokenizer)
    for index, words in enumerate(lists):
        encoding = tokenizer(words, is_split_into_words=True, split_special_tokens=True)
        mine = document(table, index)
        assert table.ids[mine].tolist() == encoding["input_ids"]
        assert table.word[mine].tolist() == [-1 if w is None else w for w in encoding.word_ids(0)]
        found = len(set(encoding.word_ids(0)) - {None})
        assert table.words_without_tokens[index] == len(words) - found
    assert table.words_without_tokens.tolist() == [2, 0, 0, 2, 1]


@pytest.mark.parametrize("make", [wordpiece, byte_level])
def test_words_of_a_text_are_separated_by_whitespace(make: Any, sentences: list[str]):
    tokenizer = make()
    table = tokenise(read_texts(sentences), tokenizer)
    for index, text in enumerate(sentences):
        mine = document(table, index)
        words = text.split()
        starts, ends = table.char_start[mine], table.char_end[mine]
        for word, start, end in zip(table.word[mine], starts, ends, strict=True):
            piece = text[start:end].strip() if start >= 0 else ""
            assert (word == -1) == (piece == ""), (text, word, piece)
            if piece:
                assert piece in words[word]
        covered = set(table.word[mine].tolist()) - {-1}
        assert covered == set(range(len(words)))


@pytest.mark.parametrize("make", [wordpiece, byte_level])
def test_ids_equal_those_of_each_text_alone(make: Any, sentences: list[str]):
    tokenizer = make()
    table = tokenise(read_texts(sentences), tokenizer)
    for index, text in enumerate(sentences):
        alone = tokenizer(text, split_special_tokens=True, truncation=False, padding=False)["input_ids"]
        assert table.ids[document(table, index)].tolist() == alone


def test_saved_truncation_and_padding_are_ignored():
    tokenizer = wordpiece()
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=32)
    table = tokenise(read_texts(["the keys to the cabinet are here"]), tokenizer)
    assert table.lengths.tolist() == [9]


def test_text_that_spells_a_special_token_is_split(sentences: list[str]):
    for tokenizer in (wordpiece(), byte_level()):
        table = tokenise(read_texts(sentences), tokenizer)
        forged = np.isin(table.ids, tokenizer.all_special_ids) & ~table.special
        unknown = table.ids == (-1 if tokenizer.unk_token_id is None else tokenizer.unk_token_id)
        assert not (forged & ~unknown).any()


def test_special_tokens_are_counted_at_both_ends():
    bert, gpt2 = wordpiece(), byte_level()
    texts = read_texts(["the keys", "", "run"])
    assert [(t.prefix, t.suffix) for t in (tokenise(texts, bert), tokenise(texts, gpt2))] == [(1, 1), (0, 0)]
    only = tokenise(read_texts(["", ""]), bert)
    assert only.lengths.tolist() == [2, 2]
    assert only.special.all()


def test_byte_level_bpe_sees_the_spaces_between_words():
    """Given as a list, the words would be joined without spaces: thekeys."""
    tokenizer = byte_level()
    table = tokenise(read_texts([["the", "keys", "are", "here"]]), tokenizer)
    assert tokenizer.decode(table.ids) == "the keys are here"
    assert set(table.word.tolist()) == {0, 1, 2, 3}


def test_the_bytes_of_a_character_belong_to_one_word():
    table = tokenise(read_texts(["a 🙂 b"]), byte_level())
    assert table.word.tolist().count(1) == 4


def test_tokens_do_not_depend_on_the_tokenizer_batches(monkeypatch: pytest.MonkeyPatch, sentences: list[str]):
    whole = tokenise(read_texts(sentences), wordpiece())
    monkeypatch.setattr("pyrepsim.extraction.tokens._BATCH", 2)
    parts = tokenise(read_texts(sentences), wordpiece())
    for name in ("ptr", "ids", "word", "char_start", "char_end", "special", "word_ptr", "word_start"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name)), name
    assert (whole.digest, whole.prefix, whole.suffix) == (parts.digest, parts.prefix, parts.suffix)


def test_the_digest_depends_on_ids_and_their_strings(base: Encoder):
    texts = read_texts(["the keys are here"])
    digest = tokenise(texts, base.tokenizer).digest
    assert tokenise(texts, wordpiece()).digest == digest
    renamed = wordpiece()
    state = renamed.backend_tokenizer.to_str().replace('"keys"', '"kays"')
    renamed.backend_tokenizer.from_str(state)
    swapped = type(renamed)(tokenizer_object=renamed.backend_tokenizer.from_str(state), unk_token="[UNK]")
    assert tokenise(texts, swapped).digest != digest


class TokenizerWithOffsets:
    """A tokenizer with given offsets."""

    unk_token_id = None
    is_fast = True
    added_tokens_decoder: dict[int, Any] = {}  # noqa: RUF012
    all_special_ids = ()

    def __init__(self, *offsets: list[tuple[int, int]], special: list[int] | None = None) -> None:
        self._offsets, self._special = offsets, special

    def __call__(self, texts: list[str], **_: Any) -> Any:
        encodings = []
        for offsets in self._offsets:
            encoding = SimpleNamespace(offsets=offsets, ids=list(range(len(offsets))))
            encoding.special_tokens_mask = self._special or [0] * len(offsets)
            encodings.append(encoding)
        return SimpleNamespace(encodings=encodings)

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [str(i) for i in ids]


@pytest.mark.parametrize("offsets", [[(0, 1), (2, 9)], [(2, 3), (0, 1)], [(-1, 1), (2, 3)], [(1, 0), (2, 3)]])
def test_invalid_offsets_are_refused_with_the_document(offsets: list[tuple[int, int]]):
    fine = [(0, 1), (2, 3)]
    with pytest.raises(TextError, match="those of document '1' do"):
        tokenise(read_texts(["a b", "c d"]), TokenizerWithOffsets(fine, offsets))


def test_a_token_across_two_given_words_is_refused():
    with pytest.raises(TextError, match="one does in document '0'"):
        tokenise(read_texts([["a", "b"]]), TokenizerWithOffsets([(0, 3)]))
    table = tokenise(read_texts(["a b"]), TokenizerWithOffsets([(0, 3)]))
    assert table.word.tolist() == [0]
    assert table.words_without_tokens.tolist() == [1]


def test_special_tokens_inside_a_text_are_refused():
    with pytest.raises(ModelError, match="adds some inside"):
        tokenise(read_texts(["a b"]), TokenizerWithOffsets([(0, 1), (0, 0), (2, 3)], special=[0, 1, 0]))
