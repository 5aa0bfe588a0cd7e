"""Finding texts and sentences in a store: which document, and which rows, hold them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.errors import RowMismatchError, StoreError
from ..data.documents import Corpus, Document
from .columns import word_hashes
from .reader import ActivationStore


def count_documents(store: ActivationStore) -> int:
    """Return the number of documents of a store whose rows are in document order.

    Documents without rows count if the store's plan states how many documents there are.

    Raises
    ------
    StoreError
        If the rows are not in document order.
    """
    doc_id = store.columns.doc_id
    if len(doc_id) and (np.diff(doc_id) < 0).any():
        row = int(np.argmax(np.diff(doc_id) < 0)) + 1
        raise StoreError(
            f"The rows of a store must be in document order to find sentences in it: row {row} of {store.path} goes "
            f"back to document {doc_id[row]}. Write the store in that order."
        )
    planned = store.plan.get("rows", {}).get("documents")
    return int(planned) if planned is not None else int(doc_id[-1]) + 1 if len(doc_id) else 0


def match_texts(store: ActivationStore, texts: Sequence[str], stored: Sequence[str] | None = None) -> np.ndarray:
    """Return the document of each text in a store.

    Parameters
    ----------
    store : ActivationStore
        Its rows must be in document order.
    texts : sequence of str
        The texts to find. Words may be separated by single spaces.
    stored : sequence of str, optional
        The texts of the store's documents, in their order. By default these are `texts`, or `texts` with each text
        once, whichever the store was extracted from.

    Returns
    -------
    ndarray of shape (len(texts),), int64
        The index of each text's document, -1 for a text that the store does not hold.

    Raises
    ------
    RowMismatchError
        If the plan of the store has the fingerprint of other texts.
    StoreError
        If the rows are not in document order.
    """
    n_documents = count_documents(store)
    candidates = [stored] if stored is not None else [texts, list(dict.fromkeys(texts))]
    fingerprint = store.plan.get("rows", {}).get("texts")
    if fingerprint is not None:
        candidates = [texts for texts in candidates if fingerprint in _fingerprints(texts)]
        if not candidates:
            raise RowMismatchError(
                f"The store must hold the same texts in the same order: {store.path} holds {n_documents} other "
                f"documents (there are {len(texts)} texts to find, {len(set(texts))} of them different). Extract these "
                "texts, or give the texts that the store was extracted from: texts=."
            )
    elif stored is None:
        candidates.sort(key=lambda texts: abs(len(texts) - n_documents))
    order = candidates[0]
    if len(order) == len(texts) and stored is None:
        documents = np.arange(len(texts))
    else:
        first = {text: index for index, text in reversed(list(enumerate(order)))}
        documents = np.array([first.get(text, -1) for text in texts], np.int64)
    return np.where(documents < n_documents, documents, -1)


def match_words(store: ActivationStore, sentences: Sequence[Sequence[str]]) -> np.ndarray:
    """Return the first row of each sentence in a store that has one row per word.

    A sentence matches a document with the same words, anywhere in the store. Words are compared by their hash.

    Parameters
    ----------
    store : ActivationStore
        A store of words: its column ``token_id`` holds the hash of each word.
    sentences : sequence of sequences of str
        The words of each sentence.

    Returns
    -------
    ndarray of shape (len(sentences),), int64
        The row of each sentence's first word, -1 for a sentence that the store does not hold.
    """
    identity = store.columns.token_id
    rows = {identity[start:stop].tobytes(): start for start, stop in reversed(document_rows(store))}
    return np.array([rows.get(word_hashes(words).tobytes(), -1) for words in sentences], np.int64)


def document_rows(store: ActivationStore) -> list[tuple[int, int]]:
    """Return the rows (first, one past the last) of each document that has rows, in the order of the store."""
    doc_id = store.columns.doc_id
    bounds = np.flatnonzero(np.diff(doc_id, prepend=-1, append=-1)) if len(doc_id) else np.zeros(1, np.int64)
    return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))


def _fingerprints(texts: Sequence[str]) -> tuple[str, str]:
    """Return what an extraction records of these texts: as running text, and as words between single spaces."""
    running = Corpus(tuple(Document("", text) for text in texts), "")
    words = Corpus(tuple(Document.from_words("", text.split(" ")) for text in texts), "")
    return running.fingerprint, words.fingerprint
