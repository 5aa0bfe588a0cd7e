"""Running a study: each worker takes a cell that is ready and free, until there is none."""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.workers import find_worker
from .cell import Cell, Study, free_memory
from .ledger import Ledger
from .publishing import CLAIMS, ROWS, publish
from .rows import read_lines

__all__ = ["StudyResult", "run_study"]

log = logging.getLogger("pyrepsim.studies")

_LOOK_AGAIN = 1.0  # seconds between looks at what other workers do


@dataclass(frozen=True)
class StudyResult:
    """What a call of `run_study` left.

    Attributes
    ----------
    out : the study's folder.
    states : of each chosen cell: "done", "failed", or "blocked" by a failed one.
    errors : of each failed cell, in a sentence.
    ran : the cells that this call ran.
    """

    out: Path
    states: Mapping[str, str]
    errors: Mapping[str, str]
    ran: tuple[str, ...]

    @property
    def complete(self) -> bool:
        return all(state == "done" for state in self.states.values())

    def rows(self) -> list[dict[str, Any]]:
        """The long table."""
        return read_lines(self.out / ROWS)

    def claims(self) -> list[dict[str, Any]]:
        """The claims and their verdicts, [] for a study without."""
        return read_lines(self.out / CLAIMS) if (self.out / CLAIMS).exists() else []


def run_study(
    study: Study,
    *,
    out: str | os.PathLike[str],
    worker: str | None = None,
    only: Iterable[str] | None = None,
    progress: bool = True,
) -> StudyResult:
    """Run the cells that are not done; call it again to go on after a stop.

    A cell is run by one worker, once. What a killed call left is handed to the next, which goes on with it; a cell
    that fails does not stop others, and is tried again by the next call. After each cell ``out/rows.jsonl`` has the
    rows of all that are done, in the study's order.

    Parameters
    ----------
    worker : ``"i/n"``, optional
        Several processes share `out`, and no more: each begins at another place, and takes whatever is ready and
        free, so that any may die, come late, or do all. Default: torchrun's or a SLURM array's, else one.
    only
        Experiments; cells that they need are run too.
    progress
        Say a line before and after each cell, on stderr.

    Raises
    ------
    OptionError
        For an unknown experiment or a worker that is none.
    StoreError
        If the folder cannot be written, or a record in it is not whole.
    """
    share = find_worker(worker)
    cells = study.chosen(only)
    begin = len(cells) * share.index // share.count
    with _alone():
        return _Worker(study, Path(out), cells, begin, _say if progress else log.info).work()


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Worker:
    def __init__(self, study: Study, out: Path, cells: Sequence[Cell], begin: int, say: Callable[[str], None]) -> None:
        self.study, self.cells, self.say = study, cells, say
        self.ledger = Ledger(study, out)
        self.order = [*cells[begin:], *cells[:begin]]
        self.by_id = {cell.id: cell for cell in cells}
        self.attempts = {cell.id: self.ledger.attempts(cell) for cell in cells}
        self.errors: dict[str, str] = {}
        self.ran: list[str] = []
        self.told = ""

    def work(self) -> StudyResult:
        try:
            while True:
                states = self._states()
                ready = [c for c in self.order if states[c.id] == "ready"]
                if not any(self._run(cell) for cell in ready):  # stops at the first that it ran: others may be ready
                    if not ready and "waiting" not in states.values():
                        break
                    self._wait(states)
        finally:
            self.ledger.drop_scratch(self.cells)
            publish(self.study, self.ledger)
        states = self._states()
        return StudyResult(self.ledger.out, states, dict(self.errors), tuple(self.ran))

    def _states(self) -> dict[str, str]:
        """done, failed, blocked, ready, or waiting: for a need, or for another worker that runs it."""
        lacking = {cell.id for cell in self.cells if self.ledger.record(cell).get("state") != "done"}
        for cell in reversed(self.cells):  # a need without its scratch is run again if somebody comes who needs it
            if cell.id in lacking:
                lacking |= {need for need in cell.needs if not self.ledger.usable(self.by_id[need])}
        states: dict[str, str] = {}
        for cell in self.cells:
            needs = {states[need] for need in cell.needs}
            if cell.id not in lacking:
                states[cell.id] = "done"
            elif self._failed(cell):
                states[cell.id] = "failed"
            elif needs & {"failed", "blocked"}:
                states[cell.id] = "blocked"
            elif needs - {"done"}:
                states[cell.id] = "waiting"
            else:
                states[cell.id] = "waiting" if self.ledger.state(cell) == "running" else "ready"
        return states

    def _failed(self, cell: Cell) -> bool:
        """Whether it failed since this call began, here or with another worker."""
        record = self.ledger.record(cell)
        if record.get("state") != "failed" or record["attempts"] == self.attempts[cell.id]:
            return False
        self.errors[cell.id] = record["error"]
        return True

    def _run(self, cell: Cell) -> bool:
        """Run the cell unless another worker has it; whether it was run here."""
        with self.ledger.claim(cell) as ours:
            if not ours:
                return False
            if self.ledger.usable(cell):  # by another worker, since we looked
                return True
            started = time.monotonic()
            self.say(f"{self._place(cell)} {cell.id} ...")
            try:
                folder = self.ledger.begin(cell)
                needed = {need: self.ledger.folder(self.by_id[need]) for need in cell.needs}
                rows = list(cell.run(folder, needed))
                self.ledger.finish(cell, rows, time.monotonic() - started)
                self.ran.append(cell.id)
                self.say(f"{self._place(cell)} {cell.id}: {len(rows)} rows, {time.monotonic() - started:.1f} s")
            except Exception as error:  # one cell's failure, of whatever kind, must not cost the others
                self.ledger.fail(cell, error, traceback.format_exc(), time.monotonic() - started)
                log.debug("%s failed", cell.id, exc_info=True)  # and in full in its record
                self.say(f"{self._place(cell)} {cell.id} failed: {self.ledger.record(cell)['error']}")
        free_memory()
        self.ledger.drop_scratch(self.cells)
        publish(self.study, self.ledger)
        return True

    def _place(self, cell: Cell) -> str:
        return f"[{self.cells.index(cell) + 1}/{len(self.cells)}]"

    def _wait(self, states: Mapping[str, str]) -> None:
        """For other workers."""
        running = [cell.id for cell in self.cells if states[cell.id] == "waiting" and self._elsewhere(cell)]
        if (told := ", ".join(running)) != self.told:
            self.say(f"waiting for {told or 'other workers'}")
            self.told = told
        time.sleep(_LOOK_AGAIN)

    def _elsewhere(self, cell: Cell) -> bool:
        return self.ledger.state(cell) == "running"


class _alone:
    """Under torchrun a process is one worker among several, and trains its cells by itself."""

    _NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "GROUP_RANK")

    def __enter__(self) -> None:
        self._kept = {name: os.environ.pop(name) for name in self._NAMES if name in os.environ}

    def __exit__(self, *_: object) -> None:
        os.environ.update(self._kept)
