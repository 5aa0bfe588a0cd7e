"""`compare` of rsatoolbox."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...pairwise import compare_rdms
from ...pairwise.distances import n_rows_of, square_matrix
from ..patching import NotCovered

__all__ = ["ADAPTERS", "COMPARATORS", "compare", "stack_of", "zero_if_undefined"]

COMPARATORS = {
    "cosine": "cosine",
    "corr": "pearson",
    "cosine_cov": "cosine_cov",
    "corr_cov": "corr_cov",
    "spearman": "spearman",
    "rho-a": "rho-a",
    "kendall": "tau-b",
    "tau-b": "tau-b",
    "tau-a": "tau-a",
    "neg_riem_dist": "neg_riem_dist",
    "bures": "bures",
    "bures_metric": "bures_metric",
}
"""Our name of each ``method`` of rsatoolbox."""

_FUNCTIONS = {
    "cosine": "cosine",
    "correlation": "corr",
    "cosine_cov_weighted": "cosine_cov",
    "correlation_cov_weighted": "corr_cov",
    "spearman": "spearman",
    "rho_a": "rho-a",
    "kendall_tau": "kendall",
    "kendall_tau_a": "tau-a",
    "neg_riemannian_distance": "neg_riem_dist",
    "bures_similarity": "bures",
    "bures_metric": "bures_metric",
}
"""The method of each function ``rsatoolbox.rdm.compare.compare_...``."""

_ZERO_IF_UNDEFINED = ("cosine", "pearson", "cosine_cov", "corr_cov", "spearman", "rho-a", "tau-a")


def compare(rdm1: Any, rdm2: Any, sigma_k: Any = None, *, comparator: str) -> np.ndarray:
    """`rsatoolbox.rdm.compare` by one of pyrepsim's comparators: (n_rdms of rdm1, n_rdms of rdm2)."""
    options: dict[str, Any] = {"clip_negative": True} if comparator.startswith("bures") else {}
    if sigma_k is not None:
        if np.ndim(sigma_k) != 2:
            raise NotCovered("variances of conditions, for which rsatoolbox whitens approximately")
        options["sigma_k"] = sigma_k
    x, y = stack_of(rdm1), stack_of(rdm2)
    return zero_if_undefined(compare_rdms(x, y, comparator, on_degenerate="nan", **options), comparator)


def zero_if_undefined(values: np.ndarray, comparator: str) -> np.ndarray:
    """0 for NaN, where rsatoolbox has 0 for a constant RDM."""
    return np.where(np.isnan(values), 0.0, values) if comparator in _ZERO_IF_UNDEFINED else values


def stack_of(rdms: Any) -> np.ndarray:
    """RDMs as pyrepsim reads them: condensed, or square where a stack would look like one square RDM."""
    vectors = np.atleast_2d(rdms if isinstance(rdms, np.ndarray) else rdms.get_vectors())
    if len(vectors) == vectors.shape[1]:  # would be read as one square RDM
        return square_matrix(vectors, np.zeros((len(vectors), n_rows_of(vectors[0]))))
    return vectors


ADAPTERS: dict[str, Callable[..., Any]] = {
    f"rsatoolbox.rdm.compare.compare_{name}": partial(compare, comparator=COMPARATORS[method])
    for name, method in _FUNCTIONS.items()
}
