"""Frozen blocks in training: no dropout, whatever the architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from pyrepsim.finetuning.heads import build_head
from pyrepsim.finetuning.task_model import TaskModel
from pyrepsim.models import load_encoder
from pyrepsim.models.blocks import find_blocks
from tests.helpers.tiny_models import tiny_bert

SIZES = {"vocab_size": 50, "num_hidden_layers": 3, "hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16}


def gpt2() -> Any:
    config = transformers.GPT2Config(vocab_size=50, n_layer=3, n_embd=8, n_head=2, n_positions=32)
    return transformers.GPT2Model(config)


def t5() -> Any:
    sizes = {"vocab_size": 50, "num_layers": 3, "d_model": 8, "num_heads": 2, "d_kv": 4, "d_ff": 16}
    return transformers.T5EncoderModel(transformers.T5Config(**sizes))


def bert() -> Any:
    return transformers.BertModel(transformers.BertConfig(**SIZES))


def states(model: Any, k: int, frozen: Any) -> list[torch.Tensor]:
    """Outputs of block k in training mode, in four passes over the same ids."""
    task = TaskModel(model, build_head(8, {"kind": "tokens", "labels": 2}), frozen=frozen).train()
    found: list[torch.Tensor] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        found.append((output if isinstance(output, torch.Tensor) else output[0]).detach())

    handle = find_blocks(model).modules[k - 1].register_forward_hook(keep)
    ids = torch.arange(1, 13).reshape(2, 6)
    for _ in range(4):
        task(input_ids=ids, attention_mask=torch.ones_like(ids), labels=torch.zeros_like(ids))
    handle.remove()
    return found


@pytest.mark.parametrize(("make", "constant"), [(bert, True), (gpt2, True), (t5, False)])
@pytest.mark.parametrize("k", [1, 2])
def test_frozen_blocks_have_no_dropout(make: Any, constant: bool, k: int):
    """T5 drops embeddings and final states with one module, which stays as it is: it runs after the frozen blocks."""
    model = make()
    frozen, is_constant = find_blocks(model).modules_below(k)
    assert is_constant == constant
    found = states(model, k, frozen)
    assert all(torch.equal(found[0], one) for one in found) == constant
    above = states(model, k + 1, frozen)
    assert not all(torch.equal(above[0], one) for one in above)
    assert not all(torch.equal(found[0], one) for one in states(model, k, ()))  # the control


def test_with_all_blocks_frozen_the_whole_encoder_has_no_dropout():
    frozen, is_constant = find_blocks(t5()).modules_below(3)
    assert is_constant
    assert any(isinstance(module, torch.nn.Dropout) for module in frozen)


def test_modes_change_back_and_forth():
    model = bert()
    blocks = find_blocks(model)
    task = TaskModel(model, build_head(8, {"kind": "tokens", "labels": 2}), frozen=blocks.modules_below(2)[0])
    for mode in (True, False, True):
        task.train(mode)
        assert (task.training, task.head.training, blocks.modules[2].training) == (mode, mode, mode)
        assert not any(child.training for block in blocks.modules[:2] for child in block.modules())
        assert not any(child.training for child in model.embeddings.modules())


def test_frozen_blocks_of_an_ablation(tmp_path: Path):
    from pyrepsim.finetuning.preparation import FinetuningRequest
    from pyrepsim.finetuning.recipes import Ablation, TrainingRecipe

    lines = ["sentence\tlabel", "keys\t1", "the river\t0"]
    (tmp_path / "films.tsv").write_text("\n".join(lines))
    sources = {"train": str(tmp_path / "films.tsv"), "dev": str(tmp_path / "films.tsv"), "test": None}
    model = tiny_bert(tmp_path / "model", layers=3)
    for ablation, active in ((None, 3), (Ablation(freeze=2), 1), (Ablation(layers=2, freeze=2), 0)):
        ready = FinetuningRequest.from_arguments(
            model, "sst2", sources=sources, recipe=TrainingRecipe(max_length=16), ablation=ablation, device="cpu"
        ).prepare()
        ready.model.train()
        assert sum(block.training for block in find_blocks(ready.encoder.module).modules) == active
        assert ready.model.head.training
    assert load_encoder(model, device="cpu").module.training is False
