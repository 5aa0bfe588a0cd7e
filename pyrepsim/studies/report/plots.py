"""What a figure shows, before anything is drawn: panels of lines. One description serves page, file and table.

FOLDED: One look for each thing that is drawn, the same in every figure: a colour a task, floors dotted grey.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ...results.style import COLOURS, INK, MARKERS, QUIET
from .reading import Row
from .selecting import Point, tasks_of
from .words import task_name

__all__ = ["BASE", "FLOORS", "NOISE", "Grid", "Line", "Look", "Mark", "Panel", "Plot", "looks_of"]


@dataclass(frozen=True)
class Look:
    """How a line looks, and what the legend calls it."""

    label: str
    colour: str
    marker: str = ""
    dash: str | tuple[float, tuple[float, ...]] = "-"
    width: float = 1.7
    opacity: float = 1.0
    """Of the line and, in proportion, of its band."""
    hollow: bool = False

    def called(self, label: str) -> Look:
        """The same under another name."""
        return replace(self, label=label)


BASE = Look("before fine-tuning", INK, "o")
NOISE = Look("seed against seed", QUIET, "", "-.", 1.3)
FLOORS = {
    "random": Look("random weights", QUIET, "", ":", 1.5),
    "unrelated": Look("another encoder", QUIET, "", (0, (1, 3)), 1.9),
    "lex": Look("lexical probe", QUIET, "", ":", 1.2),
}
_FIXED = {"mnli": 0, "squad": 1, "dependency": 2}


def looks_of(rows: Iterable[Row]) -> dict[str, Look]:
    """Return the look of each fine-tuning task; the paper's three have theirs whatever else was run."""
    tasks = tasks_of(rows)
    free = [place for place in range(len(COLOURS) - 1) if place not in _FIXED.values()]
    looks = {}
    for place, task in enumerate(task for task in tasks if task not in _FIXED):
        colour = free[place % len(free)]
        dash = "-" if place < len(free) else "--"
        looks[task] = Look(task_name(task), COLOURS[colour], MARKERS[colour], dash)
    for task, place in _FIXED.items():
        looks[task] = Look(task_name(task), COLOURS[place], MARKERS[place])
    return {task: looks[task] for task in tasks}


@dataclass(frozen=True)
class Line:
    """Points and how they look."""

    look: Look
    points: tuple[Point, ...]
    tested: bool = False
    """Draw points hollow whose adjusted p is not below 0.05."""


@dataclass(frozen=True)
class Mark:
    """A straight line across a panel: a floor or a reference (`across`), or a place on the x axis."""

    at: float
    look: Look
    across: bool = True


@dataclass(frozen=True)
class Grid:
    """A heat map: rows from the top, columns from the left."""

    values: tuple[tuple[float | None, ...], ...]
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    label: str


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()
    grid: Grid | None = None
    ylabel: str | None = None
    categories: tuple[str, ...] = ()
    """Names along y, from the top; the lines' values then lie along x, and their x counts categories."""


@dataclass(frozen=True)
class Plot:
    """A figure: `name` is that of its file, `caption` says what is drawn; the bands are said by the points."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    xlabel: str
    ylabel: str
    caption: str
    alt: str
    """What the figure shows, for who can't see it."""
    share: bool = False
    """All panels have the same y limits."""
    top: float | None = None
    """Upper end of y that is never passed, as 1 is for a similarity."""
    digits: int | None = None
    """After the point, in the list of its numbers; as many as suit each line if None."""
    listed: bool = True
    """Its numbers are listed under it; False where a table says the same."""
    integers: bool = True
    """x counts layers or blocks."""

    def points(self) -> Iterator[Point]:
        """All points of all lines."""
        for panel in self.panels:
            for line in panel.lines:
                yield from line.points

    def looks(self) -> list[Look]:
        """What a legend lists, each once; in black where every panel has a colour of its own."""
        found: dict[str, Look] = {}
        for panel in self.panels:
            drawn: Sequence[Line | Mark] = (*panel.lines, *panel.marks)
            for item in drawn:
                found.setdefault(item.look.label, item.look)
        found.pop("", None)
        own = [{line.look.colour for line in panel.lines} - {INK, QUIET} for panel in self.panels]
        if len(set().union(*own)) > 1 and all(len(colours) <= 1 for colours in own):
            return [look if look.colour == QUIET else replace(look, colour=INK) for look in found.values()]
        return list(found.values())
