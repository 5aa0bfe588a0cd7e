"""Structural probes before and after fine-tuning: is the dependency tree there as distances (the paper's section 4)?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..runner import Cell
from .costs import Clock
from .plan import Plan
from .scales import Structural
from .subjects import BASE, RANDOM, Subject, tuned

__all__ = ["cells"]

_FORMAT = 1
_SCORES = ("uuas", "root", "dspr", "nspr")


def cells(plan: Plan, clock: Clock) -> list[Cell]:
    """On the base, on random weights, and on tuned models: every layer, the best and the top."""
    chosen = plan.scale.structural
    if chosen is None or not plan.has(chosen.files.values()):
        return []
    models = [BASE, RANDOM, *(one for task in plan.scale.tasks for one in tuned(plan, task, chosen.seeds))]
    return [_cell(plan, clock, chosen, subject) for subject in models]


def _cell(plan: Plan, clock: Clock, chosen: Structural, subject: Subject) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        found = rs.probe_structural(
            subject.location(plan, needed),
            out=folder / "probing",
            random_init=subject.variant == "random",
            **{part: plan.place(source, needed) for part, source in chosen.files.items()},
            **chosen.options,
            device=plan.device,
            keep_stores=False,
            figures=(),
            progress=False,
        )
        shared = {**subject.columns(), "probe": "structural", "probe_task": "dependencies", "corpus": chosen.name}
        return [plan.row(**shared, **columns) for columns in _rows(found.result)]

    request = {**subject.request(plan), "files": plan.sources(chosen.files.values()), "options": dict(chosen.options)}
    return Cell(
        experiment="structural",
        name=subject.label,
        request=request,
        run=run,
        needs=(*plan.data_needs, *subject.needs),
        scratch=("probing/training",),
        format=_FORMAT,
        cost=lambda: clock.structural(chosen),
    )


def _rows(result: Any) -> Iterator[dict[str, Any]]:
    """Means over the probes' seeds. `n` counts what is right or wrong: edges for uuas, sentences else.

    The best layer is the one whose distances fit the dev sentences best, so that it is not chosen by what is scored.
    """
    layers = list(result.layers)
    edges = sum(max(int(tree.content.sum()) - 1, 0) for tree in result.scored.trees)
    for rank in result.ranks:
        best = int(np.argmin(result.values("distance_loss", rank).mean(axis=0)))
        members = [(name, place) for place, name in enumerate(layers)] + [("best", best), ("top", len(layers) - 1)]
        for score in _SCORES:
            means = result.values(score, rank).mean(axis=0)
            for member, place in members:
                if np.isfinite(means[place]):
                    columns = {"member": member, "layer": place if member in layers else None, "rank": rank}
                    columns |= {"layer_name": layers[place], "metric": score, "value": float(means[place])}
                    yield columns | {"n": edges if score == "uuas" else len(result.scored.trees)}
