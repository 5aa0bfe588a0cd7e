"""All early exits of a model in one pass: outputs of each shorter model, every block run once."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pyrepsim.core.errors import ModelError
from pyrepsim.finetuning.heads import build_head
from pyrepsim.finetuning.task_model import TaskModel
from pyrepsim.finetuning.tuned_run import EarlyExits, early_exit
from pyrepsim.models.blocks import find_blocks
from tests.models.test_blocks import FAMILIES, build

BATCHES = [torch.tensor([[2, 17, 30, 9, 41, 3], [2, 12, 9, 3, 0, 0]]), torch.tensor([[2, 40, 22, 3]])]


@pytest.fixture
def model(request: pytest.FixtureRequest) -> TaskModel:
    torch.manual_seed(1)
    return TaskModel(build(request.param), build_head(16, {"kind": "sequence", "labels": 3})).eval()


def outputs(module: torch.nn.Module, ids: torch.Tensor) -> Any:
    with torch.inference_mode():
        return module(input_ids=ids, attention_mask=(ids > 0).long())


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("layers", [[1, 2, 3], [3, 1]])
@pytest.mark.parametrize("model", FAMILIES, indirect=True)
def test_each_exit_equals_the_shorter_model(model: TaskModel, layers: list[int]):
    exits = EarlyExits(model, layers).eval()
    shorter = {k: early_exit(model, k) for k in layers}
    for ids in BATCHES:  # batches do not affect each other
        found = outputs(exits, ids)
        assert list(found) == sorted(layers)
        for k, one in shorter.items():
            assert torch.equal(found[k]["logits"], outputs(one, ids)["logits"]), k


@pytest.mark.parametrize("model", ["bert"], indirect=True)
def test_a_block_runs_once_and_shares_the_model_weights(model: TaskModel):
    exits = EarlyExits(model, [1, 2, 3]).eval()
    ran = []
    for shorter in exits.models:
        for index, block in enumerate(find_blocks(shorter.encoder).modules):
            block.attention.register_forward_hook(lambda *_, index=index: ran.append(index))
    before = outputs(exits, BATCHES[0])
    assert ran == [0, 1, 2]
    assert {id(tensor) for tensor in exits.parameters()} == {id(tensor) for tensor in model.parameters()}
    with torch.no_grad():
        find_blocks(model.encoder).modules[1].output.dense.bias.add_(1.0)
    after = outputs(exits, BATCHES[0])
    assert [torch.equal(before[k]["logits"], after[k]["logits"]) for k in (1, 2, 3)] == [True, False, False]


@pytest.mark.parametrize("model", ["bert"], indirect=True)
def test_a_missing_block_is_refused(model: TaskModel):
    with pytest.raises(ModelError, match="has 3 blocks, got layers=4"):
        EarlyExits(model, [1, 4])
