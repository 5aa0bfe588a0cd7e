"""Features of sparse rows, such as those of two sparse autoencoders: which correspond, and how often each is active."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import rows_view
from ..core.errors import DegenerateError, OptionError, ShapeError
from ..core.progress import progress_bar
from ..core.sparse import column_moments, is_sparse, sparse_rows
from ..moments.pair import LEAST_SD
from .permutation import permuted_rows, rows_by_document
from .sources import named_documents

__all__ = ["FiringDrift", "NearestFeatures", "firing_drift", "nearest_features"]

_BLOCK_ELEMENTS = 1 << 23
"""Correlations that are in memory at once (64 MiB)."""


@dataclass(frozen=True, eq=False)
class NearestFeatures:
    """The features of Y that correlate most with each feature of X; see `nearest_features`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> X = np.random.default_rng(0).random((200, 5))
    >>> found = rs.nearest_features(X, X[:, ::-1])
    >>> found.index[:, 0].tolist(), found.n_samples
    ([4, 3, 2, 1, 0], 200)
    """

    index: np.ndarray
    """Their numbers, best first, (d_x, k); -1 for a constant feature of X, or where Y has fewer that vary."""
    correlation: np.ndarray
    """Pearson correlations, (d_x, k); NaN where there is none."""
    null: np.ndarray
    """The best correlation of each feature of X with rows of Y in random order, (n_resamples, d_x)."""
    n_samples: int

    @property
    def p(self) -> np.ndarray:
        """(1 + the number of random orders with at least the best correlation) / (1 + n_resamples), (d_x,).

        The lowest is 1 / (1 + n_resamples). NaN for constant features of X.
        """
        best = self.correlation[:, 0]
        reached = np.count_nonzero(self.null >= best, axis=0)
        return np.where(np.isnan(best), np.nan, (1 + reached) / (1 + len(self.null)))


@dataclass(frozen=True, eq=False)
class FiringDrift:
    """How often each feature is active in two sets of rows of the same samples; see `firing_drift`.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> drift = rs.firing_drift([[1.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]])
    >>> drift.rate_x.tolist(), drift.silenced.tolist()
    ([1.0, 0.0], [0])
    """

    rate_x: np.ndarray
    """The fraction of rows in which each feature of X is active, (d,)."""
    rate_y: np.ndarray
    """The same of Y, (d,)."""
    standard_error: np.ndarray
    """Of `difference`, for independent rows that are paired, (d,)."""
    n_samples: int

    @property
    def difference(self) -> np.ndarray:
        """rate_y - rate_x, (d,)."""
        return self.rate_y - self.rate_x

    @property
    def silenced(self) -> np.ndarray:
        """Numbers of the features that are active in X but never in Y."""
        return np.flatnonzero((self.rate_x > 0) & (self.rate_y == 0))

    @property
    def appeared(self) -> np.ndarray:
        """Numbers of the features that are active in Y but never in X."""
        return np.flatnonzero((self.rate_x == 0) & (self.rate_y > 0))


def nearest_features(
    X: Any,
    Y: Any,
    *,
    k: int = 1,
    n_resamples: int = 19,
    seed: int = 0,
    documents: Any = None,
    progress: bool | None = None,
) -> NearestFeatures:
    """Find the features of Y that correlate most with each feature of X, and what chance alone would find.

    r_ab = (x_a . y_b - n m_a m_b) / (s_a s_b), with the columns x_a and y_b, their means m and their lengths s after
    the mean is subtracted. The best of many features is high by chance, so it is compared with the best of the same
    features after the rows of Y are put in random order.

    Parameters
    ----------
    X, Y : sparse or dense array-like of shape (n_samples, d_x) and (n_samples, d_y)
        Rows that are matched by position, in any form that `compare` takes.
    k : int, default 1
        How many features of Y to return for each feature of X.
    n_resamples : int, default 19
        Random orders of the rows of Y. Each takes as long as the search itself.
    seed : int, default 0
        Of the random orders.
    documents : array-like of shape (n_samples,), optional
        The document of each row, such as ``store.columns.doc_id``. Whole documents then change places, because rows of
        one document resemble each other, so that p is too low if they are torn apart. If documents have different
        lengths, only some rows are used: see the notes of `permutation_test`.
    progress : bool, optional
        Whether to show a progress bar. None: on a terminal and in a notebook; lines in a log.

    Returns
    -------
    NearestFeatures

    Raises
    ------
    ShapeError, DTypeError, NonFiniteError
        If the rows are not two matrices of finite numbers with the same number of rows.
    DegenerateError
        If every feature of a side is constant, or if there are too few documents, or their lengths are too unequal.
    OptionError
        If `k` or `n_resamples` is less than 1.

    Notes
    -----
    Products are sparse; correlations are made for some features of X at a time, in 64 MiB, in time d_x d_y. Their error
    is about 1e-15 (1 + (m_a / sd_a)^2).

    References
    ----------
    Li et al. (2015), arXiv:1511.07543 (matching of single features by correlation).

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.exponential(size=(400, 30)) * (rng.random((400, 30)) < 0.1)
    >>> Y = np.where(rng.random((400, 30)) < 0.9, X[:, ::-1], 0)
    >>> found = rs.nearest_features(X, Y)
    >>> found.index[:4, 0].tolist(), float(found.p.max())
    ([29, 28, 27, 26], 0.05)
    """
    for name, value in (("k", k), ("n_resamples", n_resamples)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise OptionError(f"{name} must be a whole number, at least 1: got {value!r}.")
    pair, matched = _paired(X, Y), None
    if documents is not None:
        matched = rows_by_document(named_documents(documents, pair[0].shape[0]))
        pair = tuple(rows[np.sort(matched, axis=None)] for rows in pair)
    x, y = _columns(*pair)
    n = x.n_rows
    orders = [None, *_random_orders(n, matched, n_resamples, seed)]
    size = max(1, _BLOCK_ELEMENTS // len(y.varying))
    index, correlation = np.full((x.n_features, k), -1), np.full((x.n_features, k), np.nan)
    null = np.full((n_resamples, x.n_features), np.nan)
    kept = min(k, len(y.varying))
    transposed = x.rows.T.tocsr()
    with progress_bar(len(orders) * len(x.varying), progress, desc="features", unit=" features") as bar:
        for resample, order in enumerate(orders, start=-1):
            other = y.rows if order is None else y.rows[order]
            for begin in range(0, len(x.varying), size):
                part = slice(begin, begin + size)
                found = (transposed[part] @ other).toarray()
                found -= n * np.outer(x.means[part], y.means)
                found /= x.lengths[part, None]
                found /= y.lengths
                np.clip(found, -1.0, 1.0, out=found)
                features = x.varying[part]
                if order is not None:
                    null[resample, features] = found.max(axis=1)
                else:
                    best = np.argpartition(found, -kept, axis=1)[:, -kept:]
                    values = np.take_along_axis(found, best, axis=1)
                    ranked = np.lexsort((best, -values), axis=1)  # of equal correlations, the first feature
                    index[features, :kept] = y.varying[np.take_along_axis(best, ranked, axis=1)]
                    correlation[features, :kept] = np.take_along_axis(values, ranked, axis=1)
                bar.update(len(features))
    return NearestFeatures(index, correlation, null, n)


def _random_orders(n_rows: int, matched: np.ndarray | None, n_resamples: int, seed: int) -> list[np.ndarray]:
    if matched is None:
        rng = np.random.default_rng(seed)
        return [rng.permutation(n_rows) for _ in range(n_resamples)]
    return [permuted_rows(n_rows, matched, seed=seed, index=index) for index in range(n_resamples)]


def firing_drift(X: Any, Y: Any, *, above: float = 0.0) -> FiringDrift:
    """Compare how often each feature is active, before and after a change of the model, say.

    With b and c the numbers of rows in which a feature is active in Y only and in X only, the difference of its rates
    is (b - c) / n, with the standard error sqrt(b + c - (b - c)^2 / n) / n.

    Parameters
    ----------
    X, Y : sparse or dense array-like of shape (n_samples, n_features)
        The same features of the same samples, in any form that `compare` takes.
    above : float, default 0.0
        A feature is active in a row if it is larger than this number, which is at least 0.

    Returns
    -------
    FiringDrift

    Raises
    ------
    ShapeError, DTypeError, NonFiniteError
        If the rows are not two matrices of finite numbers with the same shape.
    OptionError
        If `above` is negative or not finite.

    References
    ----------
    McNemar (1947), Psychometrika 12(2): paired proportions.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> drift = rs.firing_drift([[1.0, 0.0], [2.0, 0.0]], [[0.0, 3.0], [1.0, 0.0]])
    >>> drift.difference.tolist(), drift.appeared.tolist()
    ([-0.5, 0.5], [1])
    """
    if isinstance(above, bool) or not isinstance(above, int | float | np.number) or not 0 <= above < np.inf:
        raise OptionError(f"above must be a number, at least 0: got {above!r}.")
    x, y = _paired(X, Y)
    if x.shape != y.shape:
        raise ShapeError(f"X and Y must have the same features: got shapes {x.shape} and {y.shape}.")
    n = x.shape[0]
    both = [(side > above).astype(np.int64) for side in (x, y)]
    only_y = both[1].sum(axis=0) - (shared := both[0].multiply(both[1]).sum(axis=0))
    only_x = both[0].sum(axis=0) - shared
    error = np.sqrt(np.maximum(only_x + only_y - (only_y - only_x) ** 2 / n, 0.0)) / n
    return FiringDrift(both[0].sum(axis=0) / n, both[1].sum(axis=0) / n, error, n)


@dataclass(frozen=True)
class _Columns:
    """The features of a side that vary."""

    rows: Any
    varying: np.ndarray
    means: np.ndarray
    lengths: np.ndarray
    n_features: int

    @property
    def n_rows(self) -> int:
        return int(self.rows.shape[0])


def _paired(X: Any, Y: Any) -> tuple[Any, Any]:
    """Return both sides as sparse matrices with the same number of rows."""
    x, y = (
        sparse_rows(side, name) if is_sparse(side) else sparse_rows(_as_sparse(rows_view(side, name)), name)
        for side, name in ((X, "X"), (Y, "Y"))
    )
    if x.shape[0] != y.shape[0]:
        raise ShapeError(
            f"X and Y must have the same number of rows: got {x.shape} and {y.shape}. Rows are matched by position; "
            "rows without an active feature are rows too."
        )
    return x, y


def _as_sparse(rows: np.ndarray) -> Any:
    from scipy import sparse

    return sparse.csr_array(rows.astype(np.float32) if rows.dtype.itemsize < 4 else rows)


def _columns(X: Any, Y: Any) -> tuple[_Columns, _Columns]:
    """Return the columns of two sparse matrices with the same number of rows."""
    sides = []
    for rows, name in zip((X, Y), "XY", strict=True):
        rows = rows.astype(np.float64)
        n, d = rows.shape
        largest = np.zeros(d)
        np.maximum.at(largest, rows.indices, np.abs(rows.data))
        # by a power of two, which changes no correlation: squares then neither over- nor underflow
        rows.data = np.ldexp(rows.data, -np.frexp(largest)[1][rows.indices])
        means, squares = column_moments(rows)
        varying = np.flatnonzero(np.sqrt(squares / n) > LEAST_SD * np.abs(means))
        if not len(varying):
            raise DegenerateError(
                f"nearest_features needs features that vary: every feature of {name} is constant over the {n} rows. "
                "Check the layer and the row selection."
            )
        sides.append(_Columns(rows[:, varying], varying, means[varying], np.sqrt(squares[varying]), d))
    return sides[0], sides[1]
