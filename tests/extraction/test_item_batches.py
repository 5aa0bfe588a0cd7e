"""Masks, layouts and functions of batches: what padding is, which axis counts items, and what a store remembers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

import pyrepsim as rs
from pyrepsim.core.errors import LayerError, ModelError, OptionError, StoreError

from .own_modules import CNN, images, loader

Tensor = torch.Tensor
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # of peft


class Words(torch.nn.Module):
    """Reads token ids, and returns no hidden states."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.embedding, self.map = torch.nn.Embedding(9, 4), torch.nn.Linear(4, 5)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.map(self.embedding(input_ids))


IDS = torch.tensor([[1, 2, 3, 0], [4, 5, 0, 0]])
PADDED = {"input_ids": IDS, "attention_mask": (IDS > 0).long()}


@pytest.mark.parametrize("function", [None, lambda module, batch: {"map": module(**batch)}])
def test_the_mask_of_a_batch_counts_for_a_module_without_hidden_states(function: Any, tmp_path: Path):
    model, options = Words(), {"forward": function, "layers": ["map"], "dtype": "float32"}
    with torch.no_grad():
        rows = [model(IDS[:1, :3])[0].numpy(), model(IDS[1:, :2])[0].numpy()]
    item = rs.extract(model, [PADDED], tmp_path / "item", **options)
    token = rs.extract(model, [PADDED], tmp_path / "token", rows="token", **options)
    assert item is not None
    assert token is not None
    assert np.allclose(np.asarray(item["map"]), [one.mean(0) for one in rows], atol=1e-6)
    assert np.allclose(np.asarray(token["map"]), np.concatenate(rows), atol=1e-6)
    assert token.columns.doc_id.tolist() == [0, 0, 0, 1, 1]


def test_masks_that_fit_no_layer_or_not_every_batch(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    model, bare = Words(), {"input_ids": IDS}
    for index, batches in enumerate([[PADDED, bare], [bare, PADDED]]):
        with pytest.raises(ModelError, match="All batches have an attention_mask, or none has"):
            rs.extract(model, batches, tmp_path / str(index), layers=["map"])
    empty = PADDED | {"attention_mask": torch.tensor([[1, 0, 0, 0], [0, 0, 0, 0]])}
    with pytest.raises(ModelError, match="a position that is no padding: item 1 of a batch for 'Words' has none"):
        rs.extract(model, [PADDED, empty], tmp_path / "empty", layers=["map"])
    other = PADDED | {"attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}
    with caplog.at_level(logging.WARNING, "pyrepsim.extraction"):
        rs.extract(model, [other], tmp_path / "other", layers=["map"])
    assert "has 3 entries an item, and no layer has as many positions (4" in caplog.text


def test_a_store_is_continued_with_the_same_functions_only(tmp_path: Path):
    def channel(k: int) -> Any:
        return lambda tensor: tensor[:, k].flatten(1)

    layers = {"layers": ["stem.0"]}
    first = rs.extract(CNN(), images(), tmp_path / "s", rows=channel(0), **layers)
    again = rs.extract(CNN(), images(), tmp_path / "s", rows=channel(0), **layers)
    assert first is not None
    assert again is not None
    assert first.digest == again.digest
    for other in (channel(1), lambda tensor: tensor[:, 0].flatten(1).abs()):
        with pytest.raises(StoreError, match=r"plan\.policy\.rows"):
            rs.extract(CNN(), images(), tmp_path / "s", rows=other, **layers)
    functions = [lambda module, batch: module(batch), lambda module, batch: module(batch.flip(3))]
    rs.extract(CNN(), images(), tmp_path / "t", forward=functions[0], **layers)
    with pytest.raises(StoreError, match=r"plan\.policy\.forward"):
        rs.extract(CNN(), images(), tmp_path / "t", forward=functions[1], **layers)


def test_the_random_state_is_as_it_was(tmp_path: Path):
    models = CNN(), CNN(1)
    torch.manual_seed(3)
    state = torch.get_rng_state()
    rs.extract(models[0], loader(), tmp_path / "s", layers=["head"])  # a DataLoader draws a seed for each pass
    rs.compare_models(*models, loader(), "LinearCKA", layers=["head"])
    assert torch.equal(torch.get_rng_state(), state)


class Swapping(torch.nn.Module):
    """Computes with positions in the first axis, as torch.nn.MultiheadAttention does by default."""

    def __init__(self) -> None:
        super().__init__()
        self.map = torch.nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.map(x.transpose(0, 1)).mean(0)


def test_as_many_items_as_positions_are_not_mistaken_for_them(tmp_path: Path):
    x, model = torch.randn(5, 5, 4), Swapping()
    with pytest.raises(LayerError, match=r"'map' of 'Swapping' seems to count positions.*another size than 5"):
        rs.extract(model, [x], tmp_path / "s", layers=["map"])
    store = rs.extract(model, [x[:3], x[3:]], tmp_path / "t", layers=["map"], dtype="float32")
    assert store is not None
    with torch.no_grad():
        assert np.allclose(np.asarray(store["map"]), model.map(x).mean(1), atol=1e-6)


class Counted(IterableDataset):
    def __len__(self) -> int:
        return 6

    def __iter__(self) -> Any:
        return iter(images(6))


class Again:
    def __iter__(self) -> Any:
        return iter([images(4), images(2)])


@pytest.mark.parametrize(
    ("data", "n"),
    [
        (lambda: images().numpy(), 11),
        (lambda: DataLoader(Counted(), batch_size=4), 6),
        (lambda: DataLoader(images(8), batch_size=4, collate_fn=lambda kept: torch.stack(kept[:3])), 6),  # type: ignore[arg-type]
        (Again, 6),
        (lambda: images(1), 1),
    ],
)
def test_other_kinds_of_batches_are_read(data: Any, n: int, tmp_path: Path):
    store = rs.extract(CNN(), data(), tmp_path / "s", layers=["head"])
    assert store is not None
    assert store.n_rows == n


def test_an_encoder_is_read_with_its_own_adapter(tmp_path: Path):
    peft = pytest.importorskip("peft", reason="no peft: adapters are optional")
    from tests.helpers.tiny_models import tiny_bert

    base = rs.load_encoder(tiny_bert(tmp_path / "bert"), device="cpu")
    plain = rs.extract(base, [INPUTS_OF_TEXT], tmp_path / "plain", dtype="float32")
    lora = peft.LoraConfig(target_modules=["query"], init_lora_weights=False)
    adapted = peft.get_peft_model(base.copied().module, lora)
    on = rs.wrap(adapted, base.tokenizer)
    stores = {
        name: rs.extract(encoder, [INPUTS_OF_TEXT], tmp_path / name, dtype="float32")
        for name, encoder in {"on": on, "off": on.with_adapter("off"), "copy": on.with_adapter("off").copied()}.items()
    }
    assert plain is not None
    for name, store in stores.items():
        assert store is not None
        assert np.array_equal(np.asarray(store["layer.1"]), np.asarray(plain["layer.1"])) == (name != "on")
        assert (store.plan["model"]["weights"] == base.weights) == (name != "on")
    scores = rs.compare_models(on.with_adapter("off"), on, [INPUTS_OF_TEXT], "LinearCKA", rows="token")
    assert scores[-1].value < 1 - 1e-9
    with pytest.raises(OptionError, match="revision selects what is loaded"):
        rs.extract(on, [INPUTS_OF_TEXT], tmp_path / "no", revision="main")


INPUTS_OF_TEXT = {"input_ids": torch.tensor([[5, 9, 17, 30], [6, 8, 12, 21]])}
