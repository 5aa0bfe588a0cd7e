"""A training is never continued from a damaged checkpoint, or from one of another run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import pyrepsim as rs
from pyrepsim.core.errors import StoreError
from pyrepsim.finetuning import finetune
from pyrepsim.finetuning.recipes import TrainingRecipe
from tests.finetuning.conftest import Rivers

RECIPE = TrainingRecipe(epochs=1, batch_size=8, learning_rate=3e-3, max_length=64, save_every=10)
FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")


class Killed(Exception):
    """Stops a training half way."""


def tune(encoder: Path, rivers: dict[str, Path], out: Path, recipe: TrainingRecipe = RECIPE) -> rs.Run:
    data = {"train": rivers["train"], "dev": rivers["dev"]}
    return finetune(encoder, Rivers(), **data, out=out, recipe=recipe, device="cpu", progress=False)


def digest(run: rs.Run) -> bytes:
    return b"".join((run.folder / name).read_bytes() for name in ("model.safetensors", "head.safetensors"))


@pytest.fixture(scope="module")
def whole(encoder: Path, rivers: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> rs.Run:
    return tune(encoder, rivers, tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def stopped(encoder: Path, rivers: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 26 updates that was killed after 22, with checkpoints at 10 and 20."""
    out, step, n = tmp_path_factory.mktemp("runs") / "stopped", torch.optim.AdamW.step, 0

    def mortal(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal n
        n += 1
        if n > 22:
            raise Killed
        return step(self, *args, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", mortal)
        with pytest.raises(Killed):
            tune(encoder, rivers, out)
    assert sorted(path.name for path in (out / "resume").iterdir()) == ["checkpoint-10", "checkpoint-20"]
    return out


@pytest.mark.parametrize("name", [*FILES, "digests.json"])
@pytest.mark.parametrize("damage", ["a bit", "cut", "gone"])
def test_the_checkpoint_before_a_damaged_one_is_used(
    name: str, damage: str, encoder: Path, rivers: Any, whole: rs.Run, stopped: Path, tmp_path: Path, caplog: Any
):
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    path = out / "resume" / "checkpoint-20" / name
    content = path.read_bytes()
    at = len(content) * 2 // 3
    path.write_bytes(content[:at] if damage == "cut" else content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
    if damage == "gone":
        path.unlink()
    assert digest(tune(encoder, rivers, out)) == digest(whole)
    unfinished = (name, damage) == ("digests.json", "gone")  # as after a kill while it was written
    aside = out / "checkpoint-20.damaged-1"
    assert aside.is_dir() != unfinished
    assert (str(aside) in caplog.text) != unfinished
    assert not (out / "resume").exists()


def test_without_an_undamaged_checkpoint_the_training_starts_from_the_beginning(
    encoder: Path, rivers: Any, whole: rs.Run, stopped: Path, tmp_path: Path, caplog: Any
):
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    for step in (10, 20):
        (out / "resume" / f"checkpoint-{step}" / "optimizer.pt").write_bytes(b"half")
    assert digest(tune(encoder, rivers, out)) == digest(whole)
    assert "starts from the beginning" in caplog.text


def test_a_checkpoint_of_another_run_is_refused(encoder: Path, rivers: Any, stopped: Path, tmp_path: Path):
    out, recipe = tmp_path / "run", replace(RECIPE, seed=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", lambda *_, **__: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            tune(encoder, rivers, out, recipe=recipe)
    shutil.copytree(stopped / "resume", out / "resume", dirs_exist_ok=True)
    with pytest.raises(StoreError, match=r"checkpoint-20 differs in recipe.seed \(0 before, 1 now\)"):
        tune(encoder, rivers, out, recipe=recipe)


def test_a_checkpoint_under_another_number_is_refused(encoder: Path, rivers: Any, stopped: Path, tmp_path: Path):
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    (out / "resume" / "checkpoint-20").rename(out / "resume" / "checkpoint-24")
    with pytest.raises(StoreError, match=r"checkpoint-24 differs in step \(20 before, 24 now\)"):
        tune(encoder, rivers, out)
