"""What a probing returns, and the tables and figures that it writes."""

from __future__ import annotations

import csv
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..core.errors import MissingExtraError
from ..core.outputs import replacing

if TYPE_CHECKING:
    from .comparison import ProbeComparison
    from .controls import Selectivity

__all__ = ["Probing", "draw", "summary", "write_csv", "write_text"]

log = logging.getLogger("pyrepsim.probing")

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False, repr=False)
class Probing(Generic[Result]):
    """A finished probing.

    Attributes
    ----------
    folder : Path
        The output folder.
    result : EdgeResult, CodeLengths or StructuralProbeResult
    files : tuple of Path
        The files that were written.
    comparison : ProbeComparison, optional
        Differences from the probing that was given as `base`.
    selectivity : tuple of Selectivity
        One for each probe, if the control task was trained too.
    stores : tuple of Path
        The activation stores that were kept.
    n_bytes : int
        Size of these stores in bytes.
    """

    folder: Path
    result: Result
    files: tuple[Path, ...]
    comparison: ProbeComparison | None = None
    selectivity: tuple[Selectivity, ...] = ()
    stores: tuple[Path, ...] = ()
    n_bytes: int = 0

    def table(self) -> str:
        """Return all tables as text."""
        return summary(self.result, self.selectivity, self.comparison)

    def __repr__(self) -> str:
        return f"Probing({str(self.folder)!r}, {self.result!r})"


def summary(result: Any, selectivity: Sequence[Selectivity] = (), comparison: ProbeComparison | None = None) -> str:
    """Return the tables of a result, of the selectivity of its probes, and of a comparison, as text."""
    tables = [result.table()]
    if selectivity:
        width = max(len(record.member) for record in selectivity)
        lines = ["selectivity: F1 in percent on the task, on the control task, and their difference"]
        lines += [
            f"{record.member:<{width}}  {100 * record.task:6.2f} {100 * record.control:6.2f} "
            f"{100 * record.selectivity:6.2f}"
            for record in selectivity
        ]
        tables.append("\n".join(lines))
    if comparison is not None:
        tables.append("compared with base: " + comparison.table())
    return "\n\n".join(tables)


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
