"""Edge probes before and after fine-tuning (section 4 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...probing.outputs import write_text
from ..runner import Cell
from .costs import CostEstimator
from .plan import BASE, RANDOM, Plan, StudyModel, tuned_models
from .probe_baselines import LEXICAL_BASELINE, RANDOM_BASELINE, interval_columns, kept_columns

if TYPE_CHECKING:
    from ...probing.comparison import ProbeComparison
    from ...probing.edge import EdgeResult

__all__ = ["edge_cells"]

_FORMAT = 3
_TEXTS, _STORES = "texts.txt", "stores"


def edge_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Each edge probe on the base, on random weights and on tuned models: scores, and differences from the base.

    The cell of a tuned model also compares it with the baselines, on the same documents: see `kept_columns`. Several
    probes of one corpus share the activations of a model, which a cell before them extracts.
    """
    scale = plan.scale.edge
    models = [BASE, RANDOM] if scale.random_recipe is not None else [BASE]
    models += [one for task in plan.scale.tasks for one in tuned_models(plan, task, scale.seeds)]
    by_corpus: dict[str, list[str]] = {}
    for name, probe in scale.probes.items():
        if plan.can_read(probe.files.values()):
            by_corpus.setdefault(f"{name} alone" if probe.data is None else probe.data, []).append(name)
    cells = []
    for model in models:
        for corpus, names in by_corpus.items():
            store = _store_cell(plan, costs, model, corpus, names) if len(names) > 1 else None
            cells += [] if store is None else [store]
            cells += [_edge_cell(plan, costs, name, model, None if store is None else store.id) for name in names]
    return cells


def _store_cell(plan: Plan, costs: CostEstimator, model: StudyModel, corpus: str, names: Sequence[str]) -> Cell:
    """Activations of a model on the texts of these probes, and the texts."""
    probes = [plan.scale.edge.probes[name] for name in names]

    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        from pyrepsim.probing.annotations import read_splits
        from pyrepsim.probing.edge.run import extract_texts

        texts: dict[str, None] = {}
        for probe in probes:
            files = {part: plan.locate(source, needed) for part, source in probe.files.items()}
            for split in read_splits(probe.task, **files, reading=probe.reading).values():
                texts |= dict.fromkeys(split.texts)
        write_text(folder / _TEXTS, "\n".join(texts))
        extract_texts(
            model.location(plan, needed),
            folder / _TEXTS,
            stores=folder / _STORES,
            random_init=model.variant == "random",
            device=plan.device,
            progress=False,
        )
        return []

    read = {name: [probe.task, dict(probe.reading)] for name, probe in zip(names, probes, strict=True)}
    return Cell(
        experiment="stores",
        name=f"{model.label}-probes-{corpus.replace('/', '-')}",
        request={**model.request(plan), "probes": read, "files": plan.digests([corpus])},
        run=run,
        needs=(*plan.data_needs, *model.needs),
        scratch=(_STORES,),
        format=_FORMAT,
        cost=lambda: costs.probe_extraction(probes),
    )


def _edge_cell(plan: Plan, costs: CostEstimator, name: str, model: StudyModel, store: str | None) -> Cell:
    scale = plan.scale.edge
    probe = scale.probes[name]
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
            control=scale.control,
            device=plan.device,
            texts=None if store is None else needed[store] / _TEXTS,
            stores=None if store is None else needed[store] / _STORES,
            keep_stores=store is not None,
            figures=(),
            progress=False,
        )
        columns = _edge_columns(probing.result)
        for one in probing.selectivity:
            difference = {"metric": "selectivity", "kind": "difference", "value": one.selectivity}
            columns.append({**_member_columns(one.member, probing.result.layers), **difference})
        if probing.comparison is not None:
            columns += _difference_columns(probing.comparison, probing.result)
            others = {one: EdgeResult.load(needed[one] / "probing" / "edge.npz") for one in compared}
            columns += _kept_by_edge_probe(probing.result, others[base], others.get(random))
        shared = {**model.columns(), "probe": "edge", "probe_task": name}
        return [plan.row(**shared, **one) for one in columns]

    request = {**model.request(plan), "probe": vars(probe), "seeds": seeds, "members": members, "recipe": recipe}
    request |= {"control": True} if scale.control else {}
    return Cell(
        experiment="edge",
        name=f"{name}-{model.label}",
        request={**request, "files": plan.digests(probe.files.values())},
        run=run,
        needs=(*plan.data_needs, *model.needs, *([] if store is None else [store]), *compared),
        format=_FORMAT,
        cost=lambda: costs.edge(probe, extracted=store is not None),
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
    baselines = {LEXICAL_BASELINE: before[LEXICAL]} if LEXICAL in before else {}
    if random is not None:
        check_paired(random, tuned, split)
        baselines[RANDOM_BASELINE] = jackknifed_scores(random, split, [mix])[mix]
    after = jackknifed_scores(tuned, split, [mix])[mix]
    columns = _member_columns(mix, tuned.layers)
    return [{**columns, **one} for one in kept_columns("f1", before[mix], after, baselines)]


def _member_columns(member: str, layers: tuple[str, ...]) -> dict[str, Any]:
    """A single layer has its number as `layer`; the mix of layers 0 to K has K as `k`."""
    columns: dict[str, Any] = {"member": member, "metric": "f1"}
    if member in layers:
        columns |= {"layer": layers.index(member), "layer_name": member}
    elif member.startswith("mix."):
        columns["k"] = int(member.removeprefix("mix."))
    return columns
