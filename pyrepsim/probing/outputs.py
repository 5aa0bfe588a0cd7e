"""Write the tables and figures of a probing."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import MissingExtraError
from ..core.outputs import replacing

__all__ = ["draw", "write_csv", "write_text"]

log = logging.getLogger("pyrepsim.probing")


def draw(plot: Callable[[Path], Any], stem: Path, formats: Iterable[str]) -> list[Path]:
    """Write a figure in each of these formats; without Matplotlib log a warning and write none."""
    files = [stem.with_name(f"{stem.name}.{name}") for name in formats]
    try:
        for file in files:
            plot(file)
    except MissingExtraError as error:
        log.warning("no figure: %s", error)
        return []
    return files


def write_csv(path: str | os.PathLike[str], columns: Sequence[str], records: Iterable[Mapping[str, Any]]) -> Path:
    """Write a CSV file with a header and one line per record; other keys than `columns` are left out."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(records)
    return Path(path)


def write_text(path: Path, text: str) -> Path:
    """Write text, and a line break after it."""
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path
