"""Similarity to the base, layer by layer (figure 2 of the paper)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...results import Scores
from ..runner import Cell
from .aggregates import aggregate_cell
from .claims.curves import curve_statistics
from .contrasts import SCORES, score_cell
from .costs import CostEstimator
from .plan import BASE, Plan, StudyModel, baselines, equal_models, tuned_models
from .stores import store_cell
from .texts import corpus_columns, read_documents_of_cell, text_cell

__all__ = ["similarity_cells"]

_FORMAT = 2
_Run = Callable[[Path, Mapping[str, Path]], Iterable[dict[str, Any]]]


def similarity_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """On each corpus: baselines and tuned models against the base, seeds against the first seed, means over seeds."""
    cells = []
    for name, corpus in plan.scale.corpora.items():
        cells += [_base_cell(plan, costs, model, name) for model in baselines(plan)]
        for task in corpus.domain:
            models = tuned_models(plan, task)
            if name in plan.shared_texts:
                cells += [_base_cell(plan, costs, model, name) for model in equal_models(plan, task)]
            cells += [_base_cell(plan, costs, model, name) for model in models]
            if corpus.domain[task] is not None:
                cells += [_seed_cell(plan, costs, models[0], model, name) for model in models[1:]]
            needs = [score_cell(model, name) for model in models]
            cells.append(aggregate_cell("similarity", f"{task}-{name}", needs, variant="tuned"))
    return cells


def _base_cell(plan: Plan, costs: CostEstimator, model: StudyModel, name: str) -> Cell:
    """A model against the base."""
    options = plan.scale.similarity
    shared = {**corpus_columns(plan, name, model.task), **model.columns()}
    all_layers = options.pairs if _compares_all_layers(plan, model, name) else ()
    rogue = options.rogue_measures if name in options.rogue and model.variant == "tuned" else ()
    measures = _measures(plan, model, name)

    def run(folder: Path, needed: Mapping[str, Path]) -> Iterable[dict[str, Any]]:
        from .comparison import compare_stores, compare_without_rogue_dimensions, save_scores

        x, y = (needed[store_cell(one, name)] / "store" for one in (BASE, model))
        documents = read_documents_of_cell(needed[text_cell(name)])
        scores = compare_stores(x, y, options, documents=documents, measures=measures)
        save_scores(scores, folder / SCORES)
        columns = [*_score_columns(scores)]
        columns += _statistic_columns(scores, len(set(documents)))
        if all_layers:
            columns += _pair_columns(
                compare_stores(x, y, options, measures=all_layers, documents=documents, layers="all")
            )
        if rogue:
            without_rogue = compare_without_rogue_dimensions(x, y, rogue, options, folder, documents)
            columns += [
                one | {"metric": f"{one['metric']} without rogue dimensions"} for one in _score_columns(without_rogue)
            ]
        return [plan.row(**shared, **one) for one in columns]

    request = {"measures": measures, "pairs": all_layers, "rogue": rogue}
    return _store_pair_cell(plan, costs, BASE, model, name, run, f"{model.label}-{name}", request)


def _measures(plan: Plan, model: StudyModel, name: str) -> tuple[str, ...]:
    """All measures; for text neither in nor out of the task's domain, and equal updates, that of the claims."""
    neither = model.task is not None and plan.scale.corpora[name].domain.get(model.task) is None
    return plan.scale.similarity.measures[: 1 if neither or model.variant == "equal" else None]


def _seed_cell(plan: Plan, costs: CostEstimator, first: StudyModel, model: StudyModel, name: str) -> Cell:
    """Two seeds of one task against each other: the similarity of two runs that differ by chance alone."""
    options = plan.scale.similarity

    def run(_folder: Path, needed: Mapping[str, Path]) -> Iterable[dict[str, Any]]:
        from .comparison import compare_stores

        x, y = (needed[store_cell(one, name)] / "store" for one in (first, model))
        shared = {**corpus_columns(plan, name, model.task), **model.columns(), "variant": "seeds"}
        scores = compare_stores(x, y, options, documents=read_documents_of_cell(needed[text_cell(name)]))
        return [plan.row(**shared, **columns) for columns in _score_columns(scores)]

    request = {"measures": options.measures}
    return _store_pair_cell(plan, costs, first, model, name, run, f"seeds-{model.label}-{name}", request)


def _store_pair_cell(
    plan: Plan,
    costs: CostEstimator,
    first: StudyModel,
    second: StudyModel,
    corpus: str,
    run: _Run,
    name: str,
    request: Mapping[str, Any],
) -> Cell:
    """A cell that compares the stores of two models on one corpus."""
    options = plan.scale.similarity
    return Cell(
        experiment="similarity",
        name=name,
        request={"values_only": options.values_only, "blocks": options.blocks, **request},
        run=run,
        needs=(text_cell(corpus), store_cell(first, corpus), store_cell(second, corpus)),
        format=_FORMAT,
        cost=lambda: costs.comparison(corpus),
    )


def _compares_all_layers(plan: Plan, model: StudyModel, name: str) -> bool:
    """Whether every layer is compared with every layer: for the first seed, on one of the task's own texts."""
    if model.task is None or model.variant != "tuned" or model.seed != plan.seeds(model.task)[0]:
        return False
    own = [key for key, corpus in plan.scale.corpora.items() if corpus.domain.get(model.task) == "in"]
    trained = [key for key in own if plan.scale.corpora[key].form == "training"]
    return name in (trained or own)[:1]


def _score_columns(scores: Scores) -> Iterator[dict[str, Any]]:
    """Columns of the rows of scores of same layers, in the model's order."""
    layers = list(scores.layers_x)
    for score in scores:
        columns: dict[str, Any] = {"layer": layers.index(score.layer_x), "layer_name": score.layer_x}
        columns |= {"metric": score.measure, "value": score.value, "n": score.n_samples}
        if score.interval is not None:
            details = score.details["interval"]
            kind = "jackknife" if details["kind"] == "jackknife" else "bootstrap"
            columns |= {"low": score.interval[0], "high": score.interval[1], "confidence": details["confidence"]}
            columns["band"] = f"{kind} of documents"
        yield columns


def _statistic_columns(scores: Scores, n_documents: int) -> Iterator[dict[str, Any]]:
    """Columns of the rows of curve statistics, such as the centre of change."""
    with_intervals = Scores(score for score in scores if score.interval is not None)
    for one in curve_statistics(with_intervals):
        columns = {"metric": f"{one.statistic}: {one.measure}", "value": one.value, "n": n_documents}
        yield columns | {"low": one.low, "high": one.high, "band": "jackknife of documents"}


def _pair_columns(scores: Scores) -> Iterator[dict[str, Any]]:
    """Columns of the rows of every layer (`layer`) with every layer (`k`)."""
    layers = list(scores.layers_x)
    for score in scores:
        columns = {"kind": "pair", "layer": layers.index(score.layer_x), "layer_name": score.layer_x}
        columns |= {"k": layers.index(score.layer_y), "metric": score.measure, "value": score.value}
        yield columns | {"n": score.n_samples}
