"""What a figure shows, before anything is drawn: panels of lines. One description serves page, file and table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..style import INK, QUIET
from .look import Look
from .selecting import Point

__all__ = ["Grid", "Line", "Mark", "Panel", "Plot"]


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
