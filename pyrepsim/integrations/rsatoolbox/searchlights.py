"""RDMs of searchlights, and models compared with them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ...core.errors import DegenerateError, NonFiniteError
from ...pairwise import compare_rdms, rdm
from ..patching import NotCovered, base_class, count, fallbacks
from .bootstraps import comparator_of, predictions
from .comparisons import stack_of, zero_if_undefined
from .dissimilarities import FLOAT64

__all__ = ["ADAPTERS", "searchlight_rdms"]

_METRICS = {
    "correlation": "correlation",
    "euclidean": "sqeuclidean",
    "mahalanobis": "sqeuclidean",  # without a noise
    "poisson": "poisson",
    "crossnobis": "crossnobis",
}
_AT_ONCE = 256


def searchlight_rdms(
    data_2d: Any, centers: Any, neighbors: Any, events: Any, method: str = "correlation", verbose: bool = True
) -> Any:
    """`rsatoolbox.util.searchlight.get_searchlight_RDMs` by pyrepsim: an RDM of each searchlight.

    Searchlights that pyrepsim refuses, such as those with a constant pattern, are computed by rsatoolbox. Raises
    `NotCovered` for other methods than correlation, euclidean, mahalanobis, poisson and crossnobis, and
    `MissingExtraError` if rsatoolbox is not installed.
    """
    del verbose  # rsatoolbox does not use it either
    if method not in _METRICS:
        raise NotCovered(f"searchlights by the method {method}")
    data, centers = np.asarray(data_2d, dtype=np.float64), np.array(centers)
    columns = [np.asarray(indices) for indices in neighbors]
    names, condition = np.unique(events, return_inverse=True)
    n = len(names)
    options: dict[str, Any] = {"per_feature": method != "correlation", **FLOAT64}
    if method == "crossnobis":
        rows, options["conditions"], options["folds"] = data, events, _occurrences(events)
    else:
        means = [data[condition == one].mean(axis=0) for one in range(n)]
        rows = np.asfortranarray(means)  # the elements of a column next to each other
    vectors = np.empty((len(centers), n * (n - 1) // 2))

    for start in range(0, len(centers), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        try:
            rdm(rows, _METRICS[method], features=columns[some], out=vectors[some], **options)
        except (DegenerateError, NonFiniteError):
            if method == "crossnobis":
                raise
            refused = np.array([_is_refused(rows[:, chosen]) for chosen in columns[some]])
            theirs, ours = start + np.flatnonzero(refused), start + np.flatnonzero(~refused)
            count(fallbacks, f"{_HOST}.get_searchlight_RDMs")
            host = importlib.import_module(_HOST)
            own = _original(host.get_searchlight_RDMs)(data, theirs, [columns[c] for c in theirs], events, method)
            vectors[theirs] = own.dissimilarities
            if len(ours):
                vectors[ours] = rdm(rows, _METRICS[method], features=[columns[c] for c in ours], **options)
    return base_class("rsatoolbox.rdm.RDMs", "rsatoolbox>=0.3,<0.4")(
        vectors, rdm_descriptors={"voxel_index": centers}, dissimilarity_measure=method
    )


def evaluate_models_searchlight(
    sl_RDM: Any, models: Any, eval_function: Any, method: str = "corr", theta: Any = None, n_jobs: int = 1
) -> list[Any]:
    """`eval_fixed` of models for each searchlight, in this process: ``n_jobs`` has no effect."""
    del n_jobs
    inference = importlib.import_module("rsatoolbox.inference")
    if _original(eval_function) is not _original(inference.eval_fixed):
        raise NotCovered("another evaluation of searchlights than eval_fixed")
    listed = [models] if hasattr(models, "predict_rdm") else models
    predicted = stack_of(predictions(listed, theta, sl_RDM))
    comparator, rdms = comparator_of(method), stack_of(sl_RDM)
    values = zero_if_undefined(compare_rdms(predicted, rdms, comparator, on_degenerate="nan"), comparator)
    results = []
    for rows, of_models in zip(rdms, values.T, strict=True):
        ceiling = compare_rdms(rows, rows, comparator)  # the pool of one RDM is that RDM
        result = inference.Result(
            listed, of_models.reshape(1, -1, 1), method, "fixed", (ceiling, ceiling), dof=0, n_rdm=1
        )
        result.n_pattern = sl_RDM.n_cond
        results.append(result)
    return results


def _is_refused(rows: np.ndarray) -> bool:
    return not np.isfinite(rows).all() or bool((rows == rows[:, :1]).all(axis=1).any())


def _original(function: Any) -> Any:
    return getattr(function, "__wrapped__", function)


def _occurrences(labels: Any) -> np.ndarray:
    """How often each label occurred before: the folds that rsatoolbox makes by default."""
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if (counts != counts[0]).any():
        raise NotCovered("crossnobis of events that are not equally frequent")
    folds = np.empty(len(place), np.int64)
    folds[np.argsort(place, kind="stable")] = np.tile(np.arange(counts[0]), len(counts))
    return folds


_HOST = "rsatoolbox.util.searchlight"
ADAPTERS: dict[str, Callable[..., Any]] = {
    f"{_HOST}.get_searchlight_RDMs": searchlight_rdms,
    f"{_HOST}.evaluate_models_searchlight": evaluate_models_searchlight,
}
