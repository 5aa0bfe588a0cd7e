"""The columns that say who each row is: its document, position, token, word, characters and flags."""

from __future__ import annotations

import numpy as np
import xxhash

from ..store.rows import RowFlag
from .documents import Corpus
from .policy import Policy
from .tokens import TokenTable
from .units import Units


def row_columns(
    corpus: Corpus, table: TokenTable, policy: Policy, units: Units, window: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns as the store names them.

    A token is identified by its position among all tokens of its document (special ones counted) and its id.
    A word is identified by its index in the document and, in the column ``token_id``, by a hash of its
    characters: the same for every tokenizer, so stores of words match across tokenizers.
    """
    first, last, document = units.first, units.last, units.document
    word = table.word[first]
    flags = np.zeros(len(first), np.uint8)
    flags[policy.is_long(table.lengths[document])] |= np.uint8(RowFlag.TRUNCATED_CONTEXT)
    if len(first):
        unknown = table.ids[first[0] : last[-1] + 1] == table.unknown_id
        before = np.concatenate([[0], np.cumsum(unknown)])
        flags[before[last + 1 - first[0]] > before[first - first[0]]] |= np.uint8(RowFlag.UNKNOWN)
    columns = {"doc_id": document, "word_id": word, "window_id": window, "flags": flags}
    if policy.words is not None:
        flags |= np.uint8(RowFlag.FIRST_SUBWORD | RowFlag.LAST_SUBWORD)
        index = table.word_ptr[document] + word
        start, end = table.word_start[index], table.word_end[index]
        hashes = _word_hashes(corpus, document, start, end)
        return columns | {"position": word, "token_id": hashes, "char_start": start, "char_end": end}
    flags[table.special[first]] |= np.uint8(RowFlag.SPECIAL)
    edge = np.ones(len(first) + 1, bool)
    edge[1:-1] = (np.diff(word) != 0) | (np.diff(document) != 0)
    flags[(word >= 0) & edge[:-1]] |= np.uint8(RowFlag.FIRST_SUBWORD)
    flags[(word >= 0) & edge[1:]] |= np.uint8(RowFlag.LAST_SUBWORD)
    return columns | {
        "position": first - table.ptr[document],
        "token_id": table.ids[first],
        "char_start": table.char_start[first],
        "char_end": table.char_end[first],
    }


def _word_hashes(corpus: Corpus, document: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The low 31 bits of xxh32 over each word's characters in UTF-8."""
    words = (corpus[d].text[a:b] for d, a, b in zip(document.tolist(), start.tolist(), end.tolist(), strict=True))
    hashes = (xxhash.xxh32_intdigest(word.encode()) & 0x7FFFFFFF for word in words)
    return np.fromiter(hashes, np.int32, len(document))
