"""The folders of a study's cells, and what each says of itself. A cell is finished once its record says so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any, Literal

from ...core.errors import PyrepsimError, StoreError
from ...core.locks import lock, own, owner
from ...version import __version__
from .cell import Cell, Study
from .rows import full_row, read_lines, write_json, write_lines

__all__ = ["Ledger", "State", "read_rows", "versions"]

State = Literal["waiting", "begun", "running", "done", "failed"]
_RECORD = "cell.json"
_ROWS = "rows.jsonl"
LOCK = ".lock"
"""Name of the lock file of a cell's folder, and of the folder of all cells."""


class Ledger:
    """Of one study in one folder: ``out/cells/<experiment>/<name>-<key8>/``, each with ``cell.json``, ``rows.jsonl``.

    Cells with other keys, of an earlier request, stay where they are and are not looked at.
    """

    def __init__(self, study: Study, out: Path) -> None:
        self.out = out
        self.root = out / "cells"
        self.keys = study.keys()
        self._cells = {cell.id: cell for cell in study.cells}
        self._users = {cell.id: [c for c in study.cells if cell.id in c.needs] for cell in study.cells}
        self._rows: dict[str, Sequence[Mapping[str, Any]]] = {}

    def folder(self, cell: Cell) -> Path:
        return cell_folder(self.root, cell.experiment, cell.name, self.keys[cell.id])

    def record(self, cell: Cell) -> dict[str, Any]:
        """What the cell's folder says, {} before it was begun."""
        return read_record(self.folder(cell))

    def state(self, cell: Cell) -> State:
        return state_of(self.folder(cell))

    def claim(self, cell: Cell) -> AbstractContextManager[bool]:
        return own(self.folder(cell) / LOCK)

    def usable(self, cell: Cell) -> bool:
        """Done, with all that the cells after it need."""
        record = self.record(cell)
        return record.get("state") == "done" and not record.get("dropped")

    def begin(self, cell: Cell) -> Path:
        if self.record(cell).get("dropped"):  # what is left of it is not what a killed call leaves
            for path in self.folder(cell).iterdir():
                if path.name != LOCK:
                    _remove(path)
        self._write(cell, state="begun", attempts=self.attempts(cell))
        return self.folder(cell)

    def finish(self, cell: Cell, rows: Iterable[Mapping[str, Any]], seconds: float) -> None:
        """Write the rows, and last of all that the cell is done."""
        folder = self.folder(cell)
        name = folder.name
        full = [full_row(row, cell=name, experiment=row.get("experiment") or cell.experiment) for row in rows]
        write_lines(folder / _ROWS, full)
        self._rows.pop(cell.id, None)
        n_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        self._write(cell, state="done", seconds=round(seconds, 3), n_bytes=n_bytes, n_rows=len(full))

    def fail(self, cell: Cell, error: BaseException, trace: str, seconds: float) -> None:
        told = str(error) if isinstance(error, PyrepsimError) else f"{type(error).__name__}: {error}"
        said = {"error": told, "traceback": trace.splitlines(), "attempts": self.attempts(cell) + 1}
        self._write(cell, state="failed", seconds=round(seconds, 3), **said)

    def attempts(self, cell: Cell) -> int:
        """How often the cell failed since it was last done."""
        return self.record(cell).get("attempts", 0)

    def rows(self, cell: Cell) -> Sequence[Mapping[str, Any]]:
        """Of a cell that is done; read once."""
        if cell.id not in self._rows:
            self._rows[cell.id] = read_rows(self.folder(cell))
        return self._rows[cell.id]

    def drop_scratch(self, cells: Iterable[Cell]) -> None:
        """Remove what only the cells after it needed, of each cell where all those are done: by one worker."""
        with lock(self.root / LOCK, wait=True):
            for cell in cells:
                if not cell.scratch or not self.usable(cell):
                    continue
                if all(self.record(user).get("state") == "done" for user in self._users[cell.id]):
                    record = self.record(cell)
                    write_json(self.folder(cell) / _RECORD, {**record, "dropped": True})
                    for pattern in cell.scratch:
                        for path in sorted(self.folder(cell).glob(pattern), reverse=True):
                            _remove(path)

    def _write(self, cell: Cell, **said: Any) -> None:
        record = {"experiment": cell.experiment, "name": cell.name, "key": self.keys[cell.id], "format": cell.format}
        record |= {"request": cell.request, "needs": {need: self.keys[need] for need in cell.needs}}
        record |= {"versions": versions(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **said}
        write_json(self.folder(cell) / _RECORD, record)


def cell_folder(root: Path, experiment: str, name: str, key: str) -> Path:
    return root / experiment / f"{name}-{key[:8]}"


def read_record(folder: Path) -> dict[str, Any]:
    """A cell's record, {} where there is none; StoreError if it is not whole."""
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        return {"state": record["state"], **record}
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        raise StoreError(
            f"A study is kept in a folder: there is a file on the way to {folder}. Choose another."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"A cell's record must be whole: {folder / _RECORD} is not ({error}). Remove that folder."
        ) from error


def state_of(folder: Path) -> State:
    state = read_record(folder).get("state", "waiting")
    if state in ("waiting", "begun", "failed") and owner(folder / LOCK) is not None:
        return "running"
    return state


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of the cell in this folder, such as `needed` gives it."""
    return read_lines(folder / _ROWS)


def versions() -> dict[str, str]:
    found = {"pyrepsim": __version__, "python": python_version()}
    for name in ("numpy", "torch", "transformers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for inside in path.iterdir():
            _remove(inside)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
