"""Edge probes before and after fine-tuning: what linguistic structure can still be read off (the paper's section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..runner import Cell
from .costs import Clock
from .plan import Plan
from .scales import Probe
from .subjects import BASE, RANDOM, Subject, tuned

__all__ = ["cells"]

_FORMAT = 1


def cells(plan: Plan, clock: Clock) -> list[Cell]:
    """Each probe on the base, on random weights and on tuned models: scores, and differences from the base."""
    found = []
    for name, probe in plan.scale.edge.probes.items():
        if not plan.has(probe.files.values()):
            continue
        found += [_cell(plan, clock, name, probe, subject) for subject in (BASE, RANDOM)]
        for task in plan.scale.tasks:
            found += [_cell(plan, clock, name, probe, subject) for subject in tuned(plan, task, plan.scale.edge.seeds)]
    return found


def _cell(plan: Plan, clock: Clock, name: str, probe: Probe, subject: Subject) -> Cell:
    before = f"edge/{name}-{BASE.label}" if subject.variant == "tuned" else None
    seeds = plan.scale.edge.probe_seeds

    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        found = rs.probe_edge(
            subject.location(plan, needed),
            probe.task,
            out=folder / "probing",
            random_init=subject.variant == "random",
            **{part: plan.place(source, needed) for part, source in probe.files.items()},
            reading=dict(probe.reading),
            recipe=dict(probe.recipe),
            members=None if probe.members is None else list(probe.members),
            seeds=list(seeds),
            before=None if before is None else needed[before] / "probing",
            device=plan.device,
            keep_stores=False,
            figures=(),
            progress=False,
        )
        shared = {**subject.columns(), "probe": "edge", "probe_task": name}
        rows = [plan.row(**shared, **columns) for columns in _scores(found.result)]
        if found.verdicts is not None:
            rows += [plan.row(**shared, **columns) for columns in _differences(found.verdicts, found.result)]
        return rows

    request = {**subject.request(plan), "probe": vars(probe), "seeds": seeds}
    return Cell(
        experiment="edge",
        name=f"{name}-{subject.label}",
        request={**request, "files": plan.sources(probe.files.values())},
        run=run,
        needs=(*plan.data_needs, *subject.needs, *([] if before is None else [before])),
        format=_FORMAT,
        cost=lambda: clock.edge(probe),
    )


def _member(member: str, layers: tuple[str, ...]) -> dict[str, Any]:
    """A layer has its number as `layer`, the mix of 0..K has K as `k`."""
    columns: dict[str, Any] = {"member": member, "metric": "f1"}
    if member in layers:
        columns |= {"layer": layers.index(member), "layer_name": member}
    elif member.startswith("mix."):
        columns["k"] = int(member.removeprefix("mix."))
    return columns


def _scores(result: Any) -> list[dict[str, Any]]:
    found = []
    for name in dict.fromkeys(one.name for one in result.members):
        rows = result.select(member=name)
        means = {end: 100 * float(np.mean([row[key] for row in rows])) for end, key in _ENDS.items()}
        band = {"band": "normal approximation", "confidence": 0.95, "n": rows[0]["n_targets"]}
        found.append({**_member(name, result.layers), **means, **band})
    return found


_ENDS = {"value": "f1", "low": "low", "high": "high"}


def _differences(changes: Any, result: Any) -> list[dict[str, Any]]:
    n = len(result.sentences[changes.split][0])
    return [
        {**_member(one.member, result.layers), "kind": "difference", "value": 100 * one.difference,
         "low": 100 * one.low, "high": 100 * one.high, "band": "bootstrap of sentences",
         "confidence": changes.confidence, "n": n}
        for one in changes
    ]  # fmt: skip
