"""Random stacks of RDMs, and what comparators give for them by their definitions."""

from __future__ import annotations

import numpy as np

import pyrepsim as rs

from . import references_comparators as reference

__all__ = ["RDM_ENTRIES", "RDM_ITEMS", "by_definition", "covariance", "rdms"]

RDM_ITEMS = 9
RDM_ENTRIES = RDM_ITEMS * (RDM_ITEMS - 1) // 2


def rdms(count: int, seed: int, n: int = RDM_ITEMS, features: int = 12) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, n, features)) * np.linspace(0.3, 2, n)[:, None]
    return np.array([rs.pdist(side, "sqeuclidean", precision="fp64") for side in rows])


def covariance(n: int, seed: int) -> np.ndarray:
    root = np.random.default_rng(seed).standard_normal((n, 2 * n))
    return root @ root.T / n + 0.1 * np.eye(n)


def by_definition(compare: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if compare in ("partial", "partial-spearman"):
        ranked = compare != "partial"
        return np.array([[reference.partial_correlation(x, b, j, ranked=ranked) for j in range(len(b))] for x in a])
    if compare == "regression":
        return np.array([reference.regression(x, b) for x in a])
    return np.array([[one_by_definition(compare, x, y) for y in b] for x in a])


def one_by_definition(compare: str, x: np.ndarray, y: np.ndarray) -> float:
    if compare in reference.RDM_COMPARATORS:
        return reference.RDM_COMPARATORS[compare](x, y)
    A, B = reference.gram_of_rdm(x), reference.gram_of_rdm(y)
    if compare == "bures":
        return reference.bures_similarity(A, B)
    if compare == "bures_metric":
        return reference.bures_distance(A, B) ** 2
    A, B = reference.on_contrasts(A), reference.on_contrasts(B)
    if compare == "riemannian":
        return reference.riemannian_distance(A, B)
    return -reference.least_riemannian_distance(A, np.eye(len(A)), B)
