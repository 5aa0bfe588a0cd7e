"""`pyrepsim finetune` and `pyrepsim ablate` on a tiny encoder and a handful of pairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pyrepsim as rs
from tests.helpers.tiny_models import tiny_bert

QUICK = ("--epochs", "1", "--batch-size", "8", "--max-length", "32", "--device", "cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four pairs in MultiNLI's format."""
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    labels = ("entailment", "neutral", "contradiction")
    rows = [
        {"gold_label": labels[i % 3], "sentence1": "the river flows", "sentence2": f"the bank runs {i}"}
        for i in range(24)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return path


def data(pairs: Path) -> tuple[str, ...]:
    return "--train", str(pairs), "--dev", str(pairs)


def test_a_run_and_the_python_that_does_the_same(run: Callable[..., Any], encoder: Path, pairs: Path):
    ran = run("finetune", encoder, "mnli", *data(pairs), *QUICK, "--seed", "3", "--freeze", "1")
    assert ran.status == 0
    folder = Path("runs/mnli") / f"{encoder.parent.name}-tiny-seed3"
    assert f"dev    accuracy {rs.open_run(folder).scores['dev']['accuracy']:.4f}" in ran.out
    assert "rs.finetune(" in ran.err
    assert "rs.TrainingRecipe(epochs=1.0, batch_size=8, max_length=32, seed=3)" in ran.err
    assert "rs.Ablation(freeze=1)" in ran.err
    again = run("finetune", encoder, "mnli", *data(pairs), *QUICK, "--seed", "3", "--freeze", "1")
    assert again.out == ran.out


def test_the_tasks_recipe_is_the_default_and_options_change_it(run: Callable[..., Any]):
    shown = run("finetune", "x", "squad(doc_stride=64)", "--epochs", "1", "--print_config").out
    assert "batch_size: 12" in shown
    assert "epochs: 1.0" in shown
    swept = run("ablate", "freeze", "x", "--task=dependency", "--print_config").out
    assert "head_learning_rate: 0.001" in swept


def test_a_dry_run_writes_nothing(run: Callable[..., Any], encoder: Path, pairs: Path):
    ran = run("finetune", encoder, "mnli", *data(pairs), *QUICK, "--dry-run")
    assert ran.status == 0, ran.err
    assert "24 examples, 24 sequences" in ran.out
    assert "Dry run: reads the data, loads the model and times one update. Nothing is written." in ran.err
    assert "3 updates of" in ran.out
    assert not Path("runs").exists()


def test_a_sweep_and_an_early_exit(run: Callable[..., Any], encoder: Path, pairs: Path):
    ran = run("ablate", "freeze", encoder, "--task", "mnli", *data(pairs), *QUICK, "--values", "[0,2]")
    assert ran.status == 0, ran.err
    assert Path("runs/mnli/ablate-freeze/freeze.svg").is_file()
    tuned = Path("runs/mnli/ablate-freeze/freeze-0-seed0")
    assert run("ablate", "exit", tuned).status == 0
    assert (tuned.parent / "ablate-exit" / "exit.csv").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["finetune", "x", "mnly"], "Did you mean mnli?"),
        (["finetune", "mnli", "bert-base-uncased"], "the model comes first, then the task"),
        (["finetune", "/nowhere", "mnli"], "must be an existing folder"),
        (["ablate", "freeze", "x"], "needs a task"),
    ],
)
def test_an_error_is_reported(run: Callable[..., Any], words: list[str], message: str):
    ran = run(*words)
    assert ran.status == 2
    assert message in ran.err
