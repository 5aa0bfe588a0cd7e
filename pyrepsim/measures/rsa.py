"""Representational similarity analysis: RDMs of n (n - 1) / 2 entries compared, in closed form where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..moments.pair import Pair
from ..pairwise import METRICS, RANK_COMPARATORS, Packed, PairSums, PairwiseEngine, pair_sums, rank_correlations
from .base import AFFINE, SIMILARITY, Invariance, Measure, Result, at_least_rows, draw_rows, one_of
from .rdm_moments import corr_cov, dot_products, pairs_of_rows, pearson_or_cosine, squared_distances
from .rdm_moments import cosine_cov as closed_cosine_cov

__all__ = ["RSA"]

_TRANSFORMS = {
    "dot": "raw",
    "sqeuclidean": "raw",
    "cosine": "unit",
    "correlation": "unit_centred",
    "sqmahalanobis": "whitened",
}
"""Metrics with a closed form, and the rows whose moments it reads."""
_CLOSED = ("pearson", "cosine", "cosine_cov", "corr_cov")
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

    The RDM of X holds a dissimilarity of rows i < j for all n (n - 1) / 2 pairs; the value compares it with that of Y.
    Nothing n x n is kept: either a closed form gives the value from moments of the rows, or the RDMs are made tile by
    tile and reduced on the way.

    metric : ``"cosine"`` (1 - cos), ``"correlation"`` (1 - Pearson across features), ``"angular"`` (arccos(cos) / pi),
        ``"sqeuclidean"``, ``"euclidean"``, ``"manhattan"``, ``"chebyshev"``, ``"sqmahalanobis"`` (squared, each side
        whitened by its own covariance: Walther et al. 2016, equation 4), ``"mahalanobis"`` (its root), or ``"dot"``
        (x_i . x_j, a similarity).
    compare : ``"pearson"``; ``"cosine"`` (uncentred); ``"spearman"``; ``"rho-a"`` (Spearman's expectation when ties are
        broken at random); ``"kendall"`` (tau-b), ``"tau-a"``; ``"cosine_cov"``, the cosine whitened by the covariance
        that the entries of an RDM have under independent noise (with squared-Euclidean distances: linear CKA);
        ``"corr_cov"``, the same after each RDM's mean entry is taken off; or ``"euclidean"``, the distance
        sqrt(sum (d - e)^2), 0 for equal RDMs. The whitened ones are not defined for ``"dot"``, whose matrix has no
        zero diagonal.
    method : ``"closed"``: from moments, one pass (sqmahalanobis: two), any number of rows; for the metrics dot,
        sqeuclidean, cosine, correlation and sqmahalanobis with pearson, cosine, cosine_cov or corr_cov. ``"tiles"``:
        over all pairs of rows, time n^2. ``"auto"``: closed where it exists.
    sample : rows to draw, the same in all models and layers; None: all rows. draws : how many samples; the value is the
        mean over them. seed : of the draws. per_document : the most rows of one document in a sample (stores only).
        The paper's RSA is ``RSA(sample=5000, draws=5)``.
    exact : for Spearman and rho-a of many rows: ranks from 2^24 bins rather than 2^16.

    Correlations are in [-1, 1]; cosine and cosine_cov of distances in [0, 1] (cosine_cov of chebyshev in [-1, 1]);
    euclidean is at least 0. Symmetric. Cosine, angular and dot see the origin: no invariance to translation.
    Correlation, manhattan and chebyshev see the features: none to rotation.

    Ranks are exact up to 8192 rows, entries that agree to about the tiles' accuracy tied (20 bits in float32, 40 in
    float64; precision="auto" takes float64 up to 2048 rows); beyond, entries are ranked by histograms.

    ``details``: metric, compare, method, n_pairs; from rows precision; from ranks ``ranks`` ("exact" or "histogram",
    the latter with bins and ``bound``: how far the value can be from the exact one at most); of samples ``draws`` (a
    value each) and ``spread`` (their standard deviation).

    References: Kriegeskorte et al. (2008), Frontiers in Systems Neuroscience 2:4; Diedrichsen et al. (2020),
    arXiv:2007.02789, equations 16 and 21; Schuett et al. (2023), eLife 12:e82566 (rho-a); sampling: Merchant et al.
    (2020), section 5.
    """

    metric: str = "cosine"
    compare: str = "pearson"
    method: str = "auto"
    sample: int | None = None
    draws: int = 1
    seed: int = 0
    per_document: int | None = None
    exact: bool = False

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
        if self.method == "closed" and not self._has_closed_form:
            raise OptionError(
                f"RSA: a closed form exists for the metrics {', '.join(_TRANSFORMS)} with {', '.join(_CLOSED)}: got "
                f"metric={self.metric!r}, compare={self.compare!r}. Use method='tiles'."
            )
        for option, least in (("sample", 3), ("draws", 1), ("per_document", 1), ("seed", 0)):
            value = getattr(self, option)
            if value is not None and value < least:
                raise OptionError(f"RSA: {option} must be a whole number >= {least}: got {value!r}.")
        if self.sample is None and (self.draws, self.seed, self.per_document) != (1, 0, None):
            raise OptionError("RSA: draws, seed and per_document are about samples: give sample=, or leave them out.")
        if self.exact and self.compare not in ("spearman", "rho-a"):
            raise OptionError(f"RSA: exact is about Spearman and rho-a: got compare={self.compare!r}. Leave it out.")

    @property
    def _has_closed_form(self) -> bool:
        return self.metric in _TRANSFORMS and self.compare in _CLOSED

    @property
    def _closed(self) -> bool:
        return self._has_closed_form and self.method != "tiles"

    @property
    def reads(self) -> str:
        return "moments" if self._closed and self.sample is None else "rows"

    @property
    def transform(self) -> str:
        return _TRANSFORMS[self.metric] if self.reads == "moments" else "raw"

    @property
    def needs_second_pass(self) -> bool:
        return self.transform == "whitened"

    @property
    def copies_bias(self) -> bool:
        # entries of a row with its own copy are counted out where they are 0 or where entries are summed by blocks
        return self._closed and (self.metric == "dot" or self.compare == "corr_cov")

    @property
    def has_block_sums(self) -> bool:
        return not self._closed and self.sample is None and self.compare in ("pearson", "cosine", "euclidean")

    @property
    def range(self) -> tuple[float, float]:
        if self.compare == "euclidean":
            return (0.0, float("inf"))
        # a distance of negative type has a positive semi-definite Gram matrix; the largest difference is none
        positive = self.metric != "dot" if self.compare == "cosine" else self.metric != "chebyshev"
        return (0.0, 1.0) if self.compare in ("cosine", "cosine_cov") and positive else (-1.0, 1.0)

    @property
    def invariant_x(self) -> Invariance:
        declared = _INVARIANT[self.metric]
        if self.compare == "euclidean" and self.metric not in _WITHOUT_UNITS:
            declared &= ~Invariance.SCALING
        return declared

    def evaluate(self, pair: Pair) -> Result:
        at_least_rows(self, pair.x, 3)
        n = pair.n_samples
        if self.compare == "cosine_cov":
            value = closed_cosine_cov(self, pair)
        elif self.compare == "corr_cov":
            value = corr_cov(self, pair)
        else:
            sums = dot_products if self.metric == "dot" else squared_distances
            value = pearson_or_cosine(self, pair, sums, self.compare == "pearson")
        return value, self._about("closed", int(n * (n - 1) // 2))

    def evaluate_layers(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Result]:
        if self._closed:
            used = {"precision": engine.moments_precision}
            found = map(self.evaluate, pairs_of_rows(layers, pairs, _TRANSFORMS[self.metric], engine))
            return [(value, {**details, **used}) for value, details in found]
        if self.compare not in RANK_COMPARATORS:
            return [self.from_block_sums(each, engine) for each in self.block_sums(layers, pairs, engine)]
        engine = engine.for_ranks(len(layers[0]))
        packed = self._packed(layers, engine)
        n = packed[0].panels.n_rows
        about = {**self._about("tiles", n * (n - 1) // 2), "precision": engine.precision}
        found = rank_correlations(engine, packed, pairs, self.compare, exact=self.exact)
        return [(value, {**about, **how}) for value, how in found]

    def _packed(self, layers: Sequence[np.ndarray], engine: PairwiseEngine) -> list[Packed]:
        packed = engine.packed_layers(layers, self.metric)
        if packed[0].panels.n_rows < 3:
            raise DegenerateError(f"{self} needs at least 3 rows: got {packed[0].panels.n_rows}. Pass more samples.")
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
        return formula[self.compare](), {**self._about("tiles", int(sums.n_pairs)), "precision": engine.precision}

    def chosen_rows(self, n_rows: int, documents: np.ndarray | None) -> list[np.ndarray] | None:
        if self.sample is None:
            return None
        how = {"sample": self.sample, "draws": self.draws, "seed": self.seed, "per_document": self.per_document}
        return draw_rows(n_rows, documents, **how)

    def pooled(self, results: Sequence[Result]) -> Result:
        if self.sample is None:
            return super().pooled(results)
        values = np.array([value for value, _ in results])
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        details = {**results[0][1], "draws": values, "spread": spread}
        if "bound" in details:
            details["bound"] = max(found["bound"] for _, found in results)
        return float(np.mean(values)), details

    def _about(self, method: str, n_pairs: int) -> Mapping[str, Any]:
        return {"metric": self.metric, "compare": self.compare, "method": method, "n_pairs": n_pairs}
