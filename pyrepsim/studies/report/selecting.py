"""From rows to the points of a line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from .reading import Row

__all__ = ["WIDEST", "Point", "distinct", "pick", "points", "tasks_of"]

_LEVELS = ("value", "aggregate")
WIDEST = ", widest over seeds"


@dataclass(frozen=True)
class Point:
    """A value, the ends of its interval if it has one, and what the interval is."""

    x: float
    value: float
    low: float | None = None
    high: float | None = None
    band: str | None = None
    confidence: float | None = None
    n: float | None = None
    p: float | None = None
    """Adjusted for the number of tests, where the row has such a p."""
    seeds: tuple[float, ...] = ()
    """The single values that it summarises."""


def pick(rows: Iterable[Row], **conditions: Any) -> list[Row]:
    """Rows whose columns have these values, or one of these where a tuple is given."""
    wanted = {key: value if isinstance(value, tuple) else (value,) for key, value in conditions.items()}
    return [row for row in rows if all(row[key] in values for key, values in wanted.items())]


def distinct(rows: Iterable[Row], column: str) -> list[Any]:
    """Values of a column in order of appearance, null left out."""
    return [value for value in dict.fromkeys(row[column] for row in rows) if value is not None]


def tasks_of(rows: Iterable[Row]) -> list[str]:
    """The fine-tuning tasks, in order of appearance."""
    return distinct(rows, "task")


def points(rows: Sequence[Row], x: str = "layer", *, kinds: tuple[str, ...] = _LEVELS) -> tuple[Point, ...]:
    """One point for each value of column `x`, from the left.

    The study's own aggregate over seeds if there is one; a single row as it is; else the mean of the rows, with the
    range from the lowest to the highest. Of differences, which are tested, the widest reach of their intervals and
    the largest p.
    """
    at: dict[float, list[Row]] = {}
    for row in rows:
        if row[x] is not None and row["kind"] in kinds:
            at.setdefault(row[x], []).append(row)
    return tuple(_point(place, at[place]) for place in sorted(at))


def _point(x: float, rows: Sequence[Row]) -> Point:
    single = tuple(row["value"] for row in rows if row["kind"] != "aggregate")
    whole = [row for row in rows if row["kind"] == "aggregate"] or (rows if len(rows) == 1 else [])
    if whole:
        row = whole[0]
        ends = (row["low"], row["high"]) if None not in (row["low"], row["high"]) else (None, None)
        told = (row["band"], row["confidence"]) if ends[0] is not None else (None, None)
        return Point(x, row["value"], *ends, *told, row["n"], _p(row), single if len(single) > 1 else ())
    p = max((_p(row) for row in rows if _p(row) is not None), default=None)
    lows, highs = ([row[end] for row in rows if row[end] is not None] for end in ("low", "high"))
    first = rows[0]
    if first["kind"] == "difference" and len(lows) == len(highs) == len(rows):
        band = f"{first['band'] or 'intervals'}{WIDEST}"
        return Point(x, fmean(single), min(lows), max(highs), band, first["confidence"], first["n"], p, single)
    return Point(x, fmean(single), min(single), max(single), "range of seeds", None, len(single), p, single)


def _p(row: Row) -> float | None:
    return row["p"] if row["p_holm"] is None else row["p_holm"]
