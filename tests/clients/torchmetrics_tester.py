"""`RepresentationSimilarity` under `MetricTester`, torchmetrics' own test of a metric, against plain NumPy formulas.

`python -m tests.clients torchmetrics` runs it, in one process and in two (gloo). MetricTester also allows a relative
error of 1e-5; `test_two_processes` does not.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from unittests import BATCH_SIZE, NUM_BATCHES
from unittests._helpers.testers import MetricTester

from pyrepsim.integrations.torchmetrics import RepresentationSimilarity

WIDTHS = (8, 6)


def _centred(rows: torch.Tensor) -> np.ndarray:
    x = rows.double().numpy()
    x = x - x.mean(axis=0)
    return x - x.mean(axis=0)


def linear_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    k, g = (a @ a.T for a in (_centred(x), _centred(y)))
    return float(np.sum(k * g) / np.sqrt(np.sum(k * k) * np.sum(g * g)))


def _hsic(k: np.ndarray, g: np.ndarray) -> float:
    """The unbiased estimator of Song et al. (2012), equation 5."""
    n = len(k)
    k, g = k - np.diag(np.diag(k)), g - np.diag(np.diag(g))
    total = k.sum() * g.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * k.sum(axis=0) @ g.sum(axis=0)
    return float((np.trace(k @ g) + total) / (n * (n - 3)))


def debiased_cka(x: torch.Tensor, y: torch.Tensor) -> float:
    k, g = (a @ a.T for a in (_centred(x), _centred(y)))
    return _hsic(k, g) / np.sqrt(_hsic(k, k) * _hsic(g, g))


def cca(x: torch.Tensor, y: torch.Tensor) -> float:
    q, r = (np.linalg.qr(_centred(rows))[0] for rows in (x, y))
    return float(np.linalg.svd(q.T @ r, compute_uv=False).mean())


def rsa(x: torch.Tensor, y: torch.Tensor) -> float:
    rdms = []
    for rows in (x, y):
        unit = rows.double().numpy()
        unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
        rdms.append(1 - (unit @ unit.T)[np.triu_indices(len(unit), 1)])
    return float(np.corrcoef(*rdms)[0, 1])


def rsa_of_rows(x: torch.Tensor, y: torch.Tensor) -> float:
    rdms = [
        np.linalg.norm(rows[:, None] - rows[None], axis=2)[np.triu_indices(len(rows), 1)]
        for rows in (x.double().numpy(), y.double().numpy())
    ]
    return float(np.corrcoef(*rdms)[0, 1])


FORMULAS = {
    "LinearCKA": linear_cka,
    "LinearCKA(debiased=True)": debiased_cka,
    "CCA": cca,
    "RSA": rsa,
}


def _rows(offset: float = 0.0, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(NUM_BATCHES, BATCH_SIZE, WIDTHS[0], generator=generator, dtype=torch.float64)
    y = x[..., : WIDTHS[1]] + torch.randn(NUM_BATCHES, BATCH_SIZE, WIDTHS[1], generator=generator, dtype=torch.float64)
    return (x + offset).to(dtype), (y + offset).to(dtype)


def _metric(measure: str, **options: object) -> partial[RepresentationSimilarity]:
    return partial(RepresentationSimilarity, measure, *WIDTHS, **options)


class TestRepresentationSimilarity(MetricTester):
    @pytest.mark.parametrize("measure", FORMULAS)
    @pytest.mark.parametrize("ddp", [False, True])
    def test_value(self, measure: str, ddp: bool):
        x, y = _rows()
        self.run_class_metric_test(ddp, x, y, _metric(measure), FORMULAS[measure])

    @pytest.mark.parametrize("measure", ["LinearCKA", "LinearCKA(debiased=True)", "CCA"])
    @pytest.mark.parametrize("ddp", [False, True])
    def test_large_means(self, measure: str, ddp: bool):
        x, y = _rows(offset=1e4, dtype=torch.float64)
        self.run_class_metric_test(ddp, x, y, _metric(measure), FORMULAS[measure], atol=1e-12)

    @pytest.mark.parametrize("ddp", [False, True])
    def test_measure_of_rows(self, ddp: bool):
        x, y = _rows()
        metric = _metric("RSA(metric='euclidean')")
        self.run_class_metric_test(ddp, x, y, metric, rsa_of_rows, atol=2e-7)

    @pytest.mark.parametrize("measure", ["LinearCKA", "RSA(metric='euclidean')"])
    def test_values_of_all_processes_in_each_step(self, measure: str):
        x, y = _rows()
        reference, atol = (linear_cka, 1e-8) if measure == "LinearCKA" else (rsa_of_rows, 2e-7)
        self.run_class_metric_test(True, x, y, _metric(measure), reference, dist_sync_on_step=True, atol=atol)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision(self, dtype: torch.dtype):
        x, y = _rows()
        self.run_precision_test_cpu(x, y, _metric("LinearCKA"), dtype=dtype)

    def test_not_differentiable(self):
        x, y = _rows()
        self.run_differentiability_test(x, y, _metric("LinearCKA"))


def _value_of_this_process(measure: str, offset: float, n_first: int, _task: int) -> float:
    """The value where the first process has `n_first` of 128 rows, in batches of 30, and the second has the others."""
    first = torch.distributed.get_rank() == 0
    x, y = (rows.flatten(0, 1) for rows in _rows(offset, torch.float64))
    metric = _metric(measure)()
    for begin in range(0, n_first, 30) if first else range(n_first, len(x), 30):
        end = min(begin + 30, n_first if first else len(x))
        metric.update(x[begin:end], y[begin:end])
    return float(metric.compute())


@pytest.mark.parametrize("measure", [*FORMULAS, "RSA(metric='euclidean')"])
@pytest.mark.parametrize("n_first", [64, 1, 0])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_two_processes(measure: str, n_first: int, offset: float):
    due = {**FORMULAS, "RSA(metric='euclidean')": rsa_of_rows}[measure]
    if offset and due in (rsa, rsa_of_rows):
        pytest.skip("an RDM of cosines depends on the offset; the formula for Euclidean distances loses digits")
    found = pytest.pool.starmap(partial(_value_of_this_process, measure, offset, n_first), [(0,), (1,)])
    x, y = (rows.flatten(0, 1) for rows in _rows(offset, torch.float64))
    tolerance = 2e-7 if due is rsa_of_rows else 1e-12
    assert found == pytest.approx([due(x, y)] * 2, abs=tolerance, rel=0)
