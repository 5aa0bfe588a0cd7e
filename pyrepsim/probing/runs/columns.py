"""Many probings side by side: a row a task, a column a model."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ...core.errors import StoreError
from ..edge import EdgeResult
from .outcome import write_rows

__all__ = ["Cell", "ProbingTable", "probing_table"]

LEXICAL = "lex"


@dataclass(frozen=True)
class Cell:
    """One edge probing: F1 in [0, 1] with its 95 % band, means over seeds. `lexical` is NaN without such a probe."""

    task: str
    name: str
    member: str
    split: str
    f1: float
    low: float
    high: float
    lexical: float


@dataclass(frozen=True)
class ProbingTable:
    """Made by `probing_table`."""

    cells: tuple[Cell, ...]

    def table(self) -> str:
        """F1 in percent and half the width of its band; "lex" is the lexical probe of the first column that has one."""
        tasks = list(dict.fromkeys(cell.task for cell in self.cells))
        names = list(dict.fromkeys(cell.name for cell in self.cells))
        found = {(cell.task, cell.name): cell for cell in self.cells}
        lines = [["task", LEXICAL, *names]]
        for task in tasks:
            own = [found.get((task, name)) for name in names]
            floors = [cell.lexical for cell in own if cell is not None and not math.isnan(cell.lexical)]
            cells = [_band(cell) for cell in own]
            lines.append([task, f"{100 * floors[0]:.2f}" if floors else "", *cells])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in lines
        )

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write one line a cell."""
        return write_rows(Path(path), list(asdict(self.cells[0])), map(asdict, self.cells))


def probing_table(folder: str | os.PathLike[str], *, member: str = "mix") -> ProbingTable:
    """All finished edge probings below a folder, each named by its own folder: ``probes/<task>/<name>``.

    member : "mix" (of all layers), "top", or any member that all have.

    Raises StoreError if there is none, LayerError for a member that one lacks.
    """
    cells = []
    for path in sorted(Path(folder).rglob("edge.npz")):
        result = EdgeResult.load(path)
        name = {"mix": f"mix.{len(result.layers) - 1}", "top": result.layers[-1]}.get(member, member)
        rows = result.select(member=name)
        f1, low, high = (float(np.mean([row[key] for row in rows])) for key in ("f1", "low", "high"))
        trained = {one.name for one in result.members}
        floor = result.f1(LEXICAL) if LEXICAL in trained else math.nan
        cells.append(Cell(result.task, path.parent.name, name, result.split, f1, low, high, floor))
    if not cells:
        raise StoreError(
            f"A table needs edge probings: {os.fspath(folder)!r} has none. Name the folder that holds them."
        )
    return ProbingTable(tuple(cells))


def _band(cell: Cell | None) -> str:
    return "" if cell is None else f"{100 * cell.f1:.2f} ±{50 * (cell.high - cell.low):.2f}"
