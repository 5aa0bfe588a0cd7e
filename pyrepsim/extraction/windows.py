"""Overlapping windows over long documents, and which window each token is taken from."""

from __future__ import annotations

import numpy as np


def window_starts(length: int, capacity: int) -> np.ndarray:
    """First content token of each window of `capacity` tokens over a document of `length`.

    Neighbours share at least half a window and are spread evenly, so that every token away from the
    document's ends is at least a quarter of a window from an edge in one of them.
    """
    if length <= capacity:
        return np.zeros(1, np.int64)
    overlap = capacity // 2
    count = -(-(length - overlap) // (capacity - overlap))
    return np.round(np.linspace(0, length - capacity, count)).astype(np.int64)


def choose_windows(first: np.ndarray, last: np.ndarray, starts: np.ndarray, capacity: int) -> np.ndarray:
    """For each run of tokens first..last, the window in which it is farthest from the nearer edge.

    Ties go to the earlier window; -1 where no window holds the run whole. A token is a run of one.
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
