"""A table of many edge probings: a line per task, a column per model."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..core.errors import StoreError
from ..core.paths import as_path
from ..core.text import printable
from ..results.tables import write_csv
from .edge.recipe import LEXICAL
from .edge.result import EdgeResult

__all__ = ["ProbingTable", "TableCell", "probing_table"]


@dataclass(frozen=True)
class TableCell:
    """One edge probing: F1 in [0, 1] with its 95 % interval, means over seeds.

    Attributes
    ----------
    task, name : the task, and the name of the probing's folder.
    member, split : the probe that is shown, and the data that it is scored on.
    f1, low, high : F1 and the ends of its interval, in [0, 1].
    lexical_baseline : F1 of the lexical baseline; NaN if it was not trained.
    """

    task: str
    name: str
    member: str
    split: str
    f1: float
    low: float
    high: float
    lexical_baseline: float


@dataclass(frozen=True)
class ProbingTable:
    """Made by `probing_table`."""

    cells: tuple[TableCell, ...]

    def table(self) -> str:
        """Return F1 in percent, plus or minus half the width of its interval, as text.

        Column "lex" is the lexical baseline of the first model that has one.
        """
        tasks = list(dict.fromkeys(cell.task for cell in self.cells))
        names = list(dict.fromkeys(cell.name for cell in self.cells))
        by_place = {(cell.task, cell.name): cell for cell in self.cells}
        lines = [["task", LEXICAL, *names]]
        for task in tasks:
            cells = [by_place.get((task, name)) for name in names]
            baselines = [cell.lexical_baseline for cell in cells if cell and not math.isnan(cell.lexical_baseline)]
            first = f"{100 * baselines[0]:.2f}" if baselines else ""
            lines.append([task, first, *map(_cell_text, cells)])
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            printable("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip())
            for line in lines
        )

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write one line per cell, F1 in [0, 1]."""
        return write_csv(path, list(asdict(self.cells[0])), map(asdict, self.cells))


def probing_table(folder: str | os.PathLike[str], *, member: str = "mix") -> ProbingTable:
    """Collect all finished edge probings below a folder into one table.

    Parameters
    ----------
    folder : path
        The folder to search. Each probing is named after its own folder, as in ``probes/<task>/<name>``.
    member : str, default "mix"
        The probe to show: "mix" (of all layers), "top" (the last layer), or a member that all probings have.

    Returns
    -------
    ProbingTable

    Raises
    ------
    StoreError
        If there is no edge probing.
    LayerError
        If a probing does not have the member.

    Examples
    --------
    >>> import json, pyrepsim as rs
    >>> targets = [{"span1": [0, 1], "label": "DET"}, {"span1": [1, 2], "label": "NOUN"}]
    >>> with open("pos.jsonl", "w") as file:
    ...     print(json.dumps({"text": "The cat sat", "targets": targets}), file=file)
    >>> for seed in (0, 1):
    ...     probing = rs.probe_edge(
    ...         "bert-base-uncased", "pos", out=f"probes/pos/random-{seed}", train="pos.jsonl", dev="pos.jsonl",
    ...         members="top", recipe={"validate_every": 1, "max_validations": 1}, random_init=True, init_seed=seed,
    ...         figures="", progress=False)
    >>> print(rs.probing_table("probes", member="top").table().splitlines()[0])
    task  lex  random-0  random-1
    """
    cells = []
    for path in sorted(as_path(folder, "A folder of probings").rglob("edge.npz")):
        result = EdgeResult.load(path)
        name = {"mix": f"mix.{len(result.layers) - 1}", "top": result.layers[-1]}.get(member, member)
        records = result.select(member=name)
        f1, low, high = (float(np.mean([record[key] for record in records])) for key in ("f1", "low", "high"))
        has_baseline = any(one.name == LEXICAL for one in result.members)
        baseline = result.f1(LEXICAL) if has_baseline else math.nan
        cells.append(TableCell(result.task, path.parent.name, name, result.split, f1, low, high, baseline))
    if not cells:
        raise StoreError(
            f"A table needs edge probings: {os.fspath(folder)!r} has none. Name the folder that holds them."
        )
    return ProbingTable(tuple(cells))


def _cell_text(cell: TableCell | None) -> str:
    return "" if cell is None else f"{100 * cell.f1:.2f} ±{50 * (cell.high - cell.low):.2f}"
