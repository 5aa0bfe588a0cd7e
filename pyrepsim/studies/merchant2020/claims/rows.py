"""Reading the rows of a study: a row as an estimate, and rows by seed, task and measure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .estimates import Estimate

__all__ = [
    "FACT",
    "GAIN",
    "LAST_EPOCH",
    "LONGER",
    "TASKS",
    "Row",
    "by_seed",
    "estimate_of",
    "measures_of",
    "plain_name",
    "tasks_of",
]

Row = Mapping[str, Any]

TASKS = ("mnli", "squad", "dependency")
FACT = "fact"
"""Kind of a row that says what is wrong with a training: its name is the metric, and the sentence is in `member`."""
GAIN = "gain"
"""Kind of a row: what the `LAST_EPOCH` added to a score, or a training with more updates (`LONGER`), by `member`."""
LAST_EPOCH, LONGER = "last epoch", "longer training"
_FIRST = ("DocumentRSA", "RSA")
_NORMAL_95 = 1.959964
_PROPORTIONS = {"accuracy", "f1", "exact_match", "uas", "las", "uuas", "root"}
"""Scores that are means over cases. The macro F1 is not: its variance depends on the sizes of the classes."""


def estimate_of(row: Row) -> Estimate:
    """Value and interval of a row. A proportion of n cases without an interval gets the normal approximation of one.

    A difference of proportions does not.
    """
    value, low, high = row["value"], row.get("low"), row.get("high")
    if low is not None and high is not None:
        return Estimate(value, low, high)
    n = row.get("n") if row.get("kind") in (None, "value") else None
    if n and str(row.get("metric")).lower() in _PROPORTIONS and 0 <= value <= 1:
        half = _NORMAL_95 * math.sqrt(max(value * (1 - value), 1e-13) / n)
        return Estimate(value, value - half, value + half)
    return Estimate(value)


def by_seed(rows: Iterable[Row]) -> dict[Any, list[Row]]:
    """Rows of each fine-tuning seed, in their order."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.get("seed"), []).append(row)
    return groups


def tasks_of(rows: Iterable[Row]) -> list[str]:
    """The tasks of the rows: those of the paper first, then others in their order."""
    named = dict.fromkeys(row["task"] for row in rows if row.get("task"))
    return [task for task in TASKS if task in named] + [task for task in named if task not in TASKS]


def measures_of(rows: Iterable[Row]) -> list[str]:
    """The similarity measures of the rows: RSA first, as in the paper, that between documents before the plain one."""
    named = [name for name in dict.fromkeys(str(row["metric"]) for row in rows) if " " not in plain_name(name)]
    return sorted(named, key=lambda name: _FIRST.index(plain_name(name)) if plain_name(name) in _FIRST else len(_FIRST))


def plain_name(metric: str) -> str:
    """A measure's name without its options: ``LinearCKA`` for ``LinearCKA(debiased=True)``."""
    before, bracket, rest = metric.partition("(")
    return before + rest.rpartition(")")[2] if bracket else before
