"""Generated data, where a scale asks for them: written by a cell of its own into the study's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..runner import Cell, Cost
from .plan import DATA, Plan

__all__ = ["cells"]

_FORMAT = 1


def cells(plan: Plan) -> list[Cell]:
    """The cell of the data, or none where they are given."""
    sizes = plan.scale.synthetic
    if sizes is None:
        return []

    def run(folder: Path, _needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        from ..synthetic import write_synthetic

        write_synthetic(folder, **sizes)
        return []

    experiment, _, name = DATA.partition("/")
    return [
        Cell(experiment=experiment, name=name, request=dict(sizes), run=run, format=_FORMAT, cost=lambda: Cost(2.0))
    ]
