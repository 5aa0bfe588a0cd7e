"""Tokenization of sentences whose words are given: which token belongs to which word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.errors import ModelError
from ...data.tokenizing import check_fast, encode

__all__ = ["IGNORED", "encode_words"]

IGNORED = -100


def encode_words(
    sentences: Sequence[Sequence[str]], tokenizer: Any, where: Sequence[str] | None = None
) -> list[dict[str, list[int]]]:
    """Return token ids of sentences whose words are given, with special tokens and without truncation.

    The words are joined by spaces; a token belongs to the word of its last character. A word without any token, such as
    a lone control character, is the unknown token.

    Returns
    -------
    list of dict
        For each sentence ``"input_ids"``, ``"token_type_ids"`` if the tokenizer makes them, and ``"word_of_token"``: 0
        at the root token, 1 to W at subwords of the words, -100 at other special tokens. The root token is the first
        special token ([CLS], <s>); if the tokenizer adds none, its beginning-of-text token is put in front.

    Raises
    ------
    ModelError
        If the tokenizer is a slow one, without offsets, or has no token for the root or for unknown words.
    TextError
        If a word has a lone surrogate; `where` has the location of each sentence.
    """
    check_fast(tokenizer, "Aligning words with subwords")
    where = [f"sentence {index}" for index in range(len(sentences))] if where is None else where
    encodings = encode([" ".join(words) for words in sentences], tokenizer, where)
    return [_aligned(words, encoding, tokenizer) for words, encoding in zip(sentences, encodings, strict=True)]


def _aligned(words: Sequence[str], encoding: Any, tokenizer: Any) -> dict[str, list[int]]:
    # The space before a word belongs to the word, because byte-level tokens begin with it.
    word_at = [number for number, word in enumerate(words, start=1) for _ in range(len(word) + 1)]
    inputs = {"input_ids": list(encoding.ids)}
    if "token_type_ids" in tokenizer.model_input_names:
        inputs["token_type_ids"] = list(encoding.type_ids)
    special = list(encoding.special_tokens_mask)
    inputs["word_of_token"] = [
        word_at[end] if end > start and not is_special else IGNORED
        for (start, end), is_special in zip(encoding.offsets, special, strict=True)
    ]
    for number in sorted(set(range(1, len(words) + 1)).difference(inputs["word_of_token"])):
        _insert_unknown(inputs, special, number, words, tokenizer)
    return _rooted(inputs, special, tokenizer)


def _insert_unknown(
    inputs: dict[str, list[int]], special: list[int], number: int, words: Sequence[str], tokenizer: Any
) -> None:
    """Insert the unknown token for a word without tokens: after the tokens of the words before it."""
    token = tokenizer.unk_token_id
    if token is None:
        raise ModelError(
            f"Each word must have a token: {type(tokenizer).__name__} makes none of {words[number - 1]!r}, and has no "
            "unknown token for it. Set tokenizer.unk_token, or correct the word."
        )
    earlier = [i for i, word in enumerate(inputs["word_of_token"]) if 0 < word < number]
    later = [i for i, word in enumerate(inputs["word_of_token"]) if word > number]
    ordinary = [i for i, is_special in enumerate(special) if not is_special]
    if earlier:
        place = earlier[-1] + 1
    elif later:
        place = later[0]
    else:  # no word has a token: between the special tokens
        place = ordinary[0] if ordinary else (len(special) + 1) // 2
    inputs["input_ids"].insert(place, int(token))
    inputs["word_of_token"].insert(place, number)
    special.insert(place, 0)
    if "token_type_ids" in inputs:
        types = inputs["token_type_ids"]
        types.insert(place, types[min(place, len(types) - 1)] if types else 0)


def _rooted(inputs: dict[str, list[int]], special: Sequence[int], tokenizer: Any) -> dict[str, list[int]]:
    """Mark the root token with 0."""
    if any(special):
        inputs["word_of_token"][list(special).index(1)] = 0
        return inputs
    candidates = (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.eos_token_id)
    root = next((token for token in candidates if token is not None), None)
    if root is None:
        raise ModelError(
            f"A parser needs a special token for the root: {type(tokenizer).__name__} adds none, and has no "
            "beginning-of-text token to put in front. Set tokenizer.bos_token."
        )
    front = {"input_ids": root, "token_type_ids": 0, "word_of_token": 0}
    return {key: [front[key], *values] for key, values in inputs.items()}
