"""The long table as the claims read it: rows picked by their columns, a row as an estimate, rows by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .estimates import Estimate

__all__ = [
    "TASKS",
    "Row",
    "by_seed",
    "estimate_of",
    "in_words",
    "listed",
    "measures_of",
    "pick",
    "plain_name",
    "tasks_of",
]

Row = Mapping[str, Any]

TASKS = ("mnli", "squad", "dependency")
_TASK_WORDS = {"mnli": "MNLI", "squad": "SQuAD", "dependency": "dependency parsing"}
_NORMAL_95 = 1.959964
_PERCENT = {"accuracy", "f1", "exact", "em", "uas", "las", "uuas", "root"}


def pick(rows: Iterable[Row], **columns: Any) -> list[Row]:
    """Rows whose columns have these values; an absent column is None, and an absent kind "value"."""
    return [row for row in rows if all(_column(row, name) == wanted for name, wanted in columns.items())]


def _column(row: Row, name: str) -> Any:
    value = row.get(name)
    return "value" if name == "kind" and value is None else value


def estimate_of(row: Row) -> Estimate:
    """Value and interval; a share in percent of n cases without one has that of the binomial distribution, about."""
    value, low, high = row["value"], row.get("low"), row.get("high")
    if low is not None and high is not None:
        return Estimate(value, low, high)
    n = row.get("n")
    if n and str(row.get("metric")).lower() in _PERCENT and 0 <= value <= 100:
        half = _NORMAL_95 * math.sqrt(max(value * (100 - value), 1e-9) / n)
        return Estimate(value, value - half, value + half)
    return Estimate(value)


def by_seed(rows: Iterable[Row]) -> dict[Any, list[Row]]:
    """Rows of each fine-tuning seed, in their order."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row.get("seed"), []).append(row)
    return found


def tasks_of(rows: Iterable[Row]) -> list[str]:
    """The tasks that rows name: the paper's first, then others in their order."""
    named = dict.fromkeys(row["task"] for row in rows if row.get("task"))
    return [task for task in TASKS if task in named] + [task for task in named if task not in TASKS]


def measures_of(rows: Iterable[Row]) -> list[str]:
    """The measures of layers, RSA first: it is the paper's."""
    named = [name for name in dict.fromkeys(str(row["metric"]) for row in rows) if " " not in plain_name(name)]
    return sorted(named, key=lambda name: plain_name(name) != "RSA")


def plain_name(metric: str) -> str:
    """``LinearCKA`` of ``LinearCKA(debiased=True)``; what follows the brackets stays."""
    before, bracket, rest = metric.partition("(")
    return before + rest.rpartition(")")[2] if bracket else before


def in_words(task: str | None) -> str:
    """A task's name as papers write it."""
    return _TASK_WORDS.get(task or "", task or "none")


def listed(items: Sequence[str]) -> str:
    """``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"
