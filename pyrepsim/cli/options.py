"""Small languages of the command line: layers, measures and files to write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import OptionError

__all__ = ["bytes_in_words", "layer_option", "output_files", "split_measures"]

_WRITERS = {".csv": "to_csv", ".jsonl": "to_jsonl", ".parquet": "to_parquet", ".html": "html"}
_WRITERS |= dict.fromkeys((".svg", ".png", ".pdf"), "plot")


def layer_option(text: str, *, pairs: bool = False) -> Any:
    """Return `same` and `all` as they are, `a,b` as a list of names, and `a:b,c:d` as a list of pairs."""
    if text in ("all", "same"):
        return text
    items = [item.strip() for item in text.split(",") if item.strip()]
    if not items:
        raise OptionError(f"Layers are names with commas between: got {text!r}. Say all for every layer.")
    if not pairs:
        return items
    return [(x, y or x) for x, _, y in (item.partition(":") for item in items)]


def split_measures(measures: str | Sequence[str]) -> list[str]:
    """Split at the commas outside parentheses: `"RSA(metric='dot', compare='cosine'), CCA"` is two."""
    text = measures if isinstance(measures, str) else ",".join(measures)
    return [item.strip() for item in re.split(r",(?![^()]*\))", text) if item.strip()]


def output_files(paths: str | Sequence[str] | None) -> dict[Path, str]:
    """Return each file to write and the method of `Scores` that does it; refuse an unknown ending at once."""
    listed = paths.split(",") if isinstance(paths, str) else paths or []
    files = [Path(path.strip()) for path in listed if path.strip()]
    for file in files:
        if file.suffix.lower() not in _WRITERS:
            raise OptionError(f"A file to write must end in one of {', '.join(_WRITERS)}: got {file}.")
    return {file: _WRITERS[file.suffix.lower()] for file in files}


def bytes_in_words(n_bytes: int) -> str:
    """Write a size with three digits: `153 MB`."""
    size, units = float(n_bytes), ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1000, units[1:]
    return f"{size:.3g} {units[0]}"
