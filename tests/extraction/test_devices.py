"""Extraction by a model on a GPU: the rows of the CPU up to rounding, wherever the shard's buffers lie."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.extraction import buffers, extract
from tests.helpers.tiny_models import TEXT, tiny_bert

torch = pytest.importorskip("torch", reason="no torch: extraction needs the extra [torch]")

TEXTS = [" ".join(TEXT.split()[: 1 + i % 17]) for i in range(40)]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_rows_of_a_gpu(tmp_path, monkeypatch, dtype):
    model = tiny_bert(tmp_path / "model", width=64)
    stores = {"cpu": extract(model, TEXTS, tmp_path / "cpu", dtype=dtype, device="cpu")}
    stores["cuda"] = extract(model, TEXTS, tmp_path / "cuda", dtype=dtype, device="cuda")
    monkeypatch.setattr(buffers, "_with_room", lambda device, n_bytes: torch.device("cpu"))
    stores["staged"] = extract(model, TEXTS, tmp_path / "staged", dtype=dtype, device="cuda")
    for layer in stores["cpu"].layers:
        rows = {name: np.asarray(store[layer]).astype(np.float32) for name, store in stores.items()}
        np.testing.assert_array_equal(rows["cuda"], rows["staged"])
        assert np.abs(rows["cuda"] - rows["cpu"]).max() < 2e-2 * rows["cpu"].std()


def test_buffers_lie_beside_the_model_while_there_is_room(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (800, 1000))
    gpu = torch.device("cuda")
    assert buffers._with_room(gpu, 99) == gpu
    assert buffers._with_room(gpu, 100) == torch.device("cpu")
    assert buffers._with_room(torch.device("cpu"), 1) == torch.device("cpu")
