"""Brain-Score: metrics of `brainscore_vision` computed by pyrepsim, and measures of pyrepsim as its metrics."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..comparison import compare
from ..core.errors import MissingExtraError, OptionError, RowMismatchError, ShapeError
from ..measures import (
    PWCCA,
    RSA,
    SVCCA,
    DistanceCorrelation,
    KernelCKA,
    LinearCKA,
    LinearPredictivity,
    Measure,
    MutualKNN,
    Procrustes,
    parse_measure,
)
from ..pairwise import compare_rdms, pdist
from .patching import Host, NotCovered, calls, count
from .patching import patched as _patched

__all__ = ["METRICS", "patched", "register"]

METRICS: dict[str, Measure] = {
    "pyrepsim_cka": LinearCKA(debiased=True),
    "pyrepsim_cka_biased": LinearCKA(),
    "pyrepsim_cka_rbf": KernelCKA(debiased=True),
    "pyrepsim_distance_correlation": DistanceCorrelation(debiased=True),
    "pyrepsim_linear_predictivity": LinearPredictivity(),
    "pyrepsim_mutual_knn": MutualKNN(),
    "pyrepsim_procrustes": Procrustes(),
    "pyrepsim_pwcca": PWCCA(),
    "pyrepsim_rdm": RSA(metric="correlation", compare="spearman"),
    "pyrepsim_rdm_whitened": RSA(metric="sqeuclidean", compare="corr_cov"),
    "pyrepsim_svcca": SVCCA(),
}
"""The metrics that `register` adds by default, by name."""


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


def register(measures: Mapping[str, Measure | str] | None = None) -> list[str]:
    """Add measures to ``brainscore_vision.metric_registry``, each also cross-validated, as ``<name>_cv``.

    Afterwards ``brainscore_vision.load_metric(name)`` returns a metric. It is called with two assemblies, whose stimuli
    may come in any order, and returns a `Score`. The metrics take `comparison_coord`, as Brain-Score's do, and those
    that are cross-validated also `crossvalidation_kwargs`.

    Parameters
    ----------
    measures : mapping of str to Measure or str, optional
        Measures by name; a name starts with "pyrepsim_". By default `METRICS`.

    Returns
    -------
    list of str
        The names, sorted.

    Raises
    ------
    MissingExtraError
        If `brainscore_vision` cannot be imported.
    OptionError
        For other names, and for texts that are no measures.
    """
    chosen = {name: parse_measure(m) if isinstance(m, str) else m for name, m in (measures or METRICS).items()}
    if wrong := [name for name in chosen if not name.startswith("pyrepsim_")]:
        raise OptionError(f"names of metrics must start with pyrepsim_: got {', '.join(wrong)}. Choose other names.")
    try:
        host: Any = importlib.import_module("brainscore_vision")
    except ImportError as error:
        raise MissingExtraError(
            f"register needs brainscore_vision: {error}. Run pip install brainscore_vision."
        ) from error
    for name, measure in chosen.items():
        host.metric_registry[name] = functools.partial(_Metric, name, measure)
        host.metric_registry[f"{name}_cv"] = functools.partial(_CrossValidated, name, measure)
    if not hasattr(host.import_plugin, "knows_pyrepsim"):  # `load_metric` calls it, to find the folder of a name
        host.import_plugin = _without_folders(host.import_plugin)
    return sorted([*chosen, *(f"{name}_cv" for name in chosen)])


def _without_folders(import_plugin: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(import_plugin)
    def replacement(library_root: str, plugin_type: str, identifier: str, *args: Any, **kwargs: Any) -> None:
        if not (plugin_type == "metrics" and identifier.startswith("pyrepsim_")):
            import_plugin(library_root, plugin_type, identifier, *args, **kwargs)

    replacement.__dict__["knows_pyrepsim"] = True
    return replacement


@dataclass(frozen=True)
class _Metric:
    """A measure of two assemblies of presentations x neuroids; stimuli are matched by their labels."""

    name: str
    measure: Measure
    comparison_coord: str = "stimulus_id"

    def __call__(self, assembly1: Any, assembly2: Any) -> Any:
        count(calls, f"brainscore_vision.metric_registry.{self.name}")
        (X, labels), (Y, others) = (_sorted_rows(a, self.comparison_coord) for a in (assembly1, assembly2))
        if not np.array_equal(labels, others):
            raise RowMismatchError(
                f"{self.name} needs two assemblies of the same stimuli: got {len(labels)} and {len(others)} labels "
                f"{self.comparison_coord} that differ. Select the stimuli that both have."
            )
        score: Any = compare(X, Y, self.measure, precision="fp64", progress=False)
        return importlib.import_module("brainscore_core.metrics").Score(score.value)


class _CrossValidated:
    """The mean of a metric over random parts of the stimuli, as Brain-Score's own ``_cv`` metrics."""

    def __init__(
        self, name: str, measure: Measure, comparison_coord: str = "stimulus_id", crossvalidation_kwargs: Any = None
    ) -> None:
        transformations = importlib.import_module("brainscore_vision.metric_helpers.transformations")
        self._metric = _Metric(name, measure, comparison_coord)
        self._split = transformations.TestOnlyCrossValidation(**{"test_size": 0.9, **(crossvalidation_kwargs or {})})

    def __call__(self, assembly1: Any, assembly2: Any) -> Any:
        return self._split(assembly1, assembly2, apply=self._metric)


def _sorted_rows(assembly: Any, coordinate: str) -> tuple[np.ndarray, np.ndarray]:
    """Return an assembly as rows in the order of their labels, and the labels."""
    dims = assembly[coordinate].dims
    if len(assembly.dims) != 2 or len(dims) != 1:
        raise ShapeError(
            f"an assembly must have two dimensions, one of them labelled by {coordinate}: got {assembly.dims}, and "
            f"labels of {dims}. Select one time bin, or average over it."
        )
    rows = assembly.values if assembly.dims[0] == dims[0] else assembly.values.T
    labels = assembly[coordinate].values
    order = np.argsort(labels, kind="stable")
    return rows[order], labels[order]


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
    if neuroid_dim not in assembly.dims or neuroid_dim in assembly[coordinate].dims:
        raise NotCovered("assemblies of other dimensions")
    rows, labels = _sorted_rows(assembly, coordinate)
    return pdist(_rows(rows), "correlation", precision="fp64", progress=False), labels


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
