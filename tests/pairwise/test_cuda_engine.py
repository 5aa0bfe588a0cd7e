"""Measures of rows over the backend of GPUs: emulated on the CPU, and on a device where there is one."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.backends.cuda.device import current_device
from pyrepsim.core.errors import NonFiniteError, OptionError
from tests.cuda_emulation import backend as emulation
from tests.helpers.backends import CUDA, EMULATED
from tests.helpers.data import correlated_pair

X, Y = (side.astype(np.float32) for side in correlated_pair(140, 12, 9, seed=11))
MEASURES = [
    rs.RSA(metric="euclidean"),
    rs.RSA(metric="correlation", compare="corr_cov", method="tiles"),
    rs.RSA(metric="mahalanobis", compare="spearman"),
    rs.RSA(metric="manhattan", compare="kendall"),
    rs.RSA(sample=60, draws=2),
    rs.KernelCKA(),
    rs.KernelCKA(fraction=1e4, debiased=True),
    rs.KernelCKA(fraction=0.4),
    rs.DistanceCorrelation(),
    rs.MutualKNN(),
    rs.SecondOrderCosine(k=4),
    rs.Uniformity(),
    rs.Concentricity(),
    rs.MetricSpaceMagnitude(),
]


@pytest.mark.parametrize("backend", CUDA)
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_measures_agree_with_the_cpu(measure, backend):
    for precision, tolerance in (("fp64", 1e-9), ("auto", 1e-5)):
        found = rs.compare(X, Y, measure, backend=backend, precision=precision)
        assert found.value == pytest.approx(rs.compare(X, Y, measure, precision="fp64").value, abs=tolerance)
        assert found.provenance["backend"] == backend


@pytest.mark.parametrize("backend", CUDA)
def test_ranks_by_histograms(backend, monkeypatch):
    measure = rs.RSA(metric="euclidean", compare="spearman")
    exact = rs.compare(X, Y, measure, precision="fp64").value
    monkeypatch.setattr("pyrepsim.pairwise.ranks.IN_MEMORY_ROWS", 10)
    monkeypatch.setattr("pyrepsim.pairwise.ranks.BINS", 4096)
    found = rs.compare(X, Y, measure, backend=backend)
    assert found.details["ranks"] == "histogram"
    assert abs(found.value - exact) <= found.details["bound"] + 1e-6


@pytest.mark.parametrize("backend", CUDA)
def test_half_precision_is_for_gpus(backend):
    exact = rs.compare(X, Y, rs.RSA(metric="euclidean")).value
    found = rs.compare(X, Y, rs.RSA(metric="euclidean"), backend=backend, precision="fast")
    assert found.provenance["precision"] == "fast"
    assert 0 < abs(found.value - exact) < 1e-3
    with pytest.raises(OptionError, match="inner products"):
        rs.pdist(X, "manhattan", backend=backend, precision="fast")
    with pytest.raises(OptionError, match="must be one of auto, fp32, fp64, fast on backend"):
        rs.pdist(X, "dot", backend=backend, precision="bf16")
    with pytest.raises(OptionError, match="must be one of auto, fp32, fp64, bf16 on backend 'cpu': got 'fast'"):
        rs.pdist(X, precision="fast")


@pytest.mark.parametrize("backend", CUDA)
def test_distances_and_neighbours_of_rows_on_the_device(backend):
    """Arrays of CuPy are read where they are."""
    device = (emulation.device if backend == EMULATED else current_device)()
    big = np.concatenate([X] * 4 + [X + 0.5])  # more than the rows from which ranges are taken
    rows = device.to_device(big)
    device.synchronize()
    for metric in ("cosine", "euclidean", "mahalanobis", "dot"):
        found, expected = (rs.pdist(x, metric, backend=b) for x, b in ((rows, backend), (big, "cpu")))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(rs.knn(rows, 3, "dot", backend=backend)[1], rs.knn(big, 3, "dot")[1])
    bad = X.copy()
    bad[33, 4] = np.nan
    bad_rows = device.to_device(bad)
    device.synchronize()
    with pytest.raises(NonFiniteError, match="nan at row 33, feature 4"):
        rs.pdist(bad_rows, backend=backend)


@pytest.mark.parametrize("backend", CUDA)
def test_tables_and_lists(backend):
    np.testing.assert_allclose(rs.pdist(X, backend=backend), rs.pdist(X), rtol=1e-5)
    np.testing.assert_allclose(
        rs.cdist(X, X[:30] + 1, "angular", backend=backend, precision="fp64"),
        rs.cdist(X, X[:30] + 1, "angular", precision="fp64"),
        rtol=1e-9,
        atol=1e-9,
    )
    np.testing.assert_array_equal(rs.knn(X, 5, backend=backend)[1], rs.knn(X, 5)[1])
    a, b = rs.pdist(X), rs.pdist(Y)
    assert rs.compare_rdms(a, b, "kendall", backend=backend) == rs.compare_rdms(a, b, "kendall")
