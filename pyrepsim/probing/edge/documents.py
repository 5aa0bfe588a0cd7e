"""Which document of a store each record's text is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import xxhash

from ...core.errors import RowMismatchError, StoreError
from ...store import ActivationStore


def word_spans(text: str) -> list[tuple[int, int]]:
    """Characters (start, end) of the words of a text: what single spaces separate."""
    ends = accumulate(len(word) + 1 for word in text.split(" "))
    return [(end - 1 - len(word), end - 1) for word, end in zip(text.split(" "), ends, strict=True)]


def unique_texts(texts: Sequence[str]) -> list[str]:
    """Each text once, in order of first appearance."""
    return list(dict.fromkeys(texts))


def match_documents(store: ActivationStore, texts: Sequence[str], held: Sequence[str] | None = None) -> np.ndarray:
    """Document of each text in `store`, int64, -1 for those that it does not hold.

    held : texts of the store's documents, in their order. Default: `texts`, each text once, or all of them if the
    store has as many documents.

    Raises RowMismatchError if the store says that its documents are other texts.
    """
    n_documents = count_documents(store)
    candidates = [held] if held is not None else [texts, unique_texts(texts)]
    known = store.plan.get("rows", {}).get("texts")
    if known is not None:
        candidates = [texts for texts in candidates if known in _fingerprints(texts)]
        if not candidates:
            raise RowMismatchError(
                f"A probe needs a store of the records' texts, in their order: {store.path} holds {n_documents} other "
                f"documents (the records have {len(texts)} texts, {len(set(texts))} of them different). Extract "
                "probe_texts(records), or give the texts that it holds: texts=."
            )
    elif held is None:
        candidates.sort(key=lambda texts: abs(len(texts) - n_documents))
    order = candidates[0]
    if len(order) == len(texts) and held is None:
        documents = np.arange(len(texts))
    else:
        place = {text: index for index, text in reversed(list(enumerate(order)))}
        documents = np.array([place.get(text, -1) for text in texts], np.int64)
    return np.where(documents < n_documents, documents, -1)


def count_documents(store: ActivationStore) -> int:
    """Documents of a store whose rows stand document after document; StoreError for one where they do not."""
    doc_id = store.columns.doc_id
    if len(doc_id) and (np.diff(doc_id) < 0).any():
        row = int(np.argmax(np.diff(doc_id) < 0)) + 1
        raise StoreError(
            f"A probe finds sentences by their document, so rows must stand in the order of documents: row {row} of "
            f"{store.path} goes back to document {doc_id[row]}. Write the store in order."
        )
    listed = store.plan.get("rows", {}).get("documents")
    return int(listed) if listed is not None else int(doc_id[-1]) + 1 if len(doc_id) else 0


def _fingerprints(texts: Sequence[str]) -> tuple[str, str]:
    """What an extraction records of these texts (`Corpus.fingerprint`), given as running text, and as words."""
    running, split = xxhash.xxh3_128(), xxhash.xxh3_128()
    for text in texts:
        data = text.encode()
        running.update(f"{len(data)} None\n".encode())
        split.update(f"{len(data)} {tuple(word_spans(text))}\n".encode())
        running.update(data)
        split.update(data)
    return running.hexdigest(), split.hexdigest()
