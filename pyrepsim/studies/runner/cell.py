"""Cells: the pieces of work of a study, each with a key that follows from everything that determines its result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from ...core.errors import OptionError
from ...core.text import printable
from .table import TABLE_FORMAT

__all__ = ["Cell", "Cost", "Study"]

Run = Callable[[Path, Mapping[str, Path]], Iterable[Mapping[str, Any]]]


class Cost(NamedTuple):
    """The expected cost of a cell: seconds, bytes written, and how many of these are removed when the cell is done."""

    seconds: float
    n_bytes: int = 0
    temporary: int = 0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One piece of work of a study, with its own folder.

    Parameters
    ----------
    experiment, name : str
        Together they are the cell's `id`, "experiment/name", which is unique in the study. Both are names of folders.
    request : mapping
        Everything that determines the result, as JSON. Files and models are given by their digests, not their paths.
    run : callable
        ``run(folder, needed)`` does the work in `folder` and returns rows. The folder may contain files of an earlier
        call that was interrupted. `needed` maps the id of each needed cell to its folder.
    format : int, default 1
        Version of the experiment's code. Raise it when the meaning of the result changes; the cells are then run again.
    needs : tuple of str
        Ids of the cells that must be done before this one.
    scratch : tuple of str
        Patterns of files in the folder that are removed once all cells that need this one are done. If another cell
        needs them later, this cell is run again.
    cost : callable, optional
        Returns the expected `Cost`; called only by `plan_study`.

    Examples
    --------
    >>> from pyrepsim.studies.runner import Cell
    >>> cell = Cell(experiment="sums", name="first", request={"n": 3}, run=lambda folder, needed: [{"value": 3.0}])
    >>> cell.id
    'sums/first'
    """

    experiment: str
    name: str
    request: Mapping[str, Any]
    run: Run = field(repr=False)
    format: int = 1
    needs: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    cost: Callable[[], Cost] | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        return f"{self.experiment}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class Study:
    """Cells in the order in which they are run, which is also the order of their rows.

    Parameters
    ----------
    name : str
        The study's name.
    cells : sequence of Cell
        Each cell comes after the cells that it needs.
    settings : mapping
        JSON for ``study.json``: the arguments of the study and digests of its data.
    judge : callable, optional
        From all rows to the records of ``claims.jsonl``.

    Raises
    ------
    OptionError
        If two cells have the same id, a needed cell is missing or comes later, or a name is not the name of a folder.

    Examples
    --------
    >>> from pyrepsim.studies.runner import Cell, Study
    >>> cell = Cell(experiment="sums", name="first", request={"n": 3}, run=lambda folder, needed: [{"value": 3.0}])
    >>> Study(name="example", cells=[cell]).experiments
    ('sums',)
    """

    name: str
    cells: Sequence[Cell]
    settings: Mapping[str, Any] = field(default_factory=dict)
    judge: Callable[[Sequence[Mapping[str, Any]]], Iterable[Mapping[str, Any]]] | None = None

    def __post_init__(self) -> None:
        known: set[str] = set()
        for cell in self.cells:
            if cell.id in known:
                raise OptionError(f"Cells of a study must have different names: two are {cell.id!r}. Rename one.")
            if missing := [need for need in cell.needs if need not in known]:
                raise OptionError(f"A cell must come after those it needs: {cell.id!r} needs {', '.join(missing)}.")
            if not all(map(_names_a_folder, (cell.experiment, cell.name))):
                raise OptionError(
                    "Experiment and name of a cell must be names of folders, of at most 200 bytes and without control "
                    f"characters: got {cell.id[:80]!r}. Rename it."
                )
            known.add(cell.id)

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of the experiments, in order."""
        return tuple(dict.fromkeys(cell.experiment for cell in self.cells))

    def keys(self) -> dict[str, str]:
        """The key of each cell: the xxh3-64 digest of its request, its format and the keys of the cells it needs."""
        keys: dict[str, str] = {}
        for cell in self.cells:
            needs = [keys[need] for need in cell.needs]
            content = [TABLE_FORMAT, cell.experiment, cell.name, cell.format, cell.request, needs]
            try:
                text = json.dumps(content, sort_keys=True, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise OptionError(
                    f"The request of a cell must be JSON: that of {cell.id!r} is not ({error})."
                ) from error
            keys[cell.id] = xxhash.xxh3_64_hexdigest(text.encode())
        return keys

    def select(self, only: Iterable[str] | None) -> list[Cell]:
        """The cells of the experiments `only`, and all cells that they need; all cells for None."""
        if only is None:
            return list(self.cells)
        wanted = list(only)
        if unknown := [name for name in wanted if name not in self.experiments]:
            raise OptionError(
                f"An experiment of {self.name} is one of {', '.join(self.experiments)}: got {', '.join(unknown)}."
            )
        selected: set[str] = set()
        for cell in reversed(self.cells):
            if cell.experiment in wanted or cell.id in selected:
                selected |= {cell.id, *cell.needs}
        return [cell for cell in self.cells if cell.id in selected]


def _names_a_folder(text: str) -> bool:
    return text not in ("", ".", "..") and "/" not in text and text == printable(text) and len(text.encode()) <= 200
