"""Documents: the texts of one extraction in their order, with word spans where the source has words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any

import xxhash

from ..core.errors import TextError

__all__ = ["Corpus", "Document", "document_from"]


@dataclass(frozen=True)
class Document:
    """One text.

    Attributes
    ----------
    key : str
        Its name in the source, such as "line 3" or a sentence id.
    text : str
    words : tuple of (int, int), optional
        First character of each word and the character after its last; None if the source has no words.
    chat : str, optional
        The messages of a chat as JSON; its text is made by the chat template of a tokenizer.
    second : int, optional
        Of a pair of texts, such as a premise and a hypothesis, the first character of the second one; the character
        before it is a line feed that stands between them.

    Examples
    --------
    >>> Document.from_words("s1", ["Keys", "turn"])
    Document(key='s1', text='Keys turn', words=((0, 4), (5, 9)))
    """

    key: str
    text: str
    words: tuple[tuple[int, int], ...] | None = None
    chat: str | None = field(default=None, repr=False)
    second: int | None = field(default=None, repr=False)

    @classmethod
    def from_words(cls, key: str, words: Sequence[str]) -> Document:
        """Join words by single spaces."""
        ends = [position - 1 for position in accumulate(len(word) + 1 for word in words)]
        spans = tuple((end - len(word), end) for word, end in zip(words, ends, strict=True))
        return cls(key, " ".join(words), spans)

    @classmethod
    def from_pair(cls, key: str, first: str, second: str) -> Document:
        """Join two texts by a line feed."""
        return cls(key, f"{first}\n{second}", second=len(first) + 1)

    @property
    def texts(self) -> tuple[str, ...]:
        """The text, or the two texts of a pair."""
        return (self.text,) if self.second is None else (self.text[: self.second - 1], self.text[self.second :])


@dataclass(frozen=True)
class Corpus(Sequence[Document]):
    """Documents in their order; the column `doc_id` of a store holds indices into it.

    Attributes
    ----------
    documents : tuple of Document
    source : str
        Where they come from, for messages.

    Examples
    --------
    >>> Corpus((Document("a", "one"), Document("b", "two")), "a list")
    Corpus(2 documents from a list)
    """

    documents: tuple[Document, ...]
    source: str

    def __len__(self) -> int:
        return len(self.documents)

    def __getitem__(self, index: Any) -> Any:
        return self.documents[index]

    def __iter__(self) -> Iterator[Document]:
        return iter(self.documents)

    def __repr__(self) -> str:
        return f"Corpus({len(self)} documents from {self.source})"

    @cached_property
    def fingerprint(self) -> str:
        """The xxh3-128 digest of texts and word spans; keys and source do not enter."""
        digest = xxhash.xxh3_128()
        for document in self.documents:
            try:
                data = (document.text if document.chat is None else document.chat).encode()
            except UnicodeEncodeError as error:
                raise TextError(
                    f"Texts must be valid Unicode: document {document.key!r} has a lone surrogate at character "
                    f"{error.start}. Read its file with the right encoding, or replace that character."
                ) from error
            kind: Any = document.words if document.chat is None else "chat"
            if document.second is not None:
                kind = f"pair {document.second}"
            digest.update(f"{len(data)} {kind}\n".encode())
            digest.update(data)
        return digest.hexdigest()


def document_from(key: str, item: Any) -> Document:
    """Make a document of a string, a pair (a tuple of two strings), a list of words or a list of messages.

    Anything else is a TextError.
    """
    if isinstance(item, str):
        return Document(key, item)
    if isinstance(item, tuple) and len(item) == 2 and all(isinstance(text, str) for text in item):
        return Document.from_pair(key, *item)
    if isinstance(item, (list, tuple)) and item and all(isinstance(message, dict) for message in item):
        return _chat(key, item)
    if isinstance(item, (list, tuple)) and all(isinstance(word, str) for word in item):
        return Document.from_words(key, item)
    kind = type(item).__name__
    if isinstance(item, (list, tuple)):
        kind = f"a {kind} with a {next(type(word).__name__ for word in item if not isinstance(word, str))} in it"
    raise TextError(f"Each document must be a string or a list of words (strings): document {key} is {kind}.")


def _chat(key: str, messages: Sequence[Any]) -> Document:
    for index, message in enumerate(messages):
        if not isinstance(message.get("role"), str) or "content" not in message:
            raise TextError(
                f"Each message of a chat must have the fields 'role' and 'content': message {index} of document {key} "
                f"has {', '.join(map(str, message)) or 'none'}. Rename its fields."
            )
    try:
        chat = json.dumps(list(messages), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TextError(f"Messages must hold text, numbers and lists: document {key} does not ({error}).") from error
    return Document(key, "", chat=chat)
