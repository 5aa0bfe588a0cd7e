"""Matching rows by the tokens they come from: two stores row by row, or texts and sentences with one store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from ..core.errors import OptionError, RowMismatchError, StoreError
from ..core.resume import first_difference
from ..data.documents import Corpus, Document
from .columns import IDENTITY, Tokens, tokens_name, word_hashes
from .reader import ActivationStore
from .representation import LayerPass, Representation, Selection, cut_chunks
from .shards import most_open_files

_REMEDY = "Extract both with one plan: extract(..., same_plan_as=<the other store>)."


def check_same_rows(x: ActivationStore, y: ActivationStore) -> None:
    """Check that two stores hold the same rows in the same order.

    The document, position and token of each row are compared, and ``plan["rows"]`` if both plans have it.

    Parameters
    ----------
    x, y : ActivationStore
        The two stores.

    Raises
    ------
    RowMismatchError
        If they do not; the message names the first row that differs.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import check_same_rows
    >>> x, y = (rs.write_store(f"acts/{name}", {"layer.0": np.eye(3)}) for name in ("base", "tuned"))
    >>> check_same_rows(x, y)
    """
    if x.digest == y.digest:
        return
    rows_x, rows_y = x.plan.get("rows"), y.plan.get("rows")
    if x.rows_digest != y.rows_digest:
        raise RowMismatchError(
            f"Rows are matched by document, position and token: {x.path} and {y.path} "
            f"{_where_rows_differ(x, y)}. {_held_by_each(x, y)}" + _REMEDY
        )
    if rows_x is not None and rows_y is not None and rows_x != rows_y:
        raise RowMismatchError(
            f"Stores can be compared only if plan['rows'] is the same: {x.path} and {y.path} differ in "
            f"{first_difference(rows_x, rows_y, 'rows', ('in the first', 'in the second'))}. {_REMEDY}"
        )


def _where_rows_differ(x: ActivationStore, y: ActivationStore) -> str:
    n_common = min(x.n_rows, y.n_rows)
    differs = np.zeros(n_common, dtype=bool)
    for name in IDENTITY:
        differs |= x.columns[name][:n_common] != y.columns[name][:n_common]
    if differs.any():
        row = int(np.argmax(differs))
        return f"first differ in row {row}: {x.columns.identity(row)} against {y.columns.identity(row)}"
    longer = x if x.n_rows > y.n_rows else y
    return (
        f"have {x.n_rows} and {y.n_rows} rows; the first row that only one has is {n_common}: "
        f"{longer.columns.identity(n_common)}"
    )


def _held_by_each(x: ActivationStore, y: ActivationStore) -> str:
    """Say which rows were chosen for each store, if not the same."""
    first, second = x.columns.held, y.columns.held
    return "" if first == second else f"The first was extracted with the rows {first!r}, the second with {second!r}. "


def _shared_mask(x: ActivationStore, y: ActivationStore, tokens: Tokens) -> np.ndarray | None:
    if tokens_name(tokens) == "all":
        return None
    mask, other = x.columns.mask(tokens), y.columns.mask(tokens)
    if x is not y and not np.array_equal(mask, other):
        row = int(np.argmax(mask != other))
        raise RowMismatchError(
            f"tokens={tokens!r} must select the same rows in both stores: row {row} ({x.columns.identity(row)}) "
            f"has flags {x.columns['flags'][row]} in {x.path} and {y.columns['flags'][row]} in {y.path}. {_REMEDY}"
        )
    return mask


def paired_chunks(
    x: Representation, y: Representation, chunk_size: int = 8192, *, start: int = 0, tokens: Tokens = "content"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Iterate over the same rows of two representations.

    Parameters
    ----------
    x, y : Representation
        A layer of each store.
    chunk_size : int
        Rows of a chunk, at most. A chunk does not cross the end of a shard of either store.
    start : int
        How many of the selected rows to skip.
    tokens : str, slice, range, boolean array or callable
        Which rows; see `TokenColumns.mask`.

    Yields
    ------
    tuple of ndarray
        Two read-only arrays of shapes (n, d_x) and (n, d_y), with n <= chunk_size.

    Raises
    ------
    RowMismatchError
        Before the first chunk, if the two stores do not hold the same rows.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> store = rs.write_store("acts/pairs", {"layer.0": np.ones((5, 2)), "layer.1": np.ones((5, 3))})
    >>> [(x.shape, y.shape) for x, y in rs.paired_chunks(store["layer.0"], store["layer.1"], 3)]
    [((3, 2), (3, 3)), ((2, 2), (2, 3))]
    """
    for layer in (x, y):
        if not isinstance(layer, Representation):
            raise OptionError(
                f"paired_chunks reads two layers: got {type(layer).__name__}. Name one of a store, as in "
                "store['layer.0']; pyrepsim.store.paired_layer_chunks reads two stores with all layers."
            )
    pairs = paired_layer_chunks(x.store, y.store, [x.name], [y.name], chunk_size, start=start, tokens=tokens)
    return ((chunk_x[x.name], chunk_y[y.name]) for chunk_x, chunk_y in pairs)


def paired_layer_chunks(
    x: ActivationStore,
    y: ActivationStore,
    layers_x: Sequence[str] | None = None,
    layers_y: Sequence[str] | None = None,
    chunk_size: int = 8192,
    *,
    start: int = 0,
    tokens: Tokens = "content",
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Iterate over the same rows of several layers of two stores in one pass.

    Parameters
    ----------
    x, y : ActivationStore
        The two stores.
    layers_x, layers_y : sequence of str, optional
        Names of the layers to read from each store; all by default.
    chunk_size : int
        Rows of a chunk, at most. A chunk does not cross the end of a shard of either store.
    start : int
        How many of the selected rows to skip.
    tokens : str, slice, range, boolean array or callable
        Which rows; see `TokenColumns.mask`.

    Yields
    ------
    tuple of dict of str to ndarray
        The chunks of each store by layer name: read-only arrays of shape (n, width) with n <= chunk_size.

    Raises
    ------
    RowMismatchError
        Before the first chunk, if the two stores do not hold the same rows.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import paired_layer_chunks
    >>> store = rs.write_store("acts/layers", {"layer.0": np.ones((5, 2)), "layer.1": np.ones((5, 3))})
    >>> for x, y in paired_layer_chunks(store, store, layers_y=["layer.1"]):
    ...     print(list(x), list(y), len(x["layer.0"]))
    ['layer.0', 'layer.1'] ['layer.1'] 5
    """
    parts_x = [x[name] for name in (x.layers if layers_x is None else layers_x)]
    parts_y = [y[name] for name in (y.layers if layers_y is None else layers_y)]
    check_same_rows(x, y)
    mask = _shared_mask(x, y, tokens)
    selections = x.selection(mask), y.selection(mask)
    return _chunks((parts_x, parts_y), selections, cut_chunks(selections, chunk_size, start))


def _chunks(
    sides: tuple[list[Representation], list[Representation]],
    selections: tuple[Selection, Selection],
    pieces: Iterator[tuple[int, int]],
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    keep_open = len(sides[0]) + len(sides[1]) <= most_open_files()
    with ExitStack() as stack:
        passes_x, passes_y = (
            {layer.name: stack.enter_context(LayerPass(layer, selection, keep_open=keep_open)) for layer in layers}
            for layers, selection in zip(sides, selections, strict=True)
        )
        for first, stop in pieces:
            yield (
                {name: layer.read(first, stop) for name, layer in passes_x.items()},
                {name: layer.read(first, stop) for name, layer in passes_y.items()},
            )


def count_documents(store: ActivationStore) -> int:
    """Return the number of documents of a store whose rows are in document order.

    Documents without rows are counted if the store's plan states how many documents there are.

    Parameters
    ----------
    store : ActivationStore
        The store.

    Returns
    -------
    int

    Raises
    ------
    StoreError
        If the rows are not in document order.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import count_documents
    >>> columns = {"doc_id": [0, 0, 1], "position": [0, 1, 0], "token_id": [5, 6, 5]}
    >>> count_documents(rs.write_store("acts/count", {"layer.0": np.eye(3)}, columns=columns))
    2
    """
    doc_id = store.columns.doc_id
    if len(doc_id) and (np.diff(doc_id) < 0).any():
        row = int(np.argmax(np.diff(doc_id) < 0)) + 1
        raise StoreError(
            f"The rows of a store must be in document order to find sentences in it: row {row} of {store.path} goes "
            f"back to document {doc_id[row]}. Write the store in that order."
        )
    planned = store.planned("rows", "documents")
    least = int(doc_id[-1]) + 1 if len(doc_id) else 0
    return planned if type(planned) is int and planned >= least else least


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

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import match_texts
    >>> store = rs.write_store("acts/texts", {"layer.0": np.eye(2)})  # two documents with one row each
    >>> match_texts(store, ["the keys", "a door", "the keys"])
    array([0, 1, 0])
    """
    n_documents = count_documents(store)
    candidates = [stored] if stored is not None else [texts, list(dict.fromkeys(texts))]
    fingerprint = store.planned("rows", "texts")
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

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import match_words
    >>> from pyrepsim.store.columns import word_hashes
    >>> columns = {"doc_id": [0, 0, 1], "position": [0, 1, 0], "token_id": word_hashes(["the", "keys", "doors"])}
    >>> store = rs.write_store("acts/words", {"layer.0": np.eye(3)}, columns=columns)
    >>> match_words(store, [["doors"], ["the", "keys"], ["keys"]])
    array([ 2,  0, -1])
    """
    identity = store.columns.token_id
    rows = {identity[start:stop].tobytes(): start for start, stop in reversed(document_rows(store))}
    return np.array([rows.get(word_hashes(words).tobytes(), -1) for words in sentences], np.int64)


def document_rows(store: ActivationStore) -> list[tuple[int, int]]:
    """Return the rows of each document that has rows, in the order of the store.

    Parameters
    ----------
    store : ActivationStore
        The store.

    Returns
    -------
    list of tuple of int
        First row and one past the last row of each document.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.store import document_rows
    >>> columns = {"doc_id": [0, 0, 1], "position": [0, 1, 0], "token_id": [5, 6, 5]}
    >>> document_rows(rs.write_store("acts/documents", {"layer.0": np.eye(3)}, columns=columns))
    [(0, 2), (2, 3)]
    """
    doc_id = store.columns.doc_id
    bounds = np.flatnonzero(np.diff(doc_id, prepend=-1, append=-1)) if len(doc_id) else np.zeros(1, np.int64)
    return list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True))


def _fingerprints(texts: Sequence[str]) -> tuple[str, str]:
    """Return what an extraction records of these texts: as running text, and as words between single spaces."""
    running = Corpus(tuple(Document("", text) for text in texts), "")
    words = Corpus(tuple(Document.from_words("", text.split(" ")) for text in texts), "")
    return running.fingerprint, words.fingerprint
