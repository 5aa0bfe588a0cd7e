"""CKA and RSA from pairs of rows of different documents: estimates that documents do not bias.

Rows of one document depend on each other, so that two unrelated representations look alike within documents. With
K_ij = x_i . x_j and L_ij = y_i . y_j, the means

    A of K_ij L_ij over rows i, j of two documents,
    B of K_ij L_ik over rows i, j, k of three documents,
    C of K_ij L_kl over rows i, j, k, l of four documents

are unbiased estimates for rows of independent documents (U-statistics). HSIC is A - 2 B + C, and the covariance of the
entries of two RDMs is A - C. All of them follow from sums for each document, in time n d^2: see `DocumentSums`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DegenerateError
from ..pairwise import PairwiseEngine
from .base import SIMILARITY, BlockSumMeasure, Invariance, Result, geometric_mean, one_of, per_layer
from .document_sums import DocumentRows, Documents, DocumentSums

__all__ = ["DocumentCKA", "DocumentRSA"]

_TRANSFORMS = {"cosine": "unit", "correlation": "unit_centred", "dot": "raw"}
"""Metrics whose entries are inner products, up to sign and a constant, and the row transform that they take."""
_LEAST = 1e-12
"""A self-similarity below this fraction of the products that it is the difference of may be rounding."""


def _document_sums(
    measure: BlockSumMeasure,
    layers: Sequence[np.ndarray],
    pairs: Sequence[tuple[int, int]],
    engine: PairwiseEngine,
    transform: str,
) -> list[Any]:
    """Return the sums of each pair of layers. Where documents are not known, each row is one."""
    named = getattr(layers, "documents", None)
    n_rows = len(layers[0])
    documents = Documents(np.arange(n_rows) if named is None else named, engine.blocks)
    _check_documents(measure, len(documents.sizes))
    n_bytes = 0

    def prepared(rows: np.ndarray, label: str) -> DocumentRows:
        nonlocal n_bytes
        n_bytes += 8 * rows.size
        what = f"{measure}: the rows of the layers in float64"
        engine.refuse_what_does_not_fit(n_bytes, what, "Compare fewer layers at once.")
        engine.refuse_bad_rows(rows, "raw" if transform == "centred" else transform, label)
        return DocumentRows(rows, documents, transform)

    of_layer = per_layer(layers, pairs, prepared)
    return [DocumentSums(of_layer[i], of_layer[j], documents) for i, j in pairs]


def _check_documents(measure: BlockSumMeasure, n_documents: int) -> None:
    if n_documents < 4:
        raise DegenerateError(f"{measure} needs rows of at least 4 documents: got {n_documents}. Pass more documents.")


def _ratio(measure: BlockSumMeasure, xy: float, own: Sequence[tuple[float, float]], sums: DocumentSums) -> Result:
    """Return xy / sqrt(xx yy) and the details; `own` has xx and yy, each with the size of its products."""
    for (value, size), side in zip(own, "XY", strict=True):
        if not value > _LEAST * size:
            raise DegenerateError(
                f"{measure} is undefined here: between documents, the self-similarity of {side} is {value:.3g}, which "
                "is not positive or only rounding. Pass more documents or features."
            )
    (xx, _), (yy, _) = own
    return xy / geometric_mean(xx, yy), {"n_documents": sums.n_documents, "precision": "fp64"}


@dataclass(frozen=True)
class DocumentCKA(BlockSumMeasure):
    """Linear CKA of pairs of rows of different documents.

    value = HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y)) with the unbiased HSIC = A - 2 B + C for rows of independent
    documents: A, B and C are the means of K_ij L_ij, K_ij L_ik and K_ij L_kl over rows of 2, 3 and 4 different
    documents, K = X X^T and L = Y Y^T.

    Equal representations give 1, unrelated ones 0 in expectation; an estimate from few documents may leave [-1, 1].
    Symmetric. Invariant to translation, isotropic scaling and orthogonal maps of either side; with
    ``sampled_features=True`` to permutations of features in place of orthogonal maps. Needs 4 documents.

    Parameters
    ----------
    sampled_features : bool, default False
        Estimate the CKA of all features from which those of X, and independently those of Y, are a random sample, such
        as recorded neurons. HSIC(X, X) is then the mean over pairs of two different features, p / (p - 1) (HSIC(X, X) -
        sum_a HSIC(x_a, x_a)) for p features x_a. Needs 2 features. X with itself is then not 1, because its features
        are not two independent samples.

    Notes
    -----
    `LinearCKA` counts how similar the rows of one document are to each other, and with ``debiased=True`` leaves out
    the pairs of a row with itself only. Where the documents of rows are not known, each row is a document: the value
    is then that of ``LinearCKA(debiased=True)``.

    Takes the rows of the compared layers in memory, in float64, and time n d_x d_y. Intervals are those of the
    jackknife, which needs 5 documents.

    Few features lower the value of two representations that are alike: noise of single features counts in HSIC(X, X),
    and not in HSIC(X, Y). ``sampled_features=True`` removes this bias.

    ``Score.details`` has ``hsic_xy``, ``hsic_xx``, ``hsic_yy`` and ``n_documents``.

    References
    ----------
    Song et al. (2012), JMLR 13, equation 5, for rows that depend on each other within documents. Chun et al. (2025),
    arXiv:2502.15104 (sampled features).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> documents = np.repeat(np.arange(50), 10)
    >>> X, Y = (rng.standard_normal((50, 8))[documents] + rng.standard_normal((500, 8)) for _ in range(2))
    >>> scores = rs.compare(X, Y, [rs.LinearCKA(debiased=True), rs.DocumentCKA()], documents=documents)
    >>> [round(score.value, 3) for score in scores]
    [0.026, -0.009]
    """

    range = (-float("inf"), float("inf"))
    biased_by_copies = True

    sampled_features: bool = False

    @property
    def correlation_like(self) -> bool:
        return True

    @property
    def invariant_x(self) -> Invariance:
        if self.sampled_features:
            return Invariance.TRANSLATION | Invariance.SCALING | Invariance.PERMUTATION
        return SIMILARITY

    def block_sums(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Any]:
        return _document_sums(self, layers, pairs, engine, "centred")

    def from_block_sums(self, sums: Any, engine: PairwiseEngine) -> Result:  # noqa: ARG002
        _check_documents(self, sums.n_documents)
        own = [sums.own(side) for side in sums.sides]
        xx, yy = (
            _of_different_features(self, one.hsic - sums.hsic_of_features(side), side.n_features)
            if self.sampled_features
            else one.hsic
            for one, side in zip(own, sums.sides, strict=True)
        )
        xy = sums.cross.hsic
        value, details = _ratio(self, xy, [(xx, own[0].size), (yy, own[1].size)], sums)
        return value, {"hsic_xy": xy, "hsic_xx": xx, "hsic_yy": yy, **details}


def _of_different_features(measure: BlockSumMeasure, hsic: float, n_features: int) -> float:
    """HSIC of pairs of different features, summed, as a value of all pairs."""
    if n_features < 2:
        raise DegenerateError(f"{measure} needs at least 2 features: got {n_features}. Pass more features.")
    return hsic * n_features / (n_features - 1)


@dataclass(frozen=True)
class DocumentRSA(BlockSumMeasure):
    """Pearson correlation of the entries of two RDMs that belong to rows of different documents.

    value = cov(D, E) / sqrt(cov(D, D) cov(E, E)) with the unbiased cov = A - C for rows of independent documents: A and
    C are the means of D_ij E_ij and D_ij E_kl over rows of 2 and 4 different documents.

    Equal representations give 1, unrelated ones 0 in expectation; an estimate from few documents may leave [-1, 1].
    Symmetric. Invariant to isotropic scaling and permutation of the features of either side, for cosine and dot to all
    orthogonal maps. Needs 4 documents.

    Parameters
    ----------
    metric : {"cosine", "correlation", "dot"}, default "cosine"
        As in `RSA`.

    Notes
    -----
    As for `DocumentCKA`. ``Score.details`` has ``metric`` and ``n_documents``.

    References
    ----------
    Kriegeskorte et al. (2008), Frontiers in Systems Neuroscience 2:4.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> documents = np.repeat(np.arange(50), 10)
    >>> X, Y = (rng.standard_normal((50, 8))[documents] + rng.standard_normal((500, 8)) for _ in range(2))
    >>> scores = rs.compare(X, Y, [rs.RSA(), rs.DocumentRSA()], documents=documents)
    >>> [round(score.value, 3) for score in scores]
    [0.021, -0.011]
    """

    range = (-float("inf"), float("inf"))
    biased_by_copies = True

    metric: str = "cosine"

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of(self, "metric", tuple(_TRANSFORMS))

    @property
    def correlation_like(self) -> bool:
        return True

    @property
    def invariant_x(self) -> Invariance:
        common = Invariance.SCALING | Invariance.PERMUTATION
        return common if self.metric == "correlation" else common | Invariance.ORTHOGONAL

    def block_sums(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Any]:
        return _document_sums(self, layers, pairs, engine, _TRANSFORMS[self.metric])

    def from_block_sums(self, sums: Any, engine: PairwiseEngine) -> Result:  # noqa: ARG002
        _check_documents(self, sums.n_documents)
        own = [(one.covariance, one.size) for one in map(sums.own, sums.sides)]
        value, details = _ratio(self, sums.cross.covariance, own, sums)
        return value, {"metric": self.metric, **details}
