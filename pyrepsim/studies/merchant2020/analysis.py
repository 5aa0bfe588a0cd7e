"""Analyses that the paper does not have: weights, the geometry of each layer, and attention."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import OptionError
from ..runner import Cell, Cost
from .aggregates import aggregate_cell
from .costs import CostEstimator
from .plan import BASE, RANDOM, Plan, StudyModel, run_cell, tuned_models
from .stores import LONGEST, models_on, store_cell
from .texts import corpus_columns, read_texts_of_cell, text_cell

if TYPE_CHECKING:
    from ...analysis.attention import AttentionDivergence

__all__ = ["attention_cells", "attention_columns", "profile_cells", "weight_cells"]

_FORMAT = 1
_PROFILE_METRICS = ("anisotropy", "mean_norm", "effective_rank", "rogue_contribution")
_ATTENTION_PASSES = 8  # cost of both models and of all pairs of tokens, in forward passes of one model


def weight_cells(plan: Plan) -> list[Cell]:
    """Relative weight change ||W' - W|| / ||W|| of the embeddings (layer 0) and of each block (1 to L)."""
    cells = []
    for task in plan.scale.tasks:
        own = [_weight_cell(plan, model) for model in tuned_models(plan, task)]
        cells += [*own, aggregate_cell("weights", task, [cell.id for cell in own])]
    return cells


def profile_cells(plan: Plan) -> list[Cell]:
    """Anisotropy, norms, effective rank and rogue dimensions of each layer: every model, and means over seeds."""
    cells = []
    for name in plan.scale.profiles:
        cells += [_profile_cell(plan, model, name) for model in models_on(plan, name) if model.variant != "equal"]
        for task in plan.scale.corpora[name].domain:
            needs = [f"profiles/{model.label}-{name}" for model in tuned_models(plan, task)]
            cells.append(aggregate_cell("profiles", f"{task}-{name}", needs))
    return cells


def attention_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Divergence of attention from the base: tuned models, random weights as baseline, and means over seeds."""
    cells = []
    for name in plan.scale.attention:
        corpus = plan.scale.corpora[name]
        if corpus.form != "sentences":
            raise OptionError(f"Attention is compared on single sentences: {name!r} has the form {corpus.form!r}.")
        cells.append(_attention_cell(plan, costs, RANDOM, name))
        for task in corpus.domain:
            own = [_attention_cell(plan, costs, model, name) for model in tuned_models(plan, task)]
            cells += [*own, aggregate_cell("attention", f"{task}-{name}", [cell.id for cell in own])]
    return cells


def _weight_cell(plan: Plan, model: StudyModel) -> Cell:
    def run(_folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        moved = rs.weight_distance(plan.model, model.location(plan, needed))
        layers = [row for row in moved if row["module"] == "all" and row["distance"] is not None]
        return [
            plan.row(
                **model.columns(),
                layer=_layer_number(row["layer"]),
                layer_name=row["layer"],
                metric="weight_distance",
                value=row["distance"],
                n=row["n_weights"],
            )
            for row in layers
            if row["layer"] != "rest"
        ]

    need = run_cell(str(model.task), model.seed)
    return Cell(
        experiment="weights", name=model.label, request={"model": plan.identity}, run=run, needs=(need,),
        format=_FORMAT, cost=lambda: Cost(2.0),
    )  # fmt: skip


def _layer_number(layer: str) -> int:
    """0 for the embeddings, k + 1 for block k."""
    return 0 if layer == "embeddings" else int(layer.rpartition(".")[2]) + 1


def _profile_cell(plan: Plan, model: StudyModel, name: str) -> Cell:
    def run(_folder: Path, needed: Mapping[str, Path]) -> Iterable[dict[str, Any]]:
        import pyrepsim as rs

        layers = rs.profile(rs.open_store(needed[store_cell(model, name)] / "store"), progress=False)
        shared = {**corpus_columns(plan, name, model.task), **model.columns()}
        for metric in _PROFILE_METRICS:
            for layer, one in enumerate(layers):
                columns = {"layer": layer, "layer_name": one.layer, "metric": metric, "n": one.n_samples}
                yield plan.row(**shared, **columns, value=getattr(one, metric))

    return Cell(
        experiment="profiles", name=f"{model.label}-{name}", request={}, run=run,
        needs=(store_cell(model, name),), format=_FORMAT, cost=lambda: Cost(2.0),
    )  # fmt: skip


def _attention_cell(plan: Plan, costs: CostEstimator, model: StudyModel, name: str) -> Cell:
    def run(_folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        from ...analysis.attention import attention_divergence

        base = BASE.load(plan, needed)
        divergence = attention_divergence(
            base,
            model.load(plan, needed),
            read_texts_of_cell(needed[text_cell(name)]),
            long="truncate",
            max_length=min(LONGEST, base.max_length or LONGEST),
            progress=False,
        )
        shared = {**corpus_columns(plan, name, model.task), **model.columns()}
        return [plan.row(**shared, **columns) for columns in attention_columns(divergence)]

    return Cell(
        experiment="attention",
        name=f"{model.label}-{name}",
        request={**model.request(plan), "longest": LONGEST},
        run=run,
        needs=(*plan.data_needs, text_cell(name), *model.needs),
        format=_FORMAT,
        cost=lambda: Cost(_ATTENTION_PASSES * costs.extraction(name).seconds),
    )


def attention_columns(divergence: AttentionDivergence) -> Iterator[dict[str, Any]]:
    """Columns of the rows of each block, numbered from 1: the mean over heads, and each head as a member."""
    for block, (mean, heads) in enumerate(zip(divergence.per_block, divergence.values, strict=True)):
        columns = {"layer": block + 1, "layer_name": f"layer.{block}", "metric": "attention_js"}
        columns["n"] = divergence.n_queries
        yield {**columns, "value": float(mean)}
        for head, value in enumerate(heads):
            yield {**columns, "member": f"head.{head}", "value": float(value)}
