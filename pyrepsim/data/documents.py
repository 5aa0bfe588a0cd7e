"""Documents: the texts of one extraction, in their order, with word spans where the source gave words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import xxhash

from ..core.errors import TextError


@dataclass(frozen=True)
class Document:
    """One text. `words`: (start, end) spans of characters, if the source has words; `key`: its name."""

    key: str
    text: str
    words: tuple[tuple[int, int], ...] | None = None

    @classmethod
    def from_words(cls, key: str, words: Sequence[str]) -> Document:
        ends = [position - 1 for position in accumulate(len(word) + 1 for word in words)]
        spans = tuple((end - len(word), end) for word, end in zip(words, ends, strict=True))
        return cls(key, " ".join(words), spans)


@dataclass(frozen=True)
class Corpus(Sequence[Document]):
    """Documents in their order; `doc_id` in a store is the index here."""

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
        """xxh3-128 over texts and word spans (not over keys or where they came from)."""
        digest = xxhash.xxh3_128()
        for document in self.documents:
            try:
                data = document.text.encode()
            except UnicodeEncodeError as error:
                raise TextError(
                    f"Texts must be valid Unicode: document {document.key!r} has a lone surrogate at character "
                    f"{error.start}. Read its file with the right encoding, or replace that character."
                ) from error
            digest.update(f"{len(data)} {document.words}\n".encode())
            digest.update(data)
        return digest.hexdigest()


def document_from(key: str, item: Any) -> Document:
    """A document from a string or a list of words; anything else is refused by its key."""
    if isinstance(item, str):
        return Document(key, item)
    if isinstance(item, (list, tuple)) and all(isinstance(word, str) for word in item):
        return Document.from_words(key, item)
    what = type(item).__name__
    if isinstance(item, (list, tuple)):
        what = f"a {what} with a {next(type(word).__name__ for word in item if not isinstance(word, str))} in it"
    raise TextError(f"Each document must be a string or a list of words (strings): document {key} is {what}.")
