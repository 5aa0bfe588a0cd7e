"""Total score of the best tree whose root has one child, by enumeration and with networkx; None without a tree."""

from __future__ import annotations

from itertools import product

import numpy as np

__all__ = ["best_by_enumeration", "best_by_networkx", "is_tree", "total"]


def total(scores: np.ndarray, heads: np.ndarray) -> float:
    return sum(float(scores[i, head]) for i, head in enumerate(heads))


def is_tree(heads: np.ndarray) -> bool:
    """Whether the root has one child, and every word has a path to the root."""
    reached, frontier = set(), {0}
    while frontier:
        frontier = {i for i, head in enumerate(heads, 1) if head in frontier}
        reached |= frontier
    return list(heads).count(0) == 1 and len(reached) == len(heads)


def best_by_enumeration(scores: np.ndarray) -> float | None:
    """All (n + 1)^n choices of heads."""
    n = len(scores)
    totals = [total(scores, heads) for heads in product(range(n + 1), repeat=n) if is_tree(heads)]
    best = max(totals)
    return None if best == -np.inf else best


def best_by_networkx(scores: np.ndarray) -> float | None:
    """Edmonds's algorithm, once for each possible child of the root."""
    import networkx as nx

    n = len(scores)
    totals = []
    for child in range(1, n + 1):
        graph = nx.DiGraph()
        graph.add_nodes_from(range(n + 1))
        for word in range(1, n + 1):
            for head in range(n + 1):
                if head == word or (head == 0 and word != child) or scores[word - 1, head] == -np.inf:
                    continue
                graph.add_edge(head, word, weight=float(scores[word - 1, head]))
        try:
            tree = nx.maximum_spanning_arborescence(graph)
        except nx.NetworkXException:
            continue
        totals.append(sum(weight for _, _, weight in tree.edges(data="weight")))
    return max(totals, default=None)
