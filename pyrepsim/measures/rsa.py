"""Representational similarity analysis: two RDMs of n (n - 1) / 2 entries compared, in closed form where possible."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..moments.pair import Pair
from ..pairwise import METRICS, RANK_COMPARATORS, Packed, PairSums, PairwiseEngine, pair_sums, rank_correlations
from .base import (
    AFFINE,
    SIMILARITY,
    BlockSumMeasure,
    Invariance,
    Measure,
    MomentMeasure,
    Result,
    RowMeasure,
    at_least_rows,
    one_of,
)
from .rdm_moments import (
    corr_cov,
    cosine_cov,
    dot_products,
    pairs_of_rows,
    pearson_or_cosine,
    refuse_equal_entries,
    squared_distances,
)

__all__ = ["RSA"]

_TRANSFORMS = {
    "dot": "raw",
    "sqeuclidean": "raw",
    "cosine": "unit",
    "correlation": "unit_centred",
    "sqmahalanobis": "whitened",
}
"""Metrics with a closed form, and the row transform whose moments it reads."""
_CLOSED = ("pearson", "cosine", "cosine_cov", "corr_cov")
_BLOCKWISE = ("pearson", "cosine", "euclidean")
"""Comparisons whose value follows from sums over pairs of blocks of rows."""
_COMPARE = ("pearson", "spearman", "kendall", "tau-a", "rho-a", "cosine", "cosine_cov", "corr_cov", "euclidean")
_FEATURES = Invariance.SCALING | Invariance.PERMUTATION
_INVARIANT = {
    "dot": _FEATURES | Invariance.ORTHOGONAL,
    "cosine": _FEATURES | Invariance.ORTHOGONAL,
    "angular": _FEATURES | Invariance.ORTHOGONAL,
    "correlation": _FEATURES,
    "sqeuclidean": SIMILARITY,
    "euclidean": SIMILARITY,
    "manhattan": _FEATURES | Invariance.TRANSLATION,
    "chebyshev": _FEATURES | Invariance.TRANSLATION,
    "mahalanobis": AFFINE,
    "sqmahalanobis": AFFINE,
}
_WITHOUT_UNITS = ("cosine", "angular", "correlation", "mahalanobis", "sqmahalanobis")


@dataclass(frozen=True)
class RSA(Measure):
    """Representational similarity analysis: agreement of two representational dissimilarity matrices (RDMs).

    value = compare(D, E), where D_ij and E_ij are the dissimilarities of rows i < j of X and of Y, for all n (n - 1) /
    2 pairs of rows.

    Range [-1, 1]; [0, 1] for cosine and cosine_cov of distances (cosine_cov of chebyshev: [-1, 1]); [0, inf) for
    euclidean. Symmetric. Invariant to isotropic scaling and permutation of the features of either side (euclidean
    comparison: to scaling only for metrics without units) and, depending on the metric, to orthogonal maps (cosine,
    angular, dot), to those and translation (sqeuclidean, euclidean), to translation (manhattan, chebyshev), or to all
    invertible affine maps (mahalanobis, sqmahalanobis).

    Parameters
    ----------
    metric : str, default "cosine"
        "cosine" (1 - cos), "correlation" (1 - Pearson correlation across features), "angular" (arccos(cos) / pi),
        "sqeuclidean", "euclidean", "manhattan", "chebyshev", "sqmahalanobis" (squared, each side whitened by its own
        covariance: Walther et al. 2016, equation 4), "mahalanobis" (its root), or "dot" (x_i . x_j, a similarity).
    compare : str, default "pearson"
        "pearson"; "cosine" (uncentred); "spearman"; "rho-a" (the expectation of Spearman with ties broken at random);
        "kendall" (tau-b); "tau-a"; "cosine_cov", the cosine whitened by the covariance that RDM entries have under
        independent noise (with sqeuclidean: linear CKA); "corr_cov", the same with the mean entry of each RDM
        subtracted; or "euclidean", the distance sqrt(sum (D_ij - E_ij)^2). "cosine_cov" and "corr_cov" are not defined
        for "dot", whose matrix has no zero diagonal.
    method : {"auto", "closed", "tiles"}, default "auto"
        "closed": from moments, one pass (sqmahalanobis: two), any number of rows; for the metrics dot, sqeuclidean,
        cosine, correlation and sqmahalanobis with pearson, cosine, cosine_cov or corr_cov. "tiles": over all pairs of
        rows, time n^2. "auto": closed where possible. No n x n matrix is stored.
    sample : int, optional
        Number of rows to draw, the same rows in all models and layers. By default all rows.
    draws : int, default 1
        Number of samples; the value is their mean. The RSA of Merchant et al. is ``RSA(sample=5000, draws=5)``.
    seed : int, default 0
        Of the draws.
    per_document : int, optional
        Most rows of one document in a sample. For stores only.
    exact : bool, default False
        For Spearman and rho-a of more than 8192 rows: 2^24 bins instead of 2^16.

    Notes
    -----
    Ranks are exact up to 8192 rows; entries that agree to about the accuracy of the tiles are ties (20 bits in float32,
    40 in float64; ``precision="auto"`` takes float64 up to 2048 rows). With more rows, entries are ranked by
    histograms.

    ``Score.details`` has ``metric``, ``compare``, ``method`` and ``n_pairs``; from rows ``precision``; from ranks
    ``ranks`` ("exact" or "histogram", the latter with ``bins`` and ``bound``, the largest possible error of the value);
    from samples ``draws`` (the value of each) and ``spread`` (their standard deviation).

    References
    ----------
    Kriegeskorte et al. (2008), Frontiers in Systems Neuroscience 2:4. Diedrichsen et al. (2020), arXiv:2007.02789,
    equations 16 and 21. Schuett et al. (2023), eLife 12:e82566 (rho-a). Sampling: Merchant et al. (2020), section 5.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> round(rs.compare(X, Y, rs.RSA(compare="spearman")).value, 4)
    0.3506
    """

    metric: str = "cosine"
    compare: str = "pearson"
    method: str = "auto"
    sample: int | None = None
    draws: int = 1
    seed: int = 0
    per_document: int | None = None
    exact: bool = False

    def __repr__(self) -> str:
        return str(self)

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "metric", tuple(METRICS))
        one_of(self, "compare", _COMPARE)
        one_of(self, "method", ("auto", "closed", "tiles"))
        if self.metric == "dot" and self.compare in ("cosine_cov", "corr_cov"):
            raise OptionError(
                f"RSA: {self.compare} is defined for dissimilarities with a zero diagonal: got metric='dot'. "
                "Use metric='sqeuclidean' for linear CKA, or compare='pearson'."
            )
        if self.method == "closed" and not self._closed:
            raise OptionError(
                f"RSA: a closed form exists for the metrics {', '.join(_TRANSFORMS)} with {', '.join(_CLOSED)}: got "
                f"metric={self.metric!r}, compare={self.compare!r}. Use method='tiles'."
            )
        for option, least in (("sample", 3), ("draws", 1), ("per_document", 1), ("seed", 0)):
            value = getattr(self, option)
            if value is not None and value < least:
                raise OptionError(f"RSA: {option} must be a whole number >= {least}: got {value!r}.")
        if self.sample is None and (self.draws, self.seed, self.per_document) != (1, 0, None):
            raise OptionError("RSA: draws, seed and per_document apply to samples: give sample=, or leave them out.")
        if self.exact and self.compare not in ("spearman", "rho-a"):
            raise OptionError(f"RSA: exact applies to spearman and rho-a: got compare={self.compare!r}. Leave it out.")
        if type(self) in (RSA, _MomentRSA, _RowRSA, _BlockSumRSA):
            # Like pathlib.Path: RSA(...) is an object of the class that computes the value with these options.
            self._become(self._class_for_options())

    def _class_for_options(self) -> type[RSA]:
        if self.sample is None and self._closed:
            return _MomentRSA
        return _BlockSumRSA if self.sample is None and self.compare in _BLOCKWISE else _RowRSA

    def _become(self, kind: type[RSA]) -> None:
        object.__setattr__(self, "__class__", kind)

    @property
    def _closed(self) -> bool:
        """Whether the value has a closed form in moments, and `method` allows it."""
        return self.metric in _TRANSFORMS and self.compare in _CLOSED and self.method != "tiles"

    @property
    def _needs_spread(self) -> bool:
        """Whether the value is not defined for an RDM whose entries are all equal."""
        return self.compare not in ("cosine", "cosine_cov", "euclidean")

    @property
    def biased_by_copies(self) -> bool:
        """Whether a row and its copy would count as a pair: dot products, and entries summed by blocks."""
        return self._closed and (self.metric == "dot" or self.compare == "corr_cov")

    @property
    def is_distance(self) -> bool:
        return self.compare == "euclidean"

    @property
    def range(self) -> tuple[float, float]:
        if self.compare == "euclidean":
            return (0.0, float("inf"))
        # distances of negative type have a positive semi-definite Gram matrix; chebyshev is not of negative type
        positive = self.metric != "dot" if self.compare == "cosine" else self.metric != "chebyshev"
        return (0.0, 1.0) if self.compare in ("cosine", "cosine_cov") and positive else (-1.0, 1.0)

    @property
    def invariant_x(self) -> Invariance:
        declared = _INVARIANT[self.metric]
        if self.compare == "euclidean" and self.metric not in _WITHOUT_UNITS:
            declared &= ~Invariance.SCALING
        return declared

    def _details(self, method: str, n_pairs: int) -> dict[str, Any]:
        return {"metric": self.metric, "compare": self.compare, "method": method, "n_pairs": n_pairs}

    def _from_moments(self, pair: Pair) -> Result:
        """Return value and details by the closed form."""
        at_least_rows(self, pair.x, 3)
        for side in (pair.x, pair.y):
            if side.one_direction:
                self.refuse_one_direction(side.label, self.metric)
            if self.metric == "sqmahalanobis" and side.n_features >= pair.n_samples - 1 and self._needs_spread:
                refuse_equal_entries(self, side.label)
        n = pair.n_samples
        if self.compare == "cosine_cov":
            value = cosine_cov(self, pair)
        elif self.compare == "corr_cov":
            value = corr_cov(self, pair)
        else:
            sums = dot_products if self.metric == "dot" else squared_distances
            value = pearson_or_cosine(self, pair, sums, self.compare == "pearson")
        return value, self._details("closed", int(n * (n - 1) // 2))


class _MomentRSA(RSA, MomentMeasure):
    """RSA with a closed form, over all rows."""

    reads = "products"

    @property
    def transform(self) -> str:
        return _TRANSFORMS[self.metric]

    @property
    def from_gram(self) -> bool:
        return not self.needs_second_pass

    @property
    def row_form(self) -> RowMeasure:
        form = copy(self)
        form._become(_RowRSA)
        return form  # type: ignore[return-value] - it is a _RowRSA now

    def evaluate(self, pair: Pair) -> Result:
        return self._from_moments(pair)


class _RowRSA(RSA, RowMeasure):
    """RSA over samples of rows, or over all pairs of rows by tiles."""

    def evaluate(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        if self._closed:
            results = map(self._from_moments, pairs_of_rows(layers, pairs, _TRANSFORMS[self.metric], engine))
            return [(value, {**details, "precision": engine.moments_precision}) for value, details in results]
        if self.compare not in RANK_COMPARATORS:
            return [self.from_block_sums(sums, engine) for sums in self.block_sums(layers, pairs, engine)]
        engine = engine.for_ranks(len(layers[0]))
        packed = self._packed(layers, engine)
        n = packed[0].panels.n_rows
        details = {**self._details("tiles", n * (n - 1) // 2), "precision": engine.precision}
        ranked = rank_correlations(engine, packed, pairs, self.compare, exact=self.exact)
        return [(value, {**details, **rank_details}) for value, rank_details in ranked]

    def _packed(self, layers: Sequence[np.ndarray], engine: PairwiseEngine) -> list[Packed]:
        packed = engine.packed_layers(layers, self.metric)
        if packed[0].panels.n_rows < 3:
            raise DegenerateError(f"{self} needs at least 3 rows: got {packed[0].panels.n_rows}. Pass more samples.")
        for layer in packed:
            if layer.one_direction:
                self.refuse_one_direction(layer.label, self.metric)
            if layer.simplex and self._needs_spread:
                refuse_equal_entries(self, layer.label)
        return packed

    def block_sums(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[PairSums]:
        row_sums = self.compare in ("cosine_cov", "corr_cov")
        return pair_sums(engine, self._packed(layers, engine), pairs, row_sums=row_sums)

    def from_block_sums(self, sums: PairSums, engine: PairwiseEngine) -> Result:
        if self.compare in ("pearson", "corr_cov"):
            sums.refuse_constant(str(self))
        formula = {
            "pearson": sums.pearson,
            "cosine": sums.cosine,
            "cosine_cov": sums.centred,
            "corr_cov": sums.corr_cov,
            "euclidean": sums.euclidean,
        }
        return formula[self.compare](), {**self._details("tiles", int(sums.n_pairs)), "precision": engine.precision}

    def chosen_rows(self, n_rows: int, documents: np.ndarray | None) -> list[np.ndarray] | None:
        if self.sample is None:
            return None
        return _draw_rows(
            n_rows,
            documents,
            sample=self.sample,
            draws=self.draws,
            seed=self.seed,
            per_document=self.per_document,
        )

    def pooled(self, results: Sequence[Result]) -> Result:
        if self.sample is None:
            return super().pooled(results)
        values = np.array([value for value, _ in results])
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        details = {**results[0][1], "draws": values, "spread": spread}
        if "bound" in details:
            details["bound"] = max(own["bound"] for _, own in results)
        return float(np.mean(values)), details


class _BlockSumRSA(_RowRSA, BlockSumMeasure):
    """RSA over all pairs of rows by tiles, whose value follows from sums over pairs of blocks."""


def _draw_rows(
    n_rows: int, documents: np.ndarray | None, *, sample: int, draws: int, seed: int, per_document: int | None
) -> list[np.ndarray]:
    """Return `draws` samples of row numbers, ascending, uniform without replacement.

    A sample has at most `per_document` rows of one document; `documents` is the document of each row. Draw k of a seed
    does not depend on the number of draws.
    """
    if per_document is not None and documents is None:
        raise OptionError("per_document needs to know each row's document: arrays have none. Compare stores.")
    samples = []
    for draw in range(draws):
        order = np.random.default_rng([seed, draw]).permutation(n_rows)
        if per_document is not None and documents is not None:
            order = order[_rank_in_group(documents[order]) < per_document]
        if len(order) < sample:
            cap = "" if per_document is None else f" ({len(order)} with at most {per_document} of each document)"
            raise OptionError(
                f"a sample cannot have more rows than the data: sample={sample}, got {n_rows} rows{cap}. "
                "Take a smaller one, or sample=None for all rows."
            )
        samples.append(np.sort(order[:sample]))
    return samples


def _rank_in_group(groups: np.ndarray) -> np.ndarray:
    """Return for each entry how many earlier entries have the same value."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    place = np.empty(len(groups), np.int64)
    place[order] = np.arange(len(groups)) - np.searchsorted(ordered, ordered, side="left")
    return place
