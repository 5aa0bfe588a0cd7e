"""Neighbour measures row by row, with sets and full n x n matrices."""

from __future__ import annotations

import numpy as np

from .references_base import as_float64


def unit(X) -> np.ndarray:
    X = as_float64(X)
    return X / np.sqrt(np.sum(X * X, axis=1, keepdims=True))


def distance_matrix(X, metric: str) -> np.ndarray:
    """Distances by differences, entry by entry of the row pairs; "dot": minus the inner product."""
    X = as_float64(X)
    if metric == "dot":
        return -X @ X.T
    if metric == "cosine":
        X = unit(X)
    if metric == "correlation":
        X = unit(X - X.mean(axis=1, keepdims=True))
    difference = np.abs(X[:, None, :] - X[None, :, :])
    if metric == "manhattan":
        return difference.sum(axis=2)
    if metric == "chebyshev":
        return difference.max(axis=2)
    return (difference**2).sum(axis=2)


def neighbours(X, k: int, metric: str) -> list[list[int]]:
    """Nearest first, equals by index, without the row itself."""
    D = distance_matrix(X, metric)
    return [[j for _, j in sorted((D[i, j], j) for j in range(len(D)) if j != i)[:k]] for i in range(len(D))]


def mutual_knn(X, Y, k: int, metric: str = "cosine") -> float:
    lists = zip(neighbours(X, k, metric), neighbours(Y, k, metric), strict=True)
    return float(np.mean([len(set(a) & set(b)) / k for a, b in lists]))


def jaccard_knn(X, Y, k: int, metric: str = "cosine") -> float:
    lists = zip(neighbours(X, k, metric), neighbours(Y, k, metric), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in lists]))


def rank_similarity(X, Y, k: int, metric: str = "cosine") -> float:
    rows = []
    for a, b in zip(neighbours(X, k, metric), neighbours(Y, k, metric), strict=True):
        shared, total = set(a) & set(b), 0.0
        for j in shared:
            r, s = a.index(j) + 1, b.index(j) + 1
            total += 2 / ((1 + abs(r - s)) * (r + s))
        rows.append(total / sum(1 / c for c in range(1, len(shared) + 1)) if shared else 0.0)
    return float(np.mean(rows))


def cycle_knn(X, Y, k: int, metric: str = "cosine") -> float:
    back, there = neighbours(X, k, metric), neighbours(Y, k, metric)
    return float(np.mean([any(i in back[j] for j in there[i]) for i in range(len(there))]))


def cknna(X, Y, k: int, metric: str = "cosine") -> float:
    grams = []
    for side in (X, Y):
        rows = unit(side) if metric == "cosine" else as_float64(side)
        K = rows @ rows.T
        grams.append(K - K.mean(axis=1, keepdims=True))
    lists = [[set(near) for near in neighbours(side, k, metric)] for side in (X, Y)]

    def align(a: int, b: int) -> float:
        shared = [(i, j) for i in range(len(X)) for j in lists[a][i] & lists[b][i]]
        return sum(grams[a][i, j] * grams[b][i, j] for i, j in shared)

    return float(align(0, 1) / np.sqrt(align(0, 0) * align(1, 1)))


def second_order_cosine(X, Y, k: int) -> float:
    cosines = [unit(X) @ unit(X).T, unit(Y) @ unit(Y).T]
    rows = []
    for i, (a, b) in enumerate(zip(neighbours(X, k, "cosine"), neighbours(Y, k, "cosine"), strict=True)):
        union = sorted(set(a) | set(b))
        s, t = cosines[0][i, union], cosines[1][i, union]
        rows.append(s @ t / (np.linalg.norm(s) * np.linalg.norm(t)))
    return float(np.mean(rows))
