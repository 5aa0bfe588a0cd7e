"""Rank correlations of stacks of RDMs: each RDM is ranked once. All sums are integers, so values are exact."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError
from .ranks import from_rank_sums, product_of_ranks, rho_a, spearman, tau_a, tau_b
from .rdm_stacks import Stack, cosines

__all__ = ["compare_ranked", "compare_ranks", "doubled_ranks_of_rows", "ranks_of_rows"]

_EXACT_ENTRIES = 200_000
"""Up to this number of entries P, 3 sum a b < P^3 for doubled ranks a and b is below 2^53: exact in float64."""
_AT_ONCE = 1 << 27
"""Entries compared in one call of the engine, between which Ctrl-C is noticed."""

_OF_A_THREAD = 1 << 15
"""Entries that a thread ranks or compares in some 0.5 ms. With fewer, starting it takes longer than it saves."""

_OF_ONE_PAIR = {"spearman": spearman, "rho-a": rho_a, "kendall": tau_b, "tau-b": tau_b, "tau-a": tau_a}


def compare_ranks(compare: str, x: Stack, y: Stack, backend: ModuleType, n_threads: int) -> np.ndarray:
    """Spearman's rho, rho-a, tau-a or tau-b of every RDM of x with every one of y."""
    if len(x.rows) == len(y.rows) == 1:  # all threads work on one pair, however long
        try:
            return np.array([[_OF_ONE_PAIR[compare](backend, x.rows[0], y.rows[0], n_threads)]])
        except DegenerateError:
            if x.raises:
                raise
            return np.full((1, 1), np.nan)
    ranks_x, ranks_y = (ranks_of_rows(stack.rows, backend, n_threads) for stack in (x, y))
    return compare_ranked(compare, x, y, ranks_x, ranks_y, backend, n_threads)


def compare_ranked(
    compare: str,
    x: Stack,
    y: Stack,
    ranks_x: np.ndarray,
    ranks_y: np.ndarray,
    backend: ModuleType,
    n_threads: int,
) -> np.ndarray:
    """`compare_ranks` of ranks from `ranks_of_rows`."""
    for stack in (x, y):
        stack.refuse(
            np.full(len(stack.rows), stack.rows.shape[1] < 2),
            lambda who, _: f"ranks need at least two entries: {who} has 1. Pass at least three rows.",
        )
    if compare in ("spearman", "rho-a"):
        return _rho(compare, x, y, ranks_x, ranks_y)
    n = ranks_x.shape[1]
    pairs = n * (n - 1) // 2
    difference, tied_x, tied_y = _kendall_counts(ranks_x, ranks_y, backend, n_threads)
    if compare == "tau-a":
        return difference / max(pairs, 1)
    untied_x, untied_y = pairs - tied_x, pairs - tied_y
    _refuse_tied(x, untied_x)
    _refuse_tied(y, untied_y)
    return cosines(difference.astype(np.float64), x.or_one(untied_x), y.or_one(untied_y))


def doubled_ranks_of_rows(stack: Stack, backend: ModuleType, n_threads: int) -> np.ndarray:
    """2 rank - (P + 1) of each entry, float64, with mean 0."""
    ranks = ranks_of_rows(stack.rows, backend, n_threads)
    return ranks.astype(np.float64) - (ranks.shape[1] + 1)


def ranks_of_rows(rows: np.ndarray, backend: ModuleType, n_threads: int) -> np.ndarray:
    """2 rank of each entry in its row, with mid-ranks of ties; uint32."""
    return backend.ranks_of_rows(rows, _threads(rows.size, n_threads))


def _threads(n_entries: int, n_threads: int) -> int:
    return max(1, min(n_threads, n_entries // _OF_A_THREAD))


def _rho(compare: str, x: Stack, y: Stack, ranks_x: np.ndarray, ranks_y: np.ndarray) -> np.ndarray:
    n = ranks_x.shape[1]
    small = n <= _EXACT_ENTRIES
    of_x, of_y = (ranks.astype(np.float64 if small else np.int64) - (n + 1) for ranks in (ranks_x, ranks_y))
    if small:
        with one_blas_thread():
            xy = of_x @ of_y.T
        xx, yy = (np.einsum("ij,ij->i", side, side) for side in (of_x, of_y))
        if compare == "rho-a":
            return 3 * xy / max(float(n) ** 3 - n, 1.0)
        _refuse_tied(x, xx)
        _refuse_tied(y, yy)
        return cosines(xy, x.or_one(xx), y.or_one(yy))
    squares = [[product_of_ranks(row, row) for row in side] for side in (of_x, of_y)]
    if compare == "spearman":
        for stack, own in zip((x, y), squares, strict=True):
            _refuse_tied(stack, np.array([value > 0 for value in own], float))
    out = np.full((len(of_x), len(of_y)), np.nan)
    for i in x.good:
        for j in y.good:
            sums = squares[0][i], product_of_ranks(of_x[i], of_y[j]), squares[1][j]
            out[i, j] = from_rank_sums(compare, sums, n)
    return out


def _kendall_counts(
    ranks_x: np.ndarray, ranks_y: np.ndarray, backend: ModuleType, n_threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Concordant less discordant pairs of entries, (a, b), and those tied in each RDM of x, (a,), and of y, (b,)."""
    n = ranks_x.shape[1]
    step = max(1, _AT_ONCE // (len(ranks_y) * n))
    n_threads = _threads(min(step, len(ranks_x)) * len(ranks_y) * n, n_threads)
    parts = [
        backend.kendall_of_rows(ranks_x[start : start + step], ranks_y, n_threads)
        for start in range(0, len(ranks_x), step)
    ]
    difference, tied_x = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    return difference, tied_x, parts[0][2]


def _refuse_tied(stack: Stack, untied: np.ndarray) -> None:
    stack.refuse(
        ~(untied > 0),
        lambda who, _: (
            f"ranks need entries that differ: those of {who} are all tied. Pass more samples or another metric."
        ),
    )
