"""Fine-tuning on each task with each seed, and the scores on dev (the paper's section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runner import Cell
from .aggregates import aggregate_cell
from .costs import Clock
from .plan import Plan
from .subjects import Subject, run_cell, tuned

__all__ = ["cells", "score_rows", "train"]

_FORMAT = 1


def cells(plan: Plan, clock: Clock) -> list[Cell]:
    """A run a task and seed, in ``run`` of its cell's folder, and means over seeds."""
    found = []
    for task in plan.scale.tasks:
        subjects = tuned(plan, task)
        found += [_cell(plan, clock, subject) for subject in subjects]
        found.append(aggregate_cell("finetuning", task, [run_cell(task, subject.seed) for subject in subjects]))
    return found


def _cell(plan: Plan, clock: Clock, subject: Subject) -> Cell:
    task, seed = str(subject.task), int(subject.seed or 0)

    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        scores, n = train(plan, task, seed, folder, needed)
        return score_rows(plan, scores, n=n, **subject.columns())

    return Cell(
        experiment="finetuning",
        name=subject.label,
        request={**plan.training_request(task), "recipe": plan.recipe(task, seed).record()},
        run=run,
        needs=plan.data_needs,
        format=_FORMAT,
        cost=lambda: clock.training(task),
    )


def train(
    plan: Plan, task: str, seed: int, folder: Path, needed: Mapping[str, Path], *, changes: Any = None, **how: Any
) -> tuple[Mapping[str, float], int]:
    """Fine-tune into ``folder/run``, going on where an earlier call stopped; the scores on dev, and of how many."""
    import pyrepsim as rs

    recipe = plan.recipe(task, seed, changes)
    data = plan.training(task, needed)
    name = plan.scale.tasks[task].task
    run = rs.finetune(
        plan.model, name, out=folder / "run", recipe=recipe, device=plan.device, progress=False, **data, **how
    )
    scores = {run.metric: run.scores["dev"][run.metric], **run.scores["dev"]}  # the headline first
    return scores, _scored(run)


def _scored(run: Any) -> int:
    """What was right or wrong on dev: words of a treebank, else examples."""
    trees = run.folder / "predictions-dev.conllu"
    if trees.is_file():
        return sum(line.split("\t")[0].isdigit() for line in trees.read_text(encoding="utf-8").splitlines())
    return run.record["inputs"]["data"]["dev"]["n_examples"]


def score_rows(plan: Plan, scores: Mapping[str, float], **columns: Any) -> list[dict[str, Any]]:
    """A row a score on the dev data of the task, in percent."""
    shared = plan.row(corpus=f"{columns['task']}-dev", domain="in", **columns)
    return [{**shared, "metric": metric, "value": 100 * value} for metric, value in scores.items()]
