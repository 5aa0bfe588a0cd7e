"""The maps behind the measures: fitted on some rows, applied to others.

Each class follows the conventions of scikit-learn: options are arguments of the constructor, ``fit`` returns the
object, what was fitted has names that end in ``_``, and ``get_params`` and ``set_params`` exist. ``fit_moments`` fits
the same from sums, such as `PairedMoments` of a stream.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import check_paired
from ..core.errors import DegenerateError, OptionError
from ..measures import CCA, SVCCA, Matching, ShapeMetric
from ..measures.matching import constant_features
from ..measures.shape import angle_and_distance
from ..moments import Pair, Side
from .fitted_maps import FittedMap, TwoMaps, column_correlations, varies_by_column

__all__ = ["CCADirections", "FeatureMatching", "LinearMap", "ProcrustesAlignment"]


@dataclass
class ProcrustesAlignment(TwoMaps):
    """The rotations that align two representations, as in `Procrustes` and `ShapeMetric`.

    With S_xy = U diag(s) V^T of the (partially whitened) sides, X is mapped by W_x = M_x U and Y by W_y = M_y V, where
    M = alpha I + (1 - alpha) S^-1/2. Both land in a space of max(d_x, d_y) dimensions; the narrower side is padded with
    zeros.

    Parameters
    ----------
    alpha : float, default 1.0
        As in `ShapeMetric`: 1 rotates, 0 whitens first.
    center : bool, default True
        Subtract the means of the rows that were fitted.

    Attributes
    ----------
    W_x_, W_y_ : ndarray of shape (d_x, d) and (d_y, d), with d = max(d_x, d_y)
    mean_x_, mean_y_ : ndarray of shape (d_x,) and (d_y,)
        Zero with ``center=False``.

    References
    ----------
    Schoenemann (1966), Psychometrika 31. Williams et al. (2021), arXiv:2110.14739.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X @ np.linalg.qr(rng.standard_normal((8, 8)))[0] + 0.1 * rng.standard_normal((500, 8))
    >>> aligned = rs.ProcrustesAlignment().fit(X[:400], Y[:400])
    >>> round(aligned.score(X[400:], Y[400:]), 3)
    0.104
    >>> bool(np.abs(aligned.align(X) - Y).max() < 0.5)
    True
    """

    alpha: float = 1.0
    center: bool = True

    def __post_init__(self) -> None:
        ShapeMetric(self.alpha)  # raises OptionError for other values

    def _fit(self, pair: Pair) -> None:
        self._set_sides(pair)
        map_x, map_y = self._whitening(pair.x), self._whitening(pair.y)
        left, _, right = np.linalg.svd(map_x.T @ pair.cross @ map_y)
        width = max(pair.x.n_features, pair.y.n_features)
        self.W_x_, self.W_y_ = _padded(map_x @ left, width), _padded(map_y @ right.T, width)

    def _whitening(self, side: Side) -> np.ndarray:
        if self.alpha == 1:
            return np.eye(side.n_features)
        values, vectors = side.spectrum
        rank = side.rank_of(values)
        scales = np.full(len(values), self.alpha)
        scales[:rank] += (1 - self.alpha) / np.sqrt(values[:rank])
        return (vectors * scales) @ vectors.T

    def align(self, X: Any) -> np.ndarray:
        """Return the rows of X, rotated into the coordinates of Y and moved to its mean, (n, d_y); with ``alpha=1``."""
        if self.alpha != 1:
            raise OptionError("align rotates X into the coordinates of Y: it needs alpha=1. Use transform(X, Y).")
        return self.transform(X) @ self.W_y_.T + self.mean_y_

    def score(self, X: Any, Y: Any, *, value: str = "angle") -> float:
        """Return how far the aligned rows of X and Y differ: rows that were fitted, or held-out rows.

        Parameters
        ----------
        X, Y : array-like of shape (n_samples, d_x) and (n_samples, d_y)
        value : {"angle", "distance", "similarity", "euclidean"}, default "angle"
            arccos s in [0, pi]; sqrt(2 - 2 s); s = <A, B> / (|A|_F |B|_F) of the aligned rows A and B; or |A - B|_F.
        """
        check_paired(X, Y)
        a, b = self.transform(X, Y)
        if value == "euclidean":
            return float(np.linalg.norm(a - b))
        sizes = [float(np.linalg.norm(x)) for x in (a, b)]
        if not min(sizes) > 0:
            raise DegenerateError("the angle needs aligned rows other than 0: those of X or Y are 0. Pass other rows.")
        similarity = float(np.vdot(a, b)) / (sizes[0] * sizes[1])
        values = {"similarity": similarity, **angle_and_distance(similarity)}
        if value not in values:
            raise OptionError(f"value must be one of angle, distance, similarity, euclidean: got {value!r}.")
        return values[value]


@dataclass
class CCADirections(TwoMaps):
    """The canonical directions of two representations, as in `CCA` and `SVCCA`.

    The variates (X - m_x) W_x and (Y - m_y) W_y have variance 1 over the rows that were fitted (less with a ridge);
    those of one column have the correlation rho, those of different columns 0.

    Parameters
    ----------
    n_components : int, optional
        Keep this number of directions; by default all of them.
    ridge : float, default 0.0
        As in `CCA`.
    variance : float, optional
        As in `SVCCA`: keep the principal components of each side that hold this fraction of its variance first.

    Attributes
    ----------
    correlations_ : ndarray of shape (k,)
        Canonical correlations, descending.
    W_x_, W_y_ : ndarray of shape (d_x, k) and (d_y, k)
        Each column with its largest weight in X positive.
    mean_x_, mean_y_ : ndarray of shape (d_x,) and (d_y,)

    References
    ----------
    Hotelling (1936), Relations between two sets of variates. Raghu et al. (2017), arXiv:1706.05806.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> directions = rs.CCADirections(n_components=2).fit(X[:400], Y[:400])
    >>> directions.correlations_.round(2)
    array([0.75, 0.74])
    >>> round(directions.score(X[400:], Y[400:]), 2)
    0.7
    """

    n_components: int | None = None
    ridge: float = 0.0
    variance: float | None = None

    def __post_init__(self) -> None:
        if self.n_components is not None and self.n_components < 1:
            raise OptionError(f"CCADirections: n_components must be a whole number >= 1: got {self.n_components!r}.")
        if self.variance is not None and self.ridge:
            raise OptionError("CCADirections takes ridge= or variance=, not both.")
        self._measure()

    def _measure(self) -> CCA | SVCCA:
        return CCA(self.ridge) if self.variance is None else SVCCA(self.variance)

    def _fit(self, pair: Pair) -> None:
        self._set_sides(pair)
        whiten = self._measure().whitening
        map_x, map_y = whiten(pair.x), whiten(pair.y)
        left, correlations, right = np.linalg.svd(map_x.T @ pair.cross @ map_y, full_matrices=False)
        kept = min(self.n_components or len(correlations), pair.x.rank, pair.y.rank, len(correlations))
        size = math.sqrt(pair.n_samples)
        weights_x, weights_y = size * map_x @ left[:, :kept], size * map_y @ right[:kept].T
        signs = np.sign(weights_x[np.argmax(np.abs(weights_x), axis=0), np.arange(kept)])
        self.W_x_, self.W_y_, self.correlations_ = weights_x * signs, weights_y * signs, correlations[:kept]

    def score(self, X: Any, Y: Any) -> float:
        """Return the mean over the directions of the Pearson correlation of their variates: for held-out rows."""
        check_paired(X, Y)
        return float(np.mean(column_correlations(*self.transform(X, Y))))


@dataclass
class LinearMap(FittedMap):
    """The affine map that predicts Y from X by least squares: a regression, or the map that stitches two networks.

    Y is predicted by X B + b with B = (S_xx + alpha I)^-1 S_xy, as by scikit-learn's ``LinearRegression`` (alpha = 0)
    and ``Ridge(alpha)``; with alpha = 0 directions of X that do not vary are left out, as in `LinearPredictivity`.

    Parameters
    ----------
    alpha : float, default 0.0
        The ridge penalty, >= 0, in units of S_xx, the sum over the rows.
    center : bool, default True
        False: without an intercept, b = 0.

    Attributes
    ----------
    coef_ : ndarray of shape (d_x, d_y)
        B. (scikit-learn has its transpose.)
    intercept_ : ndarray of shape (d_y,)

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> stitching = rs.LinearMap(alpha=1.0).fit(X[:400], Y[:400])
    >>> stitching.predict(X[400:]).shape, round(stitching.score(X[400:], Y[400:]), 2)
    ((100, 6), 0.46)
    """

    alpha: float = 0.0
    center: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < math.inf:
            raise OptionError(f"LinearMap: alpha must be a number >= 0: got {self.alpha!r}.")

    def _fit(self, pair: Pair) -> None:
        self._set_sides(pair)
        if self.alpha:
            ridged = pair.x.scatter + self.alpha * np.eye(pair.x.n_features)
            self.coef_ = np.linalg.solve(ridged, pair.cross)
        else:
            self.coef_ = pair.x.whitening @ (pair.x.whitening.T @ pair.cross)
        self.intercept_ = pair.y.mean - pair.x.mean @ self.coef_

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted rows of Y, (n, d_y)."""
        return self._rows(X, "X", "n_features_in_") @ self.coef_ + self.intercept_

    transform = predict

    def score(self, X: Any, Y: Any) -> float:
        """Return R^2 = 1 - |Y - predicted|^2 / |Y - mean of Y|^2 over all features: for held-out rows it may be < 0."""
        check_paired(X, Y)
        y = self._rows(Y, "Y", "n_features_y_")
        rest, spread = y - self.predict(X), y - y.mean(axis=0)
        if not varies_by_column(y, spread).any():
            raise DegenerateError("R^2 needs rows of Y that differ: all are equal up to rounding. Pass more rows.")
        return 1.0 - float(np.sum(rest * rest)) / float(np.sum(spread * spread))


@dataclass
class FeatureMatching(FittedMap):
    """The matching of single features of X with single features of Y, as in `Matching`.

    Parameters
    ----------
    signed : bool, default True
        False matches |corr|, and ``transform`` turns features with a negative correlation around.

    Attributes
    ----------
    features_x_, features_y_ : ndarray of shape (k,), int64
        Indices of the matched features, k = the smaller number of features that vary.
    signs_ : ndarray of shape (k,)
        1.0, or -1.0 for a feature that is turned around.
    correlations_ : ndarray of shape (k,)

    References
    ----------
    Li et al. (2015), arXiv:1511.07543, section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 4))
    >>> matching = rs.FeatureMatching().fit(X, X[:, [2, 0, 3, 1]])
    >>> matching.features_y_
    array([1, 3, 0, 2])
    >>> bool((matching.transform(X) == X[:, [2, 0, 3, 1]][:, matching.features_y_]).all())
    True
    """

    signed: bool = True

    def __post_init__(self) -> None:
        Matching(signed=self.signed)  # raises OptionError for other values

    def _fit(self, pair: Pair) -> None:
        self._set_sides(pair)
        _, found = Matching(signed=self.signed).evaluate(pair)
        self.features_x_, self.features_y_ = found["features_x"], found["features_y"]
        turned = pair.cross[self.features_x_, self.features_y_] < 0
        self.signs_ = np.where(turned & (not self.signed), -1.0, 1.0)
        self.correlations_ = found["correlations"]
        self.constant_features_x_, self.constant_features_y_ = constant_features(pair.x), constant_features(pair.y)

    def transform(self, X: Any, Y: Any = None) -> Any:
        """Return the matched features of X, (n, k), in the order of ``features_y_``, or those of X and of Y."""
        x = self._rows(X, "X", "n_features_in_")[:, self.features_x_] * self.signs_
        return x if Y is None else (x, self._rows(Y, "Y", "n_features_y_")[:, self.features_y_])

    def score(self, X: Any, Y: Any) -> float:
        """Return the mean Pearson correlation of the matched features: for held-out rows."""
        check_paired(X, Y)
        return float(np.mean(column_correlations(*self.transform(X, Y))))


def _padded(matrix: np.ndarray, width: int) -> np.ndarray:
    return np.pad(matrix, ((0, 0), (0, width - matrix.shape[1])))
