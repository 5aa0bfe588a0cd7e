"""Differences between models on one text, and between texts, from the saved scores of comparisons with the base.

Each row has the interval over documents for the models at hand; the rules of the claims add the variation over seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...inference import holm
from ..report.text import CONTROLLED
from ..runner import Cell, Cost
from .aggregates import aggregate
from .claims.curves import CENTRE, MEAN, MIDDLE, STATISTICS, thirds
from .claims.domains import TOP_GAP
from .claims.estimates import Estimate
from .claims.location import HALFWAY, PARSING
from .claims.replicates import Difference, Replicates, difference_of_texts, mean_of, weighted
from .comparison import load_scores
from .plan import Plan, StudyModel, baselines, equal_models, tuned_models
from .texts import corpus_columns, read_documents_of_cell, text_cell

__all__ = [
    "SCORES", "compared", "contrast_cells", "contrast_rows", "controlled", "domain_cells", "gap_rows", "halfway",
    "score_cell", "top_mean",
]  # fmt: skip

SCORES = "scores.json"
"""File of a cell of similarity: its scores, with their values without each block of documents."""

_FORMAT = 3
_PAIRED, _UNPAIRED = "jackknife of paired differences", "jackknife of differences"
_Needed = Mapping[str, Path]


def score_cell(model: StudyModel, corpus: str) -> str:
    """The id of the cell that compares a model with the base on a corpus."""
    return f"similarity/{model.label}-{corpus}"


def contrast_cells(plan: Plan) -> list[Cell]:
    """On text outside the domains: the curve of each task's models minus that of parsing, and minus the baseline's."""
    cells = []
    for name, corpus in plan.scale.corpora.items():
        tasks = [task for task in plan.scale.tasks if corpus.domain.get(task) == "out"]
        for task in tasks:
            deeper = PARSING in tasks and task != PARSING
            cells.append(
                _contrast_cell(plan, tuned_models(plan, task), tuned_models(plan, PARSING) if deeper else [], name)
            )
            if deeper and name in plan.shared_texts and plan.scale.equal_updates is not None:
                cells.append(_contrast_cell(plan, equal_models(plan, task), equal_models(plan, PARSING), name))
    return cells


def domain_cells(plan: Plan) -> list[Cell]:
    """Similarity to the base out of domain minus in domain, and that minus the same of the other tasks' models."""
    corpora = plan.scale.corpora
    return [
        _domain_cell(plan, task, inside, outside)
        for task in plan.scale.tasks
        for inside, one in corpora.items()
        for outside, other in corpora.items()
        if (one.domain.get(task), other.domain.get(task)) == ("in", "out") and one.form == other.form
    ]


def compared(own: Sequence[Replicates], others: Sequence[Replicates], statistic: str) -> Replicates:
    """The mean statistic of some curves minus that of others on the same text, (1,)."""
    means = [mean_of([curve.map(STATISTICS[statistic]) for curve in curves]) for curves in (own, others)]
    return weighted([(1.0, means[0]), (-1.0, means[1])])


def halfway(own: Sequence[Replicates], baseline: Replicates) -> Replicates:
    """The mean similarity of some curves minus the value half-way from the baseline's to 1, (1,)."""
    of_own = mean_of([curve.map(STATISTICS[MEAN]) for curve in own])
    above = weighted([(1.0, of_own), (-0.5, baseline.map(STATISTICS[MEAN]))])
    return Replicates(above.values - 0.5, above.without - 0.5)


def controlled(own: Sequence[Replicates], others: Sequence[Sequence[Replicates]]) -> Replicates:
    """The mean curve of a task's models minus the mean over the other tasks of theirs, on the same text."""
    return weighted([(1.0, mean_of(own)), (-1.0, mean_of([mean_of(curves) for curves in others]))])


def top_mean(curve: Replicates) -> Replicates:
    """The mean of the top third of the blocks, (1,)."""
    top = thirds(len(curve.values) - 1).top
    return curve.map(lambda values: values[..., top.start : top.stop].mean(axis=-1))


def contrast_rows(
    measure: str, own: Sequence[Replicates], others: Sequence[Replicates], baseline: Replicates | None
) -> Iterator[dict[str, Any]]:
    """Columns of the rows of a task's models on one text, minus those of parsing and half-way to the baseline."""
    for statistic in (MIDDLE, CENTRE) if others else ():
        found = compared(own, others, statistic)
        if found.finite:
            yield {"member": PARSING, "metric": f"{statistic}: {measure}", **_ends(found.estimate()), "band": _PAIRED}
    if baseline is not None:
        found = halfway(own, baseline).estimate()
        yield {"member": HALFWAY, "metric": f"{MEAN}: {measure}", **_ends(found), "band": _PAIRED}


def gap_rows(measure: str, task: str, pairs: Mapping[StudyModel, tuple[Replicates, Replicates]]) -> Iterator[Any]:
    """Columns of the rows of a task's texts, from the curves of each model that read them: out of domain, and in.

    For each model the gap of the top third; then, minus that of the other tasks' models, of each layer and of the top
    third.
    """
    for model, (outside, inside) in pairs.items():
        columns = {"seed": model.seed, "member": model.task, "metric": f"{TOP_GAP}: {measure}"}
        yield {**columns, **_columns(difference_of_texts(top_mean(outside), top_mean(inside)))}
    others = dict.fromkeys(model.task for model in pairs if model.task != task)
    if not others:
        return
    texts = [
        controlled(
            [pair[place] for model, pair in pairs.items() if model.task == task],
            [[pair[place] for model, pair in pairs.items() if model.task == other] for other in others],
        )
        for place in (0, 1)
    ]
    for columns in _layer_columns(texts[0], texts[1]):
        yield {"metric": f"{measure}{CONTROLLED}", **columns}
    gap = difference_of_texts(top_mean(texts[0]), top_mean(texts[1]))
    yield {"metric": f"{TOP_GAP}{CONTROLLED}: {measure}", **_columns(gap)}


def _contrast_cell(plan: Plan, own: Sequence[StudyModel], others: Sequence[StudyModel], name: str) -> Cell:
    measure = plan.scale.similarity.measures[0]
    of_baseline = baselines(plan)[-1:] if own[0].variant == "tuned" else []

    def run(_folder: Path, needed: _Needed) -> Iterator[dict[str, Any]]:
        def curves(models: Sequence[StudyModel]) -> list[Replicates]:
            return [_curve(needed, model, name, measure) for model in models]

        shared = {**corpus_columns(plan, name, own[0].task), **own[0].columns(), "seed": None, "kind": "difference"}
        shared["n"] = _n_documents(needed, name)
        baseline = next(iter(curves(of_baseline)), None)
        for columns in contrast_rows(measure, curves(own), curves(others), baseline):
            yield plan.row(**shared, **columns)

    return Cell(
        experiment="similarity",
        name=f"contrast-{own[0].label.rpartition('-')[0]}-{name}",
        request={"measure": measure},
        run=run,
        needs=(text_cell(name), *(score_cell(model, name) for model in (*own, *others, *of_baseline))),
        format=_FORMAT,
        cost=lambda: Cost(1.0),
    )


def _domain_cell(plan: Plan, task: str, inside: str, outside: str) -> Cell:
    own, options = tuned_models(plan, task), plan.scale.similarity
    texts = outside, inside
    domains = [plan.scale.corpora[name].domain for name in texts]
    controls = [
        model
        for other in plan.scale.tasks
        if domains[0].get(other) == "out" and other in domains[1] and domains[1][other] is None
        for model in tuned_models(plan, other)
    ]
    measures = [measure for measure in options.measures if measure not in options.values_only]

    def run(_folder: Path, needed: _Needed) -> list[dict[str, Any]]:
        shared = {**corpus_columns(plan, outside, task), "variant": "tuned", "task": task, "kind": "difference"}
        shared["n"] = min(_n_documents(needed, name) for name in texts)
        layers = list(load_scores(needed[score_cell(own[0], inside)] / SCORES).layers_x)

        def pair(model: StudyModel, measure: str) -> tuple[Replicates, Replicates]:
            return _curve(needed, model, outside, measure), _curve(needed, model, inside, measure)

        rows = []
        for measure in measures:
            gaps = [
                plan.row(**shared, seed=model.seed, metric=measure, **columns)
                for model in own
                for columns in _layer_columns(*pair(model, measure))
            ]
            rows += [*gaps, *aggregate(gaps)]
        pairs = {model: pair(model, measures[0]) for model in (*own, *controls)}
        rows += [plan.row(**shared, **columns) for columns in gap_rows(measures[0], task, pairs)]
        return [row if row.get("layer") is None else row | {"layer_name": layers[row["layer"]]} for row in rows]

    return Cell(
        experiment="domains",
        name=f"{task}-{outside}-{inside}",
        request={"measures": options.measures, "values_only": options.values_only},
        run=run,
        needs=(*map(text_cell, texts), *(score_cell(one, name) for name in texts for one in (*own, *controls))),
        format=_FORMAT,
        cost=lambda: Cost(1.0),
    )


def _layer_columns(outside: Replicates, inside: Replicates) -> list[dict[str, Any]]:
    """Columns of the row of each layer, with its p-value and that adjusted for all layers."""
    if not 0 < len(outside.values) == len(inside.values):  # the measure is not defined for some layers of a text
        return []
    gaps = [difference_of_texts(outside, inside, layer) for layer in range(len(outside.values))]
    adjusted = holm([gap.p for gap in gaps])
    return [
        {"layer": layer, **_columns(gap), "p_holm": float(p)}
        for layer, (gap, p) in enumerate(zip(gaps, adjusted, strict=True))
    ]


def _columns(gap: Difference) -> dict[str, Any]:
    return {**_ends(gap.estimate), "p": gap.p, "band": _UNPAIRED}


def _ends(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def _curve(needed: _Needed, model: StudyModel, corpus: str, measure: str) -> Replicates:
    return Replicates.of_scores(load_scores(needed[score_cell(model, corpus)] / SCORES), measure)


def _n_documents(needed: _Needed, corpus: str) -> int:
    return len(set(read_documents_of_cell(needed[text_cell(corpus)])))
