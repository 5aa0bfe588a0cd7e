"""RDMs compared from moments: closed forms of sums over all pairs of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..backends import get_backend
from ..core.errors import DegenerateError
from ..moments import MomentsSet
from ..moments.pair import Pair, Side
from ..pairwise import PairwiseEngine
from .base import Measure, geometric_mean
from .cka import cosine_of

__all__ = ["corr_cov", "cosine_cov", "dot_products", "pairs_of_rows", "pearson_or_cosine", "squared_distances"]

Sums = Callable[[Pair, bool], tuple[float, float]]


def pearson_or_cosine(measure: Measure, pair: Pair, sums: Sums, centred: bool) -> float:
    """Return the cosine of the entries of both RDMs, with their means subtracted if `centred`."""
    both = (Pair.of_side(pair.x), Pair.of_side(pair.y))
    xy, xx, yy = (sums(each, centred) for each in (pair, *both))
    for (product, size), side in ((xx, pair.x), (yy, pair.y)):
        _refuse_constant(measure, product, size, side)
    return xy[0] / geometric_mean(xx[0], yy[0])


def cosine_cov(measure: Measure, pair: Pair) -> float:
    """Return |S_xy|^2 / (|S_xx| |S_yy|): the whitened cosine of squared distances is linear CKA."""
    return cosine_of(measure, pair.cross_sq, pair.x.norm_sq, pair.y.norm_sq)


def corr_cov(measure: Measure, pair: Pair) -> float:
    """Return the same with G - tr G / (n - 1) H in place of each centred Gram matrix G.

    Subtracting the mean from the off-diagonal entries of D gives -H D H / 2 = G - (mean D / 2) H, mean D = 2 tr G / (n
    - 1); and <G, H> = tr G, <H, H> = n - 1.
    """
    n, x, y = pair.n_samples, pair.x, pair.y
    for side in (x, y):
        product, size = squared_distances(Pair.of_side(side), True)
        _refuse_constant(measure, product, size, side)

    def product_of(square: float, total_a: float, total_b: float) -> float:
        return square - total_a * total_b / (n - 1)

    return cosine_of(
        measure,
        product_of(pair.cross_sq, x.total, y.total),
        product_of(x.norm_sq, x.total, x.total),
        product_of(y.norm_sq, y.total, y.total),
    )


def refuse_equal_entries(measure: Measure, label: str) -> None:
    """Raise DegenerateError because all entries of an RDM are equal up to rounding."""
    raise DegenerateError(
        f"{measure}: the entries of the RDM of {label} must differ: they are all equal up to rounding "
        "(whitened rows with n <= d + 1, or two distinct rows only). Pass more samples or another metric."
    )


def _refuse_constant(measure: Measure, product: float, size: float, side: Side) -> None:
    """Refuse an RDM unless the sum of its squares exceeds its rounding error, relative to `size`."""
    if not product > side.sums_error * size:
        refuse_equal_entries(measure, side.label)


def squared_distances(pair: Pair, centred: bool) -> tuple[float, float]:
    """Return (sum of products, size) over i < j of D = |x_i - x_j|^2 and E = |y_i - y_j|^2.

    Centred: sum D E - (sum D)(sum E) / P over the P pairs; otherwise sum D E. With sum D = n tr S_xx and
    sum D E = n q + tr S_xx tr S_yy + 2 |S_xy|^2, q = sum |x - m|^2 |y - m|^2, the means are subtracted in the formula.
    Pairs of a row with its own copy have distance 0 and do not count: P = n (n - 1) / 2 - copies.
    Distances of unit rows are 2 (1 - cos), exactly up to the square of the rounding of their norms.
    """
    n = pair.n_samples
    totals = pair.x.total * pair.y.total
    varying = n * pair.norm_products + 2 * pair.cross_sq
    size = varying + 2 * totals
    pairs = n * (n - 1) / 2 - pair.copies
    return (varying - (n + 2 * pair.copies) / pairs * totals if centred else size), size


def dot_products(pair: Pair, centred: bool) -> tuple[float, float]:
    """Return the same for K = x_i . x_j and L = y_i . y_j, less the constants |m_x|^2 and |m_y|^2; size is that of
    |x_i| |x_j| and |y_i| |y_j|, which do not cancel.

    With g = m_x . (x - m_x) and h = m_y . (y - m_y), K - |m_x|^2 = g_i + g_j + (x_i - m_x) . (x_j - m_x).
    """
    n, x, y = pair.n_samples, pair.x, pair.y
    pairs = n * (n - 1) / 2
    total_k, total_l = -x.total / 2, -y.total / 2
    gh, (weighted_x, weighted_y) = pair.mean_cross, pair.mean_weighted
    diagonal = 4 * gh + 2 * weighted_x + 2 * weighted_y
    diagonal += pair.norm_products + x.total * y.total / n
    product = (2 * n * gh + pair.cross_sq - diagonal) / 2
    dot = get_backend().dot
    mean_k, mean_l = dot(x.mean, x.mean), dot(y.mean, y.mean)
    plain = product + mean_k * total_l + mean_l * total_k + pairs * mean_k * mean_l
    size = (x.total + n * mean_k) * (y.total + n * mean_l) / 2
    return (product - total_k * total_l / pairs if centred else plain), size


def pairs_of_rows(
    layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], kind: str, engine: PairwiseEngine
) -> list[Pair]:
    """Return the moments of each pair of layers whose rows are in memory, such as a sample."""
    options = {
        "precision": engine.moments_precision,
        "backend": engine.backend.name,
        "n_threads": engine.n_threads,
    }
    views = [layers[index] for index in range(len(layers))]
    labels = getattr(layers, "labels", None) or (("X", "Y") if len(views) == 2 else None)
    transform = "raw" if kind == "whitened" else kind
    for index, view in enumerate(views):
        engine.refuse_bad_rows(view, transform, labels[index] if labels else f"layer {index}")
    moments = MomentsSet([v.shape[1] for v in views], pairs, transforms=(transform,), labels=labels, **options)
    moments.update(views)
    if kind != "whitened":
        return [moments.pair_at(k, transform) for k in range(len(pairs))]
    whitened = []
    for i, j in pairs:
        sides = [(views[s].astype(np.float64) - moments.side(s).mean) @ moments.side(s).whitening for s in (i, j)]
        white = MomentsSet([side.shape[1] for side in sides], [(0, 1)], **options)
        white.update(sides)
        whitened.append(white.pair_at(0))
    return whitened
