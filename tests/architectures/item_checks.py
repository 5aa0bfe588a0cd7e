"""The five checks of a model of images, video or sound, or of your own module: batches in the place of texts.

Each takes a family and an empty folder, and fails, or raises what the user sees. What is expected comes from forward
passes without pyrepsim, and hooks of PyTorch.
"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import pyrepsim as rs
from pyrepsim.core.errors import LayerError, OptionError
from tests.extraction.own_modules import CNN, loader
from tests.helpers.architectures import INPUTS, OTHER_MODELS, build
from tests.helpers.tiny_models import wordpiece

from .families import Family
from .plain_passes import calls_of, same_values

Tensor = torch.Tensor
_BATCH, _BATCHES = 6, 3


@dataclass(frozen=True)
class Subject:
    """A module, its batches, and its hidden states; without those, the paths of modules that are its layers."""

    model: Any
    batches: Iterable[Any]
    layers: Sequence[str] = ()
    forward: Callable[[Any, Any], Any] | None = None

    @property
    def module(self) -> Any:
        """The part that is read: of an encoder-decoder, the encoder."""
        inside = getattr(self.model, "config", None)
        return self.model.get_encoder() if getattr(inside, "is_encoder_decoder", False) else self.model

    def options(self) -> dict[str, Any]:
        return {"layers": list(self.layers) or "all", "forward": self.forward}

    def run(self, batch: Any, **options: Any) -> Any:
        with torch.no_grad():
            if self.forward is not None:
                return self.forward(self.module, batch)
            return self.module(**batch, **options) if isinstance(batch, dict) else self.module(batch[0])

    def tensors(self, batch: Any) -> dict[str, Tensor]:
        """The plain tensors of the layers."""
        if not self.layers:
            states = self.run(batch, output_hidden_states=True).hidden_states
            return {"embeddings" if not i else f"layer.{i - 1}": state for i, state in enumerate(states)}
        calls = calls_of(self.module, lambda: self.run(batch))
        return {path: calls[path][0][1] for path in self.layers}  # type: ignore[misc]


class OwnTransformer(torch.nn.Module):
    """A transformer of PyTorch over token ids, without anything of transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(30, 16)
        self.blocks = torch.nn.ModuleList(
            torch.nn.TransformerEncoderLayer(16, 4, 24, batch_first=True, dropout=0.0) for _ in range(2)
        )

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return x


def both_towers(module: Any, batch: Any) -> dict[str, Tensor]:
    """The last hidden states of the two halves of CLIP."""
    return {
        "image": module.vision_model(pixel_values=batch["pixel_values"]).last_hidden_state,
        "text": module.text_model(input_ids=batch["input_ids"]).last_hidden_state,
    }


def _clip() -> Any:
    import transformers as hf

    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24}
    vision, text = sizes | {"image_size": 16, "patch_size": 8}, sizes | {"vocab_size": 99}
    return hf.CLIPModel(hf.CLIPConfig(vision_config=vision, text_config=text, projection_dim=8))


def _ids(n: int) -> Tensor:
    return torch.randint(5, 30, (n, 7), generator=torch.Generator().manual_seed(2))


def subject(family: Family, *, changed: bool = False) -> Subject:
    torch.manual_seed(0)
    made = _subject(family.name)
    if not changed:
        return made
    model = copy.deepcopy(made.model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return Subject(model, made.batches, made.layers, made.forward)


def _subject(name: str) -> Subject:
    n = _BATCH * _BATCHES
    if name == "own_cnn":
        return Subject(CNN().eval(), loader(n, _BATCH), ["stem.0", "second", "mixed", "head"])
    if name == "own_transformer":
        data = DataLoader(TensorDataset(_ids(n)), batch_size=_BATCH)
        return Subject(OwnTransformer().eval(), data, ["embed", "blocks.0", "blocks.1", "blocks.1.linear1"])
    if name == "clip_both":
        inputs = INPUTS["image"](n) | {"input_ids": _ids(n)}
        layers = ["vision_model.encoder.layers.0", "text_model.encoder.layers.1.mlp"]
        return Subject(_clip().eval(), _cut(inputs, n), layers, both_towers)
    return Subject(build(name), _cut(INPUTS[OTHER_MODELS[name][2]](n), n))


def _cut(inputs: dict[str, Tensor], n: int) -> list[dict[str, Tensor]]:
    return [{name: one[at : at + _BATCH] for name, one in inputs.items()} for at in range(0, n, _BATCH)]


def plain(made: Subject) -> dict[str, Tensor]:
    """The tensors of all batches, one after the other."""
    found = [made.tensors(batch) for batch in made.batches]
    return {name: torch.cat([one[name] for one in found]) for name in found[0]}


def check_extract(family: Family, folder: Path) -> None:
    """Stored values are the model's bit for bit, and means over positions where a row is an item."""
    made = subject(family)
    wanted = plain(made)
    extract = functools.partial(rs.extract, made.model, made.batches, dtype="float32", **made.options())
    flat, mean = extract(folder / "flat", rows="flatten"), extract(folder / "mean", rows="item")
    assert list(flat.layers) == list(mean.layers) == list(wanted)
    for name, tensor in wanted.items():
        assert same_values(torch.from_numpy(np.array(flat[name])), tensor.flatten(1)), name
        expected = positions(tensor, name).mean(1)
        assert np.abs(np.asarray(mean[name]) - expected.numpy()).max() <= 2e-6 * float(tensor.abs().max()), name


def positions(tensor: Tensor, name: str) -> Tensor:
    """(items, positions, features) of a layer."""
    if tensor.ndim == 2:
        return tensor[:, None]
    if tensor.ndim == 3:
        return tensor
    return tensor.flatten(1, -2) if name == "mixed" else tensor.flatten(2).transpose(1, 2)


def check_compare_models(family: Family, folder: Path) -> None:
    """A model equals itself, differs from a copy with other weights, and the scores are those of two stores."""
    made, other = subject(family), subject(family, changed=True)
    options = made.options()
    layers = options.pop("layers")
    listed = {} if layers == "all" else {"layers": layers}
    measure = rs.LinearCKA(debiased=True)
    same = rs.compare_models(made.model, made.model, made.batches, measure, **options, **listed)
    assert max(abs(score.value - 1) for score in same) < 1e-12
    scores = rs.compare_models(made.model, other.model, made.batches, measure, **options, **listed)
    assert all(score.value < 1 - 1e-6 for score in scores)
    stores = [
        rs.extract(one.model, made.batches, folder / str(side), dtype="float32", **made.options())
        for side, one in enumerate((made, other))
    ]
    wanted = rs.compare(*stores, measure)
    assert [score.layer_x for score in wanted] == [score.layer_x for score in scores]
    assert max(abs(a.value - b.value) for a, b in zip(scores, wanted, strict=True)) < 1e-9


def check_hook_points(family: Family, folder: Path) -> None:
    """Canonical points and modules by path are what forward hooks of PyTorch record; what is missing has its reason."""
    made = subject(family)
    first = next(iter(made.batches))
    extract = functools.partial(rs.extract, made.model, made.batches, rows="flatten", dtype="float32")
    for name, reason in family.missing.items():
        with pytest.raises(LayerError, match=re.escape(reason)):
            extract(folder / "refused", layers=[name], forward=made.forward)
    calls = calls_of(made.module, lambda: made.run(first))
    own = {name: tensor for name, tensor in made.tensors(first).items() if not made.layers}
    once = {path: runs[0] for path, runs in calls.items() if len(runs) == 1 and path not in own}
    wanted = {path: given for path, (_, given) in once.items() if _has_items(given)}
    assert wanted
    wanted |= {f"{path}.input": read for path, (read, _) in once.items() if _has_items(read)}
    canonical = family.points()
    wanted = {name: tensor for name, tensor in wanted.items() if name not in canonical}
    store = extract(folder / "store", layers=[*canonical, *wanted], forward=made.forward)
    assert store is not None
    rows = store.columns.doc_id < _BATCH
    for name, tensor in wanted.items():
        assert tensor is not None
        assert torch.equal(torch.from_numpy(np.asarray(store[name])[rows]), tensor.flatten(1)), name
    found = {name: torch.from_numpy(np.asarray(store[name])[rows]) for name in canonical}
    _check_places(found, calls, own)


def _has_items(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.is_floating_point() and tensor.ndim > 1 and len(tensor) == _BATCH


def _check_places(found: dict[str, Tensor], calls: Any, own: dict[str, Tensor]) -> None:
    """Each canonical point is what some module reads or gives; blocks read and give the hidden states."""
    seen = [one for runs in calls.values() for run in runs for one in run if one is not None and len(one) == _BATCH]
    flat = {id(one): one.flatten(1) for one in seen}
    for name, tensor in found.items():
        if name.endswith(".heads.0"):  # the first quarter of the features
            n, positions = own["embeddings"].shape[:2]
            heads, one = (one.reshape(n, positions, -1) for one in (found[name.removesuffix(".0")], tensor))
            assert same_values(one, heads[..., : heads.shape[2] // 4]), name
            continue
        assert any(one.shape == tensor.shape and same_values(one, tensor) for one in flat.values()), name
        if name.endswith(".input") and name.count(".") == 2:
            before = int(name.split(".")[1]) - 1
            assert same_values(tensor, own["embeddings" if before < 0 else f"layer.{before}"].flatten(1)), name


def check_positions(family: Family, folder: Path) -> None:
    """Every position is a row, or those that a function takes; choices for tokens of a text are refused."""
    made = subject(family)
    wanted = plain(made)
    for index, (name, tensor) in enumerate(wanted.items()):
        expected = positions(tensor, name)
        options = {"layers": [name], "forward": made.forward, "dtype": "float32"}
        store = rs.extract(made.model, made.batches, folder / f"{index}", rows="token", **options)
        assert store is not None
        n, places = expected.shape[:2]
        assert store.columns.doc_id.tolist() == np.repeat(np.arange(n), places).tolist()
        assert store.columns.position.tolist() == [*range(places)] * n
        assert np.array_equal(np.asarray(store[name]), expected.flatten(0, 1).numpy())
        first = rs.extract(made.model, made.batches, folder / f"{index} first", rows=_first, **options)
        assert first is not None
        assert np.array_equal(np.asarray(first[name]), _first(tensor).numpy())
    with pytest.raises(OptionError, match="tokens is an option for texts: batches of tensors were given"):
        rs.compare_models(made.model, made.model, made.batches, "LinearCKA", tokens="last")


def _first(tensor: Tensor) -> Tensor:
    """The first position: of a feature map, its first corner."""
    return tensor[:, 0] if tensor.ndim == 3 else tensor.flatten(2)[..., 0] if tensor.ndim > 3 else tensor


def check_finetune(family: Family, folder: Path) -> None:
    """Tasks are tasks of texts."""
    data = folder / "data.tsv"
    data.write_text("sentence\tlabel\nthe river\tyes\nthe bank\tno\n")
    model = subject(family).model
    if family.name == "clip_both":  # it reads texts too, and pixels
        model = rs.wrap(model, wordpiece(64))
    rs.finetune(model, "sequence", out=folder / "run", train=data, dev=data, device="cpu")


CHECKS = {
    "extract": check_extract,
    "compare_models": check_compare_models,
    "hook points": check_hook_points,
    "positions": check_positions,
    "finetune": check_finetune,
}
