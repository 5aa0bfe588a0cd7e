"""The long table of a study: its columns, and files of JSON lines that are written whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...core.errors import OptionError, StoreError
from ...core.json_files import RECORDS, loads
from ...core.outputs import replacing
from ...core.paths import read_regular

__all__ = ["COLUMNS", "TABLE_FORMAT", "full_row", "read_lines", "select", "write_json", "write_lines"]

TABLE_FORMAT = 2
"""Raised when a column changes its name or unit: all cells are then run again."""

COLUMNS = (
    *("experiment", "cell", "model", "variant", "task", "seed", "corpus", "domain", "form"),
    *("layer", "layer_name", "metric", "value", "low", "high", "band", "confidence", "n"),
    *("k", "probe_task", "probe", "member", "rank", "kind", "p", "p_holm"),
)
"""The columns of ``rows.jsonl``. Scores that are proportions are fractions in [0, 1], in `value`, `low` and `high`."""


def full_row(row: Mapping[str, Any], **columns: Any) -> dict[str, Any]:
    """Return `row` with all columns in order; missing ones are None, except kind ("value") and confidence (0.95).

    Confidence is set only where there is an interval (`band`). Raises OptionError for an unknown column, or a value
    that is neither text, nor a finite number, nor None.
    """
    values = {"kind": "value", **row, **columns}
    if unknown := values.keys() - set(COLUMNS):
        raise OptionError(f"A row of a study has the columns {', '.join(COLUMNS)}: got {', '.join(sorted(unknown))}.")
    if values.get("band") is not None:
        values.setdefault("confidence", 0.95)
    return {name: _plain(name, values.get(name)) for name in COLUMNS}


def _plain(column: str, value: Any) -> Any:
    """The value as plain Python: NumPy numbers become int or float."""
    if value is None or isinstance(value, str | bool | int):
        return value
    try:
        number = float(value)
        number = int(number) if hasattr(value, "dtype") and value.dtype.kind in "iu" else number
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"A row holds text and finite numbers: {column} is {value!r}. Leave the column out.")
    return number


def select(rows: Iterable[Mapping[str, Any]], **columns: Any) -> list[Mapping[str, Any]]:
    """Return the rows whose columns have these values, or one of these values if a tuple is given.

    A missing column counts as None, and a missing kind as "value".
    """
    allowed = {name: value if isinstance(value, tuple) else (value,) for name, value in columns.items()}
    return [row for row in rows if all(_column(row, name) in values for name, values in allowed.items())]


def _column(row: Mapping[str, Any], name: str) -> Any:
    value = row.get(name)
    return "value" if name == "kind" and value is None else value


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line."""
    _write(path, "".join(json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n" for row in rows))


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    """Write one JSON object."""
    _write(path, json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    """Write a file that is on the disk before it gets its name."""
    with replacing(path, sync=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a file; StoreError if it is missing or incomplete."""
    try:
        lines = read_regular(path, RECORDS.n_bytes).decode("utf-8").removesuffix("\n")
        return [loads(line) for line in lines.split("\n")] if lines else []
    except (OSError, ValueError) as error:
        raise StoreError(f"Rows must be readable: {path} is not ({error}). Remove it and start the study again.") from (
            error
        )
