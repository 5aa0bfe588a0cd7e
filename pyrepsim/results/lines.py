"""The one line plot: values over layers, or over any number such as frozen blocks, with bands and baselines.

`line_figure` draws a whole figure with one panel. `draw_lines` draws the same on axes that the caller has, and
`draw_line` a single line, for figures with several panels or with something drawn besides:

>>> from pyrepsim.results.lines import Line, line_figure
>>> f1 = Line("pos", [0, 1, 2], [0.91, 0.94, 0.95], low=[0.90, 0.93, 0.94], high=[0.92, 0.95, 0.96])
>>> figure = line_figure(
...     [f1], ticks=["embeddings", "layer.0", "layer.1"], baselines={"lexical baseline": 0.88}, percent=True,
...     title="part of speech", xlabel="layer", ylabel="F1",
... )  # fmt: skip
>>> figure.axes[0].get_ylabel()
'F1 (%)'
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.text import printable
from .style import COLOURS, GRID, MARKERS, QUIET, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "MAX_TICKS",
    "Line",
    "LineStyle",
    "draw_line",
    "draw_lines",
    "finish_axes",
    "line_figure",
    "line_style",
    "name_ticks",
    "thinned",
]

MAX_TICKS = 16
"""With more layers than this, not every layer is named and the figure gets no wider."""


@dataclass(frozen=True)
class LineStyle:
    """How a line looks."""

    colour: str
    marker: str = ""
    dash: str | tuple[float, tuple[float, ...]] = "-"
    width: float = 1.6
    opacity: float = 1.0
    """Opacity of the line, in [0, 1]."""
    hollow: bool = False
    """Markers are filled with white."""
    band_opacity: float = 0.18
    """Opacity of the band, in [0, 1]."""

    def options(self) -> dict[str, Any]:
        """Return the keyword arguments of matplotlib's ``plot`` and ``Line2D``, without the size of the markers."""
        return {
            "color": self.colour, "marker": self.marker, "linestyle": self.dash, "linewidth": self.width,
            "alpha": self.opacity, "markerfacecolor": "white" if self.hollow else self.colour,
            "markeredgecolor": self.colour,
        }  # fmt: skip


def line_style(index: int) -> LineStyle:
    """Return the style of line `index`; after the seven colours they return with dashed, then dotted lines."""
    turn, place = divmod(index, len(COLOURS))
    return LineStyle(COLOURS[place], MARKERS[place], ("-", "--", ":")[turn % 3])


@dataclass(frozen=True)
class Line:
    """A line to draw: a label, and one value for each x.

    A value that is not finite leaves a gap. `low` and `high` are the ends of the band; None or a number that is not
    finite leaves the band out at this x.
    """

    label: str
    x: Sequence[float]
    values: Sequence[float]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None


def draw_line(ax: Axes, line: Line, style: LineStyle, *, marker_size: float | None = None, **options: Any) -> None:
    """Draw one line with its band on `ax`.

    A band over a single x is drawn as a bar. `options` are further keyword arguments of matplotlib's ``plot``.
    """
    if marker_size is None:
        marker_size = 4.2 if len(line.x) <= 2 * MAX_TICKS else 2.4
    values = [value if math.isfinite(value) else math.nan for value in line.values]
    options = {"label": line.label, "zorder": 3.0} | style.options() | options
    ax.plot(line.x, values, markersize=marker_size, **options)
    if line.low is None or line.high is None:
        return
    bands = [
        (x, low, high)
        for x, low, high in zip(line.x, line.low, line.high, strict=True)
        if low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    ]
    if len(bands) > 1:
        opacity = style.band_opacity * style.opacity
        ax.fill_between(*zip(*bands, strict=True), color=style.colour, alpha=opacity, linewidth=0, zorder=2)
    elif bands:
        ax.vlines(*bands[0], color=style.colour, linewidth=1.2, zorder=2)


def draw_lines(
    ax: Axes,
    lines: Sequence[Line],
    *,
    ticks: Sequence[str] | None = None,
    baselines: Mapping[str, float] | None = None,
    percent: bool = False,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
) -> None:
    """Draw lines on `ax`, with horizontal grid lines, named ticks and dashed baselines; draw no legend.

    Parameters
    ----------
    ax : matplotlib Axes
    lines : sequence of Line
        Line i gets `line_style(i)`.
    ticks : sequence of str, optional
        Names of x = 0, 1, 2, ..., such as layers. By default x is a number, and its values are the ticks.
    baselines : mapping from str to float, optional
        Name and value of each dashed horizontal line. An empty name is not written.
    percent : bool, default False
        Values are fractions and the y axis shows percent.
    title, xlabel, ylabel : str
        With ``percent=True``, `ylabel` is followed by "(%)".
    """
    for index, line in enumerate(lines):
        draw_line(ax, line, line_style(index))
    for name, value in (baselines or {}).items():
        ax.axhline(value, color=QUIET, linestyle="--", linewidth=1)
        right = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "ha": "right"}
        ax.annotate(name, (1.0, value), xytext=(0, 3), color=QUIET, **right)
    if ticks is not None:
        name_ticks(ax.xaxis, ticks)
    else:
        ax.set_xticks(thinned(sorted({x for line in lines for x in line.x}), 26))
    finish_axes(ax, percent=percent)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(f"{ylabel} (%)" if percent else ylabel)
    ax.set_title(title, loc="left", fontsize=11)


def line_figure(
    lines: Sequence[Line],
    *,
    ticks: Sequence[str] | None = None,
    baselines: Mapping[str, float] | None = None,
    percent: bool = False,
    title: str = "",
    xlabel: str = "",
    ylabel: str = "",
    legend: bool | None = None,
) -> Figure:
    """Return a figure with one panel. Parameters are those of `draw_lines`.

    With ``legend=True``, by default with two lines or more, the labels of the lines are listed at the right.
    """
    n_places = len(ticks) if ticks is not None else len({x for line in lines for x in line.x})
    legend = len(lines) > 1 if legend is None else legend
    with styled():
        figure = new_figure(max(6.4, 0.5 * min(n_places, MAX_TICKS) + 2) + 1.6 * legend, 3.8)
        ax = figure.subplots()
        draw_lines(
            ax, lines, ticks=ticks, baselines=baselines, percent=percent, title=title, xlabel=xlabel, ylabel=ylabel
        )
        if legend:
            ax.legend(frameon=False, labelcolor=QUIET, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def finish_axes(ax: Axes, *, percent: bool = False) -> None:
    """Add horizontal grid lines behind the data; with `percent`, show fractions on the y axis as percent."""
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    if percent:
        from matplotlib.ticker import FuncFormatter

        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.10g}".replace("-", "−")))


def name_ticks(axis: Any, labels: Sequence[str], most: int = MAX_TICKS) -> None:
    """Name the places 0, 1, 2, ... of an x or y axis: all of them, or every second, third, ... if more than `most`.

    Names of an x axis that are longer than three letters are slanted.
    """
    places = thinned(range(len(labels)), most)
    shown = [printable(labels[place], keep="\n") for place in places]
    slanted = axis.axis_name == "x" and max(map(len, shown), default=0) > 3
    axis.set_ticks(places, shown, **({"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}))


def thinned(items: Sequence[Any], most: int) -> Sequence[Any]:
    """Return all of `items`, or every second, third, ... so that there are at most `most`."""
    return items[:: math.ceil(len(items) / most) or 1]
