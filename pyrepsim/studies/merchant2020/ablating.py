"""What freezing and truncation share: a fine-tuning with k blocks withheld, for each k and seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..runner import Cell, read_rows
from .aggregates import aggregate
from .costs import Clock
from .finetuning import score_rows, train
from .plan import Plan
from .scales import Sweep
from .subjects import run_cell

__all__ = ["sweep_cells"]

_FORMAT = 1

Ablations = Callable[[int], Any]
"""From k to what is withheld."""


def sweep_cells(
    plan: Plan,
    clock: Clock,
    experiment: str,
    sweep: Sweep | None,
    ablation: Ablations,
    *,
    least: int,
    whole: int,
) -> list[Cell]:
    """A cell for each task, k and seed, and one a task with the curve: k = `whole` is the full run, and means."""
    if sweep is None:
        return []
    found = []
    for task, seeds in plan.runs_of(sweep):
        changes = sweep.recipe.get(task, {})
        shared = whole if not changes else None  # with another recipe the full run is another one too
        names = []
        for k in plan.values(sweep, least=least):
            for seed in seeds:
                if k != shared:
                    found.append(_cell(plan, clock, experiment, task, seed, k, ablation, changes))
                    names.append(found[-1].id)
        runs = [run_cell(task, seed) for seed in seeds if shared is not None and seed in plan.scale.seeds]
        found.append(_curve(experiment, task, names, runs, whole))
    return found


def _cell(
    plan: Plan, clock: Clock, experiment: str, task: str, seed: int, k: int, ablation: Ablations, changes: Any
) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        scores, n = train(plan, task, seed, folder, needed, changes=changes, ablation=ablation(k))
        return score_rows(plan, scores, n=n, variant="tuned", task=task, seed=seed, k=k)

    request = {**plan.training_request(task), "recipe": plan.recipe(task, seed, changes).record()}
    return Cell(
        experiment=experiment,
        name=f"{task}-k{k}-seed{seed}",
        request={**request, experiment: k},
        run=run,
        needs=plan.data_needs,
        scratch=("run/*.safetensors",),  # the scores are what is wanted
        format=_FORMAT,
        cost=lambda: clock.training(task, _share(experiment, k, plan.depth)),
    )


def _curve(experiment: str, task: str, names: list[str], runs: list[str], whole: int) -> Cell:
    def run(_folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        full = [{**row, "k": whole, "experiment": experiment} for name in runs for row in read_rows(needed[name])]
        rows = full + [row for name in names for row in read_rows(needed[name])]
        return full + aggregate({**row, "experiment": experiment} for row in rows)

    return Cell(
        experiment=experiment, name=task, request={"whole": whole}, run=run, needs=(*names, *runs), format=_FORMAT
    )


def _share(experiment: str, k: int, depth: int) -> float:
    """Of the work of a full run: k blocks have no backward pass, or are the only ones."""
    return 1 - 2 / 3 * k / depth if experiment == "freezing" else k / depth
