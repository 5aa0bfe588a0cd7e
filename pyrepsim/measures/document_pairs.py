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
from functools import cached_property
from typing import Any

import numpy as np

from ..core.errors import DegenerateError
from ..pairwise import PairwiseEngine
from .base import SIMILARITY, BlockSumMeasure, Invariance, Result, geometric_mean, one_of, per_layer

__all__ = ["DocumentCKA", "DocumentRSA", "DocumentSums"]

_TRANSFORMS = {"cosine": "unit", "correlation": "unit_centred", "dot": "raw"}
"""Metrics whose entries are inner products, up to sign and a constant, and the row transform that they take."""
_LEAST = 1e-12
"""A self-similarity below this fraction of the products that it is the difference of may be rounding."""


class _Documents:
    """Which rows belong to which document and block, with the rows in the order of the documents."""

    def __init__(self, documents: np.ndarray, bounds: np.ndarray | None) -> None:
        _, first, of_row, self.sizes = np.unique(documents, return_index=True, return_inverse=True, return_counts=True)
        self.order = None if (np.diff(of_row) >= 0).all() else np.argsort(of_row, kind="stable")
        self.of_row = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.block = np.zeros(len(first), int) if bounds is None else np.searchsorted(bounds, first, "right") - 1
        """The block of each document; a block holds whole documents."""


class _Rows:
    """The rows of one representation, float64, in the order of the documents, and their sums."""

    def __init__(self, rows: np.ndarray, documents: _Documents, transform: str) -> None:
        x = np.array(rows if documents.order is None else rows[documents.order], dtype=np.float64, order="C")
        # divided by the largest first: squares then neither over- nor underflow
        if transform in ("raw", "centred"):
            x = np.ldexp(x, -np.frexp(np.abs(x).max())[1])
            x -= x.mean(axis=0) if transform == "centred" else 0.0
        else:
            x /= np.abs(x).max(axis=1, keepdims=True)
            x -= x.mean(axis=1, keepdims=True) if transform == "unit_centred" else 0.0
            x /= np.sqrt(np.einsum("nd,nd->n", x, x))[:, None]
        self.x = x
        self.by_document = np.split(x, documents.starts[1:])
        self.sums = np.add.reduceat(x, documents.starts, axis=0)
        self.with_own = np.concatenate([rows @ s for rows, s in zip(self.by_document, self.sums, strict=True)])
        """Product of each row with the sum of its document."""
        self.lengths = np.einsum("kd,kd->k", self.sums, self.sums)
        self.own: dict[bytes, _Means] = {}
        """Its means with itself, by the documents that count: all pairs of layers share them."""

    @cached_property
    def products(self) -> _Products:
        """Those with itself."""
        return _Products.of(self, self)


@dataclass(frozen=True)
class _Products:
    """Products of two representations over all documents."""

    of_rows: np.ndarray
    """M = X^T Y, (d_x, d_y)."""
    of_sums: np.ndarray
    """P = sum_a s_a t_a^T, (d_x, d_y)."""
    within: np.ndarray
    """|X_a^T Y_a|^2 of each document, (n_documents,)."""

    @classmethod
    def of(cls, x: _Rows, y: _Rows) -> _Products:
        within = [_within(a, b) for a, b in zip(x.by_document, y.by_document, strict=True)]
        return cls(x.x.T @ y.x, x.sums.T @ y.sums, np.array(within))


def _within(x: np.ndarray, y: np.ndarray) -> float:
    """|X^T Y|^2 of the rows of a document, from n x n matrices if these are smaller."""
    if len(x) <= min(x.shape[1], y.shape[1]):
        return float(np.vdot(x @ x.T, y @ y.T))
    product = x.T @ y
    return float(np.vdot(product, product))


@dataclass(frozen=True)
class _Means:
    """A, B and C of two representations, and the size of the products that A is the difference of."""

    a: float
    b: float
    c: float
    size: float

    @property
    def hsic(self) -> float:
        return self.a - 2 * self.b + self.c

    @property
    def covariance(self) -> float:
        """Of the entries of the two RDMs."""
        return self.a - self.c


class DocumentSums:
    """The means A, B and C of two representations over the rows of some documents.

    With X the rows of the documents that count, (n, d), s_a the sum of document a, S that of all rows, M = X^T Y,
    P = sum_a s_a t_a^T, k_i = x_i . s_a and l_i = y_i . t_a for the document a of row i:

        A: |M|^2 - sum_a |X_a^T Y_a|^2
        B: sum_i [(x_i . S - k_i)(y_i . T - l_i) + k_i l_i] - <M, P>
        C: (|S|^2 - sum_a |s_a|^2)(|T|^2 - sum_a |t_a|^2) + 2 (|P|^2 - sum_a |s_a|^2 |t_a|^2)
           - 4 sum_a (S . s_a - |s_a|^2)(T . t_a - |t_a|^2)

    divided by the number of pairs, triples and quadruples of rows of different documents.
    """

    def __init__(self, x: _Rows, y: _Rows, documents: _Documents) -> None:
        self._x, self._y, self._documents = x, y, documents
        self._whole = self
        self._kept = np.ones(len(documents.sizes), bool)

    def resampled(self, weights: np.ndarray) -> DocumentSums:
        """Return the sums without the documents of the blocks of weight 0; the other weights are 1."""
        sums = DocumentSums(self._x, self._y, self._documents)
        sums._whole, sums._kept = self._whole, weights[self._documents.block] > 0
        return sums

    @property
    def n_documents(self) -> int:
        return int(np.count_nonzero(self._kept))

    @property
    def cross(self) -> _Means:
        """The means of X and Y."""
        return self.of_x if self._x is self._y else self._means(self._x, self._y)

    @property
    def of_x(self) -> _Means:
        """The means of X and X."""
        return self._own(self._x)

    @property
    def of_y(self) -> _Means:
        """The means of Y and Y."""
        return self._own(self._y)

    def _own(self, side: _Rows) -> _Means:
        key = self._kept.tobytes()
        if key not in side.own:
            side.own[key] = self._means(side, side)
        return side.own[key]

    @cached_property
    def _products(self) -> _Products:
        """Those of all documents."""
        return _Products.of(self._x, self._y)

    def _means(self, x: _Rows, y: _Rows) -> _Means:
        kept, out = self._kept, ~self._kept
        rows = kept[self._documents.of_row]
        products = x.products if x is y else self._whole._products
        M, P, within = products.of_rows, products.of_sums, float(products.within[kept].sum())
        if out.any():
            M = M - x.x[~rows].T @ y.x[~rows]
            P = P - x.sums[out].T @ y.sums[out]
        S, T = x.sums[kept].sum(axis=0), y.sums[kept].sum(axis=0)
        g, h = x.lengths[kept], y.lengths[kept]
        own_x, own_y = x.with_own[rows], y.with_own[rows]
        with_others = (x.x[rows] @ S - own_x) @ (y.x[rows] @ T - own_y)
        of_s, of_t = x.sums[kept] @ S - g, y.sums[kept] @ T - h
        n_2, n_3, n_4 = _counts(self._documents.sizes[kept])
        squares = float(np.vdot(M, M))
        a = squares - within
        b = float(with_others + own_x @ own_y - np.vdot(M, P))
        c = float(of_s.sum() * of_t.sum() - 4 * (of_s @ of_t) + 2 * (np.vdot(P, P) - g @ h))
        return _Means(a / n_2, b / n_3, c / n_4, (squares + within) / n_2)


def _counts(sizes: np.ndarray) -> tuple[float, float, float]:
    """The numbers of pairs, triples and quadruples of rows of different documents."""
    one, two, three, four = (float(np.sum(sizes.astype(np.float64) ** power)) for power in (1, 2, 3, 4))
    return (
        one**2 - two,
        one**3 - 3 * one * two + 2 * three,
        one**4 - 6 * one**2 * two + 8 * one * three + 3 * two**2 - 6 * four,
    )


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
    documents = _Documents(np.arange(n_rows) if named is None else named, engine.blocks)
    _check_documents(measure, len(documents.sizes))
    n_bytes = 0

    def prepared(rows: np.ndarray, label: str) -> _Rows:
        nonlocal n_bytes
        n_bytes += 8 * rows.size
        what = f"{measure}: the rows of the layers in float64"
        engine.refuse_what_does_not_fit(n_bytes, what, "Compare fewer layers at once.")
        engine.refuse_bad_rows(rows, "raw" if transform == "centred" else transform, label)
        return _Rows(rows, documents, transform)

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
                "is not positive or only rounding. Pass more documents."
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
    Symmetric. Invariant to translation, isotropic scaling and orthogonal maps of either side. Needs 4 documents.

    Notes
    -----
    `LinearCKA` counts how similar the rows of one document are to each other, and with ``debiased=True`` leaves out
    the pairs of a row with itself only. Where the documents of rows are not known, each row is a document: the value
    is then that of ``LinearCKA(debiased=True)``.

    Takes the rows of the compared layers in memory, in float64, and time n d_x d_y. Intervals are those of the
    jackknife, which needs 5 documents.

    ``Score.details`` has ``hsic_xy``, ``hsic_xx``, ``hsic_yy`` and ``n_documents``.

    References
    ----------
    Song et al. (2012), JMLR 13, equation 5, for rows that depend on each other within documents.

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
    invariant_x = SIMILARITY
    biased_by_copies = True

    def block_sums(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Any]:
        return _document_sums(self, layers, pairs, engine, "centred")

    def from_block_sums(self, sums: Any, engine: PairwiseEngine) -> Result:  # noqa: ARG002
        _check_documents(self, sums.n_documents)
        xy, xx, yy = sums.cross, sums.of_x, sums.of_y
        value, details = _ratio(self, xy.hsic, [(xx.hsic, xx.size), (yy.hsic, yy.size)], sums)
        return value, {"hsic_xy": xy.hsic, "hsic_xx": xx.hsic, "hsic_yy": yy.hsic, **details}


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
    def invariant_x(self) -> Invariance:
        common = Invariance.SCALING | Invariance.PERMUTATION
        return common if self.metric == "correlation" else common | Invariance.ORTHOGONAL

    def block_sums(
        self, layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], engine: PairwiseEngine
    ) -> list[Any]:
        return _document_sums(self, layers, pairs, engine, _TRANSFORMS[self.metric])

    def from_block_sums(self, sums: Any, engine: PairwiseEngine) -> Result:  # noqa: ARG002
        _check_documents(self, sums.n_documents)
        xy, xx, yy = sums.cross, sums.of_x, sums.of_y
        value, details = _ratio(self, xy.covariance, [(xx.covariance, xx.size), (yy.covariance, yy.size)], sums)
        return value, {"metric": self.metric, **details}
