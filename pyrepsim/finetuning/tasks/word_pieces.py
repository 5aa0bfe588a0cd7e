"""Words that are given, as a tokenizer's subwords: which token belongs to which word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.errors import ModelError

__all__ = ["IGNORED", "encode_words"]

IGNORED = -100


def encode_words(sentences: Sequence[Sequence[str]], tokenizer: Any) -> list[dict[str, list[int]]]:
    """Token ids of sentences of given words, special tokens included, never cut.

    The words are joined by spaces; a token belongs to the word of its last character. A word of which the tokenizer
    leaves nothing (a lone control character) is replaced by its unknown token.

    Returns
    -------
    For each sentence ``"input_ids"``, ``"token_type_ids"`` where the tokenizer makes them, and ``"word_of_token"``:
    0 at the root token, 1 to W at subwords of the words, -100 at other special tokens. The root token is the first
    special one ([CLS], <s>); a tokenizer that adds none has its beginning-of-text token put in front.

    Raises
    ------
    ModelError
        If the tokenizer is a slow one, which gives no offsets, or has no token for the root or unknown words.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"Words are aligned with subwords by the offsets of a fast tokenizer: got {type(tokenizer).__name__}, a "
            "slow one. Save it in fast form (tokenizer.json) beside the model."
        )
    if not sentences:
        return []
    encoded = _encode(sentences, tokenizer)
    for i, words in enumerate(sentences):
        empty = set(range(1, len(words) + 1)).difference(encoded[i]["word_of_token"])
        if empty:
            (encoded[i],) = _encode([_without(words, empty, tokenizer)], tokenizer)
    return encoded


def _encode(sentences: Sequence[Sequence[str]], tokenizer: Any) -> list[dict[str, list[int]]]:
    made = tokenizer(
        [" ".join(words) for words in sentences],
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
        verbose=False,
    )
    encoded = []
    for i, words in enumerate(sentences):
        # Of the text with a space in front: the space before a word is the word's, byte-level tokens begin with it.
        word_at = [number for number, word in enumerate(words, start=1) for _ in range(len(word) + 1)]
        inputs = {key: made[key][i] for key in ("input_ids", "token_type_ids") if key in made}
        inputs["word_of_token"] = [
            word_at[end] if end > start and not special else IGNORED
            for (start, end), special in zip(made["offset_mapping"][i], made["special_tokens_mask"][i], strict=True)
        ]
        encoded.append(_rooted(inputs, made["special_tokens_mask"][i], tokenizer))
    return encoded


def _rooted(inputs: dict[str, list[int]], special: Sequence[int], tokenizer: Any) -> dict[str, list[int]]:
    """The same with 0 at the root token."""
    if any(special):
        inputs["word_of_token"][list(special).index(1)] = 0
        return inputs
    candidates = (tokenizer.bos_token_id, tokenizer.cls_token_id, tokenizer.eos_token_id)
    root = next((token for token in candidates if token is not None), None)
    if root is None:
        raise ModelError(
            f"A parser reads the root off a special token: {type(tokenizer).__name__} adds none, and has no "
            "beginning-of-text token to put in front. Set tokenizer.bos_token."
        )
    front = {"input_ids": root, "token_type_ids": 0, "word_of_token": 0}
    return {key: [front[key], *values] for key, values in inputs.items()}


def _without(words: Sequence[str], empty: set[int], tokenizer: Any) -> list[str]:
    """The words, those of these numbers replaced by the unknown token."""
    if tokenizer.unk_token is None:
        raise ModelError(
            f"Each word needs a token: {type(tokenizer).__name__} leaves nothing of {words[min(empty) - 1]!r}, and has "
            "no unknown token to put in its place. Set tokenizer.unk_token, or mend the word."
        )
    return [tokenizer.unk_token if number in empty else word for number, word in enumerate(words, start=1)]
