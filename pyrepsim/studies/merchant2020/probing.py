"""Edge probes before and after fine-tuning (section 4 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runner import Cell
from .costs import CostEstimator
from .floors import LEXICAL_FLOOR, RANDOM_FLOOR, interval_columns, kept_columns
from .plan import BASE, RANDOM, Plan, StudyModel, tuned_models
from .scales import EdgeProbe

if TYPE_CHECKING:
    from ...probing.comparison import ProbeComparison
    from ...probing.edge import EdgeResult

__all__ = ["edge_cells"]

_FORMAT = 3


def edge_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Each edge probe on the base, on random weights and on tuned models: scores, and differences from the base.

    The cell of a tuned model also compares it with the baselines, on the same documents: see `kept_columns`.
    """
    cells = []
    for name, probe in plan.scale.edge.probes.items():
        if not plan.can_read(probe.files.values()):
            continue
        models = [BASE, RANDOM] if plan.scale.edge.random_recipe is not None else [BASE]
        models += [one for task in plan.scale.tasks for one in tuned_models(plan, task, plan.scale.edge.seeds)]
        cells += [_edge_cell(plan, costs, name, probe, model) for model in models]
    return cells


def _edge_cell(plan: Plan, costs: CostEstimator, name: str, probe: EdgeProbe, model: StudyModel) -> Cell:
    scale = plan.scale.edge
    seeds = scale.probe_seeds if probe.seeds is None else probe.seeds
    members = None if probe.members is None else list(probe.members)
    recipe = dict(probe.recipe)
    if model.variant == "random":
        # The word pieces of random weights are no baseline: the probe of the base's own is.
        members, recipe = ["mix"], {**recipe, **(scale.random_recipe or {})}
    base, random = (f"edge/{name}-{one.label}" for one in (BASE, RANDOM))
    compared = []
    if model.variant == "tuned":
        compared = [base] if scale.random_recipe is None else [base, random]

    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs
        from pyrepsim.probing.edge import EdgeResult

        probing = rs.probe_edge(
            model.location(plan, needed),
            probe.task,
            out=folder / "probing",
            random_init=model.variant == "random",
            **{part: plan.locate(source, needed) for part, source in probe.files.items()},
            reading=dict(probe.reading),
            recipe=recipe,
            members=members,
            lexical=model.variant != "random",
            seeds=list(seeds),
            base=needed[base] / "probing" if compared else None,
            device=plan.device,
            keep_stores=False,
            figures=(),
            progress=False,
        )
        columns = _edge_columns(probing.result)
        if probing.comparison is not None:
            columns += _difference_columns(probing.comparison, probing.result)
            others = {one: EdgeResult.load(needed[one] / "probing" / "edge.npz") for one in compared}
            columns += _kept_by_edge_probe(probing.result, others[base], others.get(random))
        shared = {**model.columns(), "probe": "edge", "probe_task": name}
        return [plan.row(**shared, **one) for one in columns]

    request = {**model.request(plan), "probe": vars(probe), "seeds": seeds, "members": members, "recipe": recipe}
    return Cell(
        experiment="edge",
        name=f"{name}-{model.label}",
        request={**request, "files": plan.digests(probe.files.values())},
        run=run,
        needs=(*plan.data_needs, *model.needs, *compared),
        format=_FORMAT,
        cost=lambda: costs.edge(probe),
    )


def _edge_columns(result: EdgeResult) -> list[dict[str, Any]]:
    """Means over the probes' seeds."""
    columns = []
    for name in dict.fromkeys(one.name for one in result.members):
        rows = result.select(member=name)
        ends = {"value": "f1", "low": "low", "high": "high"}
        means = {end: float(np.mean([row[key] for row in rows])) for end, key in ends.items()}
        band = {"band": "normal approximation", "confidence": 0.95, "n": rows[0]["n_targets"]}
        columns.append({**_member_columns(name, result.layers), **means, **band})
    return columns


def _difference_columns(changes: ProbeComparison, result: EdgeResult) -> list[dict[str, Any]]:
    return [
        {**_member_columns(one.member, result.layers), "kind": "difference", "value": one.difference,
         "n": changes.n_documents, **interval_columns(one.low, one.high, "jackknife of documents")}
        for one in changes
    ]  # fmt: skip


def _kept_by_edge_probe(tuned: EdgeResult, base: EdgeResult, random: EdgeResult | None) -> list[dict[str, Any]]:
    """`kept_columns` of the mix of the most layers."""
    from ...probing.comparison import check_paired, jackknifed_scores
    from ...probing.edge.recipe import LEXICAL

    split, members = tuned.split, {one.name for one in tuned.members} & {one.name for one in base.members}
    mixes = [name for name in members if name.startswith("mix.")]
    if not mixes:
        return []
    mix = max(mixes, key=lambda name: int(name.removeprefix("mix.")))
    before = jackknifed_scores(base, split, [name for name in (mix, LEXICAL) if name in members])
    floors = {LEXICAL_FLOOR: before[LEXICAL]} if LEXICAL in before else {}
    if random is not None:
        check_paired(random, tuned, split)
        floors[RANDOM_FLOOR] = jackknifed_scores(random, split, [mix])[mix]
    after = jackknifed_scores(tuned, split, [mix])[mix]
    columns = _member_columns(mix, tuned.layers)
    return [{**columns, **one} for one in kept_columns("f1", before[mix], after, floors)]


def _member_columns(member: str, layers: tuple[str, ...]) -> dict[str, Any]:
    """A single layer has its number as `layer`; the mix of layers 0 to K has K as `k`."""
    columns: dict[str, Any] = {"member": member, "metric": "f1"}
    if member in layers:
        columns |= {"layer": layers.index(member), "layer_name": member}
    elif member.startswith("mix."):
        columns["k"] = int(member.removeprefix("mix."))
    return columns
