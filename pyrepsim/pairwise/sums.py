"""Sums over the entries of two RDMs for each pair of blocks of rows, and the comparisons that follow from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from .engine import Packed, PairwiseEngine

__all__ = ["EntrySums", "PairSums", "cosine_from", "gaussian_map", "pair_sums"]


@dataclass(frozen=True, eq=False)
class EntrySums:
    """Sums of one RDM over i < j, of v = entry - origin."""

    label: str
    origin: float
    """A provisional mean, subtracted from every entry to avoid cancellation in the sums."""
    first: np.ndarray
    """sum v for each pair of blocks i <= j, (n_blocks, n_blocks)."""
    second: np.ndarray
    """sum v^2, (n_blocks, n_blocks)."""
    rows: np.ndarray | None
    """sum over j != i of v_ij, (n_rows,), if requested."""
    diagonal: float = 0.0
    """The entry of a row with itself; the origin is not subtracted."""
    error: float = 0.0
    """The largest rounding error of an entry: see pairwise/bounds.py."""


@dataclass(frozen=True, eq=False)
class PairSums:
    """Sums of two RDMs D and E of the same rows, from which they can be compared without storing them.

    Made by `pair_sums`. ``weights`` says how often each block of rows counts: see `resampled`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> X = np.random.default_rng(0).standard_normal((50, 8))
    >>> engine = rs.PairwiseEngine(precision="fp64")
    >>> (sums,) = rs.pairwise.pair_sums(engine, engine.packed_layers([X, X**3], "euclidean"), [(0, 1)])
    >>> sums.n_pairs, round(sums.pearson(), 4), round(sums.cosine(), 4)
    (1225.0, 0.6415, 0.8486)
    """

    n_rows: int
    entries: np.ndarray
    """Number of pairs of rows for each pair of blocks, (n_blocks, n_blocks)."""
    x: EntrySums
    y: EntrySums
    cross: np.ndarray
    """sum v_x v_y, (n_blocks, n_blocks)."""
    weights: np.ndarray | None = None

    def resampled(self, weights: Sequence[float] | np.ndarray) -> PairSums:
        """The sums with block s drawn ``weights[s]`` times; pairs of a row and its own copy are left out."""
        drawn = np.asarray(weights, dtype=np.float64)
        if drawn.shape != (len(self.entries),) or not (np.isfinite(drawn).all() and (drawn >= 0).all()):
            raise OptionError(f"weights must be {len(self.entries)} numbers >= 0, one for each block: got {weights!r}.")
        return replace(self, weights=drawn)

    def total(self, per_blocks: np.ndarray) -> float:
        """The weighted sum over all pairs of blocks."""
        if self.weights is None:
            return float(np.sum(per_blocks))
        # within a block, w copies give w sets of pairs, and w (w - 1) more between copies: w^2 in all
        return float(np.sum(np.outer(self.weights, self.weights) * per_blocks))

    @property
    def n_pairs(self) -> float:
        return self.total(self.entries)

    def pearson(self) -> float:
        """Pearson correlation of the entries."""
        return cosine_from(*self._centred())

    def cosine(self) -> float:
        """sum d e / sqrt(sum d^2 sum e^2)."""
        n = self.n_pairs
        (o, s), (p, t) = self._first()
        xy = self.total(self.cross) + p * s + o * t + n * o * p
        xx = self.total(self.x.second) + 2 * o * s + n * o * o
        yy = self.total(self.y.second) + 2 * p * t + n * p * p
        for squares, side in ((xx, self.x), (yy, self.y)):
            if not squares > n * side.error**2:
                raise DegenerateError(
                    f"a cosine needs entries that are not 0: those of {side.label} are all 0 up to rounding. "
                    "Check the layer, or use another metric."
                )
        return cosine_from(xy, xx, yy)

    def euclidean(self) -> float:
        """sqrt(sum (d - e)^2); if D and E are nearly equal, only about half of the digits are correct."""
        (o, s), (p, t) = self._first()
        n, apart = self.n_pairs, o - p
        squares = self.total(self.x.second) + self.total(self.y.second) - 2 * self.total(self.cross)
        return math.sqrt(max(squares + 2 * apart * (s - t) + n * apart * apart, 0.0))

    def centred(self) -> float:
        """Cosine of H D H and H E H with H = I - 11^T / n, diagonals included.

        This is biased CKA for kernels, squared distance correlation for distances, and the whitened cosine (cosine_cov)
        for RDMs.
        """
        return cosine_from(*(self._centred_product(*pair) for pair in self._three()))

    def u_centred(self) -> float:
        """Cosine of the U-centred matrices, whose products are unbiased estimates; it can be negative.

        The same sums serve kernels (Song et al. 2012, equation 5) and distances (Szekely & Rizzo 2014, equation 3.3).
        """
        if self.n_rows < 4:
            raise DegenerateError(f"unbiased estimates need at least 4 rows: got {self.n_rows}. Pass more samples.")
        for side in (self.x, self.y):
            if not self._u_product(side, side, side.second) > side.error**2:
                raise DegenerateError(
                    f"unbiased estimates need entries that differ by more than a sum of a term for each row: those of "
                    f"{side.label} do not, up to rounding (all rows equally far from each other). Pass more samples."
                )
        return cosine_from(*(self._u_product(*pair) for pair in self._three()))

    def corr_cov(self) -> float:
        """`centred` after subtracting the mean of the off-diagonal entries of each matrix."""
        return cosine_from(*(self._corr_cov_product(*pair) for pair in self._three()))

    def refuse_constant(self, measure: str, remedy: str = "Pass more samples or another metric.") -> None:
        """Raise DegenerateError if all entries of a side are equal up to rounding."""
        _, xx, yy = self._centred()
        n = self.n_pairs
        for spread, side in ((xx, self.x), (yy, self.y)):
            if not spread > n * side.error**2:
                raise DegenerateError(
                    f"{measure}: the entries of the RDM of {side.label} must differ: they are all equal up to rounding "
                    f"(whitened rows with n <= d + 1, or two distinct rows only). {remedy}"
                )

    def _first(self) -> tuple[tuple[float, float], tuple[float, float]]:
        return (self.x.origin, self.total(self.x.first)), (self.y.origin, self.total(self.y.first))

    def _three(self) -> list[tuple[EntrySums, EntrySums, np.ndarray]]:
        return [(self.x, self.y, self.cross), (self.x, self.x, self.x.second), (self.y, self.y, self.y.second)]

    def _centred(self) -> list[float]:
        """sum (d - mean d)(e - mean e) for xy, xx and yy."""
        n = self.n_pairs
        return [self.total(cross) - self.total(a.first) * self.total(b.first) / n for a, b, cross in self._three()]

    def _row_sums(self, side: EntrySums, diagonal: float) -> tuple[np.ndarray, float]:
        """Row sums of v minus their mean, and the sum of all v, with this value on the diagonal."""
        if self.weights is not None:
            raise OptionError(
                "centred products need row sums, which cannot be resampled: these sums have weights. "
                "Use pearson, cosine or euclidean, or a sweep over the rows that were drawn."
            )
        if side.rows is None:
            raise OptionError("centred products need row sums: make the sums with row_sums=True.")
        rows = side.rows + diagonal
        everything = float(np.sum(rows))
        return rows - everything / self.n_rows, everything

    def _centred_product(self, a: EntrySums, b: EntrySums, cross: np.ndarray) -> float:
        n, on_a, on_b = self.n_rows, a.diagonal - a.origin, b.diagonal - b.origin
        (rows_a, all_a), (rows_b, all_b) = self._row_sums(a, on_a), self._row_sums(b, on_b)
        return 2 * self.total(cross) + n * on_a * on_b - 2 / n * float(rows_a @ rows_b) - all_a * all_b / n / n

    def _u_product(self, a: EntrySums, b: EntrySums, cross: np.ndarray) -> float:
        n = self.n_rows
        (rows_a, all_a), (rows_b, all_b) = self._row_sums(a, 0.0), self._row_sums(b, 0.0)
        # row sums are split into mean and rest; the means are part of the middle term, with (sum r)(sum s) / ((n - 1)(n
        # - 2))
        centred = 2 * self.total(cross) - all_a * all_b / (n * (n - 1))
        return (centred - 2 / (n - 2) * float(rows_a @ rows_b)) / (n * (n - 3))

    def _corr_cov_product(self, a: EntrySums, b: EntrySums, cross: np.ndarray) -> float:
        n = self.n_rows
        (rows_a, all_a), (rows_b, all_b) = self._row_sums(a, 0.0), self._row_sums(b, 0.0)
        centred = 2 * self.total(cross) - all_a * all_b / (n * (n - 1))
        return centred - 2 / n * float(rows_a @ rows_b)


def cosine_from(xy: float, xx: float, yy: float) -> float:
    """xy / sqrt(xx yy); exactly 1 when all three are equal."""
    if not (xx > 0 and yy > 0):
        raise DegenerateError(
            f"a cosine needs positive self-products: got {xx:.3g} and {yy:.3g}. "
            "All entries are equal, or there are too few rows: pass more samples."
        )
    if xx == yy:
        return xy / xx
    return xy / math.sqrt(xx) / math.sqrt(yy)


def pair_sums(
    engine: PairwiseEngine,
    layers: Sequence[Packed],
    pairs: Sequence[tuple[int, int]],
    *,
    maps: Sequence[tuple[Any, ...] | None] | None = None,
    row_sums: bool = False,
) -> list[PairSums]:
    """Sums for pairs of layers from one sweep over the tiles; each tile of a layer is computed once for all pairs.

    Parameters
    ----------
    engine : PairwiseEngine
    layers : sequence of Packed
        From `PairwiseEngine.packed`, all over the same rows.
    pairs : sequence of (int, int)
        Indices of the layers to compare.
    maps : sequence, optional
        For each layer the map of its entries v: None, ("rbf", gamma): exp(-gamma v), ("expm1", gamma):
        exp(-gamma v) - 1, or ("table", low, high, values).
    row_sums : bool, default False
        Whether to keep row sums, which `PairSums.centred` and similar methods need.

    Returns
    -------
    list of PairSums

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> X = np.random.default_rng(0).standard_normal((50, 8))
    >>> engine = rs.PairwiseEngine(precision="fp64")
    >>> layers = engine.packed_layers([X, X + 1.0], "euclidean")
    >>> round(rs.pairwise.pair_sums(engine, layers, [(0, 1)], row_sums=True)[0].centred(), 4)
    1.0
    """
    maps = [None] * len(layers) if maps is None else list(maps)
    origins = [_provisional_mean(layer, each) for layer, each in zip(layers, maps, strict=True)]
    sweep = engine.backend.SumSweep(
        [layer.panels for layer in layers],
        list(pairs),
        metric=layers[0].metric.kernel,
        maps=maps,
        origins=origins,
        row_sums=row_sums,
    )
    sums = engine.run(sweep, f"{layers[0].metric.name} tiles")
    rows = sums["rows"] if row_sums else [None] * len(layers)
    diagonals = [float(each is not None and each[0] == "rbf") for each in maps]
    labels = [layer.label for layer in layers]
    errors = [_mapped_error(layer, each) for layer, each in zip(layers, maps, strict=True)]
    columns = (labels, origins, sums["first"], sums["second"], rows, diagonals, errors)
    sides = [EntrySums(*side) for side in zip(*columns, strict=True)]
    n_rows = layers[0].panels.n_rows
    return [PairSums(n_rows, sums["entries"], sides[i], sides[j], sums["cross"][k]) for k, (i, j) in enumerate(pairs)]


def gaussian_map(squared: np.ndarray, gamma: float) -> tuple[str, float]:
    """The map from squared distances v to exp(-gamma v), or to exp(-gamma v) - 1 if that is more accurate in float32.

    Centring removes the constant. Near 1, float32 resolves exp(-gamma v) poorly, but its difference from 1 well; near 0
    it is the other way round.

    Parameters
    ----------
    squared : ndarray
        Some of the squared distances.
    gamma : float

    Returns
    -------
    ("expm1", gamma) or ("rbf", gamma)
        A map for `pair_sums`.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.pairwise import gaussian_map
    >>> gaussian_map(np.array([0.5]), 1.0), gaussian_map(np.array([5.0]), 1.0)
    (('expm1', 1.0), ('rbf', 1.0))
    """
    return ("expm1" if gamma * float(np.mean(squared)) < 1 else "rbf", gamma)


def _mapped_error(layer: Packed, entry_map: tuple[Any, ...] | None) -> float:
    """The largest error of an entry after its map; ranks from tables are exact."""
    if entry_map is None:
        return layer.error
    if entry_map[0] == "table":
        return 0.0
    # |d exp(-gamma v)| = gamma exp(-gamma v) |d v|
    gamma = entry_map[1]
    return layer.error * gamma * float(np.exp(-gamma * layer.few.mean())) if len(layer.few) else 0.0


def _provisional_mean(layer: Packed, entry_map: tuple[Any, ...] | None) -> float:
    if entry_map is not None and entry_map[0] == "table":
        return 0.0  # the values of tables have mean 0
    few = layer.few
    if entry_map is not None:
        few = (np.exp if entry_map[0] == "rbf" else np.expm1)(-entry_map[1] * few)
    return float(np.mean(few)) if len(few) else 0.0
