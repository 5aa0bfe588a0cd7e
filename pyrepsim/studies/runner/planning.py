"""What a study would do: its cells, how far they are, and what those left are expected to take."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import PyrepsimError
from ...core.memory import format_bytes
from .cell import Cost, Study
from .ledger import Ledger, State

__all__ = ["PlannedCell", "StudyPlan", "in_words", "plan_study"]

log = logging.getLogger("pyrepsim.studies")


@dataclass(frozen=True)
class PlannedCell:
    """A cell, its state ("waiting" if not begun) and what it is expected to take, None if that cannot be told yet."""

    id: str
    folder: Path
    state: State
    seconds: float | None
    n_bytes: int | None
    passing: int = 0


@dataclass(frozen=True)
class StudyPlan:
    """The cells of a study in their order."""

    cells: tuple[PlannedCell, ...]

    @property
    def seconds(self) -> float:
        """Of the cells that are left, by one worker; of those that can be told."""
        return sum(cell.seconds or 0.0 for cell in self.cells if cell.state != "done")

    @property
    def n_bytes(self) -> int:
        """Of the cells that are left, by one worker: what stays of each, and the most that passes in any."""
        left = [cell for cell in self.cells if cell.state != "done"]
        return sum((cell.n_bytes or 0) - cell.passing for cell in left) + max(
            (cell.passing for cell in left), default=0
        )

    def table(self) -> str:
        """A line a cell, and the sums of what is left."""
        width = max((len(cell.id) for cell in self.cells), default=4)
        lines = [f"{'cell':<{width}}  {'state':<8} {'time':>9} {'disk':>8}"]
        for cell in self.cells:
            disk = "?" if cell.n_bytes is None else format_bytes(cell.n_bytes)
            lines.append(f"{cell.id:<{width}}  {cell.state:<8} {in_words(cell.seconds):>9} {disk:>8}")
        left = sum(cell.state != "done" for cell in self.cells)
        unknown = sum(cell.state != "done" and cell.seconds is None for cell in self.cells)
        known = f"; of {unknown} it cannot be told" if unknown else ""
        total = f"about {in_words(self.seconds)}, {format_bytes(self.n_bytes)} on the disk at most"
        lines.append(f"{left} of {len(self.cells)} cells are left: {total}{known}")
        return "\n".join(lines)


def plan_study(study: Study, *, out: str | os.PathLike[str], only: Iterable[str] | None = None) -> StudyPlan:
    """The cells that `run_study` would run with the same arguments. Nothing is written."""
    ledger = Ledger(study, Path(out))
    planned = []
    for cell in study.chosen(only):
        record, state, cost = ledger.record(cell), ledger.state(cell), Cost(0.0)
        if state == "done":
            cost = Cost(record["seconds"], record["n_bytes"])
        elif cell.cost is not None:
            try:
                cost = cell.cost()
            except PyrepsimError as error:
                log.info("%s: %s", cell.id, error)
                cost = None
        planned.append(PlannedCell(cell.id, ledger.folder(cell), state, *(cost or (None, None))))
    return StudyPlan(tuple(planned))


def in_words(seconds: float | None) -> str:
    """``12 s``, ``3 min``, ``2.5 h``; ``?`` for None."""
    if seconds is None:
        return "?"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
