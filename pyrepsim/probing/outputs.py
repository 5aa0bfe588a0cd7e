"""Write the tables and figures of a probing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..core.errors import MissingExtraError
from ..core.outputs import replacing

__all__ = ["draw", "write_text"]

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


def write_text(path: Path, text: str) -> Path:
    """Write text, and a line break after it."""
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path
