"""The scores of structural probes by their definition, one sentence at a time, in pure Python and SciPy."""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from scipy.stats import spearmanr

MARKS = ["''", ",", ".", ":", "``", "-LRB-", "-RRB-"]


def path_length(heads: Sequence[int], i: int, j: int) -> int:
    """Arcs between words i and j, counted from 1: up from i to the first common ancestor, and down to j."""
    way = [i]
    while heads[way[-1] - 1]:
        way.append(heads[way[-1] - 1])
    steps = 0
    while j not in way:
        j = heads[j - 1]
        steps += 1
    return way.index(j) + steps


def gold(heads: Sequence[int]) -> tuple[list[list[int]], list[int]]:
    """Distances between all words, and depths."""
    n = len(heads)
    distances = [[path_length(heads, i, j) for j in range(1, n + 1)] for i in range(1, n + 1)]
    return distances, [path_length(heads, i, list(heads).index(0) + 1) for i in range(1, n + 1)]


def kruskal(matrix: Any, tags: Sequence[str]) -> set[tuple[int, int]]:
    """Edges of the minimum spanning tree of the words that are not punctuation; equal edges in reading order."""
    words = [i for i, tag in enumerate(tags) if tag not in MARKS]
    pairs = sorted((float(matrix[i][j]), i, j) for i in words for j in words if i != j)
    group = {word: {word} for word in words}
    edges = set()
    for _, i, j in pairs:
        if group[i] is not group[j]:
            edges.add((min(i, j), max(i, j)))
            group[i] |= group[j]
            for word in group[j]:
                group[word] = group[i]
    return edges


def scores(distances: Any, depths: Any, heads: Any, xpos: Any) -> dict[str, float]:
    correct = total = roots = 0
    dspr, nspr = defaultdict(list), defaultdict(list)
    for d, h, tree, tags in zip(distances, depths, heads, xpos, strict=True):
        gold_distances, gold_depths = gold(tree)
        expected = kruskal(gold_distances, tags)
        correct += len(expected & kruskal(d, tags))
        total += len(expected)
        n = len(tree)
        words = [i for i in range(n) if tags[i] not in MARKS] or list(range(n))
        roots += tree[min(words, key=lambda i: (float(h[i]), i))] == 0
        if 5 <= n <= 50:
            dspr[n] += rank_correlations(d, gold_distances)
            nspr[n] += rank_correlations([h, h], [gold_depths, gold_depths])[:1]
    return {
        "uuas": correct / total,
        "dspr": mean_of_means(dspr),
        "nspr": mean_of_means(nspr),
        "root": roots / len(heads),
    }


def rank_correlations(rows: Any, others: Any) -> list[float]:
    """Spearman's correlation of each row with the row of the other matrix; SciPy computes all pairs at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NaN for constant input counts as 0
        correlations = spearmanr(rows, others, axis=1).statistic
    n = len(rows)
    return [0.0 if math.isnan(correlations[i, n + i]) else float(correlations[i, n + i]) for i in range(n)]


def mean_of_means(by_length: dict[int, list[float]]) -> float:
    means = [sum(values) / len(values) for values in by_length.values()]
    return sum(means) / len(means)
