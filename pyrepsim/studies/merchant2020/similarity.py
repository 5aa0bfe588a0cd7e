"""Similarity to the base, layer by layer, of all models on all texts (the paper's figure 2), with floors and noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...results import Scores
from ..runner import Cell
from .aggregates import aggregate_cell
from .claims.depth import curve_statistics
from .costs import Clock
from .plan import Plan
from .saved import save_scores
from .subjects import BASE, Subject, floors, tuned
from .texts import corpus_columns, store_cell

__all__ = ["SCORES", "cells", "score_columns", "similarity_cell"]

SCORES = "scores.json"
"""What a cell keeps for `domains`: the scores with their values without each block."""

_FORMAT = 1
Run = Callable[[Path, Mapping[str, Path]], Iterable[dict[str, Any]]]


def similarity_cell(subject: Subject, name: str) -> str:
    return f"similarity/{subject.label}-{name}"


def cells(plan: Plan, clock: Clock) -> list[Cell]:
    """On each text: floors; each tuned model against the base; seeds against the first; means over seeds."""
    found = []
    for name, corpus in plan.scale.corpora.items():
        found += [_cell(plan, clock, floor, name) for floor in floors(plan)]
        for task in corpus.domain:
            own = tuned(plan, task)
            found += [_cell(plan, clock, subject, name) for subject in own]
            found += [_noise(plan, clock, own[0], subject, name) for subject in own[1:]]
            needs = [similarity_cell(subject, name) for subject in own]
            found.append(aggregate_cell("similarity", f"{task}-{name}", needs, variant="tuned"))
    return found


def _cell(plan: Plan, clock: Clock, subject: Subject, name: str) -> Cell:
    """`subject` against the base."""
    chosen = plan.scale.similarity
    shared = {**corpus_columns(plan, name, subject.task), **subject.columns()}
    every_pair = chosen.pairs if _shown(plan, subject, name) else ()
    rogue = chosen.rogue_measures if name in chosen.rogue and subject.task is not None else ()

    def run(folder: Path, needed: Mapping[str, Path]) -> Iterable[dict[str, Any]]:
        from .comparing import compared, without_rogue

        x, y = (needed[store_cell(one, name)] / "store" for one in (BASE, subject))
        scores = compared(x, y, chosen)
        save_scores(scores, folder / SCORES)
        rows = [plan.row(**shared, **columns) for columns in score_columns(scores)]
        if subject.task is not None:
            rows += [plan.row(**shared, **columns) for columns in _of_curves(scores)]
        if every_pair:
            found = compared(x, y, chosen, measures=every_pair, layers="all")
            rows += [plan.row(**shared, **columns) for columns in _pairs(found)]
        if rogue:
            found = without_rogue(x, y, rogue, chosen, folder)
            for columns in score_columns(found):
                metric = f"{columns.pop('metric')} without rogue dimensions"
                rows.append(plan.row(**shared, **columns, metric=metric))
        return rows

    more = {"pairs": every_pair, "rogue": rogue}
    return _of_stores(plan, clock, BASE, subject, name, run, f"{subject.label}-{name}", more)


def _noise(plan: Plan, clock: Clock, first: Subject, subject: Subject, name: str) -> Cell:
    """Two seeds of one task against each other: what similarity chance alone leaves."""
    chosen = plan.scale.similarity

    def run(_folder: Path, needed: Mapping[str, Path]) -> Iterable[dict[str, Any]]:
        from .comparing import compared

        x, y = (needed[store_cell(one, name)] / "store" for one in (first, subject))
        shared = {**corpus_columns(plan, name, subject.task), **subject.columns(), "variant": "seeds"}
        return [plan.row(**shared, **columns) for columns in score_columns(compared(x, y, chosen))]

    return _of_stores(plan, clock, first, subject, name, run, f"seeds-{subject.label}-{name}", {})


def _of_stores(
    plan: Plan,
    clock: Clock,
    first: Subject,
    second: Subject,
    name: str,
    run: Run,
    called: str,
    more: Mapping[str, Any],
) -> Cell:
    """A cell that compares the stores of two models of the text `name`."""
    chosen = plan.scale.similarity
    return Cell(
        experiment="similarity",
        name=called,
        request={"measures": chosen.measures, "values_only": chosen.values_only, "blocks": chosen.blocks, **more},
        run=run,
        needs=(store_cell(first, name), store_cell(second, name)),
        format=_FORMAT,
        cost=lambda: clock.comparison(name),
    )


def _shown(plan: Plan, subject: Subject, name: str) -> bool:
    """Whether every layer is compared with every layer: for one seed, on one of the task's own texts."""
    if subject.task is None or subject.seed != plan.scale.seeds[0]:
        return False
    own = [key for key, corpus in plan.scale.corpora.items() if corpus.domain.get(subject.task) == "in"]
    trained = [key for key in own if plan.scale.corpora[key].form == "training"]
    return name in (trained or own)[:1]


def score_columns(scores: Scores) -> Iterator[dict[str, Any]]:
    """Columns of the rows of scores of same layers, in the model's order."""
    layers = list(scores.layers_x)
    for score in scores:
        columns: dict[str, Any] = {"layer": layers.index(score.layer_x), "layer_name": score.layer_x}
        columns |= {"metric": score.measure, "value": score.value, "n": score.n_samples}
        if score.interval is not None:
            about = score.details["interval"]
            kind = "jackknife" if about["kind"] == "jackknife" else "bootstrap"
            columns |= {"low": score.interval[0], "high": score.interval[1], "confidence": about["confidence"]}
            columns["band"] = f"{kind} of documents"
        yield columns


def _of_curves(scores: Scores) -> Iterator[dict[str, Any]]:
    with_intervals = Scores(score for score in scores if score.interval is not None)
    for found in curve_statistics(with_intervals):
        columns = {"metric": f"{found.statistic}: {found.measure}", "value": found.value, "n": found.blocks}
        yield columns | {"low": found.low, "high": found.high, "band": "jackknife of documents"}


def _pairs(scores: Scores) -> Iterator[dict[str, Any]]:
    layers: Sequence[Any] = list(scores.layers_x)
    for score in scores:
        columns = {"kind": "pair", "layer": layers.index(score.layer_x), "layer_name": score.layer_x}
        yield columns | {"k": layers.index(score.layer_y), "metric": score.measure, "value": score.value,
                         "n": score.n_samples}  # fmt: skip
