"""Brain-Score: the metrics ``cka``, ``cka_biased``, ``cka_cv``, ``rdm`` and ``rdm_cv`` of `brainscore_vision`."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..comparison import compare
from ..measures import LinearCKA
from ..pairwise import compare_rdms, pdist
from .patching import Host, NotCovered
from .patching import patched as _patched

__all__ = ["patched"]


def patched(*, any_version: bool = False) -> AbstractContextManager[None]:
    """Compute CKA and the similarity of RDMs with pyrepsim where Brain-Score's metrics are called.

    Parameters
    ----------
    any_version
        Patch a version of Brain-Score that was not tested.

    Raises
    ------
    HostVersionError, MissingExtraError
        For a version that was not tested, or none.
    """
    return _patched(_HOST, any_version=any_version)


def unbiased_linear_cka(X: Any, Y: Any, eps: float = 1e-12) -> float:
    """`unbiased_linear_CKA` by pyrepsim."""
    del eps  # added to the denominator there
    return _cka(X, Y, debiased=True)


def linear_cka(X: Any, Y: Any) -> float:
    """`linear_CKA` by pyrepsim."""
    return _cka(X, Y, debiased=False)


def _cka(X: Any, Y: Any, *, debiased: bool) -> float:
    score: Any = compare(_rows(X), _rows(Y), LinearCKA(debiased=debiased), precision="fp64", progress=False)
    return score.value


def similarity_of_rdms(self: Any, assembly1: Any, assembly2: Any) -> Any:
    """`RDMMetric.__call__` by pyrepsim: Spearman's correlation of correlation distances between presentations."""
    rdms = [
        _rdm(assembly, self._neuroid_dim, self._similarity._comparison_coord) for assembly in (assembly1, assembly2)
    ]
    (one, labels), (other, labels_of_other) = rdms
    if not np.array_equal(labels, labels_of_other):
        raise NotCovered("assemblies of different presentations")
    return importlib.import_module("brainscore_core.metrics").Score(compare_rdms(one, other, "spearman"))


def _rdm(assembly: Any, neuroid_dim: str, coordinate: str) -> tuple[np.ndarray, np.ndarray]:
    """Condensed distances between presentations, and their labels, both in the order of the labels."""
    if len(assembly.dims) != 2 or neuroid_dim not in assembly.dims or len(assembly[coordinate].dims) != 1:
        raise NotCovered("assemblies of other dimensions")
    rows = assembly.values if assembly.dims[-1] == neuroid_dim else assembly.values.T
    labels = assembly[coordinate].values
    order = np.argsort(labels)
    return pdist(_rows(rows)[order], "correlation", precision="fp64", progress=False), labels[order]


def _rows(X: Any) -> np.ndarray:
    rows = np.asarray(X)
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise NotCovered("this input")
    return rows.astype(np.float64, copy=False)


_METRICS = "brainscore_vision.metrics"
_HOST = Host(
    "brainscore_vision",
    ">=2.4,<2.5",
    {
        f"{_METRICS}.cka.metric.unbiased_linear_CKA": unbiased_linear_cka,
        f"{_METRICS}.cka.metric.linear_CKA": linear_cka,
        f"{_METRICS}.rdm.metric.RDMMetric.__call__": similarity_of_rdms,
    },
)
