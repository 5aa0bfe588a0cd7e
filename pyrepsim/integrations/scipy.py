"""SciPy: `scipy.spatial.distance.pdist` and `cdist`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..pairwise import cdist as _cdist
from ..pairwise import pdist as _pdist
from .patching import Host, NotCovered
from .patching import patched as _patched

__all__ = ["METRICS", "cdist", "patched", "pdist"]

METRICS = {
    **dict.fromkeys(("cosine", "cos"), "cosine"),
    **dict.fromkeys(("correlation", "co"), "correlation"),
    **dict.fromkeys(("euclidean", "euclid", "eu", "e"), "euclidean"),
    **dict.fromkeys(("sqeuclidean", "sqe", "sqeuclid"), "sqeuclidean"),
    **dict.fromkeys(("cityblock", "cblock", "cb", "c"), "manhattan"),
    **dict.fromkeys(("chebyshev", "chebychev", "cheby", "cheb", "ch"), "chebyshev"),
    **dict.fromkeys(("mahalanobis", "mahal", "mah"), "mahalanobis"),
    **dict.fromkeys(("minkowski", "mi", "m", "pnorm"), "minkowski"),
    **dict.fromkeys(("seuclidean", "se", "s"), "seuclidean"),
}
"""Our name of a metric, by each name that SciPy accepts."""

_COVERED = {"cosine", "correlation", "euclidean", "sqeuclidean", "manhattan", "chebyshev", "mahalanobis"}
_MINKOWSKI = {1: "manhattan", 2: "euclidean", np.inf: "chebyshev"}


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Compute distances with pyrepsim where SciPy's `pdist` and `cdist` are called.

    Covered are cosine, correlation, euclidean, sqeuclidean, seuclidean, cityblock, chebyshev, mahalanobis and minkowski
    with p = 1, 2 or infinity, with weights where they scale the features. Values are float64 and differ from SciPy's by
    rounding; equal rows have distance 0. Other calls are answered by SciPy.

    Parameters
    ----------
    any_version
        Patch a version of SciPy that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.

    Examples
    --------
    >>> import numpy as np
    >>> from scipy.spatial.distance import pdist
    >>> import pyrepsim.integrations.scipy
    >>> with pyrepsim.integrations.scipy.patched():
    ...     pdist([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    array([ 5., 10.,  5.])
    """
    return _patched(_HOST, any_version=any_version)


def pdist(X: Any, metric: Any = "euclidean", *, out: Any = None, **options: Any) -> np.ndarray:
    """`scipy.spatial.distance.pdist` by pyrepsim. Raises `NotCovered` for what pyrepsim does not compute."""
    (rows,), name = _prepared([X], metric, options)
    n = len(rows)
    _check_out(out, (n * (n - 1) // 2,))
    return _pdist(rows, name, out=out, precision="fp64", progress=False)


def cdist(XA: Any, XB: Any, metric: Any = "euclidean", *, out: Any = None, **options: Any) -> np.ndarray:
    """`scipy.spatial.distance.cdist` by pyrepsim. Raises `NotCovered` for what pyrepsim does not compute."""
    (x, y), name = _prepared([XA, XB], metric, options)
    _check_out(out, (len(x), len(y)))
    return _cdist(x, y, name, out=out, precision="fp64", progress=False)


def _prepared(arrays: list[Any], metric: Any, options: dict[str, Any]) -> tuple[list[np.ndarray], str]:
    """Rows, and one of our metrics, whose distances are those of SciPy's metric with its options."""
    rows = [_rows(X) for X in arrays]
    width = rows[0].shape[1]
    if rows[-1].shape[1] != width or sum(map(len, rows)) < 2:
        raise NotCovered("this input")
    given = {option: value for option, value in options.items() if value is not None}
    name = _name(metric)
    if name == "minkowski":
        name = _MINKOWSKI.get(given.pop("p", 2), "minkowski with this p")
    if name == "seuclidean" and "w" not in given:
        variances = given.pop("V") if "V" in given else np.var(np.concatenate(rows), axis=0, ddof=1)
        name, given["w"] = "euclidean", 1 / _weights(variances, width)
    if name == "mahalanobis" and "VI" in given:
        rows, name = [x @ _root(given["VI"], width) for x in rows], "euclidean"
        del given["VI"]
    elif name == "mahalanobis" and sum(map(len, rows)) <= width:
        raise NotCovered("mahalanobis with no more rows than features")  # an error of SciPy; we take the rank
    if "w" in given:
        rows, name = _weighted(rows, name, _weights(given.pop("w"), width))
    if given or name not in _COVERED:
        raise NotCovered(", ".join([name, *given]))
    return rows, name


def _rows(X: Any) -> np.ndarray:
    rows = np.asarray(X)
    real = rows.dtype.kind in "fiub" and rows.dtype.itemsize <= 8  # SciPy computes long double in long double
    if not real or rows.ndim != 2 or rows.size == 0 or isinstance(X, np.ma.MaskedArray):
        raise NotCovered("this input")
    return rows.astype(np.float64, copy=False)


def _name(metric: Any) -> str:
    if callable(metric) and getattr(metric, "__module__", "") == "scipy.spatial.distance":
        metric = metric.__name__
    if not isinstance(metric, str):
        raise NotCovered("metrics that are functions")
    return METRICS.get(metric.lower(), metric.lower())


def _weights(values: Any, width: int) -> np.ndarray:
    """One number above 0 a feature."""
    try:
        weights = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise NotCovered("these weights") from None
    if weights.shape != (width,):
        raise NotCovered("weights of this shape")
    if not (np.isfinite(weights).all() and weights.min() > 0):
        raise NotCovered("weights that are not above 0")
    return weights


def _weighted(rows: list[np.ndarray], name: str, weights: np.ndarray) -> tuple[list[np.ndarray], str]:
    """Rows whose plain distances are the weighted distances of the given rows."""
    if name == "manhattan":
        return [x * weights for x in rows], name
    if name == "correlation":
        rows, name = [x - np.average(x, axis=1, weights=weights)[:, None] for x in rows], "cosine"
    if name not in ("euclidean", "sqeuclidean", "cosine"):
        raise NotCovered(f"{name} with weights")
    return [x * np.sqrt(weights) for x in rows], name


def _root(inverse: Any, width: int) -> np.ndarray:
    """L with L L^T = V^-1, so that rows x L have distances that are Mahalanobis distances of the rows x."""
    inverse = np.asarray(inverse)
    symmetric = inverse.shape == (width, width) and inverse.dtype.kind == "f" and np.array_equal(inverse, inverse.T)
    try:
        return np.linalg.cholesky(inverse if symmetric else -np.eye(1))
    except np.linalg.LinAlgError:
        raise NotCovered("an inverse covariance that is not symmetric and positive") from None


def _check_out(out: Any, shape: tuple[int, ...]) -> None:
    if out is not None and not (
        isinstance(out, np.ndarray) and out.shape == shape and out.dtype == np.float64 and out.flags.c_contiguous
    ):
        raise NotCovered("this out")


_HOST = Host(
    "scipy",
    ">=1.17,<1.18",
    {"scipy.spatial.distance.pdist": pdist, "scipy.spatial.distance.cdist": cdist},
)
