"""Units: the tokens or words that become rows, and where in which sequence the model sees each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import TextError
from .documents import Corpus
from .policy import Policy
from .tokens import TokenTable
from .windows import choose_windows, window_starts


@dataclass(frozen=True, eq=False)
class Units:
    """One entry per row: tokens first..last of a `document`, seen at `position` of a `sequence`."""

    first: np.ndarray
    last: np.ndarray
    document: np.ndarray
    sequence: np.ndarray
    position: np.ndarray


def find_units(corpus: Corpus, table: TokenTable, policy: Policy, low: int, high: int, ptr: np.ndarray) -> Units:
    """Units of documents low..high-1, in order; `ptr` is the first sequence of each document.

    Raises
    ------
    TextError
        If a word of a long document fits into no window.
    """
    first, last = _token_units(table, low, high) if policy.words is None else _word_units(table, low, high)
    document = np.searchsorted(table.ptr, first, side="right") - 1
    sequence = ptr[document - low]
    position = first - table.ptr[document]
    keep = np.ones(len(first), bool)
    for long in np.flatnonzero(policy.is_long(table.lengths[low:high])) + low:
        mine = slice(*np.searchsorted(document, [long, long + 1]))
        window, position[mine] = _place(corpus, table, policy, long, first[mine], last[mine])
        sequence[mine] += np.maximum(window, 0)
        keep[mine] = window >= 0
    return Units(*(column[keep] for column in (first, last, document, sequence, position)))


def _token_units(table: TokenTable, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.arange(table.ptr[low], table.ptr[high])
    return tokens, tokens.copy()


def _word_units(table: TokenTable, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last token of every word that has tokens; a word's tokens are neighbours."""
    begin, end = int(table.ptr[low]), int(table.ptr[high])
    word = table.word[begin:end].astype(np.int64)
    key = word + table.word_ptr[np.repeat(np.arange(low, high), table.lengths[low:high])]
    inside = np.flatnonzero(word >= 0)
    starts = np.ones(len(inside), bool)
    starts[1:] = np.diff(key[inside]) != 0
    first = inside[starts]
    last = inside[np.append(np.flatnonzero(starts)[1:], len(inside)) - 1] if len(inside) else first
    return first + begin, last + begin


def _place(
    corpus: Corpus, table: TokenTable, policy: Policy, document: int, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Window (-1: cut off) and position in its sequence of each unit of a long document."""
    length = int(table.lengths[document]) - table.prefix - table.suffix
    capacity = policy.max_length - table.prefix - table.suffix  # type: ignore[operator]
    starts = window_starts(length, capacity) if policy.long == "window" else np.zeros(1, np.int64)
    first, last = first - table.ptr[document] - table.prefix, last - table.ptr[document] - table.prefix
    window = choose_windows(first, last, starts, capacity)
    window[first < 0] = 0
    window[first >= length] = len(starts) - 1
    if policy.long == "window" and (window < 0).any():
        size = int((last - first)[window < 0].max()) + 1
        raise TextError(
            f"A word must fit into the overlap of two windows: document {corpus[document].key!r} has a word of "
            f"{size} tokens for windows of {capacity}. Raise max_length, or extract tokens (words=None)."
        )
    position = table.prefix + first - starts[np.maximum(window, 0)]
    behind = first >= length
    position[behind] = table.prefix + capacity + first[behind] - length
    return window, position
