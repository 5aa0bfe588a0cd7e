"""rsatoolbox: `calc_rdm` and what is built on it, and `compare`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np

from ..pairwise import compare_rdms, pdist, rdm
from ..pairwise.distances import n_rows_of, square_matrix
from .patching import Host, NotCovered
from .patching import patched as _patched

__all__ = ["compare", "patched"]

COMPARATORS = {
    "cosine": "cosine",
    "correlation": "pearson",
    "cosine_cov_weighted": "cosine_cov",
    "correlation_cov_weighted": "corr_cov",
    "spearman": "spearman",
    "rho_a": "rho-a",
    "kendall_tau": "tau-b",
    "kendall_tau_a": "tau-a",
    "neg_riemannian_distance": "neg_riem_dist",
    "bures_similarity": "bures",
    "bures_metric": "bures_metric",
}
"""Our name of each function ``rsatoolbox.rdm.compare.compare_...``."""

_FLOAT64: dict[str, Any] = {"square": False, "precision": "fp64", "progress": False}
_ZERO_IF_DEGENERATE = ("cosine", "pearson", "cosine_cov", "corr_cov", "spearman", "rho-a", "tau-a")


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Compute RDMs and compare them with pyrepsim where rsatoolbox is called.

    As in rsatoolbox, a correlation or cosine with a constant RDM is 0.

    Parameters
    ----------
    any_version
        Patch a version of rsatoolbox that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.
    """
    return _patched(_HOST, any_version=any_version)


def compare(rdm1: Any, rdm2: Any, sigma_k: Any = None, *, comparator: str) -> np.ndarray:
    """`rsatoolbox.rdm.compare` by one of pyrepsim's comparators: (n_rdms of rdm1, n_rdms of rdm2)."""
    options: dict[str, Any] = {"clip_negative": True} if comparator.startswith("bures") else {}
    if sigma_k is not None:
        if np.ndim(sigma_k) != 2:
            raise NotCovered("variances of conditions, for which rsatoolbox whitens approximately")
        options["sigma_k"] = sigma_k
    x, y = _stack(rdm1), _stack(rdm2)
    values = compare_rdms(x, y, comparator, on_degenerate="nan", **options)
    return np.nan_to_num(values, nan=0.0) if comparator in _ZERO_IF_DEGENERATE else values


def _stack(rdms: Any) -> np.ndarray:
    vectors = np.atleast_2d(rdms if isinstance(rdms, np.ndarray) else rdms.get_vectors())
    if len(vectors) == vectors.shape[1]:  # would be read as one square RDM
        return square_matrix(vectors, np.zeros((len(vectors), n_rows_of(vectors[0]))))
    return vectors


def calc_rdm_euclidean(dataset: Any, descriptor: Any = None, remove_mean: bool = False) -> Any:
    """Squared Euclidean distances of the means of conditions, divided by the number of channels."""
    rows, values = _calc()._parse_input(dataset, descriptor, remove_mean)
    return _built(_squared(rows), dataset, "squared euclidean", descriptor, values)


def calc_rdm_mahalanobis(dataset: Any, descriptor: Any = None, noise: Any = None, remove_mean: bool = False) -> Any:
    """Squared Mahalanobis distances of the means of conditions; `noise` is a precision matrix."""
    if noise is None:
        return calc_rdm_euclidean(dataset, descriptor, remove_mean)
    rows, values = _calc()._parse_input(dataset, descriptor, remove_mean)
    distances = _squared(rows @ _root(noise, rows.shape[1]))
    return _built(distances, dataset, "squared mahalanobis", descriptor, values, noise=noise)


def calc_rdm_correlation(dataset: Any, descriptor: Any = None) -> Any:
    """Correlation distances of the means of conditions."""
    rows, values = _calc()._parse_input(dataset, descriptor, False)
    distances = pdist(np.asarray(rows, dtype=np.float64), "correlation", precision="fp64", progress=False)
    return _built(distances, dataset, "correlation", descriptor, values)


def calc_rdm_poisson(dataset: Any, descriptor: Any = None, prior_lambda: float = 1.0, prior_weight: float = 0.1) -> Any:
    """Symmetric Kullback-Leibler divergences of Poisson rates, divided by the number of channels."""
    rows, values = _calc()._parse_input(dataset, descriptor)
    prior = (prior_lambda, prior_weight)
    distances = rdm(np.asarray(rows, dtype=np.float64), "poisson", prior=prior, per_feature=True, **_FLOAT64)
    return _built(distances, dataset, "poisson", descriptor, values)


def calc_rdm_crossnobis(
    dataset: Any, descriptor: Any, noise: Any = None, cv_descriptor: Any = None, remove_mean: bool = False
) -> Any:
    """Cross-validated squared Mahalanobis distances, divided by the number of channels; noise is one precision matrix,
    or one of each fold.
    """
    if descriptor is None:
        raise NotCovered("no descriptor")
    noise = _calc()._check_noise(noise, dataset.n_channel)
    data = deepcopy(dataset)
    if cv_descriptor is None:
        cv_descriptor = "cv_desc"
        data.obs_descriptors[cv_descriptor] = _calc()._gen_default_cv_descriptor(data, descriptor)
    data.sort_by(descriptor)
    conditions, folds = (np.asarray(data.obs_descriptors[name]) for name in (descriptor, cv_descriptor))
    _refuse_unequal_folds(conditions, folds)
    rows = np.asarray(data.measurements, dtype=np.float64)
    if remove_mean:
        rows = rows - rows.mean(axis=1, keepdims=True)
    options: dict[str, Any] = {}
    if noise is not None:
        options = {"noise": np.asarray(noise, dtype=np.float64), "noise_is": "precision"}
    distances = rdm(rows, "crossnobis", conditions=conditions, folds=folds, per_feature=True, **options, **_FLOAT64)
    noise = np.eye(dataset.n_channel) if noise is None else noise
    return _built(distances, data, "crossnobis", descriptor, noise=noise, cv=cv_descriptor)


def _refuse_unequal_folds(conditions: np.ndarray, folds: np.ndarray) -> None:
    """rsatoolbox weighs observations of the other folds, pyrepsim weighs folds.

    That is the same for two folds, and if each condition is as frequent in all folds.
    """
    _, condition = np.unique(conditions, return_inverse=True)
    names, fold = np.unique(folds, return_inverse=True)
    counts = np.zeros((condition.max() + 1, len(names)), dtype=np.int64)
    np.add.at(counts, (condition, fold), 1)
    if len(names) > 2 and (counts != counts[:, :1]).any():
        raise NotCovered("conditions that are not as frequent in each fold")


def _squared(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, dtype=np.float64)
    return pdist(rows, "sqeuclidean", precision="fp64", progress=False) / rows.shape[1]


def _root(noise: Any, width: int) -> np.ndarray:
    """L with L L^T = the precision matrix."""
    noise = np.asarray(noise)
    if noise.shape != (width, width) or not np.array_equal(noise, noise.T):
        raise NotCovered("a noise that is not one symmetric matrix")
    try:
        return np.linalg.cholesky(noise)
    except np.linalg.LinAlgError:
        raise NotCovered("a noise that is not positive definite") from None


def _built(distances: np.ndarray, *arguments: Any, **options: Any) -> Any:
    return importlib.import_module("rsatoolbox.util.build_rdm")._build_rdms(distances, *arguments, **options)


def _calc() -> Any:
    return importlib.import_module("rsatoolbox.rdm.calc")


_ADAPTERS: dict[str, Callable[..., Any]] = {
    f"rsatoolbox.rdm.compare.compare_{name}": partial(compare, comparator=ours) for name, ours in COMPARATORS.items()
}
_ADAPTERS |= {
    f"rsatoolbox.rdm.calc.{function.__name__}": function
    for function in (
        calc_rdm_euclidean,
        calc_rdm_mahalanobis,
        calc_rdm_correlation,
        calc_rdm_poisson,
        calc_rdm_crossnobis,
    )
}
_HOST = Host("rsatoolbox", ">=0.3,<0.4", _ADAPTERS)
