"""scikit-learn: exact nearest neighbours as a transformer, `pairwise_distances`, and estimators of CCA and SVCCA."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.neighbors import KNeighborsTransformer as _KNeighborsTransformer
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from ..comparison.alignment import CCADirections
from ..core.errors import PyrepsimError
from ..pairwise import cdist, knn, pdist
from ..pairwise.distances import square_matrix
from .patching import Host, NotCovered, calls, count, fallbacks, log_once
from .patching import patched as _patched

__all__ = ["KNeighborsTransformer", "RepresentationCCA", "RepresentationSVCCA", "pairwise_distances", "patched"]

METRICS = {
    **dict.fromkeys(("euclidean", "l2"), "euclidean"),
    **dict.fromkeys(("manhattan", "cityblock", "l1"), "manhattan"),
    **{name: name for name in ("sqeuclidean", "chebyshev", "cosine", "correlation")},
}
"""Our name of a metric, by each name that scikit-learn accepts."""

_MINKOWSKI = {1: "manhattan", 2: "euclidean", np.inf: "chebyshev"}
_TRANSFORMER = "sklearn.neighbors.KNeighborsTransformer"


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Compute with pyrepsim where scikit-learn's `pairwise_distances` and `KNeighborsTransformer` are used.

    Parameters
    ----------
    any_version
        Patch a version of scikit-learn that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.metrics import pairwise_distances
    >>> import pyrepsim.integrations.sklearn
    >>> with pyrepsim.integrations.sklearn.patched():
    ...     pairwise_distances(np.array([[0.0, 0.0], [3.0, 4.0]]))
    array([[0., 5.],
           [5., 0.]])
    """
    return _patched(_HOST, any_version=any_version)


class KNeighborsTransformer(_KNeighborsTransformer):
    """`sklearn.neighbors.KNeighborsTransformer` whose neighbours are computed by pyrepsim, exactly and in parallel.

    It has the parameters and methods of scikit-learn's class, and serves where one is accepted: in pipelines before
    estimators with ``metric="precomputed"``, and in ``scanpy.pp.neighbors(transformer=...)``. Each row of the training
    data is its own first neighbour, also among equal rows, and all rows have the same number of neighbours, so that
    ``graph.indices.reshape(n, -1)`` and ``graph.data.reshape(n, -1)`` are arrays of neighbours, nearest first.

    Covered are dense rows and the metrics euclidean, manhattan, chebyshev, sqeuclidean, cosine, correlation, and
    minkowski with p = 1, 2 or infinity. For others, scikit-learn computes the neighbours. ``algorithm`` and
    ``leaf_size`` matter then only.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.integrations.sklearn import KNeighborsTransformer
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> KNeighborsTransformer(n_neighbors=1).fit_transform(X).toarray()
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 2., 0.]])
    """

    def __init__(
        self,
        *,
        mode: str = "distance",
        n_neighbors: int = 5,
        algorithm: str = "brute",
        leaf_size: int = 30,
        metric: Any = "minkowski",
        p: float = 2,
        metric_params: dict[str, Any] | None = None,
        n_jobs: int | None = None,
    ):
        super().__init__(
            mode=mode,
            n_neighbors=n_neighbors,
            algorithm=algorithm,
            leaf_size=leaf_size,
            metric=metric,
            p=p,
            metric_params=metric_params,
            n_jobs=n_jobs,
        )

    def kneighbors(self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True) -> Any:
        """The nearest training rows of each row of X, or the nearest others of each training row.

        Parameters
        ----------
        X : array of shape (n_queries, n_features), optional
            If it is equal to the training data, each row is its own first neighbour.
        n_neighbors : int, optional
            By default that of the constructor.
        return_distance : bool, default True

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors)
            Only with ``return_distance``.
        indices : ndarray of shape (n_queries, n_neighbors)
        """
        check_is_fitted(self)
        count(calls, _TRANSFORMER)
        try:
            distances, indices = self._nearest(X, self.n_neighbors if n_neighbors is None else n_neighbors)
        except (NotCovered, PyrepsimError) as reason:
            if isinstance(reason, NotCovered):
                log_once(_TRANSFORMER, reason)
            count(fallbacks, _TRANSFORMER)
            return super().kneighbors(X, n_neighbors, return_distance)
        return (distances, indices) if return_distance else indices

    def _nearest(self, X: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        metric = METRICS.get(self.metric) if isinstance(self.metric, str) else None
        if self.metric == "minkowski" and not self.metric_params:
            metric = _MINKOWSKI.get(self.p)
        rows = self._fit_X
        if metric is None or self.metric_params or not isinstance(rows, np.ndarray):
            raise NotCovered("this metric or input")
        options = {"precision": "fp32" if rows.dtype == np.float32 else "fp64", "progress": False}
        if X is None:
            return knn(rows, k, metric, **options)
        queries: Any = validate_data(self, X, reset=False, dtype=rows.dtype, order="C")
        if queries.shape == rows.shape and np.array_equal(queries, rows):
            return knn(rows, k, metric, include_self=True, **options)
        return knn(queries, k, metric, Y=rows, **options)


def pairwise_distances(X: Any, Y: Any = None, metric: Any = "euclidean", **options: Any) -> np.ndarray:
    """`sklearn.metrics.pairwise_distances` by pyrepsim. Raises `NotCovered` for what pyrepsim does not compute."""
    options.pop("n_jobs", None)
    name = METRICS.get(metric) if isinstance(metric, str) else None
    if name is None or options:
        unknown = f"the metric {metric}" if isinstance(metric, str) else "metrics that are functions"
        raise NotCovered(unknown if name is None else ", ".join(options))
    x, y = _rows(X), None if Y is None or Y is X else _rows(Y)
    if y is None:
        distances = square_matrix(pdist(x, name, precision="fp64", progress=False), np.zeros(len(x)))
    else:
        distances = cdist(x, y, name, precision="fp64", progress=False)
    single = x.dtype == np.float32 and (y is None or y.dtype == np.float32) and name in ("euclidean", "cosine")
    return distances.astype(np.float32) if single else distances


def _rows(X: Any) -> np.ndarray:
    if type(X) is not np.ndarray or X.ndim != 2 or X.dtype not in (np.float32, np.float64) or len(X) < 2:
        raise NotCovered("this input")
    return X


class _CanonicalVariates(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """`CCADirections` as an estimator of scikit-learn."""

    def _directions(self) -> CCADirections:
        raise NotImplementedError

    def fit(self, X: Any, y: Any) -> Any:
        """Fit the directions to X of shape (n_samples, d_x) and y of shape (n_samples, d_y) or (n_samples,)."""
        X, y = validate_data(
            self,
            X,
            y,
            dtype=np.float64,
            ensure_min_samples=2,
            multi_output=True,
            y_numeric=True,
            ensure_all_finite=True,
        )
        directions = self._directions().fit(X, _columns(y))
        self.correlations_ = directions.correlations_
        self.x_rotations_, self.y_rotations_ = directions.W_x_, directions.W_y_
        self.x_mean_, self.y_mean_ = directions.mean_x_, directions.mean_y_
        self._fitted = directions
        return self

    def transform(self, X: Any, y: Any = None) -> Any:
        """Return the variates of X, (n_samples, k), or those of X and of y."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return self._fitted.transform(X) if y is None else self._fitted.transform(X, _checked_columns(y))

    def score(self, X: Any, y: Any) -> float:
        """Return the mean over the directions of the Pearson correlation of the variates: for held-out rows."""
        check_is_fitted(self)
        return self._fitted.score(validate_data(self, X, reset=False, dtype=np.float64), _checked_columns(y))

    @property
    def _n_features_out(self) -> int:
        return len(self.correlations_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags


class RepresentationCCA(_CanonicalVariates):
    """Canonical correlation analysis, by decomposition of the covariances, as an estimator of scikit-learn.

    It finds the directions of `pyrepsim.CCADirections` and `pyrepsim.CCA`. ``sklearn.cross_decomposition.CCA`` finds
    the same for well-conditioned rows, one after the other by iteration.

    Parameters
    ----------
    n_components : int, optional
        By default as many as the smaller rank of X and y.
    ridge : float, default 0.0
        As in `pyrepsim.CCA`.

    Attributes
    ----------
    correlations_ : ndarray of shape (k,)
        Canonical correlations, descending.
    x_rotations_, y_rotations_ : ndarray of shape (d_x, k) and (d_y, k)
        The variates of X are ``(X - x_mean_) @ x_rotations_``, with variance 1.
    x_mean_, y_mean_ : ndarray of shape (d_x,) and (d_y,)

    References
    ----------
    Hotelling (1936), Relations between two sets of variates.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import cross_val_score
    >>> from pyrepsim.integrations.sklearn import RepresentationCCA
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> cross_val_score(RepresentationCCA(n_components=2), X, Y, cv=3).round(1)
    array([0.6, 0.7, 0.7])
    """

    def __init__(self, n_components: int | None = None, *, ridge: float = 0.0):
        self.n_components = n_components
        self.ridge = ridge

    def _directions(self) -> CCADirections:
        return CCADirections(self.n_components, ridge=self.ridge)


class RepresentationSVCCA(_CanonicalVariates):
    """SVCCA: canonical correlation analysis of the leading principal components of each side, as an estimator.

    Parameters
    ----------
    n_components : int, optional
        By default as many as the smaller number of principal components that are kept.
    variance : float, default 0.99
        The principal components of each side that hold this fraction of its variance are kept.

    Attributes
    ----------
    correlations_, x_rotations_, y_rotations_, x_mean_, y_mean_
        As of `RepresentationCCA`.

    References
    ----------
    Raghu et al. (2017), arXiv:1706.05806.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.integrations.sklearn import RepresentationSVCCA
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8)) * [8, 7, 6, 5, 4, 3, 2, 1]
    >>> RepresentationSVCCA(variance=0.9).fit(X, X + rng.standard_normal((500, 8))).transform(X).shape
    (500, 5)
    """

    def __init__(self, n_components: int | None = None, *, variance: float = 0.99):
        self.n_components = n_components
        self.variance = variance

    def _directions(self) -> CCADirections:
        return CCADirections(self.n_components, variance=self.variance)


def _checked_columns(y: Any) -> np.ndarray:
    return _columns(check_array(y, dtype=np.float64, ensure_2d=False, input_name="y"))


def _columns(y: np.ndarray) -> np.ndarray:
    return np.asarray(y.reshape(-1, 1) if y.ndim == 1 else y, dtype=np.float64)


_HOST = Host(
    "scikit-learn",
    ">=1.9,<1.10",
    {
        "sklearn.metrics.pairwise.pairwise_distances": pairwise_distances,
        _TRANSFORMER: KNeighborsTransformer,
    },
)
