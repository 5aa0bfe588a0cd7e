"""Files of scores: one JSON object a line, with details and provenance. NaN, infinity and arrays are kept."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import OptionError, StoreError
from ..core.json_files import RECORDS, loads
from ..core.outputs import replacing
from ..core.paths import as_path, read_regular

if TYPE_CHECKING:
    from .score import Score

__all__ = ["jsonable", "read_jsonl", "score_fields", "write_jsonl"]


def write_jsonl(scores: Iterable[Mapping[str, Any]], path: str | os.PathLike[str]) -> Path:
    """Write the fields of each score as one line of JSON and return the path."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for fields in scores:
            json.dump(jsonable(fields), file, allow_nan=False, ensure_ascii=False)
            file.write("\n")
    return Path(path)


def read_jsonl(path: str | os.PathLike[str], make: Callable[[dict[str, Any]], Score]) -> list[Score]:
    """Return the scores that `make` makes of the fields in each line.

    Raises StoreError if the file cannot be read, OptionError if it is not a file of scores.
    """
    path = as_path(path)
    try:
        text = read_regular(path, RECORDS.n_bytes).decode("utf-8")
    except OSError as error:
        raise StoreError(
            f"Scores are read from a file: {path} cannot be read ({error.strerror or error}). Check the path, or "
            "write one with Scores.to_jsonl."
        ) from error
    except UnicodeDecodeError as error:
        raise OptionError(f"A scores file is UTF-8: {path} is not ({error}). Write it with Scores.to_jsonl.") from error
    scores = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip(" \t\r"):
            continue
        try:
            scores.append(make(score_fields(loads(line))))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            fact = f"line {number} of {path} is not one ({error})"
            raise OptionError(f"A scores file has one score a line: {fact}. Write it with Scores.to_jsonl.") from error
    return scores


def score_fields(entry: Any) -> dict[str, Any]:
    """Return the fields of a `Score` from what `jsonable` made of them. Lists of numbers in `details` become arrays."""
    fields = _unjson(entry)
    fields["details"] = {key: _array_if_numbers(item) for key, item in fields["details"].items()}
    return fields


def jsonable(value: Any) -> Any:
    """Return a value as JSON: arrays as lists, numbers that JSON does not have as mappings."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}  # JSON has no infinity and no NaN
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _unjson(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"float"} and value["float"] in ("nan", "inf", "-inf"):
        return float(value["float"])
    if isinstance(value, dict):
        return {key: _unjson(item) for key, item in value.items()}
    return [_unjson(item) for item in value] if isinstance(value, list) else value


def _array_if_numbers(value: Any) -> Any:
    if isinstance(value, list) and value:
        array = np.asarray(value, dtype=object)
        if all(isinstance(item, int | float) and not isinstance(item, bool) for item in array.flat):
            return array.astype(np.float64)
    return value
