"""In and out of the domain of tuning: does a model stay closer to its base on other texts (the paper's section 6)?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...results import Scores
from ..runner import Cell, Cost
from .aggregates import aggregate_cell
from .plan import Plan
from .saved import load_scores
from .similarity import SCORES, score_columns, similarity_cell
from .subjects import Subject, tuned
from .texts import corpus_columns

__all__ = ["cells"]

_FORMAT = 1


def cells(plan: Plan) -> list[Cell]:
    """Similarity to the base out of domain minus in domain, for texts of one form, with a test a layer."""
    found = []
    for task in plan.scale.tasks:
        for inside, outside in _pairs(plan, task):
            own = [_cell(plan, subject, inside, outside) for subject in tuned(plan, task)]
            needs = [cell.id for cell in own]
            found += [*own, aggregate_cell("domains", f"{task}-{outside}-{inside}", needs, kind="difference")]
    return found


def _pairs(plan: Plan, task: str) -> Iterator[tuple[str, str]]:
    corpora = plan.scale.corpora
    for inside, one in corpora.items():
        for outside, other in corpora.items():
            if (one.domain.get(task), other.domain.get(task)) == ("in", "out") and one.form == other.form:
                yield inside, outside


def _cell(plan: Plan, subject: Subject, inside: str, outside: str) -> Cell:
    needs = [similarity_cell(subject, name) for name in (outside, inside)]

    def run(_folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        out, own = (Scores(s for s in load_scores(needed[need] / SCORES) if s.interval is not None) for need in needs)
        shared = {**corpus_columns(plan, outside, subject.task), **subject.columns(), "kind": "difference"}
        found = rs.differences(out, own, paired=False)
        return [
            plan.row(**shared, **columns) | {"p": score.details["p"], "p_holm": score.details["p_holm"]}
            | {"low": _ends(score)[0], "high": _ends(score)[1], "band": "jackknife of differences"}
            for score, columns in zip(found, score_columns(_bare(found)), strict=True)
        ]  # fmt: skip

    return Cell(
        experiment="domains",
        name=f"{subject.label}-{outside}-{inside}",
        request={},
        run=run,
        needs=tuple(needs),
        format=_FORMAT,
        cost=lambda: Cost(1.0),
    )


def _ends(score: Any) -> tuple[float, float]:
    return score.interval


def _bare(scores: Scores) -> Scores:
    """Without the intervals, whose kind is another one here."""
    from dataclasses import replace

    return Scores(replace(score, interval=None) for score in scores)
