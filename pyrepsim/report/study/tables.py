"""A table for people and the records under it for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .plots import Plot
from .words import digits_for, interval, number

__all__ = ["Cell", "Table", "numbers"]


@dataclass(frozen=True)
class Cell:
    """A value's text; `aside` is said more quietly beside it (an interval), `mark` is "gained", "lost" or nothing."""

    text: str
    aside: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """`rows` have a cell a column, the first `n_labels` of them names; `groups` stand above the columns, if any."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    records: Sequence[Mapping[str, Any]]
    """What CSV and Parquet hold: one value a record, unrounded."""
    note: str = ""
    n_labels: int = 1
    groups: tuple[tuple[str, int], ...] = ()
    """A name and how many columns it spans, the labels included."""


def numbers(plot: Plot) -> Table:
    """All points of a figure: the places along x down, the lines across."""
    if any(panel.grid for panel in plot.panels):
        return _map(plot)
    columns = [(panel, line) for panel in plot.panels for line in panel.lines]
    named = any(panel.categories for panel in plot.panels)
    records, at = [], {}
    for place, (panel, line) in enumerate(columns):
        digits = digits_for(point.value for point in line.points) if plot.digits is None else plot.digits
        for point in line.points:
            x = panel.categories[int(point.x)] if panel.categories else point.x
            at[x, place] = Cell(number(point.value, digits), interval(point.low, point.high, digits))
            records.append({
                "panel": panel.title, "line": line.look.label or panel.title, "x": x, "value": point.value,
                "low": point.low, "high": point.high, "band": point.band, "level": point.level, "n": point.n,
                "p": point.p,
            })  # fmt: skip
    places = list(dict.fromkeys(x for x, _ in at)) if named else sorted({x for x, _ in at})
    rows = tuple(
        (Cell(x if isinstance(x, str) else f"{x:g}"), *(at.get((x, place), Cell("")) for place in range(len(columns))))
        for x in places
    )
    labels = [line.look.label or panel.title for panel, line in columns]
    groups = [(panel.title, len(panel.lines)) for panel in plot.panels]
    several = len(groups) > 1 and any(n > 1 for _, n in groups)
    first = "" if named else plot.xlabel
    return Table(
        plot.name, plot.title, (first, *labels), rows, records, groups=(("", 1), *groups) if several else ()
    )  # fmt: skip


def _map(plot: Plot) -> Table:
    """Heat maps go to files: a page has the colours."""
    records = [
        {"panel": panel.title, "measure": panel.grid.label, "before": x, "after": y, "value": value}
        for panel in plot.panels
        if panel.grid is not None
        for x, row in zip(panel.grid.rows, panel.grid.values, strict=True)
        for y, value in zip(panel.grid.columns, row, strict=True)
    ]
    header = ("", "before", "after", "value")
    rows = tuple((Cell(r["panel"]), Cell(f"{r['before']:g}"), Cell(f"{r['after']:g}"), Cell(number(r["value"])))
                 for r in records)  # fmt: skip
    return Table(plot.name, plot.title, header, rows, records)
