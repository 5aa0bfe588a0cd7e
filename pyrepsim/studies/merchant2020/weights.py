"""How far fine-tuning moved the weights of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runner import Cell, Cost
from .aggregates import aggregate_cell
from .plan import Plan
from .subjects import Subject, run_cell, tuned

__all__ = ["cells"]

_FORMAT = 1


def cells(plan: Plan) -> list[Cell]:
    """||W' - W|| / ||W|| of the embeddings (layer 0) and each block (1 to L)."""
    found = []
    for task in plan.scale.tasks:
        own = [_cell(plan, subject) for subject in tuned(plan, task)]
        found += [*own, aggregate_cell("weights", task, [cell.id for cell in own])]
    return found


def _cell(plan: Plan, subject: Subject) -> Cell:
    def run(_folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        moved = rs.weight_distance(plan.model, subject.location(plan, needed))
        whole = [row for row in moved if row["module"] == "all" and row["distance"] is not None]
        return [
            plan.row(
                **subject.columns(),
                layer=_number(row["layer"]),
                layer_name=row["layer"],
                metric="weight_distance",
                value=row["distance"],
                n=row["n_weights"],
            )
            for row in whole
            if row["layer"] != "rest"
        ]

    need = run_cell(str(subject.task), subject.seed)
    return Cell(
        experiment="weights", name=subject.label, request={"model": plan.identity}, run=run, needs=(need,),
        format=_FORMAT, cost=lambda: Cost(2.0),
    )  # fmt: skip


def _number(layer: str) -> int | None:
    """0 for the embeddings, k + 1 for block k."""
    return 0 if layer == "embeddings" else int(layer.rpartition(".")[2]) + 1
