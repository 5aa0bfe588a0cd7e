"""What a probing left: results, tables and the files in its folder."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from ...core.errors import MissingExtraError
from ...core.outputs import replacing
from ..controls import Selectivity
from ..verdict import Verdicts

__all__ = ["Probing", "draw", "write_rows", "write_text"]

log = logging.getLogger("pyrepsim.studies")

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False, repr=False)
class Probing(Generic[Result]):
    """A finished probing.

    Attributes
    ----------
    folder : where `files` are.
    result : an `EdgeResult`, a `CodeLengths` or a `StructuralProbeResult`.
    verdicts : what changed since the probing that was given as `before`.
    selectivity : of each probe, where the control task was trained too.
    stores : those that were kept, and `n_bytes` what they take.
    """

    folder: Path
    result: Result
    files: tuple[Path, ...]
    verdicts: Verdicts | None = None
    selectivity: tuple[Selectivity, ...] = ()
    stores: tuple[Path, ...] = ()
    n_bytes: int = 0

    def table(self) -> str:
        """All tables, as text."""
        return tables(self.result, self.selectivity, self.verdicts)

    def __repr__(self) -> str:
        return f"Probing({str(self.folder)!r}, {self.result!r})"


def tables(result: Any, selectivity: Sequence[Selectivity] = (), verdicts: Verdicts | None = None) -> str:
    """The result, the selectivity of its probes, and what changed, as text."""
    parts = [result.table()]
    if selectivity:
        width = max(len(row.member) for row in selectivity)
        lines = ["selectivity: F1 in percent on the task, on the control task, and their difference"]
        lines += [
            f"{row.member:<{width}}  {100 * row.task:6.2f} {100 * row.control:6.2f} {100 * row.selectivity:6.2f}"
            for row in selectivity
        ]
        parts.append("\n".join(lines))
    if verdicts is not None:
        parts.append("after against before: " + verdicts.table())
    return "\n\n".join(parts)


def draw(plot: Callable[[Path], Any], stem: Path, endings: Iterable[str]) -> list[Path]:
    """Write a figure with each of these endings; without matplotlib say so and write none."""
    files = [stem.with_name(f"{stem.name}.{ending}") for ending in endings]
    try:
        for file in files:
            plot(file)
    except MissingExtraError as error:
        log.warning("no figure: %s", error)
        return []
    return files


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """A CSV file, a line a row."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_text(path: Path, text: str) -> Path:
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path
