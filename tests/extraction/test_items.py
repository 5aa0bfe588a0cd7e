"""Images, sound and modules of one's own: rows against plain forward passes."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pyrepsim as rs
from pyrepsim.core.errors import LayerError, ShapeError
from tests.helpers.architectures import INPUTS, OTHER_MODELS, build

from .own_modules import CNN, images, loader

Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # the models' own


@pytest.mark.parametrize("family", ["clip_vision", "dinov2", "vit", "wav2vec2", "whisper"])
@pytest.mark.parametrize("rows", ["item", "token", "flatten"])
def test_hidden_states_of_vision_and_sound_equal_a_plain_forward_pass(family: str, rows: str, tmp_path: Path):
    model, inputs = build(family), INPUTS[OTHER_MODELS[family][2]](5)
    cut = [{name: value[a : a + 2] for name, value in inputs.items()} for a in (0, 2, 4)]
    store = rs.extract(model, cut, tmp_path / "store", rows=rows, dtype="float32")
    assert store is not None
    module = model.get_encoder() if family == "whisper" else model
    with torch.no_grad():
        states = module.eval()(**inputs, output_hidden_states=True).hidden_states
    assert store.layers == ("embeddings", "layer.0", "layer.1")
    for layer, state in zip(store.layers, states, strict=True):
        wanted = {"item": state.mean(1), "token": state.flatten(0, 1), "flatten": state.flatten(1)}[rows]
        assert np.abs(np.asarray(store[layer]) - wanted.numpy()).max() < 2e-6 * float(wanted.abs().max())
    positions = states[0].shape[1] if rows == "token" else 1
    assert store.columns.doc_id.tolist() == np.repeat(np.arange(5), positions).tolist()
    assert store.columns.position.tolist() == [*range(positions)] * 5
    assert [doc["key"] for doc in store.docs()] == list("01234")


def test_feature_maps_are_means_positions_or_flattened(tmp_path: Path):
    model, layers = CNN(), ["stem.0", "stem.1", "second.input", "mixed", "head"]
    with torch.no_grad():
        first = model.stem[0](images())
        stem = first.relu()
        second = model.second(stem)
        mixed = model.mixed(second.permute(0, 2, 3, 1))
        head = model.head(mixed.mean((1, 2)))
    item = rs.extract(model, loader(), tmp_path / "item", layers=layers, dtype="float32")
    assert item is not None
    assert list(item.widths.items()) == [("stem.0", 5), ("stem.1", 5), ("second.input", 5), ("mixed", 7), ("head", 2)]
    wanted = {"stem.0": first.mean((2, 3)), "stem.1": stem.mean((2, 3)), "second.input": stem.mean((2, 3))}
    wanted |= {"mixed": mixed.mean((1, 2)), "head": head}  # of the linear map, the last axis counts features
    for name, value in wanted.items():
        assert np.allclose(np.asarray(item[name]), value, atol=1e-6), name
    token = rs.extract(model, loader(), tmp_path / "token", layers=["stem.*"], rows="token", dtype="float32")
    assert token is not None
    nd = first.permute(0, 2, 3, 1).reshape(-1, 5)  # ReSi: n c h w -> (n h w) c
    assert np.allclose(np.asarray(token["stem.0"]), nd, atol=1e-6)
    assert token.columns.position.max() == 35
    flat = rs.extract(model, loader(), tmp_path / "flat", layers=["second"], rows="flatten", dtype="float32")
    assert flat is not None
    assert np.allclose(np.asarray(flat["second"]), second.flatten(1), atol=1e-6)
    with pytest.raises(LayerError, match="layer 'stem.0' of 'CNN' gives 36 rows and layer 'second' 16"):
        rs.extract(model, loader(), tmp_path / "no", layers=["stem.0", "second"], rows="token")


def test_norms_over_the_last_axis_have_features_there(tmp_path: Path):
    """Also without weights, and where an image is as high as it has channels."""
    norms = {"plain": torch.nn.LayerNorm(3, elementwise_affine=False), "square": torch.nn.LayerNorm(3)}
    model = torch.nn.Sequential(OrderedDict(norms))
    data = torch.randn((6, 3, 8, 3), generator=torch.Generator().manual_seed(0))
    store = rs.extract(model, [data], tmp_path / "norms", layers=list(norms), dtype="float32")
    assert store is not None
    with torch.no_grad():
        plain = model[0](data)
        wanted = {"plain": plain.mean((1, 2)), "square": model[1](plain).mean((1, 2))}
    for name, value in wanted.items():
        assert np.allclose(np.asarray(store[name]), value, atol=1e-6), name


def test_a_function_makes_the_rows(tmp_path: Path):
    model = build("vit")
    batches = [INPUTS["image"](4)]
    first = rs.extract(model, batches, tmp_path / "a", rows=lambda t: t[:, 0], layers="layer.1", dtype="float32")
    two = rs.extract(model, batches, tmp_path / "b", rows=lambda t: t[:, :2], layers="layer.1", dtype="float32")
    every = rs.extract(model, batches, tmp_path / "c", rows="token", layers="layer.1", dtype="float32")
    assert first is not None
    assert two is not None
    assert every is not None
    found = np.asarray(every["layer.1"]).reshape(4, 5, 16)
    assert np.array_equal(np.asarray(first["layer.1"]), found[:, 0])
    assert np.array_equal(np.asarray(two["layer.1"]), found[:, :2].reshape(8, 16))
    assert two.columns.position.tolist() == [0, 1] * 4
    for wrong in (lambda t: t.mean(), lambda t: t[:2], lambda t: t.numpy(), lambda t: t[:, None]):
        with pytest.raises(ShapeError, match=r"returns a tensor \(items, width\)"):
            rs.extract(model, batches, tmp_path / "d", rows=wrong)


def test_hook_points_have_canonical_names_in_vision_models_too(tmp_path: Path):
    model = build("vit")
    store = rs.extract(
        model,
        [INPUTS["image"](3)],
        tmp_path / "a",
        layers=["layer.*.heads.*", "layer.1", "layers.0.mlp.fc1"],
        dtype="float32",
    )
    assert store is not None
    assert [name for name in store.layers if name[-1] == "3"] == ["layer.0.heads.3", "layer.1.heads.3"]
    assert store.widths["layers.0.mlp.fc1"] == 24
    seen: list[Tensor] = []
    handle = model.layers[1].attention.o_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        model(**INPUTS["image"](3))
    handle.remove()
    found = np.concatenate([np.asarray(store[f"layer.1.heads.{head}"]) for head in range(4)], axis=1)
    assert np.allclose(found, seen[0].mean(1), atol=1e-6)


def test_both_towers_of_clip(tmp_path: Path):
    import transformers as hf

    vision, text = (
        {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24} for _ in "vt"
    )
    config = hf.CLIPConfig(
        vision_config=vision | {"image_size": 16, "patch_size": 8},
        text_config=text | {"vocab_size": 99},
        projection_dim=8,
    )
    torch.manual_seed(0)
    clip = hf.CLIPModel(config)
    batch = {"input_ids": torch.randint(5, 90, (6, 4)), **INPUTS["image"](6)}
    features = {"images": clip.eval().get_image_features, "texts": clip.get_text_features}

    def both(module: Any, batch: Any) -> dict[str, Tensor]:
        return {
            "images": module.get_image_features(pixel_values=batch["pixel_values"]).pooler_output,
            "texts": module.get_text_features(input_ids=batch["input_ids"]).pooler_output,
        }

    store = rs.extract(clip, [batch], tmp_path / "a", forward=both, dtype="float32")
    assert store is not None
    assert store.widths == {"images": 8, "texts": 8}
    with torch.no_grad():
        wanted = features["images"](pixel_values=batch["pixel_values"]).pooler_output
    assert np.allclose(np.asarray(store["images"]), wanted, atol=1e-6)
    towers = ["vision_model.encoder.layers.*.mlp", "text_model.encoder.layers.1"]
    inside = rs.extract(clip, [batch], tmp_path / "b", forward=both, layers=["images", *towers])
    assert inside is not None
    assert set(inside.layers) == {
        "images",
        "vision_model.encoder.layers.0.mlp",
        "vision_model.encoder.layers.1.mlp",
        "text_model.encoder.layers.1",
    }
    whole = rs.extract(clip, [batch], tmp_path / "c", layers=["vision_model.encoder.layers.1"])
    assert whole is not None


def test_padding_of_sounds_is_no_row_and_is_not_averaged(tmp_path: Path):
    model = build("wav2vec2", feat_extract_norm="layer", do_stable_layer_norm=True)
    torch.manual_seed(1)
    sounds = [torch.randn(n) for n in (40, 25, 33)]
    padded = torch.stack([torch.nn.functional.pad(sound, (0, 40 - len(sound))) for sound in sounds])
    mask = torch.stack([(torch.arange(40) < len(sound)).long() for sound in sounds])
    batch = [{"input_values": padded, "attention_mask": mask}]
    alone = []
    for sound in sounds:
        with torch.no_grad():
            alone.append(model(sound[None], output_hidden_states=True).hidden_states)
    token = rs.extract(model, batch, tmp_path / "token", rows="token", dtype="float32")
    item = rs.extract(model, batch, tmp_path / "item", dtype="float32")
    assert token is not None
    assert item is not None
    counts = [states[0].shape[1] for states in alone]
    assert np.bincount(token.columns.doc_id).tolist() == counts
    for index, layer in enumerate(token.layers):
        wanted = np.concatenate([states[index][0].numpy() for states in alone])
        assert np.abs(np.asarray(token[layer]) - wanted).max() < 1e-4 * np.abs(wanted).max()
        means = np.stack([states[index][0].mean(0).numpy() for states in alone])
        assert np.abs(np.asarray(item[layer]) - means).max() < 1e-4 * np.abs(means).max()
    with pytest.raises(LayerError, match="cannot be flattened: layer 'embeddings' has padding"):
        rs.extract(model, batch, tmp_path / "flat", rows="flatten")
    with pytest.raises(LayerError, match="must have a position for each entry of the mask"):
        rs.extract(model, batch, tmp_path / "x", layers=["feature_extractor.conv_layers.0"])


def test_windows_that_are_as_many_as_items_are_not_taken_for_items(tmp_path: Path):
    """Swin gives (items * windows, positions, features); with 4 items and 4 positions, axis 1 could be items."""
    model, path = build("swin"), ["encoder.layers.1.blocks.0.attention.q_proj"]
    with pytest.raises(LayerError, match="The first axis of a layer must count items"):
        rs.extract(model, [INPUTS["image"](4)], tmp_path / "a", layers=path)
    with pytest.raises(LayerError, match="A hook point must have rows"):
        rs.extract(model, [INPUTS["image"](5)], tmp_path / "b", layers=path)


def test_feature_maps_of_stages_have_the_points_of_blocks(tmp_path: Path):
    model, names = build("resnet"), ["layer.0.input", "layer.0.output", "layer.1.input", "layer.1.output"]
    store = rs.extract(model, [INPUTS["image"](5)], tmp_path / "a", layers=["embeddings", "layer.*", *names])
    assert store is not None
    states = ["embeddings", "layer.0", "layer.0", "layer.1"]
    assert all(np.array_equal(store[a], store[b]) for a, b in zip(names, states, strict=True))
    with pytest.raises(LayerError, match="no list of blocks that read its hidden states"):  # a path of its own, too
        rs.extract(build("mobilenet"), [INPUTS["image"](5)], tmp_path / "b", layers=["layer.0.input"])
