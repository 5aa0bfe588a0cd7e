"""CKA and RSA of rows of different documents, by sums over pairs, triples and quadruples of rows. Float64, slow."""

from __future__ import annotations

import itertools

import numpy as np


def _means(K: np.ndarray, L: np.ndarray, documents: np.ndarray) -> tuple[float, float, float]:
    """Means of K_ij L_ij, K_ij L_ik and K_ij L_kl over rows of 2, 3 and 4 different documents."""
    found = []
    n = range(len(K))
    for size, product in (
        (2, lambda i, j: K[i, j] * L[i, j]),
        (3, lambda i, j, k: K[i, j] * L[i, k]),
        (4, lambda i, j, k, m: K[i, j] * L[k, m]),
    ):
        total, count = 0.0, 0
        for rows in itertools.permutations(n, size):
            if len({documents[row] for row in rows}) == size:
                total += product(*rows)
                count += 1
        found.append(total / count)
    return found[0], found[1], found[2]


def document_cka(x: np.ndarray, y: np.ndarray, documents: np.ndarray) -> float:
    """HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)) of rows that are centred already."""
    grams = [side @ side.T for side in (x, y)]

    def hsic(i: int, j: int) -> float:
        a, b, c = _means(grams[i], grams[j], documents)
        return a - 2 * b + c

    return hsic(0, 1) / np.sqrt(hsic(0, 0) * hsic(1, 1))


def cka_of_sampled_features(x: np.ndarray, y: np.ndarray, documents: np.ndarray) -> float:
    """The means over pairs of features, one of each side, and of two different features of one side; centred rows."""

    def hsic(u: np.ndarray, v: np.ndarray) -> float:
        a, b, c = _means(np.outer(u, u), np.outer(v, v), documents)
        return a - 2 * b + c

    cross = np.mean([hsic(u, v) for u in x.T for v in y.T])
    own = [np.mean([hsic(u, v) for u, v in itertools.permutations(side.T, 2)]) for side in (x, y)]
    return float(cross / np.sqrt(own[0] * own[1]))


def document_rsa(x: np.ndarray, y: np.ndarray, documents: np.ndarray, metric: str) -> float:
    """Correlation of the entries of two RDMs, of pairs of rows of different documents."""
    grams = []
    for side in (x, y):
        rows = side - side.mean(axis=1, keepdims=True) if metric == "correlation" else side
        rows = rows if metric == "dot" else rows / np.linalg.norm(rows, axis=1, keepdims=True)
        grams.append(rows @ rows.T)

    def covariance(i: int, j: int) -> float:
        a, _, c = _means(grams[i], grams[j], documents)
        return a - c

    return covariance(0, 1) / np.sqrt(covariance(0, 0) * covariance(1, 1))
