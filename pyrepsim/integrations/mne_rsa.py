"""MNE-RSA: `compute_rdm`, `compute_rdm_cv`, `rsa_gen` (and `rsa`, which calls it) and `rsa_array`."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np

from ..core.blas import one_blas_thread
from ..core.errors import PyrepsimError
from ..pairwise import compare_rdms, rdm
from . import scipy as distances
from .patching import Host, NotCovered, count, fallbacks
from .patching import patched as _patched

__all__ = ["compute_rdm", "compute_rdm_cv", "patched", "rsa_array", "rsa_gen"]

COMPARATORS = {
    "spearman": "spearman",
    "pearson": "pearson",
    "kendall-tau-a": "tau-a",
    "partial": "partial",
    "partial-spearman": "partial-spearman",
    "regression": "regression",
}
_JOINT = ("partial", "partial-spearman", "regression")
_IN_ONE_CALL = ("cosine", "correlation", "euclidean", "sqeuclidean", "manhattan", "chebyshev")
_PATCHES_AT_ONCE = 256


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Compute RDMs and compare them with pyrepsim where MNE-RSA is called.

    `rsa_array` compares the RDMs of many searchlight patches at once, in this process: `n_jobs` has no effect.

    Parameters
    ----------
    any_version
        Patch a version of MNE-RSA that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.
    """
    return _patched(_HOST, any_version=any_version)


def compute_rdm(data: Any, metric: Any = "correlation", **options: Any) -> np.ndarray:
    """`mne_rsa.compute_rdm` by pyrepsim. Raises `NotCovered` for what pyrepsim does not compute."""
    rows = np.reshape(np.asarray(data), (len(data), -1))
    _refuse_one_feature(rows, metric)
    return distances.pdist(rows, metric, **options)


def compute_rdm_cv(folds: Any, metric: Any = "correlation", **options: Any) -> np.ndarray:
    """`mne_rsa.compute_rdm_cv` by pyrepsim. Raises `NotCovered` for what pyrepsim does not compute."""
    X = np.reshape(folds, (1, folds.shape[0], folds.shape[1], -1))
    if X.shape[1] < 2:
        raise NotCovered("a single fold")
    return _rdms(X, metric, options)[0]


def _rdms(X: np.ndarray, metric: Any, options: Mapping[str, Any]) -> np.ndarray:
    """An RDM of each set of shape (n_folds, n_items, n_features), cross-validated if there are several folds."""
    X = X.astype(np.float64, copy=False)
    _refuse_one_feature(X[0, 0], metric)
    if X.shape[1] == 1:
        return _within(X[:, 0], metric, options)
    if not hasattr(_host("rdm"), "_cv_sq_general"):  # 1.0
        return _from_training_means(X, metric, options)
    if metric == "correlation":
        X = X - X.mean(axis=-1, keepdims=True)
    if metric in ("correlation", "cosine"):
        return _regularised_cosines(X, **options)
    return _from_squared(X, metric, options)


def _within(sets: np.ndarray, metric: Any, options: Mapping[str, Any]) -> np.ndarray:
    """Condensed distances of the rows of each set, (n_sets, n (n - 1) / 2)."""
    name = distances.METRICS.get(metric, metric) if isinstance(metric, str) else None
    if len(sets) == 1 or options or name not in _IN_ONE_CALL:
        return np.stack([distances.pdist(rows, metric, **options) for rows in sets])
    return rdm(sets, name, precision="fp64", progress=False)


def _from_training_means(X: np.ndarray, metric: Any, options: Mapping[str, Any]) -> np.ndarray:
    """Mean over folds of the distances, i < j, of item i of the mean of the other folds from item j of the fold."""
    n_folds, n = X.shape[1:3]
    mean, total = X.mean(axis=1), np.zeros((len(X), n * (n - 1) // 2))
    first, second = np.triu_indices(n, 1)
    places = first * (4 * n - first - 1) // 2 + n + second - first - 1  # of (first, n + second) among 2 n rows
    for fold in range(n_folds):
        test = X[:, fold]
        train = mean + _sign_of_training_mean() * (mean - test) / (n_folds - 1)
        total += _within(np.concatenate([train, test], axis=1), metric, options)[:, places]
    return total / n_folds


def _from_squared(X: np.ndarray, metric: Any, options: Mapping[str, Any]) -> np.ndarray:
    """n / (n - 1) times the squared distances of the mean, less 1 / (n (n - 1)) times those of each of n folds."""
    root = metric != "sqeuclidean"
    if metric in ("mahalanobis", "crossnobis") and set(options) == {"VI"}:
        metric = "mahalanobis"
    elif metric not in ("euclidean", "sqeuclidean") or options:
        raise NotCovered(f"cross-validated {metric}")
    n = X.shape[1]
    mean, *parts = (
        _within(rows, metric, options) ** (2 if root else 1) for rows in (X.mean(axis=1), *X.transpose(1, 0, 2, 3))
    )
    squared = (n * mean - sum(parts) / n) / (n - 1)
    if not root:
        return squared
    with np.errstate(invalid="ignore"):  # estimates of squared distances may be below 0: then NaN, as in MNE-RSA
        return np.sqrt(squared)


def _regularised_cosines(
    X: np.ndarray, reg_var: float = 0.1, reg_denom: float = 0.25, bounded: bool = True
) -> np.ndarray:
    """1 - mean over folds of c_ij = (g_ij + g_ji) / (2 d_ij), g the products of items of the other folds and the fold.

    d_ij = sqrt(g_ii g_jj), where g_ii is at least reg_var v_i and d_ij at least reg_denom times the mean of v, with v_i
    the squared length of item i of the mean of all folds.
    """
    n_folds, n = X.shape[1:3]
    mean = X.mean(axis=1)
    variance = np.sum(mean**2, axis=-1)
    total = np.zeros((len(X), n, n))
    for fold in range(n_folds):
        with one_blas_thread():
            products = (mean * n_folds - X[:, fold]) / (n_folds - 1) @ X[:, fold].transpose(0, 2, 1)
        own = np.diagonal(products, axis1=1, axis2=2)
        roots = np.sqrt(np.maximum(own, reg_var * variance) if reg_var > 0 else own)
        sizes = roots[:, :, None] * roots[:, None]
        if reg_denom > 0:
            sizes = np.maximum(sizes, reg_denom * variance.mean(axis=-1)[:, None, None])
        products /= sizes
        similar = (products + products.transpose(0, 2, 1)) / 2
        total += np.clip(similar, -1, 1) if bounded else similar
    first, second = np.triu_indices(n, 1)
    return 1 - total[:, first, second] / n_folds


@cache
def _sign_of_training_mean() -> int:
    """1 for the mean of the other folds, mean + (mean - test) / (n - 1); -1 where this version has the wrong sign."""
    folds = np.array([[[0.0], [1.0]], [[5.0], [7.0]]])
    return 1 if _own("rdm", "compute_rdm_cv")(folds, "euclidean")[0] == 5.5 else -1


def rsa_gen(rdm_data_gen: Any, rdm_model: Any, metric: str = "spearman", ignore_nan: bool = False) -> Iterator[Any]:
    """`mne_rsa.rsa_gen` by pyrepsim. Raises `NotCovered` for what pyrepsim does not compute."""
    several, models = isinstance(rdm_model, list), _models(rdm_model)
    _check_comparison(metric, models)
    ahead = 32 if isinstance(rdm_data_gen, list) else 1  # a generator is read one by one, as by MNE-RSA
    return _values(iter(rdm_data_gen), rdm_model, models, metric, ignore_nan, several=several, ahead=ahead)


def _values(
    data: Iterator[Any],
    rdm_model: Any,
    models: np.ndarray,
    metric: str,
    ignore_nan: bool,
    *,
    several: bool,
    ahead: int,
) -> Iterator[Any]:
    while given := list(itertools.islice(data, ahead)):
        try:
            rdms = np.stack([_host("rdm")._ensure_condensed(rdm, "rdm_data") for rdm in given])
            rows = _compared(rdms, models, metric, ignore_nan)
        except (NotCovered, PyrepsimError, ValueError, TypeError):  # MNE-RSA has a value or an error of its own
            count(fallbacks, "mne_rsa.rsa.rsa_gen")
            yield from _own("rsa", "rsa_gen")(given, rdm_model, metric, ignore_nan)
            continue
        yield from rows if several else rows[:, 0]


def rsa_array(
    X: Any,
    rdm_model: Any,
    patches: Any = None,
    data_rdm_metric: Any = "correlation",
    data_rdm_params: Mapping[str, Any] | None = None,
    rsa_metric: str = "spearman",
    ignore_nan: bool = False,
    y: Any = None,
    labels_X: Any = None,
    labels_rdm_model: Any = None,
    n_folds: Any = 1,
    n_jobs: int = 1,
    verbose: bool = False,
) -> np.ndarray:
    """`mne_rsa.rsa_array` by pyrepsim. Raises `NotCovered` for what pyrepsim does not compute."""
    del n_jobs  # threads of pyrepsim
    if verbose:
        raise NotCovered("verbose=True")
    host, folding = _host("rdm"), _host("folds")
    if patches is None:
        patches = _host("searchlight").searchlight(X.shape)
    models = _models(rdm_model)
    _check_comparison(rsa_metric, models)
    labels = y if labels_X is None else labels_X
    order = folding._match_order(len(X), host._n_items_from_rdm(models[0]), labels, labels_rdm_model)
    folds = folding.create_folds(X, order, n_folds)
    options = dict(data_rdm_params or {})

    patches_left, rows = iter(patches), []
    while some := [folds[(slice(None), *patch)] for patch in itertools.islice(patches_left, _PATCHES_AT_ONCE)]:
        rdms = np.empty((len(some), models.shape[1]))
        for shape in {data.shape for data in some}:
            alike = [place for place, data in enumerate(some) if data.shape == shape]
            X = np.stack([some[place] for place in alike]).reshape(len(alike), *shape[:2], -1)
            rdms[alike] = _rdms(X, data_rdm_metric, options)
        rows.append(_compared(rdms, models, rsa_metric, ignore_nan))
    shape = getattr(patches, "shape", (-1,))
    values = np.concatenate(rows)
    return values.reshape(shape) if len(models) == 1 else np.moveaxis(values.reshape(*shape, len(models)), -1, 0)


def _compared(rdms: np.ndarray, models: np.ndarray, metric: str, ignore_nan: bool) -> np.ndarray:
    """Each RDM with each model: (n_rdms, n_models)."""
    if rdms.shape[1] < 2:
        raise NotCovered("RDMs of one entry")
    if metric == "kendall-tau-a":  # of a constant RDM it is 0 by its formula, and NaN in MNE-RSA
        for rows in (rdms, models):
            if (np.fmax.reduce(rows, axis=1) == np.fmin.reduce(rows, axis=1)).any():  # they pass over NaN
                raise NotCovered("tau-a of constant RDMs")
    missing = np.isnan(models).any() or np.isnan(rdms).any()
    if not missing:
        return compare_rdms(rdms, models, COMPARATORS[metric], on_degenerate="nan")
    if not ignore_nan:
        raise NotCovered("RDMs with NaN")
    if metric not in _JOINT:
        return compare_rdms(rdms, models, COMPARATORS[metric], mask="pairwise", on_degenerate="nan")
    used = ~np.isnan(models).any(axis=0)
    rows = [
        compare_rdms(rdm[None], models, COMPARATORS[metric], mask=used & ~np.isnan(rdm), on_degenerate="nan")
        for rdm in rdms
    ]
    return np.concatenate(rows)


def _models(rdm_model: Any) -> np.ndarray:
    models: Sequence[Any] = rdm_model if isinstance(rdm_model, list) else [rdm_model]
    return np.stack([_host("rdm")._ensure_condensed(rdm, "rdm_model") for rdm in models])


def _check_comparison(metric: str, models: np.ndarray) -> None:
    if metric not in COMPARATORS:
        raise NotCovered(f"the comparison {metric}")
    if metric.startswith("partial") and len(models) == 1:
        raise NotCovered("a partial correlation with one model")


def _refuse_one_feature(rows: np.ndarray, metric: Any) -> None:
    if rows.shape[1] == 1 and metric in ("correlation", "cosine"):
        raise NotCovered(f"{metric} of one feature")


def _host(module: str) -> Any:
    return importlib.import_module(f"mne_rsa.{module}")


def _own(module: str, function: str) -> Callable[..., Any]:
    found = getattr(_host(module), function)
    return getattr(found, "__wrapped__", found)


_HOST = Host(
    "mne-rsa",
    ">=1.0,<1.2",
    {
        "mne_rsa.rdm.compute_rdm": compute_rdm,
        "mne_rsa.rdm.compute_rdm_cv": compute_rdm_cv,
        "mne_rsa.rsa.rsa_gen": rsa_gen,
        "mne_rsa.rsa.rsa_array": rsa_array,
    },
)
