"""Neighbour lists by full sorts, and the measures that read them, one row at a time."""

from __future__ import annotations

import numpy as np

from .references_pairwise import distances


def _far_to_near(X, metric: str, Y=None) -> np.ndarray:
    """Distances or negated dot products, sorted in ascending order; infinite between a row and itself."""
    D = distances(X, metric, Y)
    D = -D if metric == "dot" else D
    if Y is None:
        np.fill_diagonal(D, np.inf)
    return D


def nearest(X, k: int, metric: str = "cosine", Y=None) -> np.ndarray:
    """(n, k) indices of the nearest other rows, nearest first; of equal distances the lower index first."""
    return np.argsort(_far_to_near(X, metric, Y), axis=1, kind="stable")[:, :k]


def least_gap(X, k: int, metric: str = "cosine", Y=None) -> float:
    """Smallest difference of consecutive distances up to the (k + 1)-th, over the largest distance of all.

    If it exceeds the rounding error of a program, that program must give the same lists.
    """
    D = _far_to_near(X, metric, Y)
    largest = np.abs(D[np.isfinite(D)]).max()
    ordered = np.sort(D, axis=1)[:, : k + 1]
    steps = np.diff(ordered, axis=1)
    return float(np.min(steps[np.isfinite(steps)]) / largest)


def mutual_knn(X, Y, k: int = 10, metric: str = "cosine") -> float:
    """Mean of |N_x(i) & N_y(i)| / k (Huh et al. 2024, arXiv:2405.07987, appendix A)."""
    a, b = nearest(X, k, metric), nearest(Y, k, metric)
    return float(np.mean([len(set(p) & set(q)) / k for p, q in zip(a.tolist(), b.tolist(), strict=True)]))


def jaccard_knn(X, Y, k: int = 10, metric: str = "cosine") -> float:
    """Mean of |N_x(i) & N_y(i)| / |N_x(i) | N_y(i)| (Schumacher et al. 2021, arXiv:2005.10039)."""
    a, b = nearest(X, k, metric), nearest(Y, k, metric)
    return float(
        np.mean([len(set(p) & set(q)) / len(set(p) | set(q)) for p, q in zip(a.tolist(), b.tolist(), strict=True)])
    )


def rank_similarity(X, Y, k: int = 10, metric: str = "cosine") -> float:
    """Mean over rows of sum_j 2 / ((1 + |r_x(j) - r_y(j)|)(r_x(j) + r_y(j))) / sum_{m <= K} 1/m; j in both lists.

    r(j) in 1..k is the place of j in a list, K the number of common neighbours; a row with none counts 0.
    Wang et al. 2022, "Towards understanding the instability of network embedding"; Klabunde et al., arXiv:2305.06329.
    """
    scores = []
    for p, q in zip(nearest(X, k, metric).tolist(), nearest(Y, k, metric).tolist(), strict=True):
        common = sorted(set(p) & set(q))
        score = 0.0
        for j in common:
            r, s = p.index(j) + 1, q.index(j) + 1
            score += 2 / ((1 + abs(r - s)) * (r + s))
        scores.append(score / sum(1 / m for m in range(1, len(common) + 1)) if common else 0.0)
    return float(np.mean(scores))


def second_order_cosine(X, Y, k: int = 10, metric: str = "cosine", *, of: str = "similarities") -> float:
    """Mean over rows i of the cosine between (cos(x_i, x_j))_j and (cos(y_i, y_j))_j, j in N_x(i) | N_y(i).

    Hamilton et al. 2016, arXiv:1606.02821. of="distances": of 1 - cos instead,
    as in ReSi's program, which differs from its paper.
    """
    K, L = 1 - distances(X, "cosine"), 1 - distances(Y, "cosine")
    if of == "distances":
        K, L = 1 - K, 1 - L
    scores = []
    for i, (p, q) in enumerate(zip(nearest(X, k, metric).tolist(), nearest(Y, k, metric).tolist(), strict=True)):
        near = sorted(set(p) | set(q))
        a, b = K[i, near], L[i, near]
        scores.append(a @ b / np.sqrt((a @ a) * (b @ b)))
    return float(np.mean(scores))


def cycle_knn(X, Y, k: int = 10, metric: str = "cosine") -> float:
    """Share of rows i that are again among the neighbours in X of one of their neighbours in Y.

    i in union of N_x(j), j in N_y(i). Huh et al. 2024's program ("cycle_knn"); not symmetric.
    """
    a, b = nearest(X, k, metric), nearest(Y, k, metric)
    return float(np.mean([i in a[b[i]] for i in range(len(a))]))


def _similarities(X, kernel: str) -> np.ndarray:
    return distances(X, "dot") if kernel == "dot" else 1 - distances(X, "cosine")


def cknna(X, Y, k: int = 10, *, kernel: str = "cosine") -> float:
    """Centred kernel nearest-neighbour alignment: CKA summed over pairs that are neighbours on both sides.

    A(K, L) = sum_ij a_ij Kc_ij Lc_ij with Kc_ij = K_ij - mean_l K_il, and a_ij = 1 where j is among the k nearest of i
    on both sides (i != j); value = A(K, L) / sqrt(A(K, K) A(L, L)), where A(K, K) uses the lists of K alone.
    Huh et al. 2024, arXiv:2405.07987, appendix A. Neighbours by largest K_ij.
    """
    K, L = _similarities(X, kernel), _similarities(Y, kernel)
    sides = {
        "x": (K - K.mean(axis=1)[:, None], nearest(X, k, kernel)),
        "y": (L - L.mean(axis=1)[:, None], nearest(Y, k, kernel)),
    }

    def align(one: str, other: str) -> float:
        total = 0.0
        for i in range(len(K)):
            for j in set(sides[one][1][i].tolist()) & set(sides[other][1][i].tolist()):
                total += sides[one][0][i, j] * sides[other][0][i, j]
        return total

    return align("x", "y") / float(np.sqrt(align("x", "x") * align("y", "y")))
