"""Rank correlations of two long vectors that are there: exact, from whole-number sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from ..errors import DegenerateError

__all__ = [
    "doubled_ranks",
    "from_rank_sums",
    "product_of_ranks",
    "refuse_all_tied",
    "rho_a",
    "spearman",
    "tau_a",
    "tau_b",
]


def spearman(backend: ModuleType, x: np.ndarray, y: np.ndarray, n_threads: int) -> float:
    """Pearson correlation of mid-ranks."""
    return from_rank_sums("spearman", backend.spearman_sums(x, y, n_threads), len(x))


def rho_a(backend: ModuleType, x: np.ndarray, y: np.ndarray, n_threads: int) -> float:
    """12 sum (r - mean)(s - mean) / (P^3 - P), r and s the mid-ranks of P entries."""
    return from_rank_sums("rho-a", backend.spearman_sums(x, y, n_threads), len(x))


def from_rank_sums(compare: str, sums: Sequence[int], n_entries: int) -> float:
    """Spearman's rho or rho-a from (xx, xy, yy), whole-number sums over twice the centred mid-ranks."""
    xx, xy, yy = sums
    if n_entries < 2:
        raise DegenerateError("ranks need at least two entries: got 1. Pass at least three rows.")
    if compare == "rho-a":
        return 3 * xy / (n_entries**3 - n_entries)
    refuse_all_tied(xx, yy)
    return xy / math.sqrt(xx) / math.sqrt(yy) if xx != yy else xy / xx


def doubled_ranks(backend: ModuleType, x: np.ndarray, n_threads: int) -> np.ndarray:
    """2 rank - (n + 1), whole numbers in int32."""
    ranks = backend.midranks(x, n_threads)
    ranks *= 2
    ranks -= len(x) + 1
    return ranks.astype(np.int32)


def product_of_ranks(a: np.ndarray, b: np.ndarray) -> int:
    """sum a b, exactly: partial sums stay below 2^63 for fewer than 2^25 entries."""
    total = 0
    for start in range(0, len(a), 1 << 20):
        part = a[start : start + (1 << 20)].astype(np.int64)
        part *= b[start : start + (1 << 20)]
        whole = len(part) - len(part) % 4096
        total += sum(part[:whole].reshape(-1, 4096).sum(axis=1).tolist()) + int(part[whole:].sum())
    return total


def tau_b(backend: ModuleType, x: np.ndarray, y: np.ndarray, n_threads: int) -> float:
    """(concordant - discordant) / sqrt((pairs - ties in x)(pairs - ties in y))."""
    pairs, difference, ties_x, ties_y, _ = backend.kendall_counts(x, y, n_threads)
    refuse_all_tied(pairs - ties_x, pairs - ties_y)
    if ties_x == ties_y:
        return difference / (pairs - ties_x)
    return difference / math.sqrt(pairs - ties_x) / math.sqrt(pairs - ties_y)


def tau_a(backend: ModuleType, x: np.ndarray, y: np.ndarray, n_threads: int) -> float:
    """(concordant - discordant) / pairs."""
    pairs, difference, *_ = backend.kendall_counts(x, y, n_threads)
    if pairs == 0:
        raise DegenerateError("ranks need at least two entries: got 1. Pass at least three rows.")
    return difference / pairs


def refuse_all_tied(x: float, y: float) -> None:
    for untied, label in ((x, "first"), (y, "second")):
        if untied <= 0:
            raise DegenerateError(
                f"ranks need entries that differ: those of the {label} RDM are all tied. "
                "Pass more samples or another metric."
            )
