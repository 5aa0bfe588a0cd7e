"""The folder of a study: the folders of its cells with their records and rows, and the files made from all of them.

A cell is done once its record says so: the record is written last.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

import xxhash

from ...core import resume
from ...core.errors import CorruptStoreError, LockedError, PyrepsimError, StoreError
from ...core.locks import lock, owner
from ...core.outputs import is_working_file
from ...core.ownership import LOCK, owning, sweep_locks
from ...core.paths import as_path
from ...core.states import MANIFEST, check_files, set_aside, write_manifest
from ...version import __version__
from .cell import Cell, Study
from .table import full_row, read_lines, write_json, write_lines

__all__ = ["CLAIMS", "LOCK", "RECORD", "ROWS", "State", "StudyFolder", "cell_folder", "cell_state", "read_rows"]

log = logging.getLogger("pyrepsim.studies")

State = Literal["waiting", "begun", "running", "done", "failed"]
RECORD, ROWS, CLAIMS = "study.json", "rows.jsonl", "claims.jsonl"
_CELL_RECORD = "cell.json"
_PUBLISHED = {"seconds": "seconds", "n_bytes": "bytes", "n_rows": "n_rows", "error": "error", "versions": "versions"}


class StudyFolder:
    """The results of one study: ``out/cells/<experiment>/<name>-<key8>/``, each with ``cell.json`` and ``rows.jsonl``.

    Folders of cells with other keys, from an earlier request, are left as they are and not read.
    """

    def __init__(self, study: Study, out: Path) -> None:
        self.study = study
        self.out = out
        self.cells = out / "cells"
        self.keys = study.keys()
        self._users = {cell.id: [c for c in study.cells if cell.id in c.needs] for cell in study.cells}
        self._rows: dict[str, Sequence[Mapping[str, Any]]] = {}
        self._sound: set[str] = set()

    def folder(self, cell: Cell) -> Path:
        return cell_folder(self.out, cell.experiment, cell.name, self.keys[cell.id])

    def record(self, cell: Cell) -> dict[str, Any]:
        """The record of a cell; {} before it was started."""
        return read_record(self.folder(cell))

    def state(self, cell: Cell) -> State:
        return cell_state(self.folder(cell))

    @contextmanager
    def lock(self, cell: Cell) -> Iterator[bool]:
        """Own the folder of a cell; yields False if another worker does."""
        with ExitStack() as stack:
            try:
                stack.enter_context(owning(self.folder(cell)))
                ours = True
            except LockedError:
                ours = False
            yield ours

    def is_usable(self, cell: Cell) -> bool:
        """Whether the cell is done, and still has the files that other cells need."""
        record = self.record(cell)
        return record.get("state") == "done" and not record.get("dropped")

    def is_sound(self, cell: Cell) -> bool:
        """Whether the files of a cell that is done are those that it wrote. Each cell is checked once.

        The folder of a damaged cell is set aside, so that the cell is run again.
        """
        if cell.id in self._sound or self.record(cell).get("state") != "done":
            return True
        dropped = bool(self.record(cell).get("dropped"))
        if self._set_damaged_aside(cell, lambda folder: check_files(folder, missing=dropped)):
            return False
        self._sound.add(cell.id)
        return True

    def check_rows(self) -> None:
        """Set aside the folder of each cell whose record or rows are damaged, so that the cell is run again."""
        for cell in self.study.cells:
            sweep_locks(self.folder(cell))
            self._set_damaged_aside(cell, _check_rows)

    def _set_damaged_aside(self, cell: Cell, check: Callable[[Path], object]) -> bool:
        folder = self.folder(cell)
        try:
            check(folder)
        except CorruptStoreError as error:
            with self.lock(cell) as ours:
                if ours:
                    aside = set_aside(folder)
                    log.warning("%s: %s The folder was renamed to %s; the cell is run again.", cell.id, error, aside)
            return True
        return False

    def begin(self, cell: Cell) -> Path:
        """Record that the cell was started; return its folder, with the files of an interrupted call if there are any.

        A cell whose scratch files were removed starts in an empty folder.
        """
        if self.record(cell).get("dropped"):
            for path in self.folder(cell).iterdir():
                if path.name != LOCK:
                    _remove(path)
        self._write_record(cell, state="begun", attempts=self.attempts(cell))
        return self.folder(cell)

    def finish(self, cell: Cell, rows: Iterable[Mapping[str, Any]], seconds: float) -> None:
        """Write the rows, and then record that the cell is done."""
        folder = self.folder(cell)
        full = [full_row(row, cell=folder.name, experiment=row.get("experiment") or cell.experiment) for row in rows]
        write_lines(folder / ROWS, full)
        self._rows.pop(cell.id, None)
        write_manifest(folder, _files_of(folder), {"key": self.keys[cell.id]})
        self._sound.add(cell.id)
        n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        self._write_record(cell, state="done", seconds=round(seconds, 3), n_bytes=n_bytes, n_rows=len(full))

    def fail(self, cell: Cell, error: BaseException, trace: str, seconds: float) -> None:
        """Record that the cell failed, with its error."""
        message = str(error) if isinstance(error, PyrepsimError) else f"{type(error).__name__}: {error}"
        details = {"error": message, "traceback": trace.splitlines(), "attempts": self.attempts(cell) + 1}
        self._write_record(cell, state="failed", seconds=round(seconds, 3), **details)

    def attempts(self, cell: Cell) -> int:
        """How often the cell has failed since it was last done."""
        return self.record(cell).get("attempts", 0)

    def rows(self, cell: Cell) -> Sequence[Mapping[str, Any]]:
        """The rows of a cell that is done; each file is read once."""
        if cell.id not in self._rows:
            self._rows[cell.id] = read_rows(self.folder(cell))
        return self._rows[cell.id]

    def drop_scratch(self, cells: Iterable[Cell]) -> None:
        """Remove the scratch files of each cell if all cells that need it are done. One worker at a time does this."""
        with lock(self.cells / LOCK, wait=True):
            for cell in cells:
                if not cell.scratch or not self.is_usable(cell):
                    continue
                if all(self.record(user).get("state") == "done" for user in self._users[cell.id]):
                    _write_cell(self.folder(cell), {**self.record(cell), "dropped": True})
                    for pattern in cell.scratch:
                        for path in sorted(self.folder(cell).glob(pattern), reverse=True):
                            _remove(path)

    def publish(self) -> None:
        """Write ``study.json``, ``rows.jsonl`` and ``claims.jsonl`` from the cells that are done.

        The same cells give the same bytes, whichever worker runs them and in whichever order. The lock prevents a slow
        worker from replacing newer files with older ones.
        """
        self.cells.mkdir(parents=True, exist_ok=True)
        with lock(self.cells / LOCK, wait=True):
            records = {cell.id: self.record(cell) for cell in self.study.cells}
            done = [cell for cell in self.study.cells if records[cell.id].get("state") == "done"]
            rows = [row for cell in done for row in self.rows(cell)]
            write_lines(self.out / ROWS, rows)
            digest = xxhash.xxh3_64_hexdigest((self.out / ROWS).read_bytes())
            record = {
                "study": self.study.name,
                **self.study.settings,
                "versions": versions(),
                "rows": {"n": len(rows), "xxh3": digest},
                "cells": self._cell_records(records),
            }
            write_json(self.out / RECORD, record)
            self._publish_claims(rows)

    def _publish_claims(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if self.study.judge is None:
            return
        try:
            claims = list(self.study.judge(rows))
        except Exception:  # an error in judging must not lose the rows
            log.exception("the claims could not be judged")
            (self.out / CLAIMS).unlink(missing_ok=True)
        else:
            write_lines(self.out / CLAIMS, claims)

    def _cell_records(self, records: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The entry of each cell in ``study.json``; "pending" before it is started, "blocked" after a failed need."""
        states: dict[str, str] = {}
        entries = []
        for cell in self.study.cells:
            record = records[cell.id]
            state = record.get("state", "pending")
            if state != "done" and {states[need] for need in cell.needs} & {"failed", "blocked"}:
                state = "blocked"
            states[cell.id] = state
            entry = {"experiment": cell.experiment, "name": cell.name, "key": self.keys[cell.id], "state": state}
            entry["needs"] = list(cell.needs)
            entry |= {published: record[name] for name, published in _PUBLISHED.items() if name in record}
            entries.append(entry)
        return entries

    def _write_record(self, cell: Cell, **details: Any) -> None:
        record = {"experiment": cell.experiment, "name": cell.name, "key": self.keys[cell.id], "format": cell.format}
        record |= {"request": cell.request, "needs": {need: self.keys[need] for need in cell.needs}}
        record |= {"versions": versions(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **details}
        _write_cell(self.folder(cell), record)


def cell_folder(out: Path, experiment: str, name: str, key: str) -> Path:
    """The folder of a cell in a study's folder."""
    return out / "cells" / experiment / f"{name}-{key[:8]}"


def read_record(folder: Path) -> dict[str, Any]:
    """Read a cell's record, {} if there is none; CorruptStoreError if it is damaged."""
    try:
        record = resume.read_record(folder / _CELL_RECORD, remedy="Remove that folder.")
    except CorruptStoreError as error:
        if isinstance(error.__cause__, NotADirectoryError):
            raise StoreError(
                f"The results of a study need a folder: part of the path {folder} is a file. Choose another folder."
            ) from error
        raise
    return {} if record is None else record


def _check_rows(folder: Path) -> None:
    if read_record(folder).get("state") == "done" and check_files(folder, only=(ROWS,)) is None:
        raise CorruptStoreError(f"A cell that is done must have the digests of its files: {folder} has none.")


def _write_cell(folder: Path, record: Mapping[str, Any]) -> None:
    resume.write_record(folder / _CELL_RECORD, **record)


def _files_of(folder: Path) -> list[str]:
    """The files of a cell that its record does not change."""
    ours = (_CELL_RECORD, MANIFEST)
    paths = [path for path in folder.rglob("*") if path.is_file() and not is_working_file(path.name)]
    return [name for path in paths if (name := str(path.relative_to(folder))) not in ours]


def cell_state(folder: Path) -> State:
    """The state of the cell in a folder: as recorded, or "running" if a worker has the lock."""
    state = read_record(folder).get("state", "waiting")
    if state in ("waiting", "begun", "failed") and owner(folder / LOCK) is not None:
        return "running"
    return state


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """Read the rows of a cell that is done.

    Parameters
    ----------
    folder : Path
        The cell's folder, such as a value of `needed` in the `run` of another cell.

    Returns
    -------
    list of dict
        Each row has all `COLUMNS`.
    """
    return read_lines(as_path(folder) / ROWS)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that determine results."""
    installed = {"pyrepsim": __version__, "python": python_version()}
    for name in ("numpy", "torch", "transformers"):
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for inside in path.iterdir():
            _remove(inside)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
