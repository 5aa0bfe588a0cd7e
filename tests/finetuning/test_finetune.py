"""`finetune` from start to finish: scores, files, resuming, refused requests."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, ReformerConfig, ReformerModel

from pyrepsim.core.errors import ModelError, NonFiniteError, OptionError, StoreError
from pyrepsim.finetuning import Run, finetune, open_run, trainer, training
from pyrepsim.finetuning.recipes import TrainingRecipe
from pyrepsim.finetuning.task_model import load_head
from pyrepsim.models import load_encoder, wrap
from tests.finetuning.conftest import Rivers
from tests.helpers.tiny_models import wordpiece

RECIPE = TrainingRecipe(epochs=6, batch_size=8, learning_rate=3e-3, max_length=64)


def run(encoder: Any, rivers: dict[str, Path], out: Path, **options: Any) -> Run:
    options = {"recipe": RECIPE, **options}
    return finetune(encoder, Rivers(), train=rivers["train"], dev=rivers["dev"], out=out, device="cpu", **options)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    model = load_encoder(folder, device="cpu")
    head = load_head(folder, model)
    return {**model.module.state_dict(), **{f"head.{k}": v for k, v in head.state_dict().items()}}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def tuned(encoder: Path, rivers: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(encoder, rivers, tmp_path_factory.mktemp("runs") / "whole")


def test_training_learns(tuned: Run):
    assert tuned.scores["dev"]["accuracy"] >= 0.95
    losses = [entry["loss"] for entry in tuned.history if "loss" in entry]
    assert losses[-1] < losses[0] / 4


def test_a_run_is_a_hugging_face_model_with_its_record(tuned: Run, encoder: Path):
    module = AutoModel.from_pretrained(tuned.folder, add_pooling_layer=False)
    assert same(module.state_dict(), load_encoder(tuned.folder, device="cpu").module.state_dict())
    assert not same(module.state_dict(), load_encoder(encoder, device="cpu").module.state_dict())
    files = {path.name for path in tuned.folder.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "head.json", "head.safetensors", "run.json"} <= files
    assert {"curve.svg", "predictions-dev.jsonl"} <= files
    assert "resume" not in files
    assert tuned.record["inputs"]["labels"] == ["no", "yes"]
    assert tuned.record["inputs"]["data"]["train"]["n_examples"] == 203


def test_a_run_is_a_path(tuned: Run):
    assert load_encoder(tuned, device="cpu").layers == load_encoder(tuned.folder, device="cpu").layers


def test_the_history_holds_rates_losses_and_scores(tuned: Run):
    rates = [entry["learning_rate"] for entry in tuned.history if "learning_rate" in entry]
    peak = rates.index(max(rates))
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert max(rates) == pytest.approx(RECIPE.learning_rate, rel=0.2)
    assert sum("eval_accuracy" in entry for entry in tuned.history) == 6
    assert tuned.history[-1]["eval_accuracy"] == tuned.scores["dev"]["accuracy"]
    assert not any("train_loss" in entry for entry in tuned.history)  # after resuming, it would lack the first steps


def test_ctrl_c_is_handled_during_each_backward_pass(encoder: Path, rivers: Any, tmp_path: Path, monkeypatch):
    threads: list[threading.Thread] = []
    monkeypatch.setattr(trainer, "_handle_signals", lambda _: threads.append(threading.current_thread()))
    recipe = TrainingRecipe(epochs=0.01, batch_size=8, max_length=64)
    made = run(encoder, rivers, tmp_path / "run", recipe=recipe)
    assert set(threads) == {threading.main_thread()}
    assert len(threads) == len(weights(made.folder))  # one update, one call for each tensor of weights


def test_only_equal_seeds_give_equal_weights(tuned: Run, encoder: Path, rivers: Any, tmp_path: Path):
    again = run(encoder, rivers, tmp_path / "again")
    assert same(weights(again.folder), weights(tuned.folder))
    other = run(
        encoder, rivers, tmp_path / "other", recipe=TrainingRecipe(**{**RECIPE.record(), "seed": 1, "epochs": 1})
    )
    assert not same(weights(other.folder), weights(tuned.folder))


class Killed(Exception):
    """Stops a training half way."""


@pytest.mark.parametrize("after", [13, 40, 151])
def test_an_interrupted_run_ends_with_the_same_weights(
    after: int, tuned: Run, encoder: Path, rivers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    steps = 0
    step = torch.optim.AdamW.step

    def mortal(self: torch.optim.AdamW, *args: Any, **options: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps > after:
            raise Killed
        return step(self, *args, **options)

    recipe = TrainingRecipe(**{**RECIPE.record(), "save_every": 10})
    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", mortal)
        with pytest.raises(Killed):
            run(encoder, rivers, tmp_path / "run", recipe=recipe)
    with pytest.raises(ModelError, match="must be finished"):
        open_run(tmp_path / "run")
    # An incomplete checkpoint is ignored.
    newest = max((tmp_path / "run" / "resume").iterdir(), key=lambda path: int(path.name.split("-")[1]))
    broken = newest.with_name("checkpoint-9999")
    broken.mkdir()
    (broken / "trainer_state.json").write_text('{"half')
    resumed = run(encoder, rivers, tmp_path / "run", recipe=recipe)
    assert same(weights(resumed.folder), weights(tuned.folder))
    assert resumed.scores == tuned.scores


def test_a_finished_run_is_opened_and_another_request_refused(tuned: Run, encoder: Path, rivers: Any, monkeypatch: Any):
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("it trained again")

    monkeypatch.setattr(trainer.TaskTrainer, "train_or_resume", never)
    assert run(encoder, rivers, tuned.folder).scores == tuned.scores
    with pytest.raises(StoreError, match="differs in recipe"):
        run(encoder, rivers, tuned.folder, recipe=TrainingRecipe(**{**RECIPE.record(), "seed": 5}))


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_with_other_files_is_left_alone(overwrite: bool, encoder: Path, rivers: Any, tmp_path: Path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(StoreError, match="other files"):
        run(encoder, rivers, tmp_path, overwrite=overwrite)
    with pytest.raises(StoreError, match="is a file"):
        run(encoder, rivers, tmp_path / "precious.txt", overwrite=overwrite)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_overwrite_keeps_the_run_if_the_new_one_cannot_start(encoder: Path, rivers: Any, tmp_path: Path):
    short = TrainingRecipe(**{**RECIPE.record(), "epochs": 1})
    first = run(encoder, rivers, tmp_path / "run", recipe=short)
    with pytest.raises(OptionError, match="64, got 128"):
        run(encoder, rivers, first.folder, recipe=TrainingRecipe(max_length=128), overwrite=True)
    assert same(weights(first.folder), weights(open_run(first.folder).folder))
    (first.folder / "run.json").write_text('{"half')
    with pytest.raises(StoreError, match="must be complete"):
        run(encoder, rivers, first.folder, recipe=short)
    assert run(encoder, rivers, first.folder, recipe=short, overwrite=True).scores == first.scores


def test_encoders_are_saved_at_the_checkpoints(encoder: Path, rivers: Any, tmp_path: Path):
    recipe = TrainingRecipe(**{**RECIPE.record(), "epochs": 1, "checkpoints": (0, 5, 26)})
    kept = run(encoder, rivers, tmp_path / "run", recipe=recipe)
    folders = sorted((kept.folder / "checkpoints").iterdir())
    assert [folder.name for folder in folders] == ["step-000000", "step-000005", "step-000026"]
    states = [load_encoder(folder, device="cpu").module.state_dict() for folder in folders]
    assert same(states[0], load_encoder(encoder, device="cpu").module.state_dict())
    assert same(states[2], load_encoder(kept.folder, device="cpu").module.state_dict())
    assert not same(states[1], states[2])


def test_only_matrices_decay(encoder: Path):
    from pyrepsim.finetuning.heads import build_head
    from pyrepsim.finetuning.task_model import TaskModel
    from pyrepsim.finetuning.trainer import make_optimizer

    model = TaskModel(load_encoder(encoder, device="cpu").module, build_head(16, {"kind": "sequence", "labels": 2}))
    optimizer = make_optimizer(model, TrainingRecipe(head_learning_rate=1e-3, learning_rate=1e-5))
    names = {id(weight): name for name, weight in model.named_parameters()}
    seen = {}
    for group in optimizer.param_groups:
        seen |= {names[id(weight)]: (group["lr"], group["weight_decay"]) for weight in group["params"]}
    assert seen.keys() == set(names.values())
    for name, (rate, decay) in seen.items():
        assert rate == (1e-3 if name.startswith("head.") else 1e-5)
        assert decay == (0.0 if "LayerNorm" in name or name.endswith("bias") else 0.01)


def test_a_head_that_does_not_fit_is_refused(tuned: Run, tmp_path: Path):
    from tests.helpers.tiny_models import tiny_bert

    wide = load_encoder(tiny_bert(tmp_path / "wide", width=32), device="cpu")
    with pytest.raises(ModelError, match=r"must fit its encoder.*'classifier.weight'"):
        load_head(tuned.folder, wide)
    with pytest.raises(ModelError, match="lacks head.json"):
        load_head(tmp_path / "wide", wide)


def test_a_model_whose_output_is_not_its_last_hidden_state_is_refused(rivers: Any, tmp_path: Path):
    sizes = {"hidden_size": 16, "attention_head_size": 8, "num_attention_heads": 2, "feed_forward_size": 16}
    config = ReformerConfig(vocab_size=128, **sizes, attn_layers=["local"], axial_pos_embds=False)
    reformer = wrap(ReformerModel(config), wordpiece(64), name="reformer")  # its output is twice as wide
    with pytest.raises(ModelError, match="'reformer' .* has 16 features, and the output of the model 32"):
        run(reformer, rivers, tmp_path / "run")


@pytest.mark.parametrize("wrong", ["epochs=0", "warmup=1", "batch_size=0", "accumulation=3", "save_every=0", "clip=-1"])
def test_a_recipe_outside_its_domain_is_refused(wrong: str):
    option, value = wrong.split("=")
    with pytest.raises(OptionError):
        TrainingRecipe(**{option: int(value)})


def test_a_sequence_longer_than_the_positions_is_refused(encoder: Path, rivers: Any, tmp_path: Path):
    with pytest.raises(OptionError, match="64, got 128"):
        run(encoder, rivers, tmp_path / "run", recipe=TrainingRecipe(max_length=128))


def test_an_infinite_loss_stops_the_run(encoder: Path, rivers: Any, tmp_path: Path):
    recipe = TrainingRecipe(**{**RECIPE.record(), "learning_rate": 1e30, "clip": 1e30})
    with pytest.raises(NonFiniteError, match="must stay finite"):
        run(encoder, rivers, tmp_path / "run", recipe=recipe)


@pytest.mark.parametrize(
    "error",
    [
        Exception("No space left on device (os error 28)"),  # of tokenizers
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 56192 vs 56144"),  # of torch
        RuntimeError("basic_ios::clear: iostream error"),
    ],
)
def test_a_full_disk_in_the_words_of_another_library_is_explained(
    error: Exception, encoder: Path, rivers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def save(*_: Any) -> None:
        raise error

    monkeypatch.setattr(training, "save_head", save)
    with pytest.raises(StoreError, match=r"Writing the run .*/out failed: .*To continue, free some space"):
        run(encoder, rivers, tmp_path / "out")


def test_errors_of_training_stay_as_they_are(encoder: Path, rivers: Any, tmp_path: Path, monkeypatch: Any):
    def save(*_: Any) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(training, "save_head", save)
    with pytest.raises(RuntimeError, match="^out of memory$"):
        run(encoder, rivers, tmp_path / "out")


def test_float16_on_a_cpu_is_refused(encoder: Path, rivers: Any, tmp_path: Path):
    with pytest.raises(OptionError, match="needs a GPU"):
        run(encoder, rivers, tmp_path / "run", recipe=TrainingRecipe(max_length=64, precision="fp16"))


def test_training_learns_in_bfloat16(encoder: Path, rivers: Any, tmp_path: Path):
    recipe = TrainingRecipe(**{**RECIPE.record(), "precision": "bf16"})
    assert run(encoder, rivers, tmp_path / "run", recipe=recipe).scores["dev"]["accuracy"] >= 0.95


def test_the_shipped_recipes_have_the_published_values():
    assert TrainingRecipe.for_task("mnli") == TrainingRecipe(
        epochs=3, batch_size=32, learning_rate=2e-5, max_length=128
    )
    assert TrainingRecipe.for_task("squad").batch_size == 12
    assert TrainingRecipe.for_task("dependency", seed=3).head_learning_rate == 1e-3
    assert TrainingRecipe.for_task("rte") == TrainingRecipe()
    assert json.loads(json.dumps(TrainingRecipe.for_task("squad").record()))["max_length"] == 384
