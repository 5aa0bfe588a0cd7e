"""The reference backend: maximum spanning arborescences (csrc/trees) in plain NumPy.

The algorithm of Chu-Liu and Edmonds as a recursion, once for each possible child of the root, in O(n^4).
"""

from __future__ import annotations

import numpy as np

__all__ = ["arborescences"]

Fault = tuple[str, int, int, int]


def arborescences(scores: np.ndarray, lengths: np.ndarray, n_threads: int) -> tuple[np.ndarray, Fault | None]:
    """Heads (batch, words), -1 in the padding, and the first error.

    The error is ("score", sentence, word, head), ("no tree", sentence, -1, -1) or None.
    """
    del n_threads
    heads = np.full(scores.shape[:2], -1, dtype=np.int64)
    for sentence, n in enumerate(lengths.tolist()):
        arcs = np.full((n + 1, n + 1), -np.inf)
        arcs[1:] = scores[sentence, :n, : n + 1]
        np.fill_diagonal(arcs, -np.inf)
        refused = np.argwhere(~((np.abs(arcs) <= 1e300) | (arcs == -np.inf)))
        if len(refused):
            return heads, ("score", sentence, *refused[0].tolist())
        trees = [_best_tree(_only_child(arcs, word)) for word in range(1, n + 1)]
        totals = [-np.inf if tree is None else arcs[np.arange(1, n + 1), tree[1:]].sum() for tree in trees]
        best = trees[int(np.argmax(totals))] if n else np.zeros(1, dtype=np.int64)
        if best is None:
            return heads, ("no tree", sentence, -1, -1)
        heads[sentence, :n] = best[1:]
    return heads, None


def _only_child(arcs: np.ndarray, word: int) -> np.ndarray:
    """The arcs without those from the root to other words."""
    others = np.arange(len(arcs)) != word
    arcs = arcs.copy()
    arcs[others, 0] = -np.inf
    return arcs


def _best_tree(arcs: np.ndarray) -> np.ndarray | None:
    """Head of each node of the best arborescence from node 0; arcs[i, j] is from j to i, -inf where there is none."""
    heads = arcs.argmax(axis=1)
    heads[0] = -1
    if np.any(arcs[np.arange(1, len(arcs)), heads[1:]] == -np.inf):
        return None
    cycle = _cycle(heads)
    if cycle is None:
        return heads
    rest = np.setdiff1d(np.arange(len(arcs)), cycle)  # becomes nodes 0, 1, ...; the cycle becomes the last one
    entering = arcs[np.ix_(cycle, rest)] - arcs[cycle, heads[cycle]][:, None]
    leaving = arcs[np.ix_(rest, cycle)]
    smaller = np.full((len(rest) + 1, len(rest) + 1), -np.inf)
    smaller[:-1, :-1] = arcs[np.ix_(rest, rest)]
    smaller[-1, :-1] = entering.max(axis=0)
    smaller[:-1, -1] = leaving.max(axis=1)
    tree = _best_tree(smaller)
    if tree is None:
        return None
    for node, head in zip(rest[1:], tree[1:-1], strict=True):
        heads[node] = cycle[leaving[np.searchsorted(rest, node)].argmax()] if head == len(rest) else rest[head]
    heads[cycle[entering[:, tree[-1]].argmax()]] = rest[tree[-1]]
    return heads


def _cycle(heads: np.ndarray) -> np.ndarray | None:
    """The nodes of some cycle."""
    for start in range(1, len(heads)):
        seen: list[int] = []
        node = start
        while node > 0 and node not in seen:
            seen.append(node)
            node = int(heads[node])
        if node > 0:
            return np.array(seen[seen.index(node) :])
    return None
