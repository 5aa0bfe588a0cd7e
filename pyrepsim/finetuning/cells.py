"""The cells of a sweep: one ablation with one seed, in a folder of its own, finished or to be run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import transformers

from ..core.errors import ModelError, OptionError, StoreError
from ..core.outputs import replacing
from ..models.encoder import first_line
from ..models.source import locate_model
from .finetuning import finetune
from .recipes import Ablation, Recipe
from .run import Run, open_run
from .tasks.base import Task
from .untrained import TunedRun

__all__ = ["TRAINED", "UNTRAINED", "Cell", "trained_cells", "untrained_cells"]

TRAINED: Mapping[str, Callable[[int], Ablation]] = {
    "freeze": lambda k: Ablation(freeze=k),
    "layers": lambda k: Ablation(layers=k),
    "reinit-top": lambda k: Ablation(reinit=k),
    "reinit-bottom": lambda k: Ablation(reinit=k, reinit_end="bottom"),
    "head": lambda k: Ablation(layers=k, freeze=k),
}
UNTRAINED = ("exit", "revert")
_FROM_ONE = ("layers", "head", "exit")  # the others have a value 0: no block, or the embeddings
_SCORES = "scores.json"


@dataclass(frozen=True)
class Cell:
    """One ablation with one seed. `run` gives its scores by data, from its folder where they are there."""

    kind: str
    value: int
    seed: int
    task: Task
    run: Callable[[], Mapping[str, Mapping[str, float]]]
    whole: float | None = None
    """The headline score of the model without the change, where it is known beforehand."""

    @property
    def name(self) -> str:
        return cell_name(self.kind, self.value, self.seed)


def cell_name(kind: str, value: int, seed: int) -> str:
    return f"{kind}-{value}-seed{seed}"


def trained_cells(
    kind: str,
    model: str | os.PathLike[str],
    task: Task,
    *,
    out: Path,
    values: Iterable[int] | None,
    seeds: Iterable[int] | None,
    recipe: Recipe | None,
    **options: Any,
) -> list[Cell]:
    """Cells that fine-tune `model`, each into ``out/<kind>-<value>-seed<seed>``; `options` go to `finetune`."""
    recipe = Recipe.for_task(task.name) if recipe is None else recipe
    seeds = [recipe.seed] if seeds is None else list(dict.fromkeys(seeds))
    depth = _depth(model)
    cells = []
    for value in _values(kind, values, depth):
        ablation = TRAINED[kind](value)
        ablation.check(depth)
        for seed in seeds:

            def run(ablation: Ablation = ablation, value: int = value, seed: int = seed) -> Any:
                folder = out / cell_name(kind, value, seed)
                seeded = replace(recipe, seed=seed)
                return finetune(model, task, out=folder, recipe=seeded, ablation=ablation, **options).scores

            cells.append(Cell(kind, value, seed, task, run))
    return cells


def untrained_cells(
    kind: str,
    runs: Sequence[str | os.PathLike[str] | Run],
    task: str | Task | None,
    *,
    out: Path,
    values: Iterable[int] | None,
    dev: str | os.PathLike[str] | None,
    device: str,
) -> list[Cell]:
    """Cells that change finished runs, one run a seed, and score them."""
    cells: list[Cell] = []
    wanted = None if values is None else list(values)
    for run in runs:
        run = run if isinstance(run, Run) else open_run(run)
        tuned = TunedRun(run, task=task, dev=None if dev is None else os.fspath(dev), device=device)
        seed = run.record["request"]["recipe"]["seed"]
        if seed in {cell.seed for cell in cells}:
            raise OptionError(f"Runs of one sweep differ in their seeds: two have seed {seed}. Give one of each seed.")
        whole = run.scores["dev"][run.metric] if dev is None else None
        values = _values(kind, wanted, _depth(run.folder))
        for value in values:
            folder = out / cell_name(kind, value, seed)
            request = {"kind": kind, "value": value, "run": run.record["request"], "scores": dict(run.scores)}
            request["dev"] = tuned.dev

            def score(
                tuned: TunedRun = tuned,
                values: Sequence[int] = values,
                value: int = value,
                folder: Path = folder,
                request: Any = request,
            ) -> dict[str, dict[str, float]]:
                if (known := _finished(folder, request)) is not None:
                    return known
                folder.mkdir(parents=True, exist_ok=True)
                predicted = _exit(tuned, values, value) if kind == "exit" else tuned.predict(tuned.reverted(value))
                scores = {"dev": tuned.score(predicted, write=folder / f"predictions-dev{tuned.task.suffix}")}
                with replacing(folder / _SCORES) as temporary:
                    temporary.write_text(json.dumps({"request": request, "scores": scores}, indent=1) + "\n")
                return scores

            cells.append(Cell(kind, value, seed, tuned.task, score, whole))
    return cells


def _exit(tuned: TunedRun, values: Sequence[int], value: int) -> list[Any]:
    """Predictions at one exit: the first that is asked for finds those of all, in one pass."""
    try:
        return tuned.exits(values)[value]
    except ModelError:  # of one value, which must not cost the others
        return tuned.exits([value])[value]


def _finished(folder: Path, request: Mapping[str, Any]) -> dict[str, dict[str, float]] | None:
    """The scores of a cell that was run before; StoreError if it was another one."""
    try:
        record = json.loads((folder / _SCORES).read_text(encoding="utf-8"))
        known = record["request"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"A cell's scores must be whole: {folder / _SCORES} cannot be read ({first_line(error)}). Remove it."
        ) from error
    if differing := [key for key, value in json.loads(json.dumps(request)).items() if known.get(key) != value]:
        raise StoreError(
            f"A folder holds one cell: {folder} has one that differs in {', '.join(differing)}. Choose another folder "
            "for the sweep, or remove this one."
        )
    return record["scores"]


def _values(kind: str, values: Iterable[int] | None, depth: int) -> list[int]:
    least = int(kind in _FROM_ONE)
    if values is None:
        return list(range(least, depth + 1))
    chosen = list(dict.fromkeys(values))
    for value in chosen:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= depth:
            raise OptionError(f"A value of {kind!r} counts blocks, from {least} to {depth}: got {value!r}.")
    return chosen


def _depth(model: str | os.PathLike[str]) -> int:
    """The number of blocks, by the configuration alone."""
    source = locate_model(model)
    try:
        config = transformers.AutoConfig.from_pretrained(source.location, revision=source.revision or "main")
        return int(config.num_hidden_layers)
    except Exception as error:  # transformers has no error type of its own
        raise ModelError(
            f"A sweep over layers needs their number: the configuration of {source.name!r} does not tell it "
            f"({first_line(error)}). Use an encoder or decoder that transformers loads."
        ) from error
