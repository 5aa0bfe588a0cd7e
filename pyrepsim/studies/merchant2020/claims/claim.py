"""A claim of the paper: its verdict for each task, and the overall verdict that follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...report.text import in_prose, joined, task_name
from .estimates import NOT_TESTED, Estimate, joint_verdict

__all__ = ["Claim", "TaskVerdict"]


@dataclass(frozen=True)
class TaskVerdict:
    """The verdict on a claim for one task."""

    task: str
    verdict: str
    why: str
    """One sentence with the numbers."""
    effect: Estimate | None = None
    counted: bool = True
    """Whether the claim is about this task; other tasks are shown but do not count."""
    needed: str = ""
    """If undecided, what would decide: ``about 240 documents``."""

    def record(self) -> dict[str, Any]:
        """The entry in claims.jsonl."""
        record = {"task": self.task, "verdict": self.verdict, **_numbers(self.effect), "why": self.sentences}
        return record | ({} if self.counted else {"counted": False}) | ({"needed": self.needed} if self.needed else {})

    @property
    def sentences(self) -> str:
        """The numbers and, if undecided, what would decide."""
        return f"{self.why} Cannot be decided here: {self.needed} would be needed." if self.needed else self.why

    def not_counted(self) -> TaskVerdict:
        """The same verdict, shown but not counted."""
        return replace(self, counted=False)


@dataclass(frozen=True)
class Claim:
    """One of the paper's claims and the rule by which it is judged.

    Attributes
    ----------
    name, statement : "C3" to "C8", and the claim in a sentence.
    unit : of the effects.
    rule : how the verdict follows, with its thresholds.
    figure : the name of the figure that shows it.
    weakest : which end of the effects speaks most against the claim, "low" or "high". The claim's own effect is that of
        the counted task farthest to this end.
    in_points : whether effects are differences of scores. Files hold them as fractions, pages show points (percent).
    """

    name: str
    statement: str
    unit: str
    rule: str
    figure: str
    weakest: str = "low"
    in_points: bool = False

    def judge(self, tasks: Sequence[TaskVerdict]) -> dict[str, Any]:
        """The row of claims.jsonl. The claim holds if it holds for all counted tasks that were tested."""
        counted = [one for one in tasks if one.counted]
        verdict = joint_verdict(one.verdict for one in counted)
        # The effect shown is that of a task with the claim's own verdict.
        decisive = [one for one in counted if one.verdict == verdict]
        sign = 1.0 if self.weakest == "low" else -1.0
        weakest = min(
            decisive, key=lambda one: math.inf if one.effect is None else sign * one.effect.value, default=None
        )
        untested = f"{NOT_TESTED.capitalize()}: the study has no rows for this claim."
        return {
            "claim": self.name,
            "statement": self.statement,
            "verdict": verdict,
            **_numbers(weakest.effect if weakest else None),
            "unit": self.unit,
            "in_points": self.in_points,
            "tasks": [one.record() for one in tasks],
            "why": untested if weakest is None else _summary(counted, weakest),
            "rule": self.rule,
            "figure": self.figure,
        }


def _summary(counted: Sequence[TaskVerdict], weakest: TaskVerdict) -> str:
    """The tasks with each verdict, and the numbers of the task that speaks most against the claim."""
    by_verdict: dict[str, list[str]] = {}
    for one in counted:
        by_verdict.setdefault(one.verdict, []).append(in_prose(one.task))
    verdicts = "; ".join(f"{verdict} for {joined(tasks)}" for verdict, tasks in by_verdict.items())
    return f"{verdicts[0].upper()}{verdicts[1:]}. {task_name(weakest.task)}: {weakest.sentences}"


def _numbers(effect: Estimate | None) -> dict[str, float | None]:
    if effect is None or not math.isfinite(effect.value):
        return {"effect": None, "low": None, "high": None}
    low, high = effect.ends or (None, None)
    return {"effect": effect.value, "low": low, "high": high}
