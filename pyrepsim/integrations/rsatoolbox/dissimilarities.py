"""`calc_rdm` of rsatoolbox and what is built on it."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterable
from copy import copy, deepcopy
from typing import Any

import numpy as np

from ...pairwise import PairwiseEngine, pdist, rdm
from ..patching import NotCovered

__all__ = ["ADAPTERS", "FLOAT64"]

_METHODS = {
    **dict.fromkeys(("euclidean", "correlation", "mahalanobis", "crossnobis"), ("sqeuclidean", "crossnobis")),
    **dict.fromkeys(("poisson", "poisson_cv"), ("poisson", "poisson_cv")),
}
"""Our metric of each method of `calc_rdm_unbalanced`, without folds and with."""

FLOAT64: dict[str, Any] = {"square": False, "precision": "fp64", "progress": False}


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
    distances = rdm(np.asarray(rows, dtype=np.float64), "poisson", prior=prior, per_feature=True, **FLOAT64)
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
    data = copy(dataset)  # of which the RDM gets the descriptors, in the order of the conditions
    data.measurements, data.obs_descriptors = dataset.measurements[:, :1], dict(dataset.obs_descriptors)
    if cv_descriptor is None:
        cv_descriptor = "cv_desc"
        data.obs_descriptors[cv_descriptor] = _calc()._gen_default_cv_descriptor(data, descriptor)
    conditions, folds = (np.asarray(data.obs_descriptors[name]) for name in (descriptor, cv_descriptor))
    _refuse_unequal_folds(conditions, folds)
    rows = np.asarray(dataset.measurements, dtype=np.float64)
    if remove_mean:
        rows = rows - rows.mean(axis=1, keepdims=True)
    options: dict[str, Any] = {}
    if noise is not None:
        options = {"noise": np.asarray(noise, dtype=np.float64), "noise_is": "precision"}
    distances = rdm(rows, "crossnobis", conditions=conditions, folds=folds, per_feature=True, **options, **FLOAT64)
    noise = np.eye(dataset.n_channel) if noise is None else noise
    data.sort_by(descriptor)
    names, _ = _unique(data.obs_descriptors[descriptor])
    return _built(distances, data, "crossnobis", descriptor, names, noise=noise, cv=cv_descriptor)


def calc_rdm_unbalanced(
    dataset: Any,
    method: str = "euclidean",
    descriptor: Any = None,
    noise: Any = None,
    cv_descriptor: Any = None,
    prior_lambda: float = 1,
    prior_weight: float = 0.1,
    weighting: str = "number",
    enforce_same: bool = False,
) -> Any:
    """Distances of conditions with any numbers of rows, also in folds: each row, or pair of rows, has the same weight.

    Without missing measurements ``weighting="equal"`` gives the same.
    """
    options: dict[str, Any] = {"cv_descriptor": cv_descriptor, "weighting": weighting, "enforce_same": enforce_same}
    options |= {"prior_lambda": prior_lambda, "prior_weight": prior_weight}
    if isinstance(dataset, Iterable):
        listed = list(dataset)
        noises = [noise] * len(listed) if noise is None or np.ndim(noise) == 2 else noise
        parts = [
            calc_rdm_unbalanced(one, method, descriptor, of_one, **options)
            for one, of_one in zip(listed, noises, strict=True)
        ]
        return importlib.import_module("rsatoolbox.rdm").concat(parts)
    if method not in _METHODS:
        raise NotCovered(f"the method {method}")
    rows = np.asarray(dataset.measurements, dtype=np.float64)
    if np.isnan(rows).any():
        raise NotCovered("missing measurements")
    if descriptor is None:
        dataset, descriptor = deepcopy(dataset), "index"
        dataset.obs_descriptors["index"] = np.arange(dataset.n_obs)
    if method in ("crossnobis", "poisson_cv") and cv_descriptor is None:
        dataset.obs_descriptors.setdefault("index", np.arange(dataset.n_obs))
        cv_descriptor = "index"
        warnings.warn("cv_descriptor not set: folds are those of the descriptor index, or single rows", stacklevel=3)
    names, condition = _unique(dataset.obs_descriptors[descriptor])
    fold = np.arange(dataset.n_obs)
    given: dict[str, Any] = {"conditions": condition, "per_feature": True, **FLOAT64}
    if cv_descriptor is not None:
        fold = np.unique(dataset.obs_descriptors[cv_descriptor], return_inverse=True)[1].reshape(-1)
        given |= {"folds": fold}
    if method == "correlation":  # half the squared distances of z-scores
        PairwiseEngine().refuse_bad_rows(rows, "unit_centred", "measurements")
        rows = rows - rows.mean(axis=1, keepdims=True)
        rows *= np.sqrt(rows.shape[1] / 2) / np.linalg.norm(rows, axis=1, keepdims=True)
    elif method in ("mahalanobis", "crossnobis") and noise is not None:
        given |= {"noise": np.asarray(noise, dtype=np.float64), "noise_is": "precision"}
    elif method.startswith("poisson"):
        given["prior"] = prior_lambda, prior_weight
    metric = _METHODS[method][0 if cv_descriptor is None else 1]
    distances = rdm(rows, metric, weighting="rows", **given)
    return _built(distances, dataset, method, descriptor, names, fold, noise)


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


def _unique(labels: Any) -> tuple[Any, Any]:
    return importlib.import_module("rsatoolbox.util.data_utils").get_unique_inverse(labels)


def _calc() -> Any:
    return importlib.import_module("rsatoolbox.rdm.calc")


ADAPTERS: dict[str, Callable[..., Any]] = {
    f"rsatoolbox.rdm.calc.{function.__name__}": function
    for function in (
        calc_rdm_euclidean,
        calc_rdm_mahalanobis,
        calc_rdm_correlation,
        calc_rdm_poisson,
        calc_rdm_crossnobis,
    )
}
ADAPTERS["rsatoolbox.rdm.calc_unbalanced.calc_rdm_unbalanced"] = calc_rdm_unbalanced
