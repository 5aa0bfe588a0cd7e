"""Fine-tuning on each task with equally many updates, to compare tasks that are trained for unequal times otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runner import Cell
from .costs import CostEstimator
from .plan import Plan, StudyModel, equal_models

__all__ = ["equal_cells"]

_FORMAT = 1


def equal_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """One run for each task and seed, in ``run`` of its cell's folder; `k` of its rows is the number of updates."""
    return [_cell(plan, costs, model) for task in plan.scale.tasks for model in equal_models(plan, task)]


def _cell(plan: Plan, costs: CostEstimator, model: StudyModel) -> Cell:
    task, seed, updates = str(model.task), int(model.seed or 0), int(plan.scale.equal_updates or 0)

    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        data, name = plan.training_data(task, needed), plan.scale.tasks[task].task
        one_epoch = rs.plan_finetuning(
            plan.model, name, recipe=plan.recipe(task, seed, {"epochs": 1}), device=plan.device, **data
        )
        recipe = plan.recipe(task, seed, {"epochs": (updates - 0.5) / one_epoch.n_updates})  # rounded up
        tuned = rs.finetune(
            plan.model, name, out=folder / "run", recipe=recipe, device=plan.device, progress=False, **data
        )
        columns = {**model.columns(), "k": updates, "corpus": f"{task}-dev", "domain": "in", "metric": tuned.metric}
        return [plan.row(**columns, value=tuned.scores["dev"][tuned.metric])]

    recipe = plan.recipe(task, seed)
    request = {**plan.training_request(task), "recipe": recipe.record(), "updates": updates}
    return Cell(
        experiment="equal_updates",
        name=f"{task}-seed{seed}",
        request=request,
        run=run,
        needs=plan.data_needs,
        format=_FORMAT,
        cost=lambda: costs.training(task, updates=updates),
    )
