"""Every kind of sweep from files to figure, on the synthetic parsing, inference and question answering."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

import torch
from safetensors.torch import load_file

from pyrepsim.finetuning import ablate
from pyrepsim.finetuning.recipes import TrainingRecipe
from pyrepsim.studies.synthetic import write_synthetic
from pyrepsim.studies.synthetic.lexicon import DOMAINS
from tests.helpers.tiny_synthetic import synthetic_bert

RECIPE = TrainingRecipe(epochs=1, batch_size=16, learning_rate=1e-3, max_length=64)
FILES = {"dependency": "conllu", "mnli": "jsonl", "squad": "json"}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    head = {f"head.{name}": tensor for name, tensor in load_file(folder / "head.safetensors").items()}
    return {**load_file(folder / "model.safetensors"), **head}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_sweeps_run_end_to_end(tmp_path: Path):
    domain = next(iter(DOMAINS))
    write_synthetic(tmp_path / "data", train=48, dev=16, test=1)
    texts = [path.read_text(encoding="utf-8") for path in (tmp_path / "data" / domain).rglob("*") if path.is_file()]
    model = synthetic_bert(tmp_path / "model", texts, width=32)
    out = tmp_path / "runs"

    def sweep(kind: str, task: str) -> list[Any]:
        data = {part: tmp_path / "data" / domain / task / f"{part}.{FILES[task]}" for part in ("train", "dev")}
        found = ablate(kind, model, task, out=out / task, recipe=RECIPE, device="cpu", **data)
        assert (out / task / f"{kind}.csv").is_file()
        return [found, *found.failures]

    for kind in ("freeze", "layers", "reinit-top", "reinit-bottom", "head"):
        ((*rows,),) = sweep(kind, "dependency")
        assert [row["value"] for row in rows] == list(range(int(kind in ("layers", "head")), 3))
    for kind, task in (("freeze", "mnli"), ("layers", "squad")):
        assert len(sweep(kind, task)) == 1

    # What withholds nothing is full fine-tuning, bit for bit; what is frozen stays, and nothing else does.
    runs = out / "dependency"
    full = weights(runs / "freeze-0-seed0")
    assert all(same(full, weights(runs / f"{cell}-seed0")) for cell in ("layers-2", "reinit-top-0", "reinit-bottom-0"))
    base = load_file(model / "model.safetensors")
    frozen = weights(runs / "freeze-1-seed0")
    held = {name for name in frozen if name in base and torch.equal(frozen[name], base[name])}
    assert held == {name for name in frozen if name.startswith(("embeddings.", "encoder.layer.0."))}
    head = weights(runs / "head-1-seed0")
    assert all(torch.equal(tensor, base[name]) for name, tensor in head.items() if not name.startswith("head."))
    assert {name.split(".")[2] for name in head if name.startswith("encoder.layer.")} == {"0"}

    tuned = {"dependency": "freeze-0", "mnli": "freeze-0", "squad": "layers-2"}
    for task, cell in tuned.items():
        exits = ablate("exit", out / task / f"{cell}-seed0", out=out / task, device="cpu")
        assert [row["value"] for row in exits] == [1, 2]
        assert exits[1]["score"] == exits[1]["score_unchanged"]
    reverted = ablate("revert", runs / "freeze-0-seed0", out=runs, device="cpu")
    assert [row["value"] for row in reverted] == [0, 1, 2]
    assert not reverted.failures
    kinds = ("freeze", "layers", "reinit-top", "reinit-bottom", "head", "exit", "revert")
    assert all((runs / f"{kind}.svg").is_file() for kind in kinds)
