"""Extraction on a GPU: the rows of the CPU up to rounding, wherever the shard's buffers are."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.backends import available_backends
from pyrepsim.extraction import compare_models, extract
from pyrepsim.extraction import forward as buffers
from pyrepsim.extraction.streaming import _for_moments
from tests.helpers.tiny_models import TEXT, tiny_bert

torch = pytest.importorskip("torch", reason="no torch: extraction needs the extra [torch]")

TEXTS = [" ".join(TEXT.split()[: 1 + i % 17]) for i in range(40)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_rows_on_a_gpu_equal_those_on_the_cpu(tmp_path, monkeypatch, dtype):
    model = tiny_bert(tmp_path / "model", width=64)
    stores = {"cpu": extract(model, TEXTS, tmp_path / "cpu", dtype=dtype, device="cpu")}
    stores["cuda"] = extract(model, TEXTS, tmp_path / "cuda", dtype=dtype, device="cuda")
    monkeypatch.setattr(buffers, "_buffer_device", lambda device, n_bytes: torch.device("cpu"))
    stores["staged"] = extract(model, TEXTS, tmp_path / "staged", dtype=dtype, device="cuda")
    for layer in stores["cpu"].layers:
        rows = {name: np.asarray(store[layer]).astype(np.float32) for name, store in stores.items()}
        np.testing.assert_array_equal(rows["cuda"], rows["staged"])
        assert np.abs(rows["cuda"] - rows["cpu"]).max() < 2e-2 * rows["cpu"].std()


@pytest.mark.skipif(available_backends()["cuda"] is not None, reason="no CUDA device for the backend")
def test_streamed_rows_stay_on_the_gpu(tmp_path, monkeypatch):
    models = [tiny_bert(tmp_path / name, width=64, seed=seed) for seed, name in enumerate("ab")]
    measures = ["LinearCKA", "RSA", "SVCCA"]
    expected = compare_models(*models, TEXTS, measures, device="cpu")
    monkeypatch.setattr("pyrepsim.extraction.streaming.as_numpy", None)  # copying rows to the host fails
    found = compare_models(*models, TEXTS, measures, device="cuda", backend="cuda")
    np.testing.assert_allclose([s.value for s in found], [s.value for s in expected], atol=1e-3)


class OnGPU:
    is_cuda, device = True, torch.device("cuda", 0)

    def __init__(self, host):
        self.host = host

    def float(self):
        return self

    def cpu(self):
        return self.host


def test_only_the_cuda_backend_gets_rows_on_the_device():
    host = torch.ones(2, 3)
    rows = OnGPU(host)
    assert _for_moments(rows, "cuda") is rows
    for backend in ("cpu", "reference"):
        np.testing.assert_array_equal(_for_moments(rows, backend), np.ones((2, 3)))
    rows.device = torch.device("cuda", 1)
    np.testing.assert_array_equal(_for_moments(rows, "cuda"), np.ones((2, 3)))
    assert isinstance(_for_moments(host.half(), "cuda"), np.ndarray)


def test_buffers_are_on_the_gpu_if_it_has_enough_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (800, 1000))
    gpu = torch.device("cuda")
    assert buffers._buffer_device(gpu, 99) == gpu
    assert buffers._buffer_device(gpu, 100) == torch.device("cpu")
    assert buffers._buffer_device(torch.device("cpu"), 1) == torch.device("cpu")
