"""Sums over rows of different documents, from which unbiased estimates for independent documents follow.

They are made from sums of each document, in time n d_x d_y, and for any choice of blocks of documents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["DocumentRows", "DocumentSums", "Documents"]


class Documents:
    """Which rows belong to which document and block, with the rows in the order of the documents."""

    def __init__(self, documents: np.ndarray, bounds: np.ndarray | None) -> None:
        _, first, of_row, self.sizes = np.unique(documents, return_index=True, return_inverse=True, return_counts=True)
        self.order = None if (np.diff(of_row) >= 0).all() else np.argsort(of_row, kind="stable")
        self.of_row = np.repeat(np.arange(len(self.sizes)), self.sizes)
        self.starts = np.cumsum(self.sizes) - self.sizes
        self.block = np.zeros(len(first), int) if bounds is None else np.searchsorted(bounds, first, "right") - 1
        """The block of each document; a block holds whole documents."""


class DocumentRows:
    """The rows of one representation, float64, in the order of the documents, and their sums."""

    def __init__(self, rows: np.ndarray, documents: Documents, transform: str) -> None:
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
        self._starts = documents.starts
        self.by_document = np.split(x, documents.starts[1:])
        self.sums = np.add.reduceat(x, documents.starts, axis=0)
        self.with_own = np.concatenate([rows @ s for rows, s in zip(self.by_document, self.sums, strict=True)])
        """Product of each row with the sum of its document."""
        self.lengths = np.einsum("kd,kd->k", self.sums, self.sums)
        self.own: dict[bytes, _Means] = {}
        """Its means with itself, by the documents that count: all pairs of layers share them."""
        self.of_features: dict[bytes, float] = {}
        """The HSIC of each feature with itself, summed; by the documents that count."""

    @property
    def n_features(self) -> int:
        return self.x.shape[1]

    @cached_property
    def squares(self) -> np.ndarray:
        """Sums of squares of each document, (n_documents, d)."""
        return np.add.reduceat(self.x**2, self._starts, axis=0)

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
    def of(cls, x: DocumentRows, y: DocumentRows) -> _Products:
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
    """A, B and C of two representations, and the size of the products that A is the difference of.

    B, which needs a pass over the rows, is computed when it is read: RSA needs A and C alone.
    """

    a: float
    c: float
    size: float
    triples: Callable[[], float]

    @cached_property
    def b(self) -> float:
        return self.triples()

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

    def __init__(self, x: DocumentRows, y: DocumentRows, documents: Documents) -> None:
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
    def sides(self) -> tuple[DocumentRows, DocumentRows]:
        """X and Y."""
        return self._x, self._y

    @property
    def cross(self) -> _Means:
        """The means of X and Y."""
        return self.own(self._x) if self._x is self._y else self._means(self._x, self._y)

    def own(self, side: DocumentRows) -> _Means:
        """Return the means of a side and itself."""
        key = self._kept.tobytes()
        if key not in side.own:
            side.own[key] = self._means(side, side)
        return side.own[key]

    def hsic_of_features(self, side: DocumentRows) -> float:
        """Return the HSIC of each feature of a side with itself, summed."""
        key = self._kept.tobytes()
        if key not in side.of_features:
            side.of_features[key] = _features(side.sums[self._kept], side.squares[self._kept], self._counts)
        return side.of_features[key]

    @cached_property
    def _counts(self) -> tuple[float, float, float]:
        return _counts(self._documents.sizes[self._kept])

    @cached_property
    def _products(self) -> _Products:
        """Those of all documents."""
        return _Products.of(self._x, self._y)

    def _means(self, x: DocumentRows, y: DocumentRows) -> _Means:
        kept, out = self._kept, ~self._kept
        rows = kept[self._documents.of_row]
        products = x.products if x is y else self._whole._products
        M, P, within = products.of_rows, products.of_sums, float(products.within[kept].sum())
        if out.any():
            M = M - x.x[~rows].T @ y.x[~rows]
            P = P - x.sums[out].T @ y.sums[out]
        S, T = x.sums[kept].sum(axis=0), y.sums[kept].sum(axis=0)
        g, h = x.lengths[kept], y.lengths[kept]
        of_s, of_t = x.sums[kept] @ S - g, y.sums[kept] @ T - h
        n_2, n_3, n_4 = self._counts
        squares, product = float(np.vdot(M, M)), float(np.vdot(M, P))
        a = squares - within

        def triples() -> float:
            own_x, own_y = x.with_own[rows], y.with_own[rows]
            with_others = (x.x[rows] @ S - own_x) @ (y.x[rows] @ T - own_y)
            return float(with_others + own_x @ own_y - product) / n_3

        c = float(of_s.sum() * of_t.sum() - 4 * (of_s @ of_t) + 2 * (np.vdot(P, P) - g @ h))
        return _Means(a / n_2, c / n_4, (squares + within) / n_2, triples)


def _features(sums: np.ndarray, squares: np.ndarray, counts: tuple[float, float, float]) -> float:
    """HSIC of each feature with itself, summed, from sums and sums of squares of each document, (n_documents, d)."""
    n_2, n_3, n_4 = counts
    total, square, product = sums.sum(axis=0), squares.sum(axis=0), (sums**2).sum(axis=0)
    others = total - sums
    a = square**2 - (squares**2).sum(axis=0)
    b = (squares * (others**2 + sums**2)).sum(axis=0) - square * product
    with_others = sums * others
    c = with_others.sum(axis=0) ** 2 - 4 * (with_others**2).sum(axis=0) + 2 * (product**2 - (sums**4).sum(axis=0))
    return float(np.sum(a / n_2 - 2 * b / n_3 + c / n_4))


def _counts(sizes: np.ndarray) -> tuple[float, float, float]:
    """The numbers of pairs, triples and quadruples of rows of different documents."""
    one, two, three, four = (float(np.sum(sizes.astype(np.float64) ** power)) for power in (1, 2, 3, 4))
    return (
        one**2 - two,
        one**3 - 3 * one * two + 2 * three,
        one**4 - 6 * one**2 * two + 8 * one * three + 3 * two**2 - 6 * four,
    )
