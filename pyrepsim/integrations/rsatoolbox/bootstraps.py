"""Noise ceilings and bootstraps of rsatoolbox, for models without parameters to fit.

Samples are drawn with the random numbers of rsatoolbox, in its order, so that a seed gives its samples.
"""
# ruff: noqa: NPY002 - the random numbers of rsatoolbox

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from ...core.blas import one_blas_thread
from ...core.errors import PyrepsimError
from ...pairwise.resampled import RDMSample, RDMSampler
from ..patching import NotCovered
from .comparisons import COMPARATORS, stack_of, zero_if_undefined

__all__ = ["ADAPTERS", "comparator_of", "predictions"]

_NOT_SAMPLED = ("neg_riem_dist", "bures", "bures_metric")


def boot_noise_ceiling(rdms: Any, method: str = "cosine", rdm_descriptor: str = "index") -> tuple[Any, Any]:
    """The lower and the upper bound of the noise ceiling."""
    sampler = RDMSampler(
        stack_of(rdms), compare=comparator_of(method), groups=_numbers(rdms.rdm_descriptors[rdm_descriptor])
    )
    return _ceilings(sampler.sample())


def _eval_bootstrap(
    cv_method: str,
    models: Any,
    data: Any,
    theta: Any = None,
    method: str = "cosine",
    N: int = 1000,
    pattern_descriptor: str = "index",
    rdm_descriptor: str = "index",
    boot_noise_ceil: bool = True,
) -> Any:
    """Models compared with data over samples of RDMs and patterns ("bootstrap"), or of patterns alone."""
    run = _Bootstrap(models, data, theta, method, N, pattern_descriptor, rdm_descriptor)
    if cv_method == "bootstrap":
        variances, options = run.over("rdms", "patterns", ceilings=boot_noise_ceil)
        dof = min(data.n_rdm, data.n_cond) - 1
        return run.result(cv_method, variances, dof=dof, n_rdm=data.n_rdm, n_pattern=data.n_cond, **options)
    variances, options = run.over("patterns", ceilings=boot_noise_ceil)
    result = run.result(cv_method, variances, dof=data.n_cond - 1, n_pattern=data.n_cond, **options)
    result.n_rdm = data.n_rdm
    return result


def eval_bootstrap_rdm(
    models: Any,
    data: Any,
    theta: Any = None,
    method: str = "cosine",
    N: int = 1000,
    rdm_descriptor: str = "index",
    boot_noise_ceil: bool = True,
) -> Any:
    """Models compared with data over samples of RDMs."""
    run = _Bootstrap(models, data, theta, method, N, None, rdm_descriptor)
    _, options = run.over("rdms", ceilings=boot_noise_ceil)
    variances = np.cov(options["evaluations"].T)
    result = run.result("bootstrap_rdm", variances, dof=data.n_rdm - 1, n_rdm=data.n_rdm, **options)
    result.n_pattern = data.n_cond
    return result


def eval_dual_bootstrap(
    models: Any,
    data: Any,
    method: str = "cosine",
    fitter: Any = None,
    k_pattern: int | None = 1,
    k_rdm: int | None = 1,
    N: int = 1000,
    n_cv: int = 2,
    pattern_descriptor: str = "index",
    rdm_descriptor: str = "index",
    use_correction: bool = True,
) -> Any:
    """Models compared with data over samples of RDMs and patterns, of RDMs alone, and of patterns alone."""
    del n_cv, use_correction  # of cross-validation
    if k_pattern != 1 or k_rdm != 1:
        raise NotCovered("cross-validation in a bootstrap")
    if fitter is not None or any(type(model).__name__ != "ModelFixed" for model in _listed(models)):
        raise NotCovered("models that are fitted in a bootstrap")
    run = _Bootstrap(models, data, None, method, N, pattern_descriptor, rdm_descriptor)
    evaluations = np.full((N, len(run.models), 1, 1, 3), np.nan)
    ceilings = np.full((2, N, 1, 3), np.nan)
    with run.sampling():
        complete, ones = run.sampler.sample(), np.ones(data.n_rdm)
        for one in range(N):
            rdms, patterns = run.drawn_rdms(), run.drawn_patterns()
            n_rdms, n_patterns = len(np.unique(rdms)), len(np.unique(patterns))
            if n_patterns < 3:
                continue
            counts, sample = run.counts(rdms), run.sample(patterns)
            for kind, (part, of_rdms, shuffled) in enumerate(
                (
                    (sample, counts, (n_rdms, n_patterns)),
                    (complete, counts, (n_rdms, run.n_pattern_groups)),
                    (sample, ones, (run.n_rdm_groups, n_patterns)),
                )
            ):
                for n in shuffled:  # rsatoolbox shuffles folds, of which there is one here
                    np.random.shuffle(np.arange(n))
                evaluations[one, :, 0, 0, kind] = run.means(part, of_rdms)
                ceilings[:, one, 0, kind] = _ceilings(part, of_rdms)
    used = ~np.isnan(evaluations[:, 0, 0, 0, 0])
    matrix = np.concatenate([evaluations[used][:, :, 0, 0], ceilings[:, used, 0].transpose(1, 0, 2)], axis=1)
    matrix -= matrix.mean(axis=0, keepdims=True)
    variances = np.einsum("ijk,ilk->kjl", matrix, matrix) / (len(matrix) - 1)
    dof = min(data.n_rdm, data.n_cond) - 1
    return run.result(
        "dual_bootstrap",
        variances,
        evaluations=evaluations,
        noise_ceiling=ceilings,
        dof=dof,
        n_rdm=data.n_rdm,
        n_pattern=data.n_cond,
    )


class _Bootstrap:
    """Models and data of a bootstrap, and its random numbers."""

    def __init__(
        self,
        models: Any,
        data: Any,
        theta: Any,
        method: str,
        n_samples: int,
        pattern_descriptor: str | None,
        rdm_descriptor: str,
    ) -> None:
        if not n_samples > 1:
            raise NotCovered("a bootstrap of one sample")
        self.models, self._method, self._n_samples = _listed(models), method, n_samples
        self._comparator = comparator_of(method)
        self._rdm_groups = _numbers(data.rdm_descriptors[rdm_descriptor])
        self.n_rdm_groups = self._rdm_groups.max() + 1
        rows = predictions(self.models, theta, data, pattern_descriptor)
        if pattern_descriptor is not None:
            self._pattern_groups = _numbers(data.pattern_descriptors[pattern_descriptor])
            self.n_pattern_groups = self._pattern_groups.max() + 1
        self.sampler = RDMSampler(stack_of(data), stack_of(rows), self._comparator, groups=self._rdm_groups)

    def over(self, *drawn: str, ceilings: bool) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Variances, evaluations and noise ceilings over samples of "rdms", "patterns" or both."""
        evaluations = np.full((self._n_samples, len(self.models)), np.nan)
        bounds = np.full((2, self._n_samples), np.nan)
        with self.sampling():
            sample, counts = self.sampler.sample(), np.ones(self.sampler.n_rdms)
            complete = sample
            for one in range(self._n_samples):
                if "rdms" in drawn:
                    counts = self.counts(self.drawn_rdms())
                if "patterns" in drawn:
                    patterns = self.drawn_patterns()
                    if len(np.unique(patterns)) < 3:
                        continue
                    sample = self.sample(patterns)
                evaluations[one] = self.means(sample, counts)
                if ceilings:
                    bounds[:, one] = _ceilings(sample, counts)
            used = np.isfinite(evaluations[:, 0])
            if ceilings:
                variances = np.cov(np.concatenate([evaluations[used].T, bounds[:, used]]))
            else:
                variances, bounds = np.cov(evaluations[used].T), np.array(_ceilings(complete))
        return variances, {"evaluations": evaluations, "noise_ceiling": bounds}

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Put the random numbers back if rsatoolbox has to draw them again."""
        state = np.random.get_state()
        try:
            with one_blas_thread():
                yield
        except (NotCovered, PyrepsimError):
            np.random.set_state(state)
            raise

    def drawn_rdms(self) -> np.ndarray:
        return np.random.randint(0, self.n_rdm_groups, size=self.n_rdm_groups)

    def drawn_patterns(self) -> np.ndarray:
        return np.random.randint(0, self.n_pattern_groups, size=self.n_pattern_groups)

    def counts(self, drawn: np.ndarray) -> np.ndarray:
        """How often each RDM was drawn, from the groups that were."""
        return np.bincount(drawn, minlength=self.n_rdm_groups)[self._rdm_groups].astype(np.float64)

    def sample(self, drawn: np.ndarray) -> RDMSample:
        times = np.bincount(drawn, minlength=self.n_pattern_groups)[self._pattern_groups]
        return self.sampler.sample(np.repeat(np.arange(len(times)), times))

    def means(self, sample: RDMSample, counts: np.ndarray) -> np.ndarray:
        """Mean similarity of each model with the RDMs of the sample."""
        return zero_if_undefined(sample.similarities, self._comparator) @ (counts / counts.sum())

    def result(self, cv_method: str, variances: np.ndarray, **options: Any) -> Any:
        return importlib.import_module("rsatoolbox.inference").Result(
            self.models, method=self._method, cv_method=cv_method, variances=variances, **options
        )


def predictions(models: Sequence[Any], theta: Any, data: Any, pattern_descriptor: str | None = None) -> np.ndarray:
    """The RDM of each model, condensed; of the patterns of the data."""
    models, _, theta, _ = importlib.import_module("rsatoolbox.util.inference_util").input_check_model(models, theta)
    rows = []
    for model, parameters in zip(models, theta, strict=True):
        if not type(model).__module__.startswith("rsatoolbox."):
            raise NotCovered("a model of a class that is not of rsatoolbox")
        predicted = model.predict_rdm(theta=parameters)
        if predicted.n_rdm != 1:
            raise NotCovered("a model of several RDMs")
        if pattern_descriptor is not None and not np.array_equal(
            np.asarray(predicted.pattern_descriptors.get(pattern_descriptor)),
            np.asarray(data.pattern_descriptors[pattern_descriptor]),
        ):
            raise NotCovered("models with other patterns than the data, or in another order")
        rows.append(predicted.get_vectors()[0])
    return np.stack(rows)


def _ceilings(sample: RDMSample, counts: np.ndarray | None = None) -> tuple[Any, Any]:
    bounds = np.array(sample.ceilings(counts))
    if np.isnan(bounds).any():
        raise NotCovered("noise ceilings of constant RDMs")
    return bounds[0], bounds[1]


def comparator_of(method: str) -> str:
    """Our name of a method that has noise ceilings."""
    if method in _NOT_SAMPLED or method not in COMPARATORS:
        raise NotCovered(f"noise ceilings of the method {method}")
    if method in ("kendall", "tau-b", "tau-a"):
        warnings.warn("Noise ceiling for tau based on averaged ranks!", stacklevel=4)
    return COMPARATORS[method]


def _listed(models: Any) -> Sequence[Any]:
    return [models] if hasattr(models, "predict_rdm") else models


def _numbers(labels: Any) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


ADAPTERS: dict[str, Callable[..., Any]] = {
    "rsatoolbox.inference.noise_ceiling.boot_noise_ceiling": boot_noise_ceiling,
    "rsatoolbox.inference.evaluate.eval_bootstrap": partial(_eval_bootstrap, "bootstrap"),
    "rsatoolbox.inference.evaluate.eval_bootstrap_pattern": partial(_eval_bootstrap, "bootstrap_pattern"),
    "rsatoolbox.inference.evaluate.eval_bootstrap_rdm": eval_bootstrap_rdm,
    "rsatoolbox.inference.evaluate.eval_dual_bootstrap": eval_dual_bootstrap,
}
