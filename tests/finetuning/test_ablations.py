"""`ablate`: values and seeds, skipped and refused runs, failures, and ablations without training."""

from __future__ import annotations

import copy
import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrepsim.core.errors import ModelError, OptionError, StoreError, TextError
from pyrepsim.finetuning import AblationScores, Run, ablate, ablations, early_exit, finetune, tuned_run
from pyrepsim.finetuning.recipes import Ablation, TrainingRecipe
from pyrepsim.finetuning.task_model import TaskModel, load_head
from pyrepsim.models import load_encoder
from tests.finetuning.conftest import Rivers
from tests.helpers.tiny_models import tiny_bert

RECIPE = TrainingRecipe(epochs=1, batch_size=16, learning_rate=3e-3, max_length=64)
TASK = Rivers()


class Trainer:
    """Replaces `finetune`: records its arguments, and scores freezing by the number of frozen blocks."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.broken: set[int] = set()

    def __call__(
        self, model: Any, task: Any, *, out: Path, recipe: TrainingRecipe, ablation: Ablation, **options: Any
    ) -> Run:
        self.calls.append({"out": out, "recipe": recipe, "ablation": ablation, **options})
        if ablation.freeze in self.broken:
            raise TextError("a line is broken")
        return Run(out, {}, {"dev": {"accuracy": (90 - 5 * ablation.freeze + recipe.seed) / 100, "f1": 1.0}}, ())


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> Trainer:
    monkeypatch.setattr(ablations, "finetune", made := Trainer())
    return made


def test_one_run_for_each_value_and_seed(trainer: Trainer, encoder: Path, tmp_path: Path):
    sweep = ablate("freeze", encoder, TASK, out=tmp_path, seeds=(0, 3), recipe=RECIPE, train="t", dev="d", device="cpu")
    assert [(row["value"], row["seed"]) for row in sweep] == [(k, seed) for k in range(5) for seed in (0, 3)]
    assert [row["score"] for row in sweep][:4] == [0.9, 0.93, 0.85, 0.88]
    call = trainer.calls[3]
    assert call["out"] == tmp_path / "freeze-1-seed3"
    assert call["recipe"] == TrainingRecipe(**{**RECIPE.record(), "seed": 3})
    assert call["ablation"] == Ablation(freeze=1)
    assert (call["train"], call["dev"], call["test"], call["device"]) == ("t", "d", None, "cpu")


@pytest.mark.parametrize(
    ("kind", "values", "ablation"),
    [
        ("freeze", range(5), Ablation(freeze=3)),
        ("layers", range(1, 5), Ablation(layers=3)),
        ("reinit-top", range(5), Ablation(reinit=3)),
        ("reinit-bottom", range(5), Ablation(reinit=3, reinit_end="bottom")),
        ("head", range(1, 5), Ablation(layers=3, freeze=3)),
    ],
)
def test_each_kind_of_ablation(
    kind: str, values: range, ablation: Ablation, trainer: Trainer, encoder: Path, tmp_path: Path, monkeypatch: Any
):
    monkeypatch.setattr(AblationScores, "plot", lambda *_: None)
    sweep = ablate(kind, encoder, TASK, out=tmp_path)
    assert [row["value"] for row in sweep] == list(values)
    assert trainer.calls[[*values].index(3)]["ablation"] == ablation


def test_table_and_figure_are_written(trainer: Trainer, encoder: Path, tmp_path: Path):
    pytest.importorskip("matplotlib")
    sweep = ablate("freeze", encoder, TASK, out=tmp_path, values=[2, 0])
    with (tmp_path / "freeze.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = ["kind", "value", "seed", "task", "metric", "score", "dev.accuracy", "dev.f1", "folder", "error"]
    assert list(rows[0]) == columns
    assert [(row["value"], row["score"]) for row in rows] == [("2", "0.8"), ("0", "0.9")]
    lines = (tmp_path / "freeze.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == sweep.to_records()
    assert "accuracy (%)" in (tmp_path / "freeze.svg").read_text()
    assert "freeze-2-seed0" in sweep.table()


def test_a_failure_is_recorded_and_the_others_still_run(
    trainer: Trainer, encoder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    trainer.broken = {1, 3}
    sweep = ablate("freeze", encoder, TASK, out=tmp_path)
    assert [row["score"] for row in sweep] == [0.9, None, 0.8, None, 0.7]
    assert [row["folder"] for row in sweep.failures] == ["freeze-1-seed0", "freeze-3-seed0"]
    assert sweep.failures[0]["error"] == "TextError: a line is broken"
    assert caplog.records[-1].getMessage() == "failed: freeze-3-seed0: TextError: a line is broken"


def test_if_all_fail_the_first_error_is_raised(trainer: Trainer, encoder: Path, tmp_path: Path):
    trainer.broken = {1, 2}
    with pytest.raises(TextError, match="a line is broken"):
        ablate("freeze", encoder, TASK, out=tmp_path, values=[1, 2])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("prune", {}, "one of freeze, layers"),
        ("freeze", {"values": [5]}, "from 0 to 4: got 5"),
        ("layers", {"values": [0]}, "from 1 to 4: got 0"),
        ("head", {"values": [True]}, "got True"),
        ("freeze", {"values": []}, "must not be empty"),
        ("freeze", {"task": None}, "give one model, and the task"),
        ("exit", {"seeds": [1], "recipe": RECIPE}, "takes no seeds, recipe"),
    ],
)
def test_invalid_arguments_are_refused_before_training(
    kind: str, options: Any, message: str, trainer: Trainer, encoder: Path, tmp_path: Path
):
    with pytest.raises(OptionError, match=message):
        ablate(kind, encoder, **{"task": TASK, "out": tmp_path, **options})
    assert not trainer.calls


@pytest.fixture(scope="module")
def tuned(encoder: Path, rivers: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = TrainingRecipe(**{**RECIPE.record(), "epochs": 6})
    out = tmp_path_factory.mktemp("tuned") / "run"
    return finetune(encoder, TASK, train=rivers["train"], dev=rivers["dev"], out=out, recipe=recipe, device="cpu")


def test_finished_runs_are_skipped_and_other_requests_refused(encoder: Path, rivers: Any, tmp_path: Path):
    options: Any = {"train": rivers["train"], "dev": rivers["dev"], "out": tmp_path, "recipe": RECIPE, "device": "cpu"}
    first = ablate("layers", encoder, TASK, values=[1], **options)
    stamp = (tmp_path / "layers-1-seed0" / "run.json").stat().st_mtime_ns
    both = ablate("layers", encoder, TASK, values=[1, 2], **options)
    assert both[0] == first[0]
    assert (tmp_path / "layers-1-seed0" / "run.json").stat().st_mtime_ns == stamp
    longer = {**options, "recipe": TrainingRecipe(**{**RECIPE.record(), "epochs": 0.5})}
    mixed = ablate("layers", encoder, TASK, values=[1, 3], **longer)
    assert "differs in recipe" in mixed.failures[0]["error"]
    assert len(mixed.failures) == 1


def test_exit_gives_the_head_on_the_truncated_model(tuned: Run, rivers: Any, tmp_path: Path):
    sweep = ablate("exit", tuned.folder, TASK, out=tmp_path, device="cpu")
    assert [row["value"] for row in sweep] == [1, 2, 3, 4]
    assert sweep[3]["score"] == sweep[3]["score_unchanged"] == tuned.scores["dev"]["accuracy"]
    assert sweep[0]["score"] < sweep[3]["score"]
    encoder = load_encoder(tuned.folder, device="cpu")
    model = TaskModel(encoder.module, load_head(tuned.folder, encoder)).eval()
    ids = torch.tensor([[2, 17, 30, 9, 41, 3]])
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        state = encoder.module(**batch, output_hidden_states=True).hidden_states[2]
        wanted = model.head(state, batch)["logits"]
        assert torch.equal(early_exit(model, 2)(**batch)["logits"], wanted)
    assert len(encoder.module.encoder.layer) == 4  # the model itself is not truncated


def test_exits_are_predicted_in_one_pass_unless_one_cannot_be_cut(
    tuned: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    passes, truncate = [], tuned_run.truncate

    def counted(*arguments: Any, **options: Any) -> Any:
        passes.append(arguments[0].layers)
        return predict_each(*arguments, **options)

    def not_two(module: torch.nn.Module, layers: int) -> None:
        if layers == 2:
            raise ModelError("this one cannot be cut at 2")
        truncate(module, layers)

    predict_each = tuned_run.predict_each
    monkeypatch.setattr(tuned_run, "predict_each", counted)
    whole = ablate("exit", tuned, TASK, out=tmp_path / "whole", device="cpu")
    assert passes == [[1, 2, 3, 4]]
    monkeypatch.setattr(tuned_run, "truncate", not_two)
    sweep = ablate("exit", tuned, TASK, out=tmp_path / "not two", device="cpu")
    assert [row["error"] is None for row in sweep] == [True, False, True, True]
    assert [row["score"] for row in sweep if row["value"] != 2] == [row["score"] for row in whole if row["value"] != 2]


def test_reverting_layers_of_a_tuned_run(tuned: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    sweep = ablate("revert", tuned, TASK, out=tmp_path, device="cpu")
    assert [row["value"] for row in sweep] == [0, 1, 2, 3, 4]
    assert {row["score_unchanged"] for row in sweep} == {tuned.scores["dev"]["accuracy"]}
    assert any(row["score"] != row["score_unchanged"] for row in sweep)
    assert (tmp_path / "revert-0-seed0" / "predictions-dev.jsonl").is_file()
    monkeypatch.setattr(ablations.TunedRun, "evaluate", lambda *_: pytest.fail("it scored again"))
    again = ablate("revert", tuned, TASK, out=tmp_path, device="cpu")
    assert again.to_records() == sweep.to_records()


def test_scores_of_another_run_are_refused(tuned: Run, tmp_path: Path):
    ablate("exit", tuned, TASK, out=tmp_path, values=[4], device="cpu")
    other = copy.deepcopy(tuned)
    other.record["request"]["recipe"]["epochs"] = 9
    with pytest.raises(StoreError, match="differs in run"):
        ablate("exit", other, TASK, out=tmp_path, values=[4], device="cpu")
    with pytest.raises(StoreError, match="was replaced since it was opened"):  # another run than that in its folder
        ablate("exit", other, TASK, out=tmp_path / "other", values=[3], device="cpu")
    with pytest.raises(OptionError, match="two have seed 0"):
        ablate("exit", [tuned, other], TASK, out=tmp_path / "two", device="cpu")


def test_revert_refuses_a_changed_base(rivers: Any, tmp_path: Path):
    model = tiny_bert(tmp_path / "model")
    recipe = TrainingRecipe(**{**RECIPE.record(), "epochs": 0.1})
    run = finetune(
        model, TASK, train=rivers["train"], dev=rivers["dev"], out=tmp_path / "run", recipe=recipe, device="cpu"
    )
    tiny_bert(model, seed=1)
    with pytest.raises(ModelError, match="has other weights than when"):
        ablate("revert", run, TASK, out=tmp_path / "sweep", values=[1], device="cpu")


def test_a_task_that_is_not_registered_must_be_given(tuned: Run, tmp_path: Path):
    with pytest.raises(OptionError, match="is of 'rivers'. Give it as task"):
        ablate("exit", tuned, out=tmp_path, device="cpu")
    with pytest.raises(OptionError, match="is of 'rivers', got 'dependency'"):
        ablate("exit", tuned, "dependency", out=tmp_path, device="cpu")
