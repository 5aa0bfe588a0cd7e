"""Sequences: what the model reads, whole documents or windows of long ones, and how they are batched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .policy import Policy
from .tokens import TokenTable
from .windows import window_starts

_ALIKE_FRAC = 0.75
_FULL_ENOUGH = 8


@dataclass(frozen=True, eq=False)
class Sequences:
    """Document, window, and content tokens start..stop (indices into the token table) of each sequence."""

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


def cut_sequences(table: TokenTable, policy: Policy, low: int, high: int) -> tuple[Sequences, np.ndarray]:
    """All sequences in document order, and the first sequence of each document."""
    lengths = table.lengths[low:high]
    special = table.prefix + table.suffix
    capacity = (policy.max_length or 0) - special
    cuts: list[np.ndarray] = [np.zeros(1, np.int64)] * (high - low)
    is_long = policy.is_long(lengths)
    if policy.long == "window":
        for index in np.flatnonzero(is_long):
            cuts[index] = window_starts(int(lengths[index]) - special, capacity)
    counts = np.array([len(cut) for cut in cuts], np.int64)
    ptr = np.concatenate([[0], np.cumsum(counts)])
    document = np.repeat(np.arange(low, high), counts)
    start = table.ptr[document] + table.prefix + np.concatenate(cuts)
    size = np.repeat(np.where(is_long, capacity, lengths - special), counts)
    window = np.arange(len(document)) - np.repeat(ptr[:-1], counts)
    return Sequences(document, window, start, start + size, size + special), ptr


def batch_sequences(length: np.ndarray, used: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences that hold rows, longest first (ties in document order), and where batches are cut.

    A batch ends where its padded tokens would pass `budget`, or, once it has an eighth of that, before a
    sequence shorter than 3/4 of its first: on mixed text a third less padding than filling every batch.
    """
    members = np.unique(used)
    order = members[np.argsort(-length[members], kind="stable")]
    falling = -length[order]
    cuts = [0]
    while cuts[-1] < len(order):
        first, longest = cuts[-1], -int(falling[cuts[-1]])
        most = first + max(1, budget // longest)
        least = first + max(1, budget // (_FULL_ENOUGH * longest))
        shorter = int(np.searchsorted(falling, -_ALIKE_FRAC * longest, side="right"))
        cuts.append(min(len(order), most, max(least, shorter)))
    return order, np.array(cuts, np.int64)
