"""The plan of a study (its cells, and the expected cost of those that are left) and its status (how far it is)."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import PyrepsimError, StoreError
from ...core.json_files import read
from ...core.memory import format_bytes
from ...core.paths import as_path
from ...core.text import printable
from .cell import Cost, Study
from .folder import RECORD, State, StudyFolder, cell_folder, cell_state, read_record

__all__ = ["PlannedCell", "StudyPlan", "StudyStatus", "plan_study", "study_status"]

log = logging.getLogger("pyrepsim.studies")


@dataclass(frozen=True)
class PlannedCell:
    """A cell, its state ("waiting" if not started) and its expected cost.

    `seconds` and `n_bytes` are None if the cost is not known yet; `temporary` bytes are removed when the cell is done.
    """

    id: str
    folder: Path
    state: State
    seconds: float | None
    n_bytes: int | None
    temporary: int = 0


@dataclass(frozen=True)
class StudyPlan:
    """The cells of a study in their order."""

    cells: tuple[PlannedCell, ...]

    @property
    def seconds(self) -> float:
        """Expected time of the cells that are left, with one worker; cells of unknown cost count as 0."""
        return sum(cell.seconds or 0.0 for cell in self.cells if cell.state != "done")

    @property
    def n_bytes(self) -> int:
        """Expected disk space of the cells that are left, with one worker: results and the largest temporary files."""
        left = [cell for cell in self.cells if cell.state != "done"]
        return sum((cell.n_bytes or 0) - cell.temporary for cell in left) + max(
            (cell.temporary for cell in left), default=0
        )

    def table(self) -> str:
        """A line for each cell, and the sums of those that are left."""
        width = max((len(cell.id) for cell in self.cells), default=4)
        lines = [f"{'cell':<{width}}  {'state':<8} {'time':>9} {'disk':>8}"]
        for cell in self.cells:
            disk = "?" if cell.n_bytes is None else format_bytes(cell.n_bytes)
            lines.append(f"{cell.id:<{width}}  {cell.state:<8} {_format_seconds(cell.seconds):>9} {disk:>8}")
        left = sum(cell.state != "done" for cell in self.cells)
        unknown = sum(cell.state != "done" and cell.seconds is None for cell in self.cells)
        suffix = f"; the cost of {unknown} is not known yet" if unknown else ""
        total = f"about {_format_seconds(self.seconds)}, at most {format_bytes(self.n_bytes)} on disk"
        lines.append(f"{left} of {len(self.cells)} cells are left: {total}{suffix}")
        return "\n".join(map(printable, lines))


def plan_study(study: Study, *, out: str | os.PathLike[str], only: Iterable[str] | None = None) -> StudyPlan:
    """List the cells that `run_study` would run with the same arguments. Nothing is written.

    Parameters
    ----------
    study : Study
        The cells.
    out : str or path
        The study's folder; it need not exist.
    only : iterable of str, optional
        Experiments to run, with the cells that they need. Default: all.

    Returns
    -------
    StudyPlan
        Its `table()` is for reading.

    Raises
    ------
    OptionError
        If an experiment does not exist.

    Examples
    --------
    >>> from pyrepsim.studies import plan_study
    >>> from pyrepsim.studies.runner import Cell, Cost, Study
    >>> work = {"request": {}, "run": lambda folder, needed: [], "cost": lambda: Cost(60.0, 10**6)}
    >>> cells = [Cell(experiment="sums", name=name, **work) for name in ("first", "second")]
    >>> print(plan_study(Study(name="example", cells=cells), out="planned-study").table())
    cell         state         time     disk
    sums/first   waiting       60 s     1 MB
    sums/second  waiting       60 s     1 MB
    2 of 2 cells are left: about 2 min, at most 2 MB on disk
    """
    folder = StudyFolder(study, as_path(out, "out"))
    planned = []
    for cell in study.select(only):
        record, state, cost = folder.record(cell), folder.state(cell), Cost(0.0)
        if state == "done":
            cost = Cost(record["seconds"], record["n_bytes"])
        elif cell.cost is not None:
            try:
                cost = cell.cost()
            except PyrepsimError as error:
                log.info("%s: %s", cell.id, error)
                cost = None
        planned.append(PlannedCell(cell.id, folder.folder(cell), state, *(cost or (None, None))))
    return StudyPlan(tuple(planned))


@dataclass(frozen=True)
class StudyStatus:
    """How far the study in a folder is.

    Attributes
    ----------
    name : str
        The study's name.
    settings : mapping
        The other entries of its record.
    cells : tuple of mappings
        For each cell ``id``, ``state`` ("waiting", "begun" if it was interrupted, "running", "done", "failed") and,
        where known, ``seconds``, ``n_bytes`` and ``error``.
    """

    name: str
    settings: Mapping[str, Any]
    cells: tuple[Mapping[str, Any], ...]

    def table(self) -> str:
        """Counts by experiment, then the cells that failed, were interrupted, or are running."""
        experiments: dict[str, Counter[str]] = {}
        for cell in self.cells:
            experiments.setdefault(cell["id"].partition("/")[0], Counter())[cell["state"]] += 1
        width = max(map(len, experiments), default=0)
        lines = [f"{self.name}: {sum(c['state'] == 'done' for c in self.cells)} of {len(self.cells)} cells are done"]
        for name, counts in experiments.items():
            lines.append(f"  {name:<{width}}  " + ", ".join(f"{n} {state}" for state, n in sorted(counts.items())))
        for cell in self.cells:
            if cell["state"] in ("failed", "begun", "running"):
                lines.append(f"  {cell['id']}: {cell.get('error') or cell['state']}")
        seconds = sum(cell.get("seconds") or 0.0 for cell in self.cells)
        n_bytes = sum(cell.get("n_bytes") or 0 for cell in self.cells)
        lines.append(f"{_format_seconds(seconds)} of work, {format_bytes(n_bytes)} written")
        return "\n".join(map(printable, lines))


def study_status(out: str | os.PathLike[str]) -> StudyStatus:
    """Report how far the study in a folder is.

    Parameters
    ----------
    out : str or path
        The folder of a study, as given to `run_study`.

    Returns
    -------
    StudyStatus
        Its `table()` is for reading.

    Raises
    ------
    StoreError
        If there is no study in the folder.

    Examples
    --------
    >>> from pyrepsim.studies import run_study, study_status
    >>> from pyrepsim.studies.runner import Cell, Study
    >>> cell = Cell(experiment="sums", name="first", request={}, run=lambda folder, needed: [{"value": 3.0}])
    >>> result = run_study(Study(name="example", cells=[cell]), out="status-study", progress=False)
    >>> study_status("status-study").table().splitlines()[0]
    'example: 1 of 1 cells are done'
    """
    folder = as_path(out, "out")
    try:
        record = read(folder / RECORD)
        name, cells = record["study"], record["cells"]
        settings = {key: value for key, value in record.items() if key not in ("study", "cells")}
        folders = {
            f"{cell['experiment']}/{cell['name']}": cell_folder(folder, cell["experiment"], cell["name"], cell["key"])
            for cell in cells
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"The folder of a study holds {RECORD}: it is missing or cannot be read in {folder} ({error}). Give the "
            "folder of `pyrepsim study`."
        ) from error
    statuses = []
    for cell_id, place in folders.items():
        record = read_record(place)
        known = {key: record[key] for key in ("seconds", "n_bytes", "error") if key in record}
        statuses.append({"id": cell_id, "state": cell_state(place), **known})
    return StudyStatus(name, settings, tuple(statuses))


def _format_seconds(seconds: float | None) -> str:
    """``12 s``, ``3 min``, ``2.5 h``; ``?`` for None."""
    if seconds is None:
        return "?"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
