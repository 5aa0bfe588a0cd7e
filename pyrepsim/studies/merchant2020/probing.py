"""Edge and structural probes before and after fine-tuning (section 4 of the paper)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..runner import Cell
from .costs import CostEstimator
from .plan import BASE, RANDOM, Plan, StudyModel, tuned_models
from .scales import EdgeProbe, StructuralProbes

__all__ = ["edge_cells", "structural_cells"]

_FORMAT = 2
_STRUCTURAL_SCORES = ("uuas", "root", "dspr", "nspr")


def edge_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Each edge probe on the base, on random weights and on tuned models: scores, and differences from the base."""
    cells = []
    for name, probe in plan.scale.edge.probes.items():
        if not plan.can_read(probe.files.values()):
            continue
        models = [BASE, RANDOM]
        models += [one for task in plan.scale.tasks for one in tuned_models(plan, task, plan.scale.edge.seeds)]
        cells += [_edge_cell(plan, costs, name, probe, model) for model in models]
    return cells


def structural_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Structural probes on the base, on random weights, and on tuned models: every layer, the best and the top one."""
    probes = plan.scale.structural
    if probes is None or not plan.can_read(probes.files.values()):
        return []
    models = [BASE, RANDOM, *(one for task in plan.scale.tasks for one in tuned_models(plan, task, probes.seeds))]
    return [_structural_cell(plan, costs, probes, model) for model in models]


def _edge_cell(plan: Plan, costs: CostEstimator, name: str, probe: EdgeProbe, model: StudyModel) -> Cell:
    base = f"edge/{name}-{BASE.label}" if model.variant == "tuned" else None
    seeds = plan.scale.edge.probe_seeds

    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        probing = rs.probe_edge(
            model.location(plan, needed),
            probe.task,
            out=folder / "probing",
            random_init=model.variant == "random",
            **{part: plan.locate(source, needed) for part, source in probe.files.items()},
            reading=dict(probe.reading),
            recipe=dict(probe.recipe),
            members=None if probe.members is None else list(probe.members),
            seeds=list(seeds),
            base=None if base is None else needed[base] / "probing",
            device=plan.device,
            keep_stores=False,
            figures=(),
            progress=False,
        )
        shared = {**model.columns(), "probe": "edge", "probe_task": name}
        columns = _edge_columns(probing.result)
        if probing.comparison is not None:
            columns += _difference_columns(probing.comparison, probing.result)
        return [plan.row(**shared, **one) for one in columns]

    request = {**model.request(plan), "probe": vars(probe), "seeds": seeds}
    return Cell(
        experiment="edge",
        name=f"{name}-{model.label}",
        request={**request, "files": plan.digests(probe.files.values())},
        run=run,
        needs=(*plan.data_needs, *model.needs, *([] if base is None else [base])),
        format=_FORMAT,
        cost=lambda: costs.edge(probe),
    )


def _edge_columns(result: Any) -> list[dict[str, Any]]:
    """Means over the probes' seeds."""
    columns = []
    for name in dict.fromkeys(one.name for one in result.members):
        rows = result.select(member=name)
        ends = {"value": "f1", "low": "low", "high": "high"}
        means = {end: float(np.mean([row[key] for row in rows])) for end, key in ends.items()}
        band = {"band": "normal approximation", "confidence": 0.95, "n": rows[0]["n_targets"]}
        columns.append({**_member_columns(name, result.layers), **means, **band})
    return columns


def _difference_columns(changes: Any, result: Any) -> list[dict[str, Any]]:
    n = len(result.sentence_counts[changes.split][0])
    return [
        {**_member_columns(one.member, result.layers), "kind": "difference", "value": one.difference, "low": one.low,
         "high": one.high, "band": "bootstrap of sentences", "confidence": changes.confidence, "n": n}
        for one in changes
    ]  # fmt: skip


def _member_columns(member: str, layers: tuple[str, ...]) -> dict[str, Any]:
    """A single layer has its number as `layer`; the mix of layers 0 to K has K as `k`."""
    columns: dict[str, Any] = {"member": member, "metric": "f1"}
    if member in layers:
        columns |= {"layer": layers.index(member), "layer_name": member}
    elif member.startswith("mix."):
        columns["k"] = int(member.removeprefix("mix."))
    return columns


def _structural_cell(plan: Plan, costs: CostEstimator, probes: StructuralProbes, model: StudyModel) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        probing = rs.probe_structural(
            model.location(plan, needed),
            out=folder / "probing",
            random_init=model.variant == "random",
            **{part: plan.locate(source, needed) for part, source in probes.files.items()},
            **probes.options,
            device=plan.device,
            keep_stores=False,
            figures=(),
            progress=False,
        )
        shared = {**model.columns(), "probe": "structural", "probe_task": "dependencies", "corpus": probes.name}
        return [plan.row(**shared, **columns) for columns in _structural_columns(probing.result)]

    request = {**model.request(plan), "files": plan.digests(probes.files.values()), "options": dict(probes.options)}
    return Cell(
        experiment="structural",
        name=model.label,
        request=request,
        run=run,
        needs=(*plan.data_needs, *model.needs),
        scratch=("probing/training",),
        format=_FORMAT,
        cost=lambda: costs.structural(probes),
    )


def _structural_columns(result: Any) -> Iterator[dict[str, Any]]:
    """Means over the probes' seeds. `n` is the number of edges for uuas, and of sentences for the other scores.

    The best layer is the one with the smallest distance loss on dev, so that it is not chosen by the reported score.
    """
    layers = list(result.layers)
    edges = sum(max(int(tree.content.sum()) - 1, 0) for tree in result.scored.trees)
    for rank in result.ranks:
        best = int(np.argmin(result.values("distance_loss", rank).mean(axis=0)))
        members = [(name, place) for place, name in enumerate(layers)] + [("best", best), ("top", len(layers) - 1)]
        for score in _STRUCTURAL_SCORES:
            means = result.values(score, rank).mean(axis=0)
            for member, place in members:
                if np.isfinite(means[place]):
                    columns = {"member": member, "layer": place if member in layers else None, "rank": rank}
                    columns |= {"layer_name": layers[place], "metric": score, "value": float(means[place])}
                    yield columns | {"n": edges if score == "uuas" else len(result.scored.trees)}
