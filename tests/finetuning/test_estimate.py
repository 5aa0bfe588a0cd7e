"""`plan_finetuning` counts what `finetune` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pyrepsim.finetuning import finetune, plan_finetuning
from pyrepsim.finetuning.recipes import Ablation, TrainingRecipe
from tests.finetuning.conftest import Rivers


@pytest.mark.parametrize(("every", "n_scorings"), [(None, 2), (9, 3)])
def test_the_estimated_counts_equal_those_of_the_run(
    encoder: Path, rivers: Any, tmp_path: Path, every: int | None, n_scorings: int
):
    data = {"train": rivers["train"], "dev": rivers["dev"], "device": "cpu"}
    recipe = TrainingRecipe(epochs=2, batch_size=16, max_length=64, checkpoints=(5,), evaluate_every=every)
    plan = plan_finetuning(encoder, Rivers(), recipe=recipe, **data)
    run = finetune(encoder, Rivers(), recipe=recipe, out=tmp_path / "run", **data)
    assert plan.n_updates == run.history[-1]["step"]
    assert plan.n_examples == plan.n_sequences == 203
    words = sum(len(line.partition("\t")[0].split()) for line in rivers["train"].read_text().splitlines())
    assert plan.n_tokens >= words + 2 * 203  # [CLS] and [SEP], and words in pieces
    assert 0 < plan.n_padded < plan.n_tokens / 4  # batches of like lengths
    assert 0 < plan.scoring_seconds < plan.training_seconds
    assert plan.n_scorings == sum("eval_accuracy" in line for line in run.history) == n_scorings
    assert plan.estimated_seconds == plan.training_seconds + n_scorings * plan.scoring_seconds
    written = sum(path.stat().st_size for path in run.folder.rglob("*.safetensors"))
    assert written < plan.n_bytes < 20 * written


def test_frozen_weights_are_not_counted(encoder: Path, rivers: Any):
    data = {"train": rivers["train"], "dev": rivers["dev"], "device": "cpu", "recipe": TrainingRecipe(max_length=64)}
    whole = plan_finetuning(encoder, Rivers(), **data)
    frozen = plan_finetuning(encoder, Rivers(), ablation=Ablation(freeze=4), **data)
    assert frozen.n_weights == 16 * 16 + 16 + 2 * 16 + 2  # the head
    assert frozen.n_weights < whole.n_weights
