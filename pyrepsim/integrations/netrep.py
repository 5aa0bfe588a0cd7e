"""netrep: `LinearMetric` with ``alpha=1``, the Procrustes shape distance, and its distances between all pairs."""

from __future__ import annotations

import importlib
import itertools
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..comparison import compare_all
from ..comparison.alignment import ProcrustesAlignment
from ..measures import Procrustes
from .patching import Host, NotCovered
from .patching import patched as _patched

__all__ = ["patched"]


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Fit rotations and compute shape distances with pyrepsim where netrep is called.

    Parameters
    ----------
    any_version
        Patch a version of netrep that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.
    """
    return _patched(_HOST, any_version=any_version)


def fit(self: Any, X: Any, Y: Any) -> Any:
    """`LinearMetric.fit` by pyrepsim; netrep computes scores and transformed rows from the maps."""
    if self.alpha != 1:
        raise NotCovered("alpha other than 1")
    X, Y = importlib.import_module("netrep.validation").check_equal_shapes(X, Y, nd=2, zero_pad=self.zero_pad)
    maps = ProcrustesAlignment(center=self.center_columns).fit(np.asarray(X, np.float64), np.asarray(Y, np.float64))
    self.mx_, self.my_, self.Wx_, self.Wy_ = maps.mean_x_, maps.mean_y_, maps.W_x_, maps.W_y_
    return self


def pairwise_distances(
    metric: Any, traindata: Any, testdata: Any = None, verbose: bool = True, enable_caching: bool = False
) -> np.ndarray:
    """`netrep.multiset.pairwise_distances` by pyrepsim: the moments of each network once, for all pairs."""
    del enable_caching
    if type(metric).__name__ != "LinearMetric" or metric.alpha != 1 or not metric.center_columns:
        raise NotCovered("this metric")
    if testdata is not None or (not metric.zero_pad and len({np.shape(X) for X in traindata}) > 1):
        raise NotCovered("test data" if testdata is not None else "networks of different sizes")
    value = {"angular": "angle", "euclidean": "euclidean"}[metric.score_method]
    networks = [np.asarray(X, dtype=np.float64) for X in traindata]
    matrix: Any = compare_all(networks, Procrustes(), value=value, precision="fp64", progress=verbose or None)
    distances = matrix.values.copy()
    np.fill_diagonal(distances, 0.0)
    return distances


def distances_of_metric(
    self: Any, train_data: Any, test_data: Any = None, processes: int | None = None, verbose: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """`LinearMetric.pairwise_distances` by pyrepsim, in this process."""
    del processes
    if test_data is None:
        train = pairwise_distances(self, train_data, verbose=verbose)
        test = np.full_like(train, np.inf)
        np.fill_diagonal(test, 0.0)
        return train, test
    k = len(train_data)
    train, test = np.zeros((k, k)), np.zeros((k, k))
    for i, j in itertools.combinations(range(k), 2):
        fit(self, train_data[i], train_data[j])
        train[i, j] = train[j, i] = self.score(train_data[i], train_data[j])
        test[i, j] = test[j, i] = self.score(test_data[i], test_data[j])
    return train, test


_HOST = Host(
    "netrep",
    ">=0.0.2,<0.1",
    {
        "netrep.metrics.linear.LinearMetric.fit": fit,
        "netrep.metrics.linear.LinearMetric.pairwise_distances": distances_of_metric,
        "netrep.multiset.pairwise_distances": pairwise_distances,
    },
    address="git+https://github.com/ahwillia/netrep",
)
