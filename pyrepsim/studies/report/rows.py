"""The result files of a study: reading and checking them, selecting rows, and averaging rows to points."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from ...core.errors import NonFiniteError, OptionError, StoreError
from ...core.json_files import MAX_INT, OTHERS, loads
from ...core.paths import as_path, read_regular
from ..runner import COLUMNS

__all__ = [
    "WIDEST",
    "Point",
    "Row",
    "StudyFiles",
    "distinct",
    "points",
    "read_study",
    "single_point",
    "tasks_of",
]

Row = Mapping[str, Any]
_NUMBERS = ("value", "low", "high", "confidence", "n", "k", "layer", "rank", "seed", "p", "p_holm")
_TEXTS = tuple(column for column in COLUMNS if column not in _NUMBERS)
_WITHOUT_NUMBER = "Leave out a row without a value; write null for a missing end of an interval."
WIDEST = ", widest over seeds"
"""Ending of the name of an interval that covers the intervals of several seeds."""


@dataclass(frozen=True)
class StudyFiles:
    """The contents of a study's result files."""

    study: Mapping[str, Any]
    """study.json: model, scale, versions, cells."""
    rows: Sequence[Row]
    """The rows of rows.jsonl. Scores are fractions."""
    claims: Sequence[Mapping[str, Any]]
    """The rows of claims.jsonl."""
    digest: str
    """SHA-256 of rows.jsonl, in hexadecimal."""


def read_study(folder: str | os.PathLike[str]) -> StudyFiles:
    """Read and check the result files of a study. Only `rows.jsonl` is required.

    Raises StoreError if there is no `rows.jsonl` or a file cannot be read, OptionError if a line is not a row, and
    NonFiniteError if a number is not finite.
    """
    folder = as_path(folder, "The folder of a study")
    table = folder / "rows.jsonl"
    text = _text(table)
    if text is None:
        raise StoreError(
            f"A report needs a study's rows.jsonl: {folder} has none. Give the folder of `pyrepsim study ... --out`, "
            "after at least one of its cells is done."
        )
    rows = [_row(item, f"line {number} of {table}") for number, item in _lines(text, table)]
    path = folder / "claims.jsonl"
    claims = [_claim(item, f"line {number} of {path}") for number, item in _lines(_text(path) or "", path)]
    path = folder / "study.json"
    study = _json(_text(path) or "{}", str(path))
    return StudyFiles(study, rows, claims, hashlib.sha256(text.encode()).hexdigest())


def _text(path: Path) -> str | None:
    try:
        return read_regular(path, OTHERS.n_bytes).decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"A report reads the files of its study: {path} cannot be read ({error.strerror or error}). Check its "
            "permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise OptionError(f"A study's files are UTF-8: {path} is not ({error}). Run the study again.") from error


def _lines(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    numbered = enumerate(text.split("\n"), start=1)
    return [(number, _json(line, f"line {number} of {path}")) for number, line in numbered if line.strip()]


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        item = loads(text, OTHERS)
    except NonFiniteError as error:
        raise NonFiniteError(
            f"A study's numbers are finite: {where} has {str(error).partition(' ')[0]}. {_WITHOUT_NUMBER}"
        ) from error
    except ValueError as error:
        raise OptionError(
            f"A study's files hold JSON: {where} does not ({error}). Run the study again to write the file again."
        ) from error
    if not isinstance(item, dict):
        raise OptionError(f"A study's files hold JSON objects: {where} is a {type(item).__name__}. Run it again.")
    return item


def _claim(item: dict[str, Any], where: str) -> dict[str, Any]:
    parts = item.get("tasks") or []
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise OptionError(f"A claim's tasks are a list of objects: {where} has {parts!r}. Correct the file.")
    for one in (item, *parts):
        for key in ("claim", "statement", "verdict", "why", "rule", "figure", "unit", "task"):
            if not isinstance(one.get(key), str | None):
                raise OptionError(f"A claim's {key} is text: {where} has {one[key]!r}. Correct the file.")
        if not isinstance(one.get("in_points"), bool | None):
            raise OptionError(
                f"A claim's in_points is true or false: {where} has {one['in_points']!r}. Correct the file."
            )
        for key in ("effect", "low", "high"):
            _check_number(one.get(key), key, "claim", where)
    return item | {"tasks": parts}


def _row(item: dict[str, Any], where: str) -> Row:
    row = {column: item.get(column) for column in COLUMNS}
    for column in _NUMBERS:
        _check_number(row[column], column, "row", where)
    for column in _TEXTS:
        if not isinstance(row[column], str | None):
            raise OptionError(f"A row's {column} is text: {where} has {row[column]!r}. Correct the file.")
    for column in ("experiment", "metric", "value"):
        if row[column] is None:
            raise OptionError(f"A row has an experiment, a metric and a value: {where} lacks {column}. Correct it.")
    row["kind"] = row["kind"] or "value"
    return row


def _check_number(number: Any, column: str, kind: str, where: str) -> None:
    if number is None:
        return
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise OptionError(f"A {kind}'s {column} is a number: {where} has {number!r}. Correct the file.")
    if isinstance(number, int) and abs(number) > MAX_INT:
        raise OptionError(f"A study's whole numbers are at most 2^53: {where} has {column} = {str(number)[:20]}...")


def distinct(rows: Iterable[Row], column: str) -> list[Any]:
    """Return the different values of a column in order of appearance, without None."""
    return [value for value in dict.fromkeys(row[column] for row in rows) if value is not None]


def tasks_of(rows: Iterable[Row]) -> list[str]:
    """Return the fine-tuning tasks, in order of appearance."""
    return distinct(rows, "task")


@dataclass(frozen=True)
class Point:
    """A value at a place x, with its interval if it has one."""

    x: float
    value: float
    low: float | None = None
    high: float | None = None
    band: str | None = None
    """Name of the interval's method."""
    confidence: float | None = None
    n: float | None = None
    p: float | None = None
    """The p-value, adjusted for the number of tests if the row has an adjusted one."""
    seeds: tuple[float, ...] = ()
    """The values of the single seeds that the point summarises."""


def points(
    rows: Sequence[Row], x: str = "layer", *, kinds: tuple[str, ...] = ("value", "aggregate")
) -> tuple[Point, ...]:
    """Return one point for each value of column `x`, in increasing order.

    A point is the study's own aggregate over seeds if there is one, else the single row, else the mean of the rows with
    their range. For differences, which are tested, the interval covers the intervals of all rows, and p is the largest.
    """
    at: dict[float, list[Row]] = {}
    for row in rows:
        if row[x] is not None and row["kind"] in kinds:
            at.setdefault(row[x], []).append(row)
    return tuple(_point(place, at[place]) for place in sorted(at))


def single_point(rows: Sequence[Row], *, kinds: tuple[str, ...] = ("value", "aggregate")) -> Point | None:
    """Return all rows as one point at x = 0, or None if there are none of these kinds."""
    return next(iter(points([dict(row, layer=0) for row in rows], kinds=kinds)), None)


def _point(x: float, rows: Sequence[Row]) -> Point:
    values = tuple(row["value"] for row in rows if row["kind"] != "aggregate")
    aggregates = [row for row in rows if row["kind"] == "aggregate"] or (rows if len(rows) == 1 else [])
    if aggregates:
        row = aggregates[0]
        point = Point(x, row["value"], n=row["n"], p=_p(row), seeds=values if len(values) > 1 else ())
        if row["low"] is None or row["high"] is None:
            return point
        interval = {name: row[name] for name in ("low", "high", "band", "confidence")}
        return replace(point, **interval)
    p = max((_p(row) for row in rows if _p(row) is not None), default=None)
    lows, highs = ([row[end] for row in rows if row[end] is not None] for end in ("low", "high"))
    first = rows[0]
    if first["kind"] == "difference" and len(lows) == len(highs) == len(rows):
        band = f"{first['band'] or 'intervals'}{WIDEST}"
        return Point(x, fmean(values), min(lows), max(highs), band, first["confidence"], first["n"], p, values)
    return Point(x, fmean(values), min(values), max(values), "range of seeds", None, len(values), p, values)


def _p(row: Row) -> float | None:
    return row["p"] if row["p_holm"] is None else row["p_holm"]
