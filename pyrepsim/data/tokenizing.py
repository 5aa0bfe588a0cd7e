"""Texts as token ids, in one way for extraction, probing and fine-tuning.

Text that spells a special token ("[SEP]", "<s>") is split like any other text, unless the caller says otherwise.
Tokenizers are never asked to truncate, to pad or to make windows, whose direction depends on how they were saved:
sequences are cut and put together here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from ..core.errors import ModelError, TextError

__all__ = ["Template", "check_fast", "cut_pair", "encode", "pair_template", "special_ids", "text_template"]

Ids = Sequence[int]


def check_fast(tokenizer: Any, purpose: str) -> None:
    """Raise ModelError if the tokenizer is a slow one, which has no offsets."""
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{purpose} needs the offsets of a fast tokenizer: got {type(tokenizer).__name__}, a slow one. Save it in "
            "fast form (tokenizer.json) in the folder of the model."
        )


def encode(
    texts: Sequence[str],
    tokenizer: Any,
    where: Sequence[str],
    *,
    second: Sequence[str] | None = None,
    special_tokens: bool = True,
    split: bool = True,
) -> list[Any]:
    """Encode whole texts.

    Parameters
    ----------
    texts : sequence of str
    tokenizer
        A fast tokenizer.
    where : sequence of str
        The location of each text, for messages.
    second : sequence of str, optional
        The second text of each pair.
    special_tokens : bool
        Add the special tokens of a single text, or of a pair.
    split : bool
        Read the string of a special token in a text as text. Otherwise it is that token.

    Returns
    -------
    list of tokenizers.Encoding

    Raises
    ------
    TextError
        If a text has a lone surrogate, which is no character.
    ModelError
        If the tokenizer is a slow one.
    """
    check_fast(tokenizer, "Reading texts")
    for text, location in chain(zip(texts, where, strict=True), zip(second or (), where, strict=False)):
        if not text.isascii():
            _check_unicode(text, location)
    if not len(texts):
        return []
    return tokenizer(
        list(texts),
        *(() if second is None else (list(second),)),
        add_special_tokens=special_tokens,
        split_special_tokens=split,
        padding=False,
        truncation=False,
        return_attention_mask=False,
        verbose=False,
    ).encodings


def cut_pair(first: int, second: int, longest: int) -> tuple[int, int]:
    """Lengths of two texts cut to `longest` tokens: the longer one first, then both to the same length.

    As "longest_first" of transformers does.
    """
    if first + second <= longest:
        return first, second
    if min(first, second) <= longest // 2:
        return (first, longest - first) if first <= second else (longest - second, second)
    half = longest // 2
    return (half, longest - half) if first <= second else (longest - half, half)


def special_ids(tokenizer: Any) -> list[int]:
    """Return the ids of all special tokens, sorted."""
    added = {token for token, kind in tokenizer.added_tokens_decoder.items() if kind.special}
    return sorted(added | set(tokenizer.all_special_ids))


def _check_unicode(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise TextError(
            f"Texts must be valid Unicode: {where} has a lone surrogate at character {error.start}. Read its file with "
            "the right encoding, or replace that character."
        ) from error


@dataclass(frozen=True)
class Template:
    """The special tokens before, between and after the tokens of one text, or of two.

    Attributes
    ----------
    before, between, after : tuple of int
        Token ids.
    types : tuple, optional
        The token types of `before`, the first text, `between`, the second text and `after`; None if the tokenizer makes
        none.
    separator : str, optional
        The token between two texts that was chosen here because the tokenizer puts none there.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[tuple[int, ...], int, tuple[int, ...], int, tuple[int, ...]] | None
    separator: str | None = None

    @property
    def n_special(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)

    def join(self, first: Ids, second: Ids = (), *, where: str = "") -> dict[str, list[int]]:
        """Return ``"input_ids"`` and, if the tokenizer makes them, ``"token_type_ids"``.

        TextError, with `where`, if a text has the separator that was chosen here: its end could not be seen. Only a
        tokenizer whose separator is its unknown token too makes it of a text.
        """
        if self.separator is not None and (self.between[0] in first or self.between[0] in second):
            raise TextError(
                f"The token between two texts must not be in one of them: {self.separator!r} is in {where}. Give the "
                "tokenizer a sep_token that it makes of no text, or correct the text."
            )
        inputs = {"input_ids": [*self.before, *first, *self.between, *second, *self.after]}
        if self.types is not None:
            before, one, between, two, after = self.types
            inputs["token_type_ids"] = [*before, *[one] * len(first), *between, *[two] * len(second), *after]
        return inputs


def text_template(tokenizer: Any) -> Template:
    """Return the special tokens around a single text."""
    text = _ordinary_text(tokenizer)
    (encoding,) = encode([text], tokenizer, [text])
    own = [i for i, special in enumerate(encoding.special_tokens_mask) if not special]
    first, end = own[0], own[-1] + 1
    ids, types = encoding.ids, encoding.type_ids
    return Template(
        before=tuple(ids[:first]),
        between=(),
        after=tuple(ids[end:]),
        types=(tuple(types[:first]), types[first], (), 0, tuple(types[end:])) if _makes_types(tokenizer) else None,
    )


def pair_template(tokenizer: Any) -> Template:
    """Return the special tokens around and between two texts, so that the end of the first can be seen.

    Where the tokenizer puts nothing between two texts, as that of GPT-2, its separator, or else its end-of-text token,
    is put there. Token types alone are no boundary, because many models do not read them.

    Raises
    ------
    ModelError
        If the tokenizer has neither token.
    """
    text = _ordinary_text(tokenizer)
    encoding = tokenizer([text], [text], add_special_tokens=True, split_special_tokens=True, verbose=False).encodings[0]
    own = [
        None if special else sequence
        for special, sequence in zip(encoding.special_tokens_mask, encoding.sequence_ids, strict=True)
    ]
    last_first, second = len(own) - 1 - own[::-1].index(0), own.index(1)
    first, end = own.index(0), len(own) - own[::-1].index(1)
    ids, types = encoding.ids, encoding.type_ids
    between, between_types, separator = tuple(ids[last_first + 1 : second]), types[last_first + 1 : second], None
    if not between:
        candidates = (tokenizer.sep_token_id, tokenizer.eos_token_id)
        token = next((token for token in candidates if token is not None), None)
        if token is None:
            raise ModelError(
                f"A pair of texts needs a token between them: {type(tokenizer).__name__} puts none there, and has "
                "neither a separator nor an end-of-text token. Set tokenizer.sep_token."
            )
        between, between_types, separator = (int(token),), [types[first]], tokenizer.convert_ids_to_tokens(int(token))
    return Template(
        before=tuple(ids[:first]),
        between=between,
        after=tuple(ids[end:]),
        types=(tuple(types[:first]), types[first], tuple(between_types), types[second], tuple(types[end:]))
        if _makes_types(tokenizer)
        else None,
        separator=separator,
    )


def _makes_types(tokenizer: Any) -> bool:
    return "token_type_ids" in tokenizer.model_input_names


def _ordinary_text(tokenizer: Any) -> str:
    """Return a text of which the tokenizer makes tokens."""
    check_fast(tokenizer, "Reading texts")
    for text in _candidates(tokenizer):
        (encoding,) = encode([text], tokenizer, [text], special_tokens=False)
        if len(encoding.ids):
            return text
    raise ModelError(
        f"A tokenizer must make tokens of some text: {type(tokenizer).__name__} makes none of its own vocabulary. Load "
        "the tokenizer that the model was trained with."
    )


def _candidates(tokenizer: Any) -> Iterator[str]:
    def texts(tokens: Sequence[int]) -> Iterator[str]:
        return (tokenizer.decode([token]) for token in tokens)

    return filter(None, chain("a1.", texts(range(len(tokenizer)))))
