"""Chats: messages with roles, which the chat template of a tokenizer makes a text of, and what the assistant says."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import ModelError, TextError
from .documents import Corpus, Document
from .tokenizing import special_ids

__all__ = ["assistant_tokens", "render_chats"]

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")


def render_chats(corpus: Corpus, tokenizer: Any) -> Corpus:
    """Return the corpus with the text that the chat template of the tokenizer makes of each chat.

    Raises
    ------
    ModelError
        If the tokenizer has no chat template.
    TextError
        If some documents are chats and others are not, or the template refuses a chat.
    """
    chats = [document for document in corpus if document.chat is not None]
    if not chats:
        return corpus
    if len(chats) < len(corpus):
        other = next(document for document in corpus if document.chat is None)
        raise TextError(
            f"Documents must be all chats or all texts: {chats[0].key!r} is a chat and {other.key!r} is none. Read "
            "them to two stores."
        )
    return replace(corpus, documents=tuple(replace(one, text=_render(one, tokenizer)) for one in chats))


def _render(document: Document, tokenizer: Any, end: int | None = None, *, prompt: bool = False) -> str:
    """Return the text of the first `end` messages, with `prompt` also the start of the assistant's next turn."""
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            f"Chats need a tokenizer with a chat template: {type(tokenizer).__name__} has none. Set "
            "tokenizer.chat_template, or give texts."
        )
    messages = json.loads(document.chat or "[]")[:end]
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
    except Exception as error:  # templates raise what they like
        raise TextError(
            f"The chat template must take every chat: it refuses the first {len(messages)} messages of document "
            f"{document.key!r} ({error}). Change its roles or their order."
        ) from error


def assistant_tokens(documents: Sequence[Document], encodings: Sequence[Any], tokenizer: Any) -> list[np.ndarray]:
    """Return for each chat which of its tokens the assistant wrote, the token that ends its turn included.

    By the template's own ``{% generation %}`` where it has one. Otherwise by the difference of what it makes of the
    messages before an answer and of those up to the answer; TextError where the one is not the start of the other.
    """
    template = getattr(tokenizer, "chat_template", None)
    if isinstance(template, str) and _GENERATION.search(template):
        return [_own_mask(*chat, tokenizer) for chat in zip(documents, encodings, strict=True)]
    special = set(special_ids(tokenizer))
    return [
        _tokens_of(_answers(document, tokenizer), document.text, encoding, special)
        for document, encoding in zip(documents, encodings, strict=True)
    ]


def _own_mask(document: Document, encoding: Any, tokenizer: Any) -> np.ndarray:
    made = tokenizer.apply_chat_template(
        json.loads(document.chat or "[]"), tokenize=True, return_dict=True, return_assistant_tokens_mask=True
    )
    if list(made["input_ids"]) != list(encoding.ids):
        raise TextError(
            f"A chat template must give the tokens of its text: it does not for document {document.key!r}. Use another "
            "version of transformers."
        )
    return np.asarray(made["assistant_masks"], bool)


def _answers(document: Document, tokenizer: Any) -> list[tuple[int, int]]:
    """Return the characters of each answer of the assistant in the text of a chat."""
    spans = []
    for index, message in enumerate(json.loads(document.chat or "[]")):
        if message["role"] == "assistant":
            before = _render(document, tokenizer, index, prompt=True)
            after = _render(document, tokenizer, index + 1)
            if not (after.startswith(before) and document.text.startswith(after)):
                raise TextError(
                    "Assistant rows need a chat template that leaves earlier messages as they are when others follow: "
                    f"that of {type(tokenizer).__name__} does not for message {index} of document {document.key!r}. "
                    "Put {% generation %} around the answers in the template."
                )
            spans.append((len(before), len(after)))
    return spans


def _tokens_of(spans: Sequence[tuple[int, int]], text: str, encoding: Any, special: set[int]) -> np.ndarray:
    """Return which tokens have characters of a span, without the whitespace after the token that ends a turn."""
    start, end = np.array(encoding.offsets, np.int64).reshape(-1, 2).T
    mask = np.zeros(len(encoding.ids), bool)
    for low, high in spans:
        inside = np.flatnonzero((end > low) & (start < high))
        ends = [token for token in inside if encoding.ids[token] in special]
        if ends and not text[end[ends[-1]] : high].strip():
            inside = inside[inside <= ends[-1]]
        mask[inside] = True
    return mask
