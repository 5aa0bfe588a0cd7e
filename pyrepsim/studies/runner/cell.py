"""A cell: one piece of work of a study, keyed by all that decides its result.

FOLDED: Memory between cells.
"""

from __future__ import annotations

import ctypes
import gc
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from ...core.errors import OptionError

__all__ = ["Cell", "Cost", "Study", "free_memory"]


def free_memory() -> None:
    """Give back to the system what a cell has used.

    Trainers and models refer to each other in circles, which are collected late; and glibc keeps what was freed for
    later use, gigabytes after a cell of long texts, which another worker on the machine may need.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library
        return
    trim(0)


Run = Callable[[Path, Mapping[str, Path]], Iterable[Mapping[str, Any]]]


class Cost(NamedTuple):
    """What a cell is expected to take. Of its bytes, `passing` ones are gone again when it is done."""

    seconds: float
    n_bytes: int = 0
    passing: int = 0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One piece of work with a folder of its own.

    Attributes
    ----------
    experiment, name : where it belongs, and what it is called there; `id`, "experiment/name", is unique in a study.
    request : JSON that decides the result, with digests for files and models rather than their places.
    run : ``run(folder, needed)`` does the work in `folder`, which may hold what an earlier, killed call left, and
        gives its rows. `needed` maps the id of each need to its folder.
    format : of the experiment's code; raise it when its meaning changes, and its cells are run anew.
    needs : ids of the cells that must be done before.
    scratch : patterns of files in the folder that go once every cell that needs this one is done. They are made
        again should another cell need them.
    cost : what it is expected to take, found out when asked.
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
    """Cells in the order in which they are run and their rows stand.

    Attributes
    ----------
    name : of the study.
    settings : JSON for ``study.json``: what it was asked for (model, scale, ...), and of what.
    cells : each after those it needs.
    judge : from all rows to claims; None for a study without claims.
    """

    name: str
    cells: Sequence[Cell]
    settings: Mapping[str, Any] = field(default_factory=dict)
    judge: Callable[[Sequence[Mapping[str, Any]]], Iterable[Mapping[str, Any]]] | None = None

    def __post_init__(self) -> None:
        known: set[str] = set()
        for cell in self.cells:
            if cell.id in known:
                raise OptionError(f"Cells of a study differ in their names: two are {cell.id!r}. Rename one.")
            if missing := [need for need in cell.needs if need not in known]:
                raise OptionError(f"A cell comes after those it needs: {cell.id!r} needs {', '.join(missing)}.")
            if any(part in ("", ".", "..") or "/" in part for part in (cell.experiment, cell.name)):
                raise OptionError(f"Experiment and name of a cell name folders: got {cell.id!r}.")
            known.add(cell.id)

    @property
    def experiments(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.experiment for cell in self.cells))

    def keys(self) -> dict[str, str]:
        """Of each cell the xxh3-64 of its request, its format and the keys of its needs."""
        keys: dict[str, str] = {}
        for cell in self.cells:
            decides = [cell.experiment, cell.name, cell.format, cell.request, [keys[need] for need in cell.needs]]
            try:
                text = json.dumps(decides, sort_keys=True, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise OptionError(f"A cell's request is JSON: that of {cell.id!r} is not ({error}).") from error
            keys[cell.id] = xxhash.xxh3_64_hexdigest(text.encode())
        return keys

    def chosen(self, only: Iterable[str] | None) -> list[Cell]:
        """The cells of the experiments `only`, and all that they need."""
        if only is None:
            return list(self.cells)
        wanted = list(only)
        if unknown := [name for name in wanted if name not in self.experiments]:
            raise OptionError(
                f"An experiment of {self.name} is one of {', '.join(self.experiments)}: got {', '.join(unknown)}."
            )
        taken: set[str] = set()
        for cell in reversed(self.cells):
            if cell.experiment in wanted or cell.id in taken:
                taken |= {cell.id, *cell.needs}
        return [cell for cell in self.cells if cell.id in taken]
