"""Sentences with trees, found in a store word for word, and read from it in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import xxhash

from ...core.errors import OptionError, RowMismatchError, StoreError, TextError
from ...store import ActivationStore
from ...store.shards import ShardFile
from .trees import PUNCTUATION, GoldTree

__all__ = ["SentenceReader", "StoredSentences", "TreeSentence", "find_sentences"]

_NAMED = 3  # sentences that an error names; it counts them all
_HELD_BYTES = 256 << 20
_HELD_FILES = 256


class TreeSentence(Protocol):
    """What the probe needs to know of a sentence; `pyrepsim.data.conllu.Sentence` is one."""

    @property
    def words(self) -> Sequence[str]: ...

    @property
    def heads(self) -> Sequence[int]:
        """The head of each word, counted from 1; 0 at the root."""
        ...

    @property
    def xpos(self) -> Sequence[str]: ...

    @property
    def where(self) -> str:
        """File and line, for messages."""
        ...


@dataclass(frozen=True, eq=False)
class StoredSentences:
    """Sentences and where their words lie: sentence i has the rows starts[i] to starts[i] + len(trees[i])."""

    store: ActivationStore
    sentences: tuple[TreeSentence, ...]
    trees: tuple[GoldTree, ...]
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.trees)

    @property
    def fingerprint(self) -> str:
        """xxh3-128 of the store's digest and of the rows, heads and punctuation of each sentence."""
        digest = xxhash.xxh3_128(self.store.digest.encode())
        for tree, start in zip(self.trees, self.starts.tolist(), strict=True):
            digest.update(f"{start} {len(tree)}\n".encode())
            digest.update(tree.heads.tobytes() + tree.content.tobytes())
        return digest.hexdigest()


def find_sentences(store: ActivationStore, sentences: Sequence[TreeSentence]) -> StoredSentences:
    """The rows of each sentence, in a store of words whose documents are sentences.

    A sentence is the document that has the same words, wherever in the store it stands; so one store may serve for
    training and scoring, and may hold more than is asked for.

    Raises
    ------
    StoreError
        If the store does not have a row per word.
    RowMismatchError
        If it lacks sentences: how many, and the first of them with the reason.
    TextError, ShapeError
        If heads and XPOS of a sentence are not those of a tree, or no sentence has XPOS.
    OptionError
        If there is no sentence.
    """
    if not sentences:
        raise OptionError("A structural probe needs sentences with trees: got none. Read them from a CoNLL-U file.")
    if store.plan.get("rows", {}).get("unit") == "token":
        raise StoreError(
            f'A structural probe reads a row per word: {store.path} has one per token. Extract it with words="mean".'
        )
    if all(tag == "_" for sentence in sentences for tag in sentence.xpos):
        raise TextError(
            f"Punctuation is known by its XPOS, one of {' '.join(sorted(PUNCTUATION))}: {sentences[0].where} and all "
            "others have none. Fill it in, e.g. '.' where UPOS is PUNCT."
        )
    trees = tuple(GoldTree.of(sentence.heads, sentence.xpos, sentence.where) for sentence in sentences)
    doc_id, identity = store.columns["doc_id"], store.columns["token_id"]
    bounds = np.flatnonzero(np.diff(doc_id, prepend=-1, append=-1)) if len(doc_id) else np.zeros(1, np.int64)
    spans = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))
    starts = {identity[start:stop].tobytes(): start for start, stop in reversed(spans)}
    found = [starts.get(_identity(sentence.words)) for sentence in sentences]
    if None in found:
        lengths = {int(doc_id[start]): stop - start for start, stop in spans}
        missing = [i for i, start in enumerate(found) if start is None]
        reasons = [_why(i, sentences[i], lengths.get(i)) for i in missing[:_NAMED]]
        raise RowMismatchError(
            f"Each sentence must be a document of the store, word for word: {len(missing)} of {len(sentences)} are not "
            f"in {store.path}: {'; '.join(reasons)}{'; ...' if len(missing) > _NAMED else ''}. Extract the same "
            'sentences, as lists of words or from the same CoNLL-U file, with words="mean".'
        )
    return StoredSentences(store, tuple(sentences), trees, np.array(found, np.int64))


def _identity(words: Sequence[str]) -> bytes:
    """The column ``token_id`` of a store of these words: a hash of the characters of each."""
    hashes = (xxhash.xxh32_intdigest(word.encode()) & 0x7FFFFFFF for word in words)
    return np.fromiter(hashes, "<i4", len(words)).tobytes()


def _why(index: int, sentence: TreeSentence, n_rows: int | None) -> str:
    text = " ".join(sentence.words)
    name = f"{sentence.where} ({text[:40]!r}{'...' if len(text) > 40 else ''}, {len(sentence.words)} words)"
    if n_rows is None:
        return f"{name}, and there is no document {index}"
    if n_rows != len(sentence.words):
        return f"{name}, where document {index} has {n_rows} rows"
    return f"{name}, where document {index} has other words"


class SentenceReader:
    """Reads batches of sentences from all chosen layers, as float32. Memory is that of a batch, and of 256 MB of pages.

    Shards stay open between batches, and are let go of now and then: a map's pages count as ours while it lasts.
    """

    def __init__(self, stored: StoredSentences, layers: Sequence[str]) -> None:
        self.stored, self.layers = stored, tuple(layers)
        self._shard_ends = np.cumsum(stored.store.shard_rows)
        self._open: dict[tuple[str, int], ShardFile] = {}
        self._n_bytes = 0

    def __enter__(self) -> SentenceReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()
        self._n_bytes = 0

    def read(self, indices: Sequence[int] | np.ndarray, layers: np.ndarray | None = None) -> np.ndarray:
        """The words of these sentences, one after the other: (n_layers, n_words, width).

        layers : which of the chosen layers, by index; all unless given.
        """
        names = self.layers if layers is None else [self.layers[layer] for layer in layers]
        pieces = list(self._pieces(indices))
        n_words = sum(rows.stop - rows.start for _, rows in pieces)
        out = np.empty((len(names), n_words, self.stored.store.widths[names[0]]), np.float32)
        for name, words in zip(names, out, strict=True):
            at = 0
            for shard, rows in pieces:
                found = self._file(name, shard).read(rows)
                words[at : at + len(found)] = found
                at += len(found)
                self._n_bytes += found.nbytes
            if self._n_bytes > _HELD_BYTES:
                self.close()
        return out

    def _pieces(self, indices: Sequence[int] | np.ndarray) -> Iterator[tuple[int, slice]]:
        """The rows of these sentences: shards, and places inside them."""
        for i in indices:
            start, stop = int(self.stored.starts[i]), int(self.stored.starts[i]) + len(self.stored.trees[i])
            while start < stop:
                shard = int(np.searchsorted(self._shard_ends, start, side="right"))
                end = int(self._shard_ends[shard])
                before = end - self.stored.store.shard_rows[shard]
                yield shard, slice(start - before, min(stop, end) - before)
                start = end

    def _file(self, name: str, shard: int) -> ShardFile:
        if (name, shard) not in self._open:
            if len(self._open) >= _HELD_FILES:
                self.close()
            self._open[name, shard] = self.stored.store[name].open_shard(shard)
        return self._open[name, shard]
