"""MNE-RSA: `compute_rdm`, `compute_rdm_cv`, `rsa_gen` (and `rsa`, which calls it) and `rsa_array`."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import numpy as np

from ..core.errors import PyrepsimError
from ..pairwise import compare_rdms
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
_ENTRIES_AT_ONCE = 2**22


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
    X = np.reshape(folds, (folds.shape[0], folds.shape[1], -1)).astype(np.float64)
    _refuse_one_feature(X[0], metric)
    if len(X) < 2:
        raise NotCovered("a single fold")
    if hasattr(_host("rdm"), "_cv_sq_general"):  # after 1.0
        return _from_squared(X, metric, **options)
    first, second = np.triu_indices(X.shape[1], 1)
    mean, total = X.mean(axis=0), np.zeros(len(first))
    for test in X:
        train = mean + _sign_of_training_mean() * (mean - test) / (len(X) - 1)
        total += distances.cdist(train, test, metric, **options)[first, second]
    return total / len(X)


def _from_squared(X: np.ndarray, metric: Any, **options: Any) -> np.ndarray:
    """n / (n - 1) times the squared distances of the mean, less 1 / (n (n - 1)) times those of each of n folds."""
    root = metric != "sqeuclidean"
    if metric in ("mahalanobis", "crossnobis") and set(options) == {"VI"}:
        metric = "mahalanobis"
    elif metric not in ("euclidean", "sqeuclidean") or options:
        raise NotCovered(f"cross-validated {metric}")
    mean, *parts = (distances.pdist(rows, metric, **options) ** (2 if root else 1) for rows in (X.mean(axis=0), *X))
    n = len(X)
    squared = (n * mean - sum(parts) / n) / (n - 1)
    if not root:
        return squared
    with np.errstate(invalid="ignore"):  # estimates of squared distances may be below 0: then NaN, as in MNE-RSA
        return np.sqrt(squared)


@cache
def _sign_of_training_mean() -> int:
    """1 for the mean of the other folds, mean + (mean - test) / (n - 1); -1 where this version has the wrong sign."""
    folds = np.array([[[0.0], [1.0]], [[5.0], [7.0]]])
    return 1 if _own("rdm", "compute_rdm_cv")(folds, "euclidean")[0] == 5.5 else -1


def rsa_gen(rdm_data_gen: Any, rdm_model: Any, metric: str = "spearman", ignore_nan: bool = False) -> Iterator[Any]:
    """`mne_rsa.rsa_gen` by pyrepsim. Raises `NotCovered` for what pyrepsim does not compute."""
    several, models = isinstance(rdm_model, list), _models(rdm_model)
    _check_comparison(metric, models)
    ahead = 32 if isinstance(rdm_data_gen, list) else 1  # a generator is read when its values are asked for
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

    def rdm_of(patch: tuple[Any, ...]) -> np.ndarray:
        if len(folds) == 1:
            return compute_rdm(folds[0][patch], data_rdm_metric, **options)
        return compute_rdm_cv(folds[(slice(None), *patch)], data_rdm_metric, **options)

    patches_left, rows = iter(patches), []
    at_once = max(1, _ENTRIES_AT_ONCE // max(1, models.shape[1]))
    while some := list(itertools.islice(patches_left, at_once)):
        rows.append(_compared(np.stack([rdm_of(patch) for patch in some]), models, rsa_metric, ignore_nan))
    shape = getattr(patches, "shape", (-1,))
    values = np.concatenate(rows)
    return values.reshape(shape) if len(models) == 1 else np.moveaxis(values.reshape(*shape, len(models)), -1, 0)


def _compared(rdms: np.ndarray, models: np.ndarray, metric: str, ignore_nan: bool) -> np.ndarray:
    """Each RDM with each model: (n_rdms, n_models)."""
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
