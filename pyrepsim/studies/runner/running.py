"""Running a study: each worker takes a cell that is ready and not locked, until there are none."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.ownership import owning
from ...core.paths import as_path
from ...core.resume import request_digest
from ...core.text import printable
from ...core.workers import find_worker
from .cell import Cell, Study
from .folder import CLAIMS, ROWS, StudyFolder
from .table import read_lines

__all__ = ["StudyResult", "run_study"]

log = logging.getLogger("pyrepsim.studies")

_POLL_SECONDS = 1.0  # between looks at what other workers do
_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")


@dataclass(frozen=True)
class StudyResult:
    """The result of a call of `run_study`.

    Attributes
    ----------
    out : Path
        The study's folder.
    states : mapping
        The state of each selected cell: "done", "failed", or "blocked" by a failed one.
    errors : mapping
        The error message of each failed cell.
    ran : tuple of str
        The cells that this call ran.
    """

    out: Path
    states: Mapping[str, str]
    errors: Mapping[str, str]
    ran: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether all selected cells are done."""
        return all(state == "done" for state in self.states.values())

    def rows(self) -> list[dict[str, Any]]:
        """The rows of all cells that are done."""
        return read_lines(self.out / ROWS)

    def claims(self) -> list[dict[str, Any]]:
        """The claims and their verdicts; [] for a study without claims."""
        return read_lines(self.out / CLAIMS) if (self.out / CLAIMS).exists() else []


def run_study(
    study: Study,
    *,
    out: str | os.PathLike[str],
    worker: str | None = None,
    only: Iterable[str] | None = None,
    wait: float | None = None,
    progress: bool = True,
) -> StudyResult:
    """Run the cells of a study that are not done. Call it again to resume after an interruption.

    Each cell is run by one worker. If a worker is killed, the next call continues its cell from the files in the
    cell's folder. A cell that fails does not stop the others, and the next call tries it again. After each cell,
    ``out/rows.jsonl`` holds the rows of all cells that are done, in the study's order.

    Parameters
    ----------
    study : Study
        The cells to run.
    out : str or path
        The study's folder; it is created if necessary.
    worker : ``"i/n"``, optional
        This process is worker i of n that share `out`. Workers start at different cells, and each takes any cell that
        is ready, so that a worker may stop or start at any time. Default: the rank of torchrun or of a SLURM array,
        else a single worker.
    only : iterable of str, optional
        Experiments to run, with the cells that they need. Default: all.
    wait : float, optional
        Seconds to wait for another process that runs a study in `out`. By default it is refused at once. Workers i/n
        of the same study share `out`.
    progress : bool, default True
        Print a line before and after each cell to stderr.

    Returns
    -------
    StudyResult

    Raises
    ------
    OptionError
        If an experiment or the worker does not exist.
    LockedError
        If another process runs a study in `out`, and the two are not workers of the same study.
    StoreError
        If the folder cannot be written, or one of its records is incomplete.

    Examples
    --------
    >>> from pyrepsim.studies import run_study
    >>> from pyrepsim.studies.runner import Cell, Study, read_rows
    >>> def count(folder, needed):
    ...     return [{"metric": "count", "value": n} for n in (1, 2, 3)]
    >>> def add(folder, needed):
    ...     return [{"metric": "sum", "value": sum(row["value"] for row in read_rows(needed["numbers/count"]))}]
    >>> study = Study(name="example", cells=[
    ...     Cell(experiment="numbers", name="count", request={"n": 3}, run=count),
    ...     Cell(experiment="sums", name="add", request={}, run=add, needs=("numbers/count",)),
    ... ])
    >>> result = run_study(study, out="example-study", progress=False)
    >>> result.complete, result.rows()[-1]["value"]
    (True, 6)
    >>> run_study(study, out="example-study", progress=False).ran
    ()
    """
    share = find_worker(worker)
    cells = study.select(only)
    begin = len(cells) * share.index // share.count
    member = None if share.count == 1 else f"{share.index}-of-{share.count}"
    request = request_digest({"study": study.name, "settings": study.settings, "cells": study.keys()})
    folder = as_path(out, "out")
    with owning(folder, wait=wait, member=member, request=request), _without_torchrun():
        return _Worker(study, folder, cells, begin, _print if progress else log.info).run()


def _print(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)


class _Worker:
    def __init__(self, study: Study, out: Path, cells: Sequence[Cell], begin: int, report: Callable[[str], None]):
        self.cells, self.report = cells, report
        self.folder = StudyFolder(study, out)
        self.folder.check_rows()
        self.order = [*cells[begin:], *cells[:begin]]
        self.by_id = {cell.id: cell for cell in cells}
        self.attempts = {cell.id: self.folder.attempts(cell) for cell in cells}
        self.errors: dict[str, str] = {}
        self.ran: list[str] = []
        self.last_waiting = ""

    def run(self) -> StudyResult:
        try:
            while True:
                states = self._states()
                ready = [c for c in self.order if states[c.id] == "ready"]
                if not any(self._run_cell(cell) for cell in ready):  # after one cell, others may be ready
                    if not ready and "waiting" not in states.values():
                        break
                    self._wait(states)
        finally:
            self.folder.drop_scratch(self.cells)
            self.folder.publish()
        return StudyResult(self.folder.out, self._states(), dict(self.errors), tuple(self.ran))

    def _states(self) -> dict[str, str]:
        """done, failed, blocked, ready, or waiting (for a needed cell, or for the worker that runs it)."""
        missing = {cell.id for cell in self.cells if self.folder.record(cell).get("state") != "done"}
        for cell in reversed(self.cells):  # a needed cell whose scratch files were removed is run again
            if cell.id in missing:
                missing |= {need for need in cell.needs if not self.folder.is_usable(self.by_id[need])}
        states: dict[str, str] = {}
        for cell in self.cells:
            needs = {states[need] for need in cell.needs}
            if cell.id not in missing:
                states[cell.id] = "done"
            elif self._failed(cell):
                states[cell.id] = "failed"
            elif needs & {"failed", "blocked"}:
                states[cell.id] = "blocked"
            elif needs - {"done"}:
                states[cell.id] = "waiting"
            else:
                states[cell.id] = "waiting" if self.folder.state(cell) == "running" else "ready"
        return states

    def _failed(self, cell: Cell) -> bool:
        """Whether the cell has failed since this call began, in this worker or another one."""
        record = self.folder.record(cell)
        if record.get("state") != "failed" or record["attempts"] == self.attempts[cell.id]:
            return False
        self.errors[cell.id] = record["error"]
        return True

    def _run_cell(self, cell: Cell) -> bool:
        """Run the cell unless another worker has it; return whether it is done or has failed now."""
        with self.folder.lock(cell) as ours:
            if not ours:
                return False
            if self.folder.is_usable(cell):  # another worker has finished it in the meantime
                return True
            if not all(self.folder.is_sound(self.by_id[need]) for need in cell.needs):
                return True  # a damaged one is run again first
            started = time.monotonic()
            title = f"[{self.cells.index(cell) + 1}/{len(self.cells)}] {cell.id}"
            self.report(f"{title} ...")
            try:
                folder = self.folder.begin(cell)
                needed = {need: self.folder.folder(self.by_id[need]) for need in cell.needs}
                rows = list(cell.run(folder, needed))
                self.folder.finish(cell, rows, time.monotonic() - started)
                self.ran.append(cell.id)
                self.report(f"{title}: {len(rows)} rows, {time.monotonic() - started:.1f} s")
            except Exception as error:  # a failure of any kind must not stop the other cells
                self.folder.fail(cell, error, traceback.format_exc(), time.monotonic() - started)
                log.debug("%s failed", cell.id, exc_info=True)
                self.report(f"{title} failed: {self.folder.record(cell)['error']}")
        free_memory()
        self.folder.drop_scratch(self.cells)
        self.folder.publish()
        return True

    def _wait(self, states: Mapping[str, str]) -> None:
        """Wait for other workers."""
        running = [c.id for c in self.cells if states[c.id] == "waiting" and self.folder.state(c) == "running"]
        waiting = ", ".join(running)
        if waiting != self.last_waiting:
            self.report(f"waiting for {waiting or 'other workers'}")
            self.last_waiting = waiting
        time.sleep(_POLL_SECONDS)


@contextmanager
def _without_torchrun() -> Iterator[None]:
    """Hide torchrun's variables: each process is a worker of the study, and trains its cells alone."""
    hidden = {name: os.environ.pop(name) for name in _TORCHRUN if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(hidden)


def free_memory() -> None:
    """Return the memory that a cell has used to the system.

    Trainers and models refer to each other in cycles, which Python collects late; and glibc keeps freed memory for
    later use, which may be gigabytes that another worker on the machine needs.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library
        return
    trim(0)
