"""A study's result files, checked: what a report is drawn from."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from ...core.errors import NonFiniteError, OptionError, StoreError

__all__ = ["COLUMNS", "Evidence", "Row", "read_evidence"]

Row = Mapping[str, Any]
COLUMNS = (
    "experiment", "cell", "model", "variant", "task", "seed", "corpus", "domain", "form", "layer", "layer_name",
    "metric", "value", "low", "high", "band", "confidence", "n", "k", "probe_task", "probe", "member", "rank", "kind",
    "p", "p_holm",
)  # fmt: skip
_NUMBERS = ("value", "low", "high", "confidence", "n", "k", "layer", "rank", "seed", "p", "p_holm")
_NAMES = tuple(column for column in COLUMNS if column not in _NUMBERS)


@dataclass(frozen=True)
class Evidence:
    """What a study left: `study.json`, the rows of `rows.jsonl` and those of `claims.jsonl`."""

    study: Mapping[str, Any]
    rows: Sequence[Row]
    claims: Sequence[Mapping[str, Any]]
    digest: str
    """SHA-256 of rows.jsonl, in hexadecimal."""


def read_evidence(folder: str | os.PathLike[str]) -> Evidence:
    """Read the files of a study. `study.json` and `claims.jsonl` may be absent: the page then says less.

    Raises StoreError if there is no `rows.jsonl` or a file can't be read, OptionError for a line that is no row,
    NonFiniteError for a number that is none.
    """
    folder = Path(folder)
    table = folder / "rows.jsonl"
    text = _text(table)
    if text is None:
        raise StoreError(
            f"A report is drawn from a study's rows.jsonl: {folder} has none. Name the folder given to "
            "`pyrepsim study ... --out`, once a cell of it is done."
        )
    rows = [_row(item, f"line {number} of {table}") for number, item in _lines(text, table)]
    judged = folder / "claims.jsonl"
    claims = [_claim(item, f"line {number} of {judged}") for number, item in _lines(_text(judged) or "", judged)]
    about = folder / "study.json"
    found = _json(_text(about) or "{}", str(about))
    return Evidence(found, rows, claims, hashlib.sha256(text.encode()).hexdigest())


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(
            f"A report reads its study's files: {path} cannot be read ({error.strerror or error}). Check its rights."
        ) from error
    except UnicodeDecodeError as error:
        raise OptionError(f"A study's files are UTF-8: {path} is not ({error}). Run the study again.") from error


def _lines(text: str, path: Path) -> list[tuple[int, dict[str, Any]]]:
    numbered = enumerate(text.split("\n"), start=1)
    return [(number, _json(line, f"line {number} of {path}")) for number, line in numbered if line.strip()]


def _json(text: str, where: str) -> dict[str, Any]:
    def refuse(word: str) -> NoReturn:
        raise NonFiniteError(
            f"A study's numbers are finite: {where} has {word}. Leave out what has no value, or write null for an end "
            "of an interval."
        )

    try:
        found = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise OptionError(
            f"A study's files hold JSON: {where} does not ({error}). Run the study again; it writes them anew."
        ) from error
    if not isinstance(found, dict):
        raise OptionError(f"A study's files hold JSON objects: {where} is a {type(found).__name__}. Run it again.")
    return found


def _claim(item: dict[str, Any], where: str) -> dict[str, Any]:
    parts = item.get("tasks") or []
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise OptionError(f"A claim's tasks are a list of objects: {where} has {parts!r}. Correct what wrote it.")
    for one in (item, *parts):
        for key in ("claim", "statement", "verdict", "why", "rule", "figure", "unit", "task"):
            if not isinstance(one.get(key), str | None):
                raise OptionError(f"A claim's {key} is text: {where} has {one[key]!r}. Correct what wrote it.")
        for key in ("effect", "low", "high"):
            _check_number(one.get(key), key, "claim", where)
    return item | {"tasks": parts}


def _check_number(number: Any, column: str, what: str, where: str) -> None:
    if number is None:
        return
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise OptionError(f"A {what}'s {column} is a number: {where} has {number!r}. Correct what wrote it.")
    if not math.isfinite(number):  # 1e999 is JSON, and infinite
        raise NonFiniteError(f"A study's numbers are finite: {where} has {column} = {number}. Correct the {what}.")


def _row(item: dict[str, Any], where: str) -> Row:
    row = {column: item.get(column) for column in COLUMNS}
    for column in _NUMBERS:
        _check_number(row[column], column, "row", where)
    for column in _NAMES:
        if not isinstance(row[column], str | None):
            raise OptionError(f"A row's {column} is text: {where} has {row[column]!r}. Correct what wrote it.")
    for column in ("experiment", "metric", "value"):
        if row[column] is None:
            raise OptionError(f"A row has an experiment, a metric and a value: {where} lacks {column}. Correct it.")
    row["kind"] = row["kind"] or "value"
    return row
