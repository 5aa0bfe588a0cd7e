"""Ablations: their domain, the changed encoder, and the trained one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrepsim.core.errors import ModelError, OptionError, StoreError
from pyrepsim.finetuning import Run, finetune
from pyrepsim.finetuning.preparation import apply_ablation
from pyrepsim.finetuning.recipes import Ablation, TrainingRecipe
from pyrepsim.finetuning.task_model import load_head
from pyrepsim.models import load_encoder
from pyrepsim.models.blocks import find_blocks
from pyrepsim.models.layer_changes import reinitialise
from tests.finetuning.conftest import Rivers

RECIPE = TrainingRecipe(epochs=1, batch_size=16, learning_rate=3e-3, max_length=64)


@pytest.mark.parametrize(
    "options",
    [
        {"freeze": -1},
        {"freeze": True},
        {"layers": 0},
        {"reinit": 1.5},
        {"reinit_end": "middle"},
        {"freeze": 3, "layers": 2},
        {"reinit": 3, "layers": 2},
        {"freeze": 2, "reinit": 1, "layers": 2},
        {"freeze": 1, "reinit": 1, "reinit_end": "bottom"},
    ],
)
def test_an_ablation_outside_its_domain_is_refused(options: dict[str, Any]):
    with pytest.raises(OptionError):
        Ablation(**options)


@pytest.mark.parametrize("ablation", [Ablation(freeze=5), Ablation(layers=5), Ablation(freeze=2, reinit=3)])
def test_a_model_with_too_few_blocks_is_not_changed(ablation: Ablation, encoder: Path):
    module = load_encoder(encoder, device="cpu").module
    with pytest.raises(OptionError, match="4"):
        apply_ablation(module, ablation, seed=0)
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_an_empty_ablation_accepts_any_module():
    apply_ablation(torch.nn.Linear(2, 2), Ablation(), seed=0)
    with pytest.raises(ModelError, match="num_hidden_layers of Linear"):
        apply_ablation(torch.nn.Linear(2, 2), Ablation(freeze=1), seed=0)


def test_layers_are_removed_then_reinitialised_then_frozen(encoder: Path):
    module = load_encoder(encoder, device="cpu").module
    drawn = copy.deepcopy(module)
    state = torch.get_rng_state()
    apply_ablation(module, Ablation(layers=3, reinit=1, freeze=2), seed=7)
    assert torch.equal(torch.get_rng_state(), state)
    reinitialise(drawn, [2], seed=7)
    assert len(find_blocks(module)) == 3
    for name, parameter in module.named_parameters():
        assert torch.equal(parameter, drawn.get_parameter(name))
        assert parameter.requires_grad == name.startswith("encoder.layer.2.")


def test_reinitialisation_from_the_bottom(encoder: Path):
    module = load_encoder(encoder, device="cpu").module
    before = copy.deepcopy(module)
    apply_ablation(module, Ablation(reinit=2, reinit_end="bottom"), seed=0)
    changed = {
        name.split(".")[2] for name, p in module.named_parameters() if not torch.equal(p, before.get_parameter(name))
    }
    assert changed == {"0", "1"}


def run(encoder: Path, rivers: dict[str, Path], out: Path, ablation: Ablation | None = None) -> Run:
    data = {"train": rivers["train"], "dev": rivers["dev"]}
    return finetune(encoder, Rivers(), **data, out=out, recipe=RECIPE, ablation=ablation, device="cpu")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    encoder = load_encoder(folder, device="cpu")
    head = load_head(folder, encoder).state_dict()
    return {**encoder.module.state_dict(), **{f"head.{name}": tensor for name, tensor in head.items()}}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in a if name in b and torch.equal(a[name], b[name])}


@pytest.fixture(scope="module")
def full(encoder: Path, rivers: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(encoder, rivers, tmp_path_factory.mktemp("full") / "run")


@pytest.mark.parametrize("ablation", [Ablation(freeze=0), Ablation(layers=4)], ids=["freeze=0", "layers=4"])
def test_an_ablation_without_effect_equals_full_fine_tuning_bit_for_bit(
    ablation: Any, full: Run, encoder: Path, rivers: Any, tmp_path
):
    found = weights(run(encoder, rivers, tmp_path / "run", ablation).folder)
    wanted = weights(full.folder)
    assert found.keys() == wanted.keys()
    assert equal(found, wanted) == wanted.keys()


@pytest.mark.parametrize("k", [1, 4])
def test_frozen_weights_stay_bit_for_bit_and_all_others_change(k: int, encoder: Path, rivers: Any, tmp_path: Path):
    base = load_encoder(encoder, device="cpu").module
    found = weights(run(encoder, rivers, tmp_path / "run", Ablation(freeze=k)).folder)
    held = ("embeddings.", *(f"encoder.layer.{index}." for index in range(k)))
    assert equal(found, base.state_dict()) == {name for name in base.state_dict() if name.startswith(held)}


def test_only_the_head_is_trained_on_a_lower_layer(encoder: Path, rivers: Any, tmp_path: Path):
    tuned = run(encoder, rivers, tmp_path / "run", Ablation(layers=2, freeze=2))
    module = load_encoder(tuned.folder, device="cpu").module
    base = load_encoder(encoder, device="cpu").module.state_dict()
    assert module.config.num_hidden_layers == 2
    assert equal(dict(module.state_dict()), base) == module.state_dict().keys()


def test_the_record_has_the_ablation_and_another_one_is_refused(full: Run, encoder: Path, rivers: Any, tmp_path: Path):
    cut = run(encoder, rivers, tmp_path / "run", Ablation(layers=2))
    assert cut.record["request"]["ablation"] == {"freeze": 0, "layers": 2, "reinit": 0, "reinit_end": "top"}
    assert run(encoder, rivers, tmp_path / "run", Ablation(layers=2)).scores == cut.scores
    for folder, other in ((cut.folder, None), (cut.folder, Ablation(layers=3)), (full.folder, Ablation(layers=2))):
        with pytest.raises(StoreError, match="differs in ablation"):
            run(encoder, rivers, folder, other)
