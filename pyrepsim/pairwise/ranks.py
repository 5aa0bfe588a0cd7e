"""Rank correlations of RDMs: exact for RDMs that fit in memory, otherwise from histograms with a rigorous error bound.

The first functions are for two vectors in memory; their sums are integers, so they are exact.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from ..core.errors import DegenerateError
from .distances import condensed
from .engine import Packed, PairwiseEngine
from .sums import pair_sums

__all__ = [
    "RANK_COMPARATORS",
    "doubled_ranks",
    "from_rank_sums",
    "median_entry",
    "product_of_ranks",
    "rank_correlations",
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
    """Spearman's rho or rho-a from the sums xx, xy, yy of products of doubled centred mid-ranks (integers)."""
    xx, xy, yy = sums
    if n_entries < 2:
        raise DegenerateError("ranks need at least two entries: got 1. Pass at least three rows.")
    if compare == "rho-a":
        return 3 * xy / (n_entries**3 - n_entries)
    refuse_all_tied(xx, yy)
    return xy / math.sqrt(xx) / math.sqrt(yy) if xx != yy else xy / xx


def doubled_ranks(backend: ModuleType, x: np.ndarray, n_threads: int) -> np.ndarray:
    """2 rank, which are integers, as uint32."""
    ranks = backend.midranks(x, n_threads)
    ranks *= 2
    return ranks.astype(np.uint32)


def product_of_ranks(a: np.ndarray, b: np.ndarray) -> int:
    """sum a b, exact for fewer than 2^25 entries, whose partial sums stay below 2^63."""
    total = 0
    for start in range(0, len(a), 1 << 20):
        part = a[start : start + (1 << 20)].astype(np.int64)
        part *= b[start : start + (1 << 20)]
        whole = len(part) - len(part) % 4096
        total += sum(part[:whole].reshape(-1, 4096).sum(axis=1).tolist()) + int(part[whole:].sum())
    return total


def tau_b(backend: ModuleType, x: np.ndarray, y: np.ndarray, n_threads: int) -> float:
    """(concordant - discordant) / sqrt((pairs - ties in x)(pairs - ties in y))."""
    return from_counts("kendall", *backend.kendall_counts(x, y, n_threads)[:4])


def tau_a(backend: ModuleType, x: np.ndarray, y: np.ndarray, n_threads: int) -> float:
    """(concordant - discordant) / pairs."""
    return from_counts("tau-a", *backend.kendall_counts(x, y, n_threads)[:4])


def from_counts(compare: str, pairs: int, difference: int, ties_x: int, ties_y: int) -> float:
    """Kendall's tau-b or tau-a from pairs of entries: all, concordant less discordant ones, those tied in x or in y."""
    if compare == "kendall":
        refuse_all_tied(pairs - ties_x, pairs - ties_y)
        if ties_x == ties_y:
            return difference / (pairs - ties_x)
        return difference / math.sqrt(pairs - ties_x) / math.sqrt(pairs - ties_y)
    if pairs == 0:
        raise DegenerateError("ranks need at least two entries: got 1. Pass at least three rows.")
    return difference / pairs


def refuse_all_tied(x: float, y: float, names: Sequence[str] = ("the first RDM", "the second RDM")) -> None:
    """Raise DegenerateError if all pairs of a side are tied."""
    for untied, name in zip((x, y), names, strict=True):
        if untied <= 0:
            raise DegenerateError(
                f"ranks need entries that differ: those of {name} are all tied. Pass more samples or another metric."
            )


RANK_COMPARATORS = ("spearman", "rho-a", "kendall", "tau-a")
_FORMULAS = {"spearman": spearman, "rho-a": rho_a, "kendall": tau_b, "tau-a": tau_a}
IN_MEMORY_ROWS = 8192
"""Up to this number of rows the entries are ranked in memory, with 4 or 8 bytes each."""
BINS, EXACT_BINS, JOINT_BINS = 2**16, 2**24, 1024
_MARGIN = 0.25
"""Histograms extend this far beyond the entries between a few rows, as a fraction of their range. Entries outside are
counted in the end bins; the error bound includes them."""
_STEP = {"float32": 2.0**-20, "float64": 2.0**-40}
"""Largest relative step of entries that were rounded to 20 or 40 bits."""
_TABLE_ROUNDING = 2.0**-21
"""Bound on the error of storing ranks in float32."""

ValueAndDetails = tuple[float, Mapping[str, Any]]


def rank_correlations(
    engine: PairwiseEngine,
    layers: Sequence[Packed],
    pairs: Sequence[tuple[int, int]],
    compare: str,
    *,
    exact: bool = False,
) -> list[ValueAndDetails]:
    """Rank correlations of the RDMs of pairs of layers.

    Parameters
    ----------
    engine : PairwiseEngine
    layers : sequence of Packed
        From `PairwiseEngine.packed`, all over the same rows.
    pairs : sequence of (int, int)
        Indices of the layers to compare.
    compare : {"spearman", "rho-a", "kendall", "tau-a"}
    exact : bool, default False
        Use 2^24 bins for Spearman and rho-a where the RDMs do not fit in memory: about the resolution of float32.

    Returns
    -------
    list of (float, dict)
        For each pair the value and its details: ``ranks`` ("exact" or "histogram") and for histograms ``bins`` and
        ``bound``, which bounds the error of the value for all possible entries.

    Raises
    ------
    DegenerateError
        If all entries of an RDM are equal.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> X = np.random.default_rng(0).standard_normal((50, 8))
    >>> engine = rs.PairwiseEngine()
    >>> layers = engine.packed_layers([X, 2 * X], "euclidean")
    >>> rs.pairwise.rank_correlations(engine, layers, [(0, 1)], "spearman")
    [(1.0, {'ranks': 'exact'})]
    """
    if layers[0].panels.n_rows <= IN_MEMORY_ROWS:
        return _in_memory(engine, layers, pairs, compare)
    if compare in ("kendall", "tau-a"):
        return [_tau(engine, layers[i], layers[j], compare) for i, j in pairs]
    return _by_tables(engine, layers, pairs, compare, EXACT_BINS if exact else BINS)


def _in_memory(
    engine: PairwiseEngine, layers: Sequence[Packed], pairs: Sequence[tuple[int, int]], compare: str
) -> list[ValueAndDetails]:
    """The entries of each layer, or their ranks if several pairs need them, are kept until their last pair is done."""
    n_rows, n_threads = layers[0].panels.n_rows, engine.n_threads
    uses = Counter(layer for pair in pairs for layer in {*pair})
    engine.refuse_what_does_not_fit(
        8 * n_rows * (n_rows - 1) // 2 * len(uses), "the RDMs of all layers", "Compare fewer layers or take a sample."
    )
    ranked_once = max(uses.values()) > 1
    kept: dict[int, np.ndarray] = {}
    results = []
    for i, j in pairs:
        for layer in {i, j} - {*kept}:
            entries = _rounded_entries(engine, layers[layer])
            kept[layer] = doubled_ranks(engine.backend, entries, n_threads) if ranked_once else entries
        if ranked_once:
            value = _value_of_ranks(compare, engine.backend, kept[i], kept[j], n_threads)
        else:
            value = _FORMULAS[compare](engine.backend, kept[i], kept[j], n_threads)
        results.append((value, {"ranks": "exact"}))
        for layer in {i, j}:
            uses[layer] -= 1
            if not uses[layer]:
                del kept[layer]
    return results


def _value_of_ranks(compare: str, backend: ModuleType, x: np.ndarray, y: np.ndarray, n_threads: int) -> float:
    """The value from doubled mid-ranks, which `doubled_ranks` made of each layer."""
    n = len(x)
    if compare in ("kendall", "tau-a"):
        found = backend.kendall_of_rows(x[None], y[None], n_threads)
        return from_counts(compare, n * (n - 1) // 2, *(int(counts.item()) for counts in found))
    a, b = (ranks.view(np.int32) - np.int32(n + 1) for ranks in (x, y))
    return from_rank_sums(compare, [product_of_ranks(*both) for both in ((a, a), (a, b), (b, b))], n)


def _rounded_entries(engine: PairwiseEngine, layer: Packed) -> np.ndarray:
    """All entries, rounded to 20 bits of 24, or 40 of 53, so that entries which differ only by rounding noise are tied.

    Rows that were normalised or whitened have rounding errors of their own, so the distance between rows of the same
    direction is tiny but not 0; such entries become 0.
    """
    metric = layer.metric
    entries = condensed(engine, layer.panels, metric.name)
    low, high = engine.backend.round_entries(entries, engine.n_threads)
    if metric.transform != "raw" or metric.whitened:
        near = 8 * float(np.finfo(entries.dtype).eps)
        nearest = (near * near if metric.kernel in ("cosine", "correlation", "sqeuclidean") else near) * high
        if low < nearest:
            entries[entries < nearest] = low = 0.0
    step = max(abs(low), abs(high)) * _STEP[entries.dtype.name]
    if layer.simplex or not high - low > max(step, 2 * layer.error):
        raise DegenerateError(
            f"ranks need entries that differ: those of the RDM of {layer.label} are all equal up to rounding (whitened "
            "rows with n <= d + 1, or two distinct rows only). Pass more samples or another metric."
        )
    return entries


def _by_tables(
    engine: PairwiseEngine, layers: Sequence[Packed], pairs: Sequence[tuple[int, int]], compare: str, bins: int
) -> list[ValueAndDetails]:
    """Spearman or rho-a with every entry replaced by the mid-rank of its bin: one sweep counts, a second one sums.

    The binned ranks b are the means of the ranks r within the bins, so r = b + e with e orthogonal to b and
    |e|^2 <= W = sum_bins (c^3 - c) / 12. Both bounds below follow from the Cauchy-Schwarz inequality.
    """
    maps, within = [], []
    for layer in layers:
        low, high = entry_range(layer)
        counts = _histogram(engine, layer, low, high, bins).astype(np.float64)
        n_pairs = float(counts.sum())
        below = np.cumsum(counts) - counts
        table = (below + (counts - n_pairs) / 2) / n_pairs  # (mid-rank - mean rank) / P, in (-1/2, 1/2)
        maps.append(("table", low, high, table.astype(np.float32)))
        within.append(float(np.sum(counts**3 - counts)) / 12 / n_pairs**2)
    results = []
    for sums, (i, j) in zip(pair_sums(engine, layers, pairs, maps=maps), pairs, strict=True):
        product, xx, yy = (sums.total(s) for s in (sums.cross, sums.x.second, sums.y.second))
        refuse_all_tied(xx, yy, _names(layers[i], layers[j]))
        n = sums.n_pairs
        if compare == "rho-a":
            scale = (n - 1 / n) / 12  # sum of squares of the ranks over P if there are no ties
            value = product / scale
            s, t = math.sqrt(within[i] / scale), math.sqrt(within[j] / scale)
            bound = s + t + s * t
        else:
            value = product / math.sqrt(xx) / math.sqrt(yy)
            s, t = math.sqrt(within[i] / (within[i] + xx)), math.sqrt(within[j] / (within[j] + yy))
            # 1 - |b||c| / (|r||s|) <= 1 - (1 - max(s, t)^2)
            bound = s + t + s * t + abs(value) * max(s, t) ** 2
        results.append((value, {"ranks": "histogram", "bins": bins, "bound": bound + _TABLE_ROUNDING}))
    return results


def _tau(engine: PairwiseEngine, x: Packed, y: Packed, compare: str) -> ValueAndDetails:
    """Concordant minus discordant pairs of entries from a joint histogram; only pairs that share a bin are unknown."""
    ranges = [entry_range(layer) for layer in (x, y)]
    sweep = engine.backend.JointHistogramSweep(
        [x.panels, y.panels],
        [(0, 1)],
        metric=x.metric.kernel,
        low=[low for low, _ in ranges],
        high=[high for _, high in ranges],
        bins=JOINT_BINS,
    )
    joint = engine.run(sweep, f"{x.metric.name} tiles")[0].astype(np.float64)
    n = float(joint.sum())
    pairs = n * (n - 1) / 2
    # for each cell, the entries in later rows and columns less those in later rows and earlier columns
    later = joint.sum(axis=0) - np.cumsum(joint, axis=0)
    not_after = np.cumsum(later, axis=1)
    after = not_after[:, -1:] - not_after
    difference = float(np.sum(joint * (after - (not_after - later))))
    coarse = [_tied(joint.sum(axis=1)), _tied(joint.sum(axis=0))]
    unknown = sum(coarse) - _tied(joint)
    value, bound = difference / pairs, unknown / pairs
    if compare == "kendall":
        # There are at most as many true ties as pairs within fine bins. The number of pairs that share a bin without
        # being tied is proportional to the width of the bins, so two widths give an estimate of both numbers.
        fine = [_tied(_histogram(engine, layer, *entry_range(layer), BINS).astype(np.float64)) for layer in (x, y)]
        refuse_all_tied(pairs - fine[0], pairs - fine[1], _names(x, y))
        ratio = BINS / JOINT_BINS
        ties = [min(max((ratio * f - c) / (ratio - 1), 0.0), f) for f, c in zip(fine, coarse, strict=True)]
        least, likely = (math.sqrt(1 - a / pairs) * math.sqrt(1 - b / pairs) for a, b in (fine, ties))
        bound = bound / least + abs(value) * max(1 / least - 1 / likely, 1 / likely - 1)
        value /= likely
    return value, {"ranks": "histogram", "bins": JOINT_BINS, "bound": min(bound, 2.0)}


def median_entry(engine: PairwiseEngine, layer: Packed, kernel: str) -> float:
    """Median over i < j of the entries that ``kernel`` gives: exact in memory, otherwise to 1/65536 of their range.

    Parameters
    ----------
    engine : PairwiseEngine
    layer : Packed
        From `PairwiseEngine.packed`.
    kernel : str
        Name of a distance.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> engine = rs.PairwiseEngine(precision="fp64")
    >>> layer = engine.packed(np.array([[0.0], [1.0], [3.0]]), "sqeuclidean")
    >>> rs.pairwise.median_entry(engine, layer, "euclidean")
    2.0
    """
    if layer.panels.n_rows <= IN_MEMORY_ROWS // 2:
        return float(np.median(condensed(engine, layer.panels, kernel)))
    few = layer.few if kernel == layer.metric.kernel else np.sqrt(layer.few)
    low, high = _widened(few, math.inf)
    sweep = engine.backend.HistogramSweep([layer.panels], metric=kernel, low=low, high=high, bins=BINS)
    counts = engine.run(sweep, f"{kernel} tiles")[0].astype(np.float64)
    below = np.cumsum(counts)
    place = int(np.searchsorted(below, below[-1] / 2))
    inside = (below[-1] / 2 - (below[place] - counts[place])) / counts[place]
    return low + (place + inside) * (high - low) / BINS


def entry_range(layer: Packed) -> tuple[float, float]:
    """A range that contains nearly all entries, from those between a few rows."""
    return _widened(layer.few, layer.metric.highest, signed=layer.metric.kernel == "dot")


def _widened(few: np.ndarray, highest: float, *, signed: bool = False) -> tuple[float, float]:
    low, high = float(few.min()), float(few.max())
    margin = _MARGIN * (high - low) or max(abs(high), 1.0) * 1e-3
    low, high = low - margin, min(high + margin, highest * (1 + 1e-6))
    return (low, high) if signed else (max(low, 0.0), high)


def _names(x: Packed, y: Packed) -> tuple[str, str]:
    return f"the RDM of {x.label}", f"the RDM of {y.label}"


def _histogram(engine: PairwiseEngine, layer: Packed, low: float, high: float, bins: int) -> np.ndarray:
    sweep = engine.backend.HistogramSweep([layer.panels], metric=layer.metric.kernel, low=low, high=high, bins=bins)
    return engine.run(sweep, f"{layer.metric.name} tiles")[0]


def _tied(counts: np.ndarray) -> float:
    return float(np.sum(counts * (counts - 1))) / 2
