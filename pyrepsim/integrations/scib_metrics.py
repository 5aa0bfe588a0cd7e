"""scib-metrics: exact nearest neighbours in place of approximate ones."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..pairwise import knn
from .patching import Host, NotCovered
from .patching import patched as _patched

__all__ = ["nearest_neighbors", "patched"]


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Compute exact neighbours with pyrepsim where scib-metrics calls `pynndescent` or `jax_approx_min_k`.

    Parameters
    ----------
    any_version
        Patch a version of scib-metrics that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.
    """
    return _patched(_HOST, any_version=any_version)


def nearest_neighbors(X: Any, n_neighbors: int) -> Any:
    """The exact Euclidean neighbours of each row: a `neighbor_computer` for `scib_metrics.benchmark.Benchmarker`.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        float32 rows are compared in float32, all others in float64.
    n_neighbors : int
        Each row counts as its own first neighbour.

    Returns
    -------
    scib_metrics.nearest_neighbors.NeighborsResults
        Indices and distances of shape (n_samples, n_neighbors), nearest first.

    Examples
    --------
    >>> benchmarker.prepare(neighbor_computer=nearest_neighbors)  # doctest: +SKIP
    """
    rows = np.asarray(X)
    precision = "fp32" if rows.dtype == np.float32 else "fp64"
    distances, indices = knn(rows, n_neighbors, "euclidean", include_self=True, precision=precision, progress=False)
    results = importlib.import_module("scib_metrics.nearest_neighbors").NeighborsResults
    return results(indices=indices, distances=distances)


def pynndescent(X: Any, n_neighbors: int, random_state: int = 0, n_jobs: int = 1) -> Any:
    """`scib_metrics.nearest_neighbors.pynndescent` by pyrepsim, exactly."""
    del random_state, n_jobs
    return _of_dense_rows(X, n_neighbors)


def jax_approx_min_k(X: Any, n_neighbors: int, recall_target: float = 0.95, chunk_size: int = 2048) -> Any:
    """`scib_metrics.nearest_neighbors.jax_approx_min_k` by pyrepsim, exactly."""
    del recall_target, chunk_size
    return _of_dense_rows(X, n_neighbors)


def _of_dense_rows(X: Any, n_neighbors: int) -> Any:
    if not isinstance(X, np.ndarray):
        raise NotCovered("rows that are not a NumPy array")
    return nearest_neighbors(X, n_neighbors)


_HOST = Host(
    "scib-metrics",
    ">=0.5,<0.6",
    {
        "scib_metrics.nearest_neighbors.pynndescent": pynndescent,
        "scib_metrics.nearest_neighbors.jax_approx_min_k": jax_approx_min_k,
    },
)
