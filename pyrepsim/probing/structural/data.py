"""Sentences with trees: find them in a store by their words, and read their rows in batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import xxhash

from ...core.errors import OptionError, RowMismatchError, StoreError, TextError
from ...inference.groups import group_numbers
from ...store import ActivationStore, document_rows, match_words
from ...store.columns import word_hashes
from ..rows import StoreRows
from .trees import PUNCTUATION, GoldTree

__all__ = ["SentenceReader", "StoredSentences", "TreeSentence", "find_sentences"]

log = logging.getLogger("pyrepsim.probing")

_MAX_NAMED = 3  # missing sentences that an error names; it counts all of them


class TreeSentence(Protocol):
    """A sentence with its dependency tree; `pyrepsim.data.conllu.Sentence` is one."""

    @property
    def words(self) -> Sequence[str]: ...

    @property
    def heads(self) -> Sequence[int]:
        """The head of each word, counted from 1; 0 for the root."""
        ...

    @property
    def xpos(self) -> Sequence[str]: ...

    @property
    def where(self) -> str:
        """File and line, for messages."""
        ...


@dataclass(frozen=True, eq=False)
class StoredSentences:
    """Sentences in a store: sentence i has the rows starts[i] to starts[i] + len(trees[i])."""

    store: ActivationStore
    sentences: tuple[TreeSentence, ...]
    trees: tuple[GoldTree, ...]
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.trees)

    @property
    def documents(self) -> np.ndarray:
        """The number of the document of each sentence; where that is not known, of its words."""
        return group_numbers(getattr(one, "document", "") or " ".join(one.words) for one in self.sentences)

    @property
    def fingerprint(self) -> str:
        """xxh3-128 of the store's digest, and of the rows, heads and punctuation of each sentence."""
        digest = xxhash.xxh3_128(self.store.digest.encode())
        for tree, start in zip(self.trees, self.starts.tolist(), strict=True):
            digest.update(f"{start} {len(tree)}\n".encode())
            digest.update(tree.heads.tobytes() + tree.content.tobytes())
        return digest.hexdigest()


def find_sentences(store: ActivationStore, sentences: Sequence[TreeSentence]) -> StoredSentences:
    """Find the rows of each sentence in a store of words whose documents are sentences.

    A sentence is found by its words, wherever it is in the store. So one store may hold the sentences of training and
    scoring, and also others. A sentence with a word of which the tokenizer made no token (a zero-width space) lacks a
    row, so it is left out; a warning in the log counts and names such sentences.

    Raises
    ------
    StoreError
        If the store does not have a row per word.
    RowMismatchError
        If the store lacks sentences; the message counts them and names the first.
    TextError, ShapeError
        If heads and XPOS of a sentence do not form a tree, or no sentence has XPOS.
    OptionError
        If there is no sentence.
    """
    if not sentences:
        raise OptionError("A structural probe needs sentences with trees: got none. Read them from a CoNLL-U file.")
    if (unit := store.planned("rows", "unit")) in ("token", "document"):
        raise StoreError(
            f'A structural probe reads a row per word: {store.path} has one per {unit}. Extract it with words="mean".'
        )
    if all(tag == "_" for sentence in sentences for tag in sentence.xpos):
        raise TextError(
            f"Punctuation is recognised by its XPOS, one of {' '.join(sorted(PUNCTUATION))}: {sentences[0].where} and "
            "all others have none. Fill it in, for example '.' where UPOS is PUNCT."
        )
    starts = match_words(store, [sentence.words for sentence in sentences])
    if (starts < 0).any():
        keep = ~_lack_rows(store, sentences, starts)
        sentences, starts = _without(sentences, keep), starts[keep]
    trees = tuple(GoldTree.of(sentence.heads, sentence.xpos, sentence.where) for sentence in sentences)
    if (starts < 0).any():
        doc_id = store.columns.doc_id
        lengths = {int(doc_id[start]): stop - start for start, stop in document_rows(store)}
        missing = np.flatnonzero(starts < 0).tolist()
        reasons = [_why_missing(i, sentences[i], lengths.get(i)) for i in missing[:_MAX_NAMED]]
        raise RowMismatchError(
            f"Each sentence must be a document of the store, word for word: {len(missing)} of {len(sentences)} are not "
            f"in {store.path}: {'; '.join(reasons)}{'; ...' if len(missing) > _MAX_NAMED else ''}. Extract the same "
            'sentences, as lists of words or from the same CoNLL-U file, with words="mean".'
        )
    return StoredSentences(store, tuple(sentences), trees, starts)


def _lack_rows(store: ActivationStore, sentences: Sequence[TreeSentence], starts: np.ndarray) -> np.ndarray:
    """Mask of the sentences that are in the store except for words without tokens."""
    columns = store.columns
    rows = {int(columns.doc_id[start]): slice(start, stop) for start, stop in document_rows(store)}
    documents: dict[int, list[slice]] = {}  # by number of words
    for entry in store.docs():
        if entry.get("words_without_tokens"):
            documents.setdefault(entry["n_words"], []).append(rows.get(entry["doc_id"], slice(0, 0)))
    lacking = np.zeros(len(sentences), bool)
    for index in np.flatnonzero(starts < 0).tolist() if documents else ():
        words = word_hashes(sentences[index].words)
        lacking[index] = any(
            np.array_equal(words[columns.position[own]], columns.token_id[own]) for own in documents.get(len(words), ())
        )
    return lacking


def _without(sentences: Sequence[TreeSentence], keep: np.ndarray) -> list[TreeSentence]:
    """The sentences to keep; a warning names the first of the others, and TextError is raised if none is left."""
    kept = [sentence for sentence, kept in zip(sentences, keep, strict=True) if kept]
    if len(kept) < len(sentences):
        first = sentences[int((~keep).argmax())].where
        if not kept:
            raise TextError(
                f"A structural probe needs a row for each word: each of the {len(sentences)} sentences has a word "
                f"without tokens (first: {first}). Use another tokenizer, or correct the sentences."
            )
        log.warning(
            "left out %d of %d sentences: the tokenizer makes no tokens of some of their words (first: %s)",
            len(sentences) - len(kept), len(sentences), first,
        )  # fmt: skip
    return kept


def _why_missing(index: int, sentence: TreeSentence, n_rows: int | None) -> str:
    text = " ".join(sentence.words)
    name = f"{sentence.where} ({text[:40]!r}{'...' if len(text) > 40 else ''}, {len(sentence.words)} words)"
    if n_rows is None:
        return f"{name}, and there is no document {index}"
    if n_rows != len(sentence.words):
        return f"{name}, where document {index} has {n_rows} rows"
    return f"{name}, where document {index} has other words"


class SentenceReader:
    """Reads batches of sentences from several layers. Use it in a with-block."""

    def __init__(self, stored: StoredSentences, layers: Sequence[str]) -> None:
        self.stored, self.layers = stored, tuple(layers)
        self._rows = StoreRows(stored.store, layers)

    def __enter__(self) -> SentenceReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.__exit__()

    def read(self, indices: Sequence[int] | np.ndarray, layers: np.ndarray | None = None) -> np.ndarray:
        """Return the words of these sentences, one after the other, as float32 of shape (n_layers, n_words, width).

        `layers` are indices into the reader's layers. Default: all.
        """
        names = self.layers if layers is None else [self.layers[layer] for layer in layers]
        starts, trees = self.stored.starts, self.stored.trees
        rows = np.concatenate([np.arange(starts[i], starts[i] + len(trees[i])) for i in indices])
        return self._rows.read(rows, names)
