"""Plots drawn: every panel in one figure for a file, or a figure a panel for a page that flows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...results.style import GRID, QUIET, new_figure, styled
from .plots import Grid, Line, Panel, Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "draw_panel", "is_cut"]

_MOST_TICKS = 13
_WIDE, _HIGH = 3.55, 2.6  # inches of a panel among others
_ALONE = (3.95, 2.75)


def draw(plot: Plot, *, columns: int = 3) -> Figure:
    """Draw all panels side by side, with one legend below."""
    across = min(columns, len(plot.panels))
    across = 2 if len(plot.panels) == 4 and columns > 2 else across
    down = math.ceil(len(plot.panels) / across)
    width, height = _size(plot)
    looks = plot.looks()
    with styled():
        figure = new_figure(width * across, height * down + 0.3 + 0.24 * math.ceil(len(looks) / (2 * across)))
        axes = figure.subplots(down, across, squeeze=False).ravel()
        limits = _limits(plot.panels, plot) if plot.share else None
        for panel, ax in zip(plot.panels, axes, strict=False):
            _draw_on(ax, panel, plot, limits)
        for ax in axes[len(plot.panels) :]:
            ax.remove()
        if looks:
            shown = [_sample(look) for look in looks]
            labels = [look.label for look in looks]
            widest = 0.55 + 0.075 * max(map(len, labels))  # inches
            many = max(1, min(len(looks), int(width * across / widest)))
            figure.legend(shown, labels, loc="outside lower center", ncols=many, frameon=False)
        figure.suptitle(plot.title, x=0.02, ha="left", fontsize=11.5)
    return figure


def draw_panel(plot: Plot, place: int) -> Figure:
    """Draw one panel by itself, in the limits it has among the others, without a legend.

    All panels of a plot have the same margins, so that their axes are level side by side.
    """
    width, height = _size(plot)
    with styled():
        figure = new_figure(width, height)
        limits = _limits(plot.panels, plot) if plot.share else None
        if plot.panels[place].grid is None:
            figure.set_layout_engine("none")  # it would measure every label, which takes most of the time
            names = [name for panel in plot.panels for name in panel.categories]
            left = 0.2 + 0.083 * max(map(len, names)) if names else _left(plot)
            title = 0.3 if any(panel.title for panel in plot.panels) else 0.12
            box = (left / width, 0.5 / height, (width - left - 0.1) / width, (height - 0.5 - title) / height)
            ax = figure.add_axes(box)
        else:
            ax = figure.subplots()
        _draw_on(ax, plot.panels[place], plot, limits)
    return figure


def is_cut(plot: Plot) -> bool:
    """Whether a band reaches beyond its panel."""
    for panel in plot.panels:
        ends = [end for line in panel.lines for point in line.points for end in (point.low, point.high)]
        low, high = _reach(panel) if panel.categories else _limits(plot.panels if plot.share else (panel,), plot)
        if any(end is not None and not low <= end <= high for end in ends):
            return True
    return False


def _left(plot: Plot) -> float:
    """Inches that the widest number of any panel's y axis needs, and its label."""
    widest = 0
    for panel in plot.panels:
        low, high = _limits(plot.panels if plot.share else (panel,), plot)
        ticks = [tick for tick in _locator().tick_values(low, high) if low <= tick <= high]
        widest = max([widest, *(len(_tick(tick)) for tick in ticks)])
    named = any((plot.ylabel if panel.ylabel is None else panel.ylabel) != "" for panel in plot.panels)
    return 0.2 + 0.082 * widest + (0.2 if named else 0.0)


def _size(plot: Plot) -> tuple[float, float]:
    rows = max(len(panel.categories) for panel in plot.panels)
    if rows:
        lines = max(len(panel.lines) for panel in plot.panels)
        width = _ALONE[0] if len(plot.panels) == 1 else _WIDE
        return width, 0.85 + rows * max(0.32, 0.17 * lines)
    if plot.panels[0].grid:
        return _WIDE, _WIDE * 0.92
    return _ALONE if len(plot.panels) == 1 else (_WIDE, _HIGH)


def _draw_on(ax: Axes, panel: Panel, plot: Plot, limits: tuple[float, float] | None) -> None:
    ax.set_title(panel.title, loc="left", fontsize=min(10.5, 10.5 * 34 / max(1, len(panel.title))))
    if panel.grid is not None:
        cells = [other.grid.values for other in plot.panels if other.grid is not None]
        known = [value for rows in cells for row in rows for value in row if value is not None]
        _draw_grid(ax, panel.grid, min(known), max(known))
    elif panel.categories:
        _draw_rows(ax, panel)
    else:
        _draw_lines(ax, panel, plot, limits)
    ax.set_xlabel(plot.xlabel)
    ax.set_ylabel(plot.ylabel if panel.ylabel is None else panel.ylabel)


def _draw_lines(ax: Axes, panel: Panel, plot: Plot, limits: tuple[float, float] | None) -> None:
    places = sorted({point.x for line in panel.lines for point in line.points})
    low, high = limits or _limits((panel,), plot)
    for order, line in enumerate(panel.lines):
        _draw_line(ax, line, len(places), 3 + 0.1 * order)
    for mark in panel.marks:
        look = mark.look
        drawn = {"color": look.colour, "linestyle": look.dash, "linewidth": look.width, "zorder": 1.5}
        (ax.axhline if mark.across else ax.axvline)(mark.at, **drawn)
    ax.set_ylim(low, high)
    ax.set_xlim(places[0] - 0.3, places[-1] + 0.3)
    if plot.integers:
        ax.set_xticks(_thinned(places))
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    _number_ticks(ax.yaxis)


def _draw_line(ax: Axes, line: Line, n_places: int, order: float) -> None:
    look, size = line.look, 4.2 if n_places <= 26 else 2.4
    xs = [point.x for point in line.points]
    ax.plot(xs, [point.value for point in line.points], zorder=order, markersize=size, **_style(look))
    if line.tested:
        kept = [point for point in line.points if point.p is None or point.p >= 0.05]
        if kept:
            style = {"markerfacecolor": "white", "markeredgecolor": look.colour, "linestyle": ""}
            at = ([point.x for point in kept], [point.value for point in kept])
            ax.plot(*at, look.marker, markersize=size, zorder=order + 0.05, **style)
    bands = [(point.x, point.low, point.high) for point in line.points if point.low is not None]
    if len(bands) > 1:
        ax.fill_between(
            *zip(*bands, strict=True),
            color=look.colour,
            alpha=(0.07 if look.colour == QUIET else 0.14) * look.opacity,
            linewidth=0,
            zorder=2,
        )
    elif bands:
        ax.vlines(*bands[0], color=look.colour, linewidth=1.2, zorder=2)
    dots = [(point.x, value) for point in line.points for value in point.seeds]
    if dots and len(dots) <= 60:
        xs, ys = zip(*dots, strict=True)
        ax.plot(xs, ys, "_", color=look.colour, markersize=5, markeredgewidth=0.9, alpha=0.75, zorder=order - 0.05)


def _draw_rows(ax: Axes, panel: Panel) -> None:
    """Draw names down the side; a dot and its interval for each line, the first line above."""
    step = 0.64 / max(1, len(panel.lines))
    for order, line in enumerate(panel.lines):
        look = line.look
        shift = (order - (len(panel.lines) - 1) / 2) * step
        for point in line.points:
            at = point.x + shift
            if point.low is not None and point.high is not None:
                ax.hlines(at, point.low, point.high, color=look.colour, linewidth=1.5, zorder=2)
            for value in point.seeds:
                ax.plot([value], [at], "|", color=look.colour, markersize=6, alpha=0.8, zorder=2.5)
        ax.plot([p.value for p in line.points], [p.x + shift for p in line.points], color=look.colour,
                marker=look.marker or "o", linestyle="", markersize=5, zorder=3)  # fmt: skip
    for mark in panel.marks:
        ax.axvline(mark.at, color=mark.look.colour, linestyle=mark.look.dash, linewidth=1, zorder=1)
    ax.set_yticks(range(len(panel.categories)), panel.categories)
    ax.set_ylim(len(panel.categories) - 0.5, -0.5)
    ax.set_xlim(*_reach(panel))
    ax.tick_params(axis="y", length=0)
    _number_ticks(ax.xaxis)
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def _reach(panel: Panel) -> tuple[float, float]:
    """Return x limits for all intervals; that of a few seeds is cut where it is far wider than the seeds apart."""
    points = [point for line in panel.lines for point in line.points]
    values = [value for point in points for value in (point.value, *point.seeds)]
    values += [mark.at for mark in panel.marks]
    ends = [end for point in points for end in (point.low, point.high) if end is not None]
    low, high = min([*values, *ends]), max([*values, *ends])
    apart = max((max(point.seeds) - min(point.seeds) for point in points if len(point.seeds) > 1), default=None)
    if apart is not None:
        room = 2 * max(apart, 0.01 * max(map(abs, values)))
        low, high = max(low, min(values) - room), min(high, max(values) + room)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _draw_grid(ax: Axes, grid: Grid, low: float, high: float) -> None:
    values = [[math.nan if value is None else value for value in row] for row in grid.values]
    # Edges in the cell's own colour: else the page shines through the seams.
    image = ax.pcolormesh(values, cmap="cividis", vmin=low, vmax=high, edgecolors="face", linewidth=0.3)
    ax.invert_yaxis()
    if 0.5 <= len(grid.rows) / len(grid.columns) <= 2:
        ax.set_aspect("equal")
    for axis, named in ((ax.xaxis, grid.columns), (ax.yaxis, grid.rows)):
        shown = _thinned(list(named), 7)
        axis.set_ticks([named.index(layer) + 0.5 for layer in shown], [f"{layer:g}" for layer in shown])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2, labelsize=8)


def _limits(panels: tuple[Panel, ...], plot: Plot) -> tuple[float, float]:
    """Return y limits for the values and floors; a wide band may widen them by half, and is cut beyond."""
    lines = [line for panel in panels for line in panel.lines]
    values = [point.value for line in lines for point in line.points]
    values += [mark.at for panel in panels for mark in panel.marks if mark.across]
    values += [value for line in lines for point in line.points for value in point.seeds]
    low, high = min(values), max(values)
    span = (high - low) or max(abs(high) * 0.1, 0.1)
    ends = [point for line in lines for point in line.points if point.low is not None]
    low = max(min([low, *(point.low for point in ends)]), low - span / 2)
    high = min(max([high, *(point.high for point in ends)]), high + span / 2)
    margin = 0.06 * ((high - low) or span)
    above = high + margin if plot.top is None else min(high + margin, max(plot.top, high) + margin / 2)
    return low - margin, above


def _style(look: Any) -> dict[str, Any]:
    face = "white" if look.hollow else look.colour
    return {
        "color": look.colour, "marker": look.marker, "linestyle": look.dash, "linewidth": look.width,
        "alpha": look.opacity, "markerfacecolor": face, "markeredgecolor": look.colour,
    }  # fmt: skip


def _sample(look: Any) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], markersize=4.2, **_style(look))


def _thinned(places: list[float], most: int = _MOST_TICKS) -> list[float]:
    return places[:: math.ceil(len(places) / most)]


def _number_ticks(axis: Any) -> None:
    """Round steps, and each number in full: an exponent above the axis would run into the title."""
    axis.set_major_locator(_locator())
    axis.set_major_formatter(lambda value, _: _tick(value))


def _locator() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "−")
