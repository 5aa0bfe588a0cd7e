"""Rank correlations of two long vectors that are there: exact, from whole-number sums."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np

from ..errors import DegenerateError

__all__ = ["rho_a", "spearman", "tau_a", "tau_b"]


def spearman(backend: ModuleType, x: np.ndarray, y: np.ndarray, n_threads: int) -> float:
    """Pearson correlation of mid-ranks."""
    xx, xy, yy = backend.spearman_sums(x, y, n_threads)
    refuse_all_tied(xx, yy)
    return xy / math.sqrt(xx) / math.sqrt(yy) if xx != yy else xy / xx


def rho_a(backend: ModuleType, x: np.ndarray, y: np.ndarray, n_threads: int) -> float:
    """12 sum (r - mean)(s - mean) / (P^3 - P), r and s the mid-ranks of P entries."""
    _, xy, _ = backend.spearman_sums(x, y, n_threads)
    n = len(x)
    if n < 2:
        raise DegenerateError("ranks need at least two entries: got 1. Pass at least three rows.")
    return 3 * xy / (n**3 - n)


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
