"""Early exit: the head of a tuned model reads block k, and nothing is trained again (Phang et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runner import Cell
from .aggregates import aggregate_cell
from .costs import Clock
from .finetuning import score_rows
from .plan import Plan
from .subjects import run_cell

__all__ = ["cells"]

_FORMAT = 1


def cells(plan: Plan, clock: Clock) -> list[Cell]:
    """Score on dev against the block that the head reads."""
    sweep = plan.scale.exit
    if sweep is None:
        return []
    found = []
    for task, seeds in plan.runs_of(sweep):
        values = plan.values(sweep, least=1)
        own = [_cell(plan, clock, task, seed, values) for seed in seeds]
        found += [*own, aggregate_cell("exit", task, [cell.id for cell in own])]
    return found


def _cell(plan: Plan, clock: Clock, task: str, seed: int, values: list[int]) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        tuned = needed[run_cell(task, seed)] / "run"
        sweep = rs.ablate(
            "exit", tuned, plan.scale.tasks[task].task, out=folder / "sweep", values=values, device=plan.device,
            dev=plan.training(task, needed)["dev"],
        )  # fmt: skip
        if sweep.failures:
            raise RuntimeError(sweep.failures[0]["error"])
        rows = []
        for row in sweep:
            scores = {row["metric"]: row["score"]}
            rows += score_rows(plan, scores, variant="tuned", task=task, seed=seed, k=row["value"])
        return rows

    needs = (*plan.data_needs, run_cell(task, seed))
    return Cell(
        experiment="exit", name=f"{task}-seed{seed}", request={"values": values}, run=run, needs=needs,
        format=_FORMAT, cost=lambda: clock.scoring(task, len(values)),
    )  # fmt: skip
