"""The long table of a study: its columns, and JSON lines that are whole or absent."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ...core.errors import OptionError, StoreError
from ...core.outputs import replacing

__all__ = ["COLUMNS", "full_row", "read_lines", "write_json", "write_lines"]

COLUMNS = (
    *("experiment", "cell", "model", "variant", "task", "seed", "corpus", "domain", "form"),
    *("layer", "layer_name", "metric", "value", "low", "high", "band", "confidence", "n"),
    *("k", "probe_task", "probe", "member", "rank", "kind", "p", "p_holm"),
)


def full_row(row: Mapping[str, Any], **given: Any) -> dict[str, Any]:
    """`row` with every column in order: None where it has none, kind "value", confidence 0.95 where there is a band.

    Raises OptionError for another column, or a value that is neither text, nor a finite number, nor None.
    """
    values = {"kind": "value", **row, **given}
    if unknown := values.keys() - set(COLUMNS):
        raise OptionError(f"A row of a study has the columns {', '.join(COLUMNS)}: got {', '.join(sorted(unknown))}.")
    if values.get("band") is not None:
        values.setdefault("confidence", 0.95)
    return {name: _plain(name, values.get(name)) for name in COLUMNS}


def _plain(column: str, value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    try:
        number = float(value)
        number = int(number) if hasattr(value, "dtype") and value.dtype.kind in "iu" else number
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise OptionError(f"A row holds text and finite numbers: {column} is {value!r}. Leave it out.")
    return number


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON object a line, on the disk before the name is there."""
    _write(path, "".join(json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n" for row in rows))


def write_json(path: Path, record: Mapping[str, Any]) -> None:
    _write(path, json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file; StoreError if it is not there or not whole."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise StoreError(f"Rows must be readable: {path} is not ({error}). Remove it and start the study again.") from (
            error
        )
