"""One representation by itself, layer by layer: anisotropy, norms, effective rank, rogue dimensions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..runner import Cell, Cost
from .aggregates import aggregate_cell
from .plan import Plan
from .subjects import Subject, tuned
from .texts import corpus_columns, store_cell, subjects_on

__all__ = ["cells"]

_FORMAT = 1
_METRICS = ("anisotropy", "mean_norm", "effective_rank", "rogue_contribution")


def cells(plan: Plan) -> list[Cell]:
    """Of every model on the texts that the scale names, and means over seeds."""
    found = []
    for name in plan.scale.profiles:
        own = [_cell(plan, subject, name) for subject in subjects_on(plan, name)]
        found += own
        for task in plan.scale.corpora[name].domain:
            needs = [f"profiles/{subject.label}-{name}" for subject in tuned(plan, task)]
            found.append(aggregate_cell("profiles", f"{task}-{name}", needs))
    return found


def _cell(plan: Plan, subject: Subject, name: str) -> Cell:
    def run(_folder: Path, needed: Mapping[str, Path]) -> Iterable[dict[str, Any]]:
        import pyrepsim as rs

        found = rs.profile(rs.open_store(needed[store_cell(subject, name)] / "store"), progress=False)
        shared = {**corpus_columns(plan, name, subject.task), **subject.columns()}
        for metric in _METRICS:
            for layer, one in enumerate(found):
                columns = {"layer": layer, "layer_name": one.layer, "metric": metric, "n": one.n_samples}
                yield plan.row(**shared, **columns, value=getattr(one, metric))

    return Cell(
        experiment="profiles", name=f"{subject.label}-{name}", request={}, run=run,
        needs=(store_cell(subject, name),), format=_FORMAT, cost=lambda: Cost(2.0),
    )  # fmt: skip
