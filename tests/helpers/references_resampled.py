"""Samples of items of RDMs, and noise ceilings, by their definitions."""

from __future__ import annotations

import numpy as np

from . import references_comparators as comparators
from .references_pairwise import square

__all__ = ["noise_ceiling", "sampled", "similarity"]


def sampled(vector, items) -> tuple[np.ndarray, np.ndarray]:
    """The entries i < j of the RDM of these items, and which of them are between different items."""
    matrix, items = square(vector), np.sort(items)
    first, second = np.triu_indices(len(items), 1)
    return matrix[items[first], items[second]], items[first] != items[second]


def similarity(compare, x, y, keep) -> float:
    """Of two RDMs over the entries `keep`."""
    if compare.endswith("_cov"):
        return comparators.RDM_COMPARATORS[compare](x, y, keep=keep)
    return comparators.RDM_COMPARATORS[compare](x[keep], y[keep])


def _pool(rows, compare, keep) -> np.ndarray:
    """Mean of ranks, of z-scores, or of entries over their root mean square."""
    total = np.zeros(len(keep))
    for row in rows:
        values = row[keep]
        if compare in ("pearson", "corr_cov"):
            values = (values - values.mean()) / values.std()
        elif compare in ("cosine", "cosine_cov"):
            values = values / np.sqrt(np.mean(values**2))
        else:
            values = comparators.midranks(values)
        total[keep] += values  # sums of ranks are exact, so that ties stay ties
    return total / len(rows)


def noise_ceiling(rows, groups, compare, keep) -> tuple[float, float]:
    """Mean over groups of the similarity with the pool of the other groups, and with the pool of all.

    Nili et al. (2014), PLoS Computational Biology 10:e1003553. rows: with copies, if a sample has them.
    """
    lower, upper, names = [], [], np.unique(groups)
    for name in names:
        inside = [row for row, group in zip(rows, groups, strict=True) if group == name]
        outside = [row for row, group in zip(rows, groups, strict=True) if group != name or len(names) == 1]
        for pooled, values in ((outside, lower), (rows, upper)):
            pool = _pool(pooled, compare, keep)
            values.append(np.mean([similarity(compare, pool, row, keep) for row in inside]))
    return float(np.mean(lower)), float(np.mean(upper))
