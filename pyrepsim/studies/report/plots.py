"""Description of a figure before it is drawn: panels with series of points, and how each series looks.

One description serves the page, the figure's file and its table of numbers. A fine-tuning task has the same colour in
every figure; baselines are dotted grey lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...results.lines import LineStyle
from ...results.style import COLOURS, INK, MARKERS, QUIET
from ..runner import select
from .rows import Point, Row, tasks_of
from .text import in_prose, joined, task_name

__all__ = [
    "BASELINES", "LAYER", "SEEDS", "ZERO", "HeatMap", "Mark", "Panel", "Plot", "Series", "Style", "by_model",
    "line_charts", "make_plot", "styles_of",
]  # fmt: skip

LAYER = "layer (0: embeddings)"


@dataclass(frozen=True)
class Style(LineStyle):
    """How a line looks, and its label in the legend."""

    width: float = 1.7
    band_opacity: float = 0.14
    label: str = ""


def _grey(label: str, dash: str | tuple[float, tuple[float, ...]], width: float) -> Style:
    return Style(QUIET, dash=dash, width=width, band_opacity=0.07, label=label)


BASE = Style(INK, "o", label="before fine-tuning")
SEEDS = _grey("seed against seed", "-.", 1.3)
BASELINES = {
    "random": _grey("random weights", ":", 1.5),
    "unrelated": _grey("another encoder", (0, (1, 3)), 1.9),
}
"""Styles of the baselines, by the rows' `variant`."""
ZERO = _grey("", "-", 0.9)
_FIXED = {"mnli": 0, "squad": 1, "dependency": 2}


def styles_of(rows: Iterable[Row]) -> dict[str, Style]:
    """Return the style of each fine-tuning task. The three tasks of Merchant et al. always have the same colours."""
    tasks = tasks_of(rows)
    free = [place for place in range(len(COLOURS) - 1) if place not in _FIXED.values()]
    styles = {}
    for place, task in enumerate(task for task in tasks if task not in _FIXED):
        colour = free[place % len(free)]
        dash = "-" if place < len(free) else "--"
        styles[task] = Style(COLOURS[colour], MARKERS[colour], dash, label=task_name(task))
    for task, place in _FIXED.items():
        styles[task] = Style(COLOURS[place], MARKERS[place], label=task_name(task))
    return {task: styles[task] for task in tasks}


def by_model(rows: list[Row], random: str = "random weights") -> Iterator[tuple[Style, list[Row]]]:
    """Yield style and rows of the base model, of each tuned model and of the model with random weights."""
    yield BASE, select(rows, variant="base")
    for task, style in styles_of(rows).items():
        yield replace(style, label=f"tuned on {in_prose(task)}"), select(rows, variant="tuned", task=task)
    yield replace(BASELINES["random"], label=random), select(rows, variant="random")


@dataclass(frozen=True)
class Series:
    """Points and their style."""

    style: Style
    points: tuple[Point, ...]
    tested: bool = False
    """Points are drawn hollow if their adjusted p-value is at least 0.05."""


@dataclass(frozen=True)
class Mark:
    """A straight line through a panel, at a value such as a baseline."""

    at: float
    style: Style


@dataclass(frozen=True)
class HeatMap:
    """Values by row, from the top, and by column, from the left. None is a missing value."""

    values: tuple[tuple[float | None, ...], ...]
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    label: str

    @classmethod
    def from_cells(cls, cells: dict[tuple[float, float], float], label: str) -> HeatMap:
        """Make a map from values by (row, column)."""
        rows, columns = (tuple(sorted({place[axis] for place in cells})) for axis in (0, 1))
        return cls(tuple(tuple(cells.get((x, y)) for y in columns) for x in rows), rows, columns, label)


@dataclass(frozen=True)
class Panel:
    """One pair of axes with series, or a heat map."""

    title: str
    series: tuple[Series, ...] = ()
    marks: tuple[Mark, ...] = ()
    heat_map: HeatMap | None = None
    ylabel: str | None = None
    categories: tuple[str, ...] = ()
    """Names along the y axis, from the top. The values are then along the x axis, and a point's x is its category."""
    percent: bool = False
    """Values are fractions that are shown in percent."""

    def displayed(self) -> Panel:
        """Return the panel with the values that are shown: in percent, times 100."""
        if not self.percent:
            return self
        series = tuple(replace(one, points=tuple(map(_in_percent, one.points))) for one in self.series)
        marks = tuple(replace(mark, at=100 * mark.at) for mark in self.marks)
        return replace(self, series=series, marks=marks, percent=False)


def _in_percent(point: Point) -> Point:
    low, high = (None if end is None else 100 * end for end in (point.low, point.high))
    seeds = tuple(100 * value for value in point.seeds)
    return replace(point, value=100 * point.value, low=low, high=high, seeds=seeds)


@dataclass(frozen=True)
class Plot:
    """A figure: the name of its file, its title, its panels and its caption, without the description of the bands."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    xlabel: str
    ylabel: str
    caption: str
    alt: str
    """Description of the figure for readers who cannot see it."""
    share: bool = False
    """All panels have the same y limits."""
    top: float | None = None
    """Upper limit of the y axis, such as 1 for a similarity."""
    digits: int | None = None
    """Decimals in the table of its numbers; by default as many as suit each series."""
    listed: bool = True
    """Its numbers are listed below it; False if another table of the page has them."""

    def displayed(self) -> Plot:
        """Return the plot with the values that are shown: in percent, times 100."""
        return replace(self, panels=tuple(panel.displayed() for panel in self.panels))

    def points(self) -> Iterator[Point]:
        """Yield all points of all series."""
        for panel in self.panels:
            for series in panel.series:
                yield from series.points

    def legend(self) -> list[Style]:
        """Return the styles in the legend, each label once; in black if every panel has a colour of its own."""
        by_label: dict[str, Style] = {}
        for panel in self.panels:
            for item in (*panel.series, *panel.marks):
                by_label.setdefault(item.style.label, item.style)
        by_label.pop("", None)
        colours = [{series.style.colour for series in panel.series} - {INK, QUIET} for panel in self.panels]
        if len(set().union(*colours)) > 1 and all(len(own) <= 1 for own in colours):
            return [style if style.colour == QUIET else replace(style, colour=INK) for style in by_label.values()]
        return list(by_label.values())


def make_plot(name: str, title: str, panels: Sequence[Panel], *texts: str, **options: Any) -> Plot | None:
    """Return a plot, or None if it has no panels. `texts` are the labels of x and y, caption and description."""
    return Plot(name, title, tuple(panels), *texts, **options) if panels else None


def line_charts(panels: Iterable[Panel], rest: str) -> str:
    """Return the description of line charts for `Plot.alt`."""
    return f"Line charts, one for each of {joined(panel.title for panel in panels)}: {rest}."
