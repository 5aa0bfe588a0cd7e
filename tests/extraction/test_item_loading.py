"""Batches read by models that are loaded here: their type, place and attention, recorded as for texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import pyrepsim as rs
from pyrepsim.core.errors import MissingExtraError, OptionError, StoreError
from tests.helpers.tiny_models import save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    config = transformers.ViTConfig(**sizes, image_size=16, patch_size=8)
    return save(tmp_path_factory.mktemp("vit") / "model", transformers.ViTModel(config))


@pytest.fixture(scope="module")
def batches() -> list[dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    images = torch.randn(10, 3, 16, 16)
    return [{"pixel_values": images[:6]}, {"pixel_values": images[6:]}]


def test_the_type_is_used_and_recorded(folder: Path, batches: Any, tmp_path: Path):
    store = rs.extract(folder, batches, tmp_path / "s", device="cpu", model_dtype="bfloat16", dtype="float32")
    assert store.plan["model"]["model_dtype"] == "bfloat16"
    module = transformers.ViTModel.from_pretrained(folder, dtype=torch.bfloat16).eval()
    with torch.inference_mode():
        states = [module(**batch, output_hidden_states=True).hidden_states[-1].float().mean(1) for batch in batches]
    assert np.array_equal(np.asarray(store[-1]), torch.cat(states).numpy())
    plain = rs.extract(folder, batches, tmp_path / "p", device="cpu", dtype="float32")
    assert set(plain.plan["model"]) == {"id", "revision", "weights"}
    assert not np.array_equal(np.asarray(store[-1]), np.asarray(plain[-1]))
    with pytest.raises(StoreError, match="differs in"):
        rs.extract(folder, batches, tmp_path / "s", device="cpu", dtype="float32")


def test_place_and_attention(folder: Path, batches: Any, tmp_path: Path):
    plain = rs.extract(folder, batches, tmp_path / "p", device="cpu", dtype="float32")
    eager = rs.extract(folder, batches, tmp_path / "e", device="cpu", attention="eager", dtype="float32")
    assert eager.plan["model"]["attention"] == "eager"
    assert np.allclose(np.asarray(eager[-1]), np.asarray(plain[-1]), atol=1e-5)
    pytest.importorskip("accelerate", reason="no accelerate: device_map needs it")
    mapped = rs.extract(
        folder, batches, tmp_path / "m", device_map={"": "cpu"}, dtype="float32", layers=["layer.*", "layer.*.mlp"]
    )
    assert np.array_equal(np.asarray(mapped["layer.1"]), np.asarray(plain["layer.1"]))
    assert "device_map" not in mapped.plan["model"], "one device"


def test_each_of_two_models_has_its_options(folder: Path, batches: Any, tmp_path: Path):
    scores = rs.compare_models(folder, folder, batches, "LinearCKA", device="cpu", model_dtype=("float32", "bfloat16"))
    assert scores[-1].provenance["model_dtype_y"] == "bfloat16"
    assert "model_dtype_x" not in scores[-1].provenance
    stores = [
        rs.extract(folder, batches, tmp_path / dtype, device="cpu", model_dtype=dtype, dtype="float32")
        for dtype in ("float32", "bfloat16")
    ]
    stored = rs.compare(*stores, "LinearCKA")
    assert stored[-1].value == pytest.approx(scores[-1].value, abs=1e-9)


def test_what_cannot_be_loaded_is_refused(folder: Path, batches: Any, tmp_path: Path):
    module = transformers.ViTModel.from_pretrained(folder)
    for options in ({"model_dtype": "auto"}, {"attention": "eager"}, {"quantization": "torchao-int8"}):
        with pytest.raises(OptionError, match=f"{next(iter(options))} selects what is loaded: ViTModel is loaded"):
            rs.extract(module, batches, tmp_path / "s", **options)
    for options, message in (
        ({"model_dtype": "int8"}, "model_dtype must be one of"),
        ({"attention": "kernel"}, "attention must be one of"),
        ({"quantization": "int3"}, "quantization must be one of"),
        ({"device": "cpu", "device_map": "auto"}, "device_map says where a model is"),
        ({"adapter": "on"}, "adapter is an option for texts.*give the model that load_encoder returns"),
    ):
        with pytest.raises(OptionError, match=message):
            rs.extract(folder, batches, tmp_path / "s", **options)
    try:
        import torchao  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match="torchao"):
            rs.extract(folder, batches, tmp_path / "s", device="cpu", quantization="torchao-int8")
    assert not (tmp_path / "s").exists()
