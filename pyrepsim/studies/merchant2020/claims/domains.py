"""C6: whether text outside a task's domain keeps more of its representation than text inside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ...report.text import CONTROLLED
from ...runner import select
from .claim import Claim, TaskVerdict
from .estimates import (
    LEAST_DOCUMENTS,
    NOT_TESTED,
    above,
    joint_verdict,
    units_needed,
    with_enough_documents,
    with_seeds,
)
from .rows import Row, estimate_of, measures_of, plain_name, tasks_of

__all__ = ["TOP_GAP", "judge_domains"]

TOP_GAP = "out - in, top third"
"""Name of the mean difference of the top third of the blocks; rows have it for each model that was read."""

_GAP = f"{TOP_GAP}{CONTROLLED}: "

_C6 = Claim(
    "C6",
    "Fine-tuning has a weaker effect on the representations of out-of-domain sentences.",
    "similarity, out of domain - in domain, minus that of other tasks' models",
    "The similarity (RSA) to the base, as the mean over the top third of the blocks, on single sentences out of domain "
    "minus that in domain, minus the same difference of the models of the other tasks, for which neither text is in "
    "domain: the interval lies above 0. It adds the variation over the documents of both texts and over seeds. With "
    f"several out-of-domain texts, all must show it. Undecided with fewer than {LEAST_DOCUMENTS} documents.",
    "domains_by_layer",
)


def judge_domains(rows: Sequence[Row]) -> dict[str, Any]:
    """C6."""
    gaps = select(rows, experiment="domains", kind="difference")
    named = [str(row["metric"]).removeprefix(_GAP) for row in gaps if str(row["metric"]).startswith(_GAP)]
    measures = measures_of([{"metric": name} for name in named])
    verdicts = []
    for task in tasks_of(gaps):
        of_task = select(gaps, task=task)
        if any(row.get("form") == "sentences" for row in of_task):  # pairs against sentences differ in format too
            of_task = select(of_task, form="sentences")
        texts = dict.fromkeys((row.get("corpus"), row.get("form")) for row in of_task)
        of_texts = [_judge_text(task, select(of_task, corpus=c, form=form), c, measures) for c, form in texts]
        verdicts.append(_join(of_texts))
    return _C6.judge(verdicts)


def _judge_text(task: str, rows: Sequence[Row], corpus: str | None, measures: Sequence[str]) -> TaskVerdict:
    for measure in measures:
        if found := select(rows, metric=f"{_GAP}{measure}"):
            read = select(rows, metric=f"{TOP_GAP}: {measure}")
            return _judge_gap(task, found[0], _groups(task, read), corpus, plain_name(measure))
    return TaskVerdict(task, NOT_TESTED, f"no other task's models read {corpus or 'the texts'} for comparison.")


def _groups(task: str, rows: Sequence[Row]) -> list[tuple[float, list[float]]]:
    """The seeds of the task with factor 1, and those of the m other tasks with factor 1 / m."""
    members = dict.fromkeys(row.get("member") for row in rows)
    n_others = len(members) - 1
    values = {member: [row["value"] for row in select(rows, member=member)] for member in members}
    return [(1.0 if member == task else 1 / n_others, of_member) for member, of_member in values.items()]


def _judge_gap(
    task: str, row: Row, groups: Sequence[tuple[float, Sequence[float]]], corpus: str | None, measure: str
) -> TaskVerdict:
    gap, n = with_seeds(estimate_of(row), groups), row.get("n")
    verdict = with_enough_documents(above(gap, 0.0), n)
    own = next((values for factor, values in groups if factor == 1.0), [])
    n_seeds = f"{len(own)} seeds" if min(len(values) for _, values in groups) > 1 else "these models only"
    why = (
        f"{measure} on {corpus or 'the text out of domain'} minus that in domain is {gap.text(3)} higher than for the "
        f"models of other tasks ({n_seeds}, {n or 'unknown'} documents of each text)."
    )
    return TaskVerdict(task, verdict, why, gap, needed=units_needed(verdict, gap, 0.0, documents=n, seeds=len(own)))


def _join(texts: Sequence[TaskVerdict]) -> TaskVerdict:
    """The verdict on several out-of-domain texts."""
    if len(texts) == 1:
        return texts[0]
    verdict = joint_verdict(one.verdict for one in texts)
    decisive = [one for one in texts if one.verdict == verdict]
    weakest = min(decisive, key=lambda one: math.inf if one.effect is None else one.effect.value)
    return replace(weakest, why=" ".join(one.why for one in texts))
