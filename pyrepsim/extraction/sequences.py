"""Sequences, which the model reads at once: whole documents, or overlapping windows of long ones, and their batches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .options import ReadingPolicy
from .tokens import TokenTable

_SIMILAR_FRAC = 0.75
_MIN_BATCH_FRAC = 1 / 8


def is_long(policy: ReadingPolicy, lengths: np.ndarray) -> np.ndarray:
    """Mask of the documents that do not fit into one sequence."""
    return np.zeros(len(lengths), bool) if policy.max_length is None else lengths > policy.max_length


def window_starts(length: int, capacity: int) -> np.ndarray:
    """First content token of each window of `capacity` tokens over a document of `length` tokens.

    Windows are evenly spaced and neighbours share at least half a window. So every token, except near the ends of the
    document, is at least a quarter of a window away from both edges of some window.
    """
    if length <= capacity:
        return np.zeros(1, np.int64)
    overlap = capacity // 2
    count = -(-(length - overlap) // (capacity - overlap))
    return np.round(np.linspace(0, length - capacity, count)).astype(np.int64)


def choose_windows(first: np.ndarray, last: np.ndarray, starts: np.ndarray, capacity: int) -> np.ndarray:
    """For each run of tokens first..last, the window in which the run is farthest from the nearer edge.

    Ties go to the earlier window; -1 if no window holds the whole run. A single token is a run of length one.
    """
    best = np.full(len(first), -1, np.int64)
    distance = np.full(len(first), -1, np.int64)
    lowest = np.searchsorted(starts, last - capacity + 1)
    highest = np.searchsorted(starts, first, side="right") - 1
    for step in range(int((highest - lowest).max(initial=-1)) + 1):
        window = np.minimum(lowest + step, len(starts) - 1)
        start = starts[window]
        inside = lowest + step <= highest
        candidate = np.where(inside, np.minimum(first - start, start + capacity - 1 - last), -1)
        better = candidate > distance
        best[better], distance[better] = window[better], candidate[better]
    return best


@dataclass(frozen=True, eq=False)
class Sequences:
    """Document, window number, and content tokens start..stop (indices into the token table) of each sequence."""

    document: np.ndarray
    window: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    length: np.ndarray

    def ids(self, table: TokenTable, index: int) -> np.ndarray:
        low, high = table.ptr[self.document[index]], table.ptr[self.document[index] + 1]
        head, tail = table.ids[low : low + table.prefix], table.ids[high - table.suffix : high]
        if self.length[index] == high - low:
            return table.ids[low:high]
        return np.concatenate([head, table.ids[self.start[index] : self.stop[index]], tail])

    def types(self, table: TokenTable, index: int) -> np.ndarray:
        """The token types of a pair, which is one sequence."""
        low, high = table.ptr[self.document[index]], table.ptr[self.document[index] + 1]
        return table.types[low:high]  # type: ignore[index]


def cut_sequences(table: TokenTable, policy: ReadingPolicy, low: int, high: int) -> tuple[Sequences, np.ndarray]:
    """Sequences of documents low..high-1, in document order, and the first sequence of each document."""
    lengths = table.lengths[low:high]
    special = table.prefix + table.suffix
    capacity = (policy.max_length or 0) - special
    cuts: list[np.ndarray] = [np.zeros(1, np.int64)] * (high - low)
    long = is_long(policy, lengths)
    if policy.long == "window":
        for index in np.flatnonzero(long):
            cuts[index] = window_starts(int(lengths[index]) - special, capacity)
    counts = np.array([len(cut) for cut in cuts], np.int64)
    ptr = np.concatenate([[0], np.cumsum(counts)])
    document = np.repeat(np.arange(low, high), counts)
    start = table.ptr[document] + table.prefix + np.concatenate(cuts)
    size = np.repeat(np.where(long, capacity, lengths - special), counts)
    window = np.arange(len(document)) - np.repeat(ptr[:-1], counts)
    return Sequences(document, window, start, start + size, size + special), ptr


def batch_sequences(length: np.ndarray, used: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences that hold rows, longest first (ties in document order), and the boundaries of the batches.

    A batch ends where its padded tokens would exceed `budget`. Once it has an eighth of the budget, it also ends before
    a sequence shorter than 3/4 of its longest: a third less padding on mixed text than with full batches.
    """
    members = np.unique(used)
    order = members[np.argsort(-length[members], kind="stable")]
    falling = -length[order]
    cuts = [0]
    while cuts[-1] < len(order):
        first, longest = cuts[-1], -int(falling[cuts[-1]])
        most = first + max(1, budget // longest)
        least = first + max(1, int(_MIN_BATCH_FRAC * budget) // longest)
        shorter = int(np.searchsorted(falling, -_SIMILAR_FRAC * longest, side="right"))
        cuts.append(min(len(order), most, max(least, shorter)))
    return order, np.array(cuts, np.int64)
