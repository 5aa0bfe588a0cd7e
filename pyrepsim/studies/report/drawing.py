"""Drawing of plots: all panels in one figure for a file, or one figure per panel for a page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ...core.text import printable
from ...results.lines import Line, draw_line, finish_axes, thinned
from ...results.style import GRID, new_figure, styled
from .plots import HeatMap, Panel, Plot, Series, Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw", "draw_panel", "is_cut"]

_MAX_TICKS = 13
_WIDE, _HIGH = 3.55, 2.6  # size in inches of one of several panels
_ALONE = (3.95, 2.75)  # size of a single panel


def draw(plot: Plot, *, columns: int = 3) -> Figure:
    """Draw all panels side by side, with one legend below."""
    plot = plot.displayed()
    across = min(columns, len(plot.panels))
    across = 2 if len(plot.panels) == 4 and columns > 2 else across
    down = math.ceil(len(plot.panels) / across)
    width, height = _size(plot)
    legend = plot.legend()
    with styled():
        figure = new_figure(width * across, height * down + 0.3 + 0.24 * math.ceil(len(legend) / (2 * across)))
        axes = figure.subplots(down, across, squeeze=False).ravel()
        limits = _limits(plot.panels, plot.top) if plot.share else None
        for panel, ax in zip(plot.panels, axes, strict=False):
            _draw_on(ax, panel, plot, limits)
        for ax in axes[len(plot.panels) :]:
            ax.remove()
        if legend:
            labels = [style.label for style in legend]
            widest = 0.55 + 0.075 * max(map(len, labels))  # inches
            n_columns = max(1, min(len(legend), int(width * across / widest)))
            samples = [_legend_sample(style) for style in legend]
            figure.legend(samples, labels, loc="outside lower center", ncols=n_columns, frameon=False)
        figure.suptitle(plot.title, x=0.02, ha="left", fontsize=11.5)
    return figure


def draw_panel(plot: Plot, place: int) -> Figure:
    """Draw one panel alone and without a legend, with the same limits as beside the others.

    All panels of a plot have the same margins, so that their axes are aligned side by side.
    """
    plot = plot.displayed()
    width, height = _size(plot)
    with styled():
        figure = new_figure(width, height)
        limits = _limits(plot.panels, plot.top) if plot.share else None
        if plot.panels[place].heat_map is None:
            figure.set_layout_engine("none")  # measuring every label would take most of the time
            names = [name for panel in plot.panels for name in panel.categories]
            left = 0.2 + 0.083 * max(map(len, names)) if names else _left_margin(plot)
            title = 0.3 if any(panel.title for panel in plot.panels) else 0.12
            box = (left / width, 0.5 / height, (width - left - 0.1) / width, (height - 0.5 - title) / height)
            ax = figure.add_axes(box)
        else:
            ax = figure.subplots()
        _draw_on(ax, plot.panels[place], plot, limits)
    return figure


def is_cut(plot: Plot) -> bool:
    """Return whether a band extends beyond its panel."""
    plot = plot.displayed()
    for panel in plot.panels:
        ends = [end for series in panel.series for point in series.points for end in (point.low, point.high)]
        shared = plot.panels if plot.share else (panel,)
        low, high = _category_limits(panel) if panel.categories else _limits(shared, plot.top)
        if any(end is not None and not low <= end <= high for end in ends):
            return True
    return False


def _left_margin(plot: Plot) -> float:
    """Return the inches needed by the widest number on any panel's y axis, and by its label."""
    widest = 0
    for panel in plot.panels:
        low, high = _limits(plot.panels if plot.share else (panel,), plot.top)
        ticks = [tick for tick in _locator().tick_values(low, high) if low <= tick <= high]
        widest = max([widest, *(len(_tick_label(tick)) for tick in ticks)])
    labelled = any((plot.ylabel if panel.ylabel is None else panel.ylabel) != "" for panel in plot.panels)
    return 0.2 + 0.082 * widest + (0.2 if labelled else 0.0)


def _size(plot: Plot) -> tuple[float, float]:
    n_categories = max(len(panel.categories) for panel in plot.panels)
    if n_categories:
        n_series = max(len(panel.series) for panel in plot.panels)
        width = _ALONE[0] if len(plot.panels) == 1 else _WIDE
        return width, 0.85 + n_categories * max(0.32, 0.17 * n_series)
    if plot.panels[0].heat_map:
        return _WIDE, _WIDE * 0.92
    return _ALONE if len(plot.panels) == 1 else (_WIDE, _HIGH)


def _draw_on(ax: Axes, panel: Panel, plot: Plot, limits: tuple[float, float] | None) -> None:
    ax.set_title(panel.title, loc="left", fontsize=min(10.5, 10.5 * 34 / max(1, len(panel.title))))
    if panel.heat_map is not None:
        maps = [other.heat_map.values for other in plot.panels if other.heat_map is not None]
        known = [value for rows in maps for row in rows for value in row if value is not None]
        _draw_heat_map(ax, panel.heat_map, min(known), max(known))
    elif panel.categories:
        _draw_categories(ax, panel)
    else:
        _draw_series(ax, panel, limits or _limits((panel,), plot.top))
    ax.set_xlabel(plot.xlabel)
    ax.set_ylabel(plot.ylabel if panel.ylabel is None else panel.ylabel)


def _draw_series(ax: Axes, panel: Panel, limits: tuple[float, float]) -> None:
    places = sorted({point.x for series in panel.series for point in series.points})
    for order, series in enumerate(panel.series):
        _draw_one(ax, series, 4.2 if len(places) <= 26 else 2.4, 3 + 0.1 * order)
    for mark in panel.marks:
        style = mark.style
        ax.axhline(mark.at, color=style.colour, linestyle=style.dash, linewidth=style.width, zorder=1.5)
    ax.set_ylim(*limits)
    ax.set_xlim(places[0] - 0.3, places[-1] + 0.3)
    ax.set_xticks(thinned(places, _MAX_TICKS))
    finish_axes(ax)
    _number_ticks(ax.yaxis)


def _draw_one(ax: Axes, series: Series, marker_size: float, order: float) -> None:
    style, points = series.style, series.points
    line = Line(
        style.label,
        [point.x for point in points],
        [point.value for point in points],
        [point.low for point in points],
        [point.high for point in points],
    )
    draw_line(ax, line, style, marker_size=marker_size, zorder=order)
    not_significant = [point for point in points if series.tested and (point.p is None or point.p >= 0.05)]
    if not_significant:
        at = ([point.x for point in not_significant], [point.value for point in not_significant])
        options = {"markerfacecolor": "white", "markeredgecolor": style.colour, "linestyle": ""}
        ax.plot(*at, style.marker, markersize=marker_size, zorder=order + 0.05, **options)
    ticks = [(point.x, value) for point in points for value in point.seeds]
    if 0 < len(ticks) <= 60:
        xs, ys = zip(*ticks, strict=True)
        ax.plot(xs, ys, "_", color=style.colour, markersize=5, markeredgewidth=0.9, alpha=0.75, zorder=order - 0.05)


def _draw_categories(ax: Axes, panel: Panel) -> None:
    """Draw category names down the side; for each series a dot and its interval, the first series above."""
    step = 0.64 / max(1, len(panel.series))
    for order, series in enumerate(panel.series):
        style = series.style
        shift = (order - (len(panel.series) - 1) / 2) * step
        for point in series.points:
            at = point.x + shift
            if point.low is not None and point.high is not None:
                ax.hlines(at, point.low, point.high, color=style.colour, linewidth=1.5, zorder=2)
            for value in point.seeds:
                ax.plot([value], [at], "|", color=style.colour, markersize=6, alpha=0.8, zorder=2.5)
        ax.plot([p.value for p in series.points], [p.x + shift for p in series.points], color=style.colour,
                marker=style.marker or "o", linestyle="", markersize=5, zorder=3)  # fmt: skip
    for mark in panel.marks:
        ax.axvline(mark.at, color=mark.style.colour, linestyle=mark.style.dash, linewidth=1, zorder=1)
    ax.set_yticks(range(len(panel.categories)), [printable(name, keep="\n") for name in panel.categories])
    ax.set_ylim(len(panel.categories) - 0.5, -0.5)
    ax.set_xlim(*_category_limits(panel))
    ax.tick_params(axis="y", length=0)
    _number_ticks(ax.xaxis)
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def _category_limits(panel: Panel) -> tuple[float, float]:
    """Return x limits that include all intervals, but cut intervals much wider than the range of a few seeds."""
    points = [point for series in panel.series for point in series.points]
    values = [value for point in points for value in (point.value, *point.seeds)]
    values += [mark.at for mark in panel.marks]
    ends = [end for point in points for end in (point.low, point.high) if end is not None]
    low, high = min([*values, *ends]), max([*values, *ends])
    seed_range = max((max(point.seeds) - min(point.seeds) for point in points if len(point.seeds) > 1), default=None)
    if seed_range is not None:
        beyond = 2 * max(seed_range, 0.01 * max(map(abs, values)))
        low, high = max(low, min(values) - beyond), min(high, max(values) + beyond)
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _draw_heat_map(ax: Axes, heat_map: HeatMap, low: float, high: float) -> None:
    values = [[math.nan if value is None else value for value in row] for row in heat_map.values]
    # Edges have the colour of their cell; without edges the background shows between cells.
    image = ax.pcolormesh(values, cmap="cividis", vmin=low, vmax=high, edgecolors="face", linewidth=0.3)
    ax.invert_yaxis()
    if 0.5 <= len(heat_map.rows) / len(heat_map.columns) <= 2:
        ax.set_aspect("equal")
    for axis, layers in ((ax.xaxis, heat_map.columns), (ax.yaxis, heat_map.rows)):
        shown = thinned(layers, 7)
        axis.set_ticks([layers.index(layer) + 0.5 for layer in shown], [f"{layer:g}" for layer in shown])
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2, labelsize=8)


def _limits(panels: tuple[Panel, ...], top: float | None) -> tuple[float, float]:
    """Return y limits for values and baselines; wide bands extend the limits by at most half and are cut beyond."""
    points = [point for panel in panels for series in panel.series for point in series.points]
    values = [point.value for point in points]
    values += [mark.at for panel in panels for mark in panel.marks]
    values += [value for point in points for value in point.seeds]
    low, high = min(values), max(values)
    span = (high - low) or max(abs(high) * 0.1, 0.1)
    with_band = [point for point in points if point.low is not None]
    low = max(min([low, *(point.low for point in with_band)]), low - span / 2)
    high = min(max([high, *(point.high for point in with_band)]), high + span / 2)
    margin = 0.06 * ((high - low) or span)
    upper = high + margin if top is None else min(high + margin, max(top, high) + margin / 2)
    return low - margin, upper


def _legend_sample(style: Style) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], markersize=4.2, **style.options())


def _number_ticks(axis: Any) -> None:
    """Set ticks at round numbers, written in full: a common exponent above the axis would overlap the title."""
    axis.set_major_locator(_locator())
    axis.set_major_formatter(lambda value, _: _tick_label(value))


def _locator() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])


def _tick_label(value: float) -> str:
    return f"{value:g}".replace("-", "−")
