"""Tokenization of sentences whose words are given: which token belongs to which word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.errors import ModelError

__all__ = ["IGNORED", "check_fast", "encode_words"]

IGNORED = -100


def check_fast(tokenizer: Any, purpose: str) -> None:
    """Raise ModelError if the tokenizer is a slow one, which has no offsets."""
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{purpose} needs the offsets of a fast tokenizer: got {type(tokenizer).__name__}, a slow one. Save it in "
            "fast form (tokenizer.json) in the folder of the model."
        )


def encode_words(sentences: Sequence[Sequence[str]], tokenizer: Any) -> list[dict[str, list[int]]]:
    """Return token ids of sentences whose words are given, with special tokens and without truncation.

    The words are joined by spaces; a token belongs to the word of its last character. A word without any token, such as
    a lone control character, is replaced by the unknown token.

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
    """
    check_fast(tokenizer, "Aligning words with subwords")
    if not sentences:
        return []
    encoded = _encode(sentences, tokenizer)
    for i, words in enumerate(sentences):
        empty = set(range(1, len(words) + 1)).difference(encoded[i]["word_of_token"])
        if empty:
            (encoded[i],) = _encode([_without(words, empty, tokenizer)], tokenizer)
    return encoded


def _encode(sentences: Sequence[Sequence[str]], tokenizer: Any) -> list[dict[str, list[int]]]:
    batch = tokenizer(
        [" ".join(words) for words in sentences],
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
        verbose=False,
    )
    encoded = []
    for i, words in enumerate(sentences):
        # The space before a word belongs to the word, because byte-level tokens begin with it.
        word_at = [number for number, word in enumerate(words, start=1) for _ in range(len(word) + 1)]
        inputs = {key: batch[key][i] for key in ("input_ids", "token_type_ids") if key in batch}
        inputs["word_of_token"] = [
            word_at[end] if end > start and not special else IGNORED
            for (start, end), special in zip(batch["offset_mapping"][i], batch["special_tokens_mask"][i], strict=True)
        ]
        encoded.append(_rooted(inputs, batch["special_tokens_mask"][i], tokenizer))
    return encoded


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


def _without(words: Sequence[str], empty: set[int], tokenizer: Any) -> list[str]:
    """Replace the words of these numbers by the unknown token."""
    if tokenizer.unk_token is None:
        raise ModelError(
            f"Each word must have a token: {type(tokenizer).__name__} makes none of {words[min(empty) - 1]!r}, and has "
            "no unknown token to replace it. Set tokenizer.unk_token, or correct the word."
        )
    return [tokenizer.unk_token if number in empty else word for number, word in enumerate(words, start=1)]
