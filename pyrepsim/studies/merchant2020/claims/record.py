"""A claim as the report reads it: verdicts task by task, and the one that follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .estimates import NOT_TESTED, Estimate, joint_verdict
from .table import in_words, listed

__all__ = ["Claim", "Finding"]


@dataclass(frozen=True)
class Finding:
    """What a claim comes to for one task."""

    task: str
    verdict: str
    why: str
    """One sentence with the numbers."""
    effect: Estimate | None = None
    counted: bool = True
    """Whether the claim is about this task; others stand beside it."""

    def record(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {"task": self.task, "verdict": self.verdict, **_numbers(self.effect), "why": self.why} | (
            {} if self.counted else {"counted": False}
        )

    def beside(self) -> Finding:
        """The same, not counted."""
        return replace(self, counted=False)


@dataclass(frozen=True)
class Claim:
    """One of the paper's claims and how it is judged.

    Attributes
    ----------
    name, statement : as in the study's table of claims: "C3" to "C8".
    unit : of the effects.
    rule : how the verdict follows, with its thresholds.
    figure : the name of the figure that shows it.
    weakest : which end of the effects speaks most against the claim, "low" or "high": the claim's own effect is the
        counted task's that is farthest there.
    """

    name: str
    statement: str
    unit: str
    rule: str
    figure: str
    weakest: str = "low"

    def judged(self, findings: Sequence[Finding]) -> dict[str, Any]:
        """The row of claims.jsonl. It holds where it holds for all counted tasks that were tested."""
        counted = [one for one in findings if one.counted]
        verdict = joint_verdict(one.verdict for one in counted)
        # What is shown is a task that the verdict rests on, not one on which it was left open.
        decisive = [one for one in counted if one.verdict == verdict]
        sign = 1.0 if self.weakest == "low" else -1.0
        weakest = min(
            decisive, key=lambda one: math.inf if one.effect is None else sign * one.effect.value, default=None
        )
        return {
            "claim": self.name,
            "statement": self.statement,
            "verdict": verdict,
            **_numbers(weakest.effect if weakest else None),
            "unit": self.unit,
            "tasks": [one.record() for one in findings],
            "why": self.untested() if weakest is None else _summary(counted, weakest),
            "rule": self.rule,
            "figure": self.figure,
        }

    def _favour(self, finding: Finding) -> float:
        """How much its effect speaks for the claim."""
        if finding.effect is None:
            return math.inf
        return finding.effect.value if self.weakest == "low" else -finding.effect.value

    def untested(self) -> str:
        """What is said where nothing was measured."""
        return f"{NOT_TESTED.capitalize()}: the study has no rows that this claim is judged by."


def _summary(counted: Sequence[Finding], weakest: Finding) -> str:
    """Which tasks are of which verdict, and the numbers of the one that speaks most against the claim."""
    by_verdict: dict[str, list[str]] = {}
    for one in counted:
        by_verdict.setdefault(one.verdict, []).append(in_words(one.task))
    parts = [f"{verdict} for {listed(tasks)}" for verdict, tasks in by_verdict.items()]
    said = "; ".join(parts)
    return f"{said[0].upper()}{said[1:]}. {in_words(weakest.task)}: {weakest.why}"


def _numbers(effect: Estimate | None) -> dict[str, float | None]:
    if effect is None or not math.isfinite(effect.value):
        return {"effect": None, "low": None, "high": None}
    low, high = effect.ends or (None, None)
    return {"effect": effect.value, "low": low, "high": high}
