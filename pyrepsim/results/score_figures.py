"""Figures of scores: lines over layers, and layer x layer heat maps."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.errors import OptionError
from ..core.text import printable
from .figures import save
from .lines import MAX_TICKS, Line, draw_line, finish_axes, line_style, name_ticks
from .score_tables import are_differences, caption, format_value, names
from .style import GRID, INK, figure_and_axes, new_figure, styled, title_axes, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .scores import Scores

__all__ = ["heat_maps", "layer_curves", "plot"]

_MAX_CELLS = 24  # with more layers, a heat map gets no larger and not every layer is named


def plot(
    scores: Scores,
    *,
    path: str | os.PathLike[str] | None = None,
    measure: Any = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw lines over layers where each layer has one partner, else heat maps; write them to `path` if given.

    ``title=""`` draws no title.
    """
    chosen = scores if measure is None else scores.select(measure=measure)
    if not len(chosen) or None in chosen.layers_x:
        raise OptionError("A figure shows layers: these scores have none. Compare stores, or use table().")
    pairs = list(dict.fromkeys((score.layer_x, score.layer_y) for score in chosen))
    one_to_one = len({x for x, _ in pairs}) == len({y for _, y in pairs}) == len(pairs)
    text = caption(chosen) if title is None else title
    with styled():
        if one_to_one and len(pairs) > 1:
            figure = layer_curves(chosen, pairs, ax, text)
        elif one_to_one:
            figure = _one_pair(chosen, ax, text)
        else:
            figure = heat_maps(chosen, ax, title)
    if path is not None:
        save(figure, path)
    return figure


def layer_curves(scores: Scores, pairs: list[tuple[Any, Any]], ax: Axes | None, title: str) -> Figure:
    """Draw a line over the layers for each measure, with a band where scores have intervals.

    Measures with all values in [-1, 1] share a panel; every other measure has its own panel below.
    Raises OptionError if a layer pair has two scores of one measure.
    """
    _check_single(scores)
    # The limit is a little above 1 because debiased estimates may exceed 1 slightly.
    reach = dict.fromkeys(scores.measures, 0.0)
    for score in scores:
        if math.isfinite(score.value):
            reach[score.measure] = max(reach[score.measure], abs(score.value))
    within = [name for name in scores.measures if reach[name] <= 1.05]
    panels = ([within] if within else []) + [[name] for name in scores.measures if name not in within]
    ticks = [str(x) if x == y else f"{x} ~ {y}" for x, y in pairs]
    if ax is None:
        heights = [3.6 if len(panel) > 1 else 2.4 for panel in panels]
        figure = new_figure(max(6.4, 1.9 + 0.42 * min(len(pairs), MAX_TICKS)) + 1.6, sum(heights) + 1.0)
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    else:
        _check_one_panel(panels)
        figure, axes = ax.figure, [ax]
    for panel, one in zip(panels, axes, strict=True):
        ends = []
        for name in panel:
            ends.append(_curve(one, scores.select(measure=name), pairs, scores.measures.index(name)))
        finish_axes(one)
        one.margins(y=0.08)
        one.set_xlim(-0.3, len(pairs) - 0.7)
        one.set_ylabel(_value_name(scores) if len(panel) > 1 else _panel_name(scores, panel[0]))
        _label_ends(one, ends)
    x, y = names(scores)
    name_ticks(axes[-1].xaxis, ticks)
    axes[-1].set_xlabel(wrapped(f"layer of {x} and of {y}" if x != y else f"layer of {x}", figure, 2.2))
    if title:
        title_axes(axes[0], title, indent=0.6)
    return figure  # type: ignore[return-value] - the figure of axes may be a part of a figure


def _one_pair(scores: Scores, ax: Axes | None, title: str) -> Figure:
    """Draw one layer pair: a point for each measure, with its interval."""
    _check_single(scores)
    figure, ax = figure_and_axes(ax, 6.4, 0.34 * len(scores) + 1.3)
    for place, score in enumerate(scores):
        if score.interval is not None:
            ax.plot(score.interval, (place, place), color=line_style(0).colour, linewidth=2.2, alpha=0.4)
        ax.plot([score.value], [place], "o", color=line_style(0).colour, markersize=5)
    ax.set_yticks(range(len(scores)))
    ax.set_yticklabels([printable(score.measure) for score in scores])
    ax.set_ylim(len(scores) - 0.5, -0.5)
    ax.grid(axis="x", color=GRID)
    ax.set_axisbelow(True)
    x, y = scores[0].layer_x, scores[0].layer_y
    ax.set_xlabel(printable(f"{_value_name(scores)} of {x if x == y else f'{x} ~ {y}'}"))
    if title:
        title_axes(ax, title, indent=2.2)
    return figure


def _panel_name(scores: Scores, measure: str) -> str:
    name = measure.partition("(")[0]
    return f"difference of {name}" if are_differences(scores) else name


def _value_name(scores: Scores) -> str:
    return "difference" if are_differences(scores) else "score"


def _check_one_panel(panels: Sequence[Any]) -> None:
    if len(panels) > 1:
        raise OptionError(
            f"ax= takes a figure of one panel: these scores need {len(panels)}. Choose one measure with measure=, or "
            "leave ax out."
        )


def heat_maps(scores: Scores, ax: Axes | None, title: str | None) -> Figure:
    """Draw a layer x layer heat map for each measure: layers of X are rows, layers of Y columns."""
    measures = scores.measures
    across = min(len(measures), 2)
    down = math.ceil(len(measures) / across)
    x, y = names(scores)
    if ax is None:
        cell = 0.46
        width = max(3.4, cell * min(len(scores.layers_y), _MAX_CELLS) + 2.2)
        height = max(2.8, cell * min(len(scores.layers_x), _MAX_CELLS) + 1.5)
        figure = new_figure(width * across, height * down + 0.3)
        axes = figure.subplots(down, across, squeeze=False).ravel()
    else:
        _check_one_panel(measures)
        figure, axes = ax.figure, [ax]
    for measure, one in zip(measures, axes, strict=False):
        _heat_map(figure, one, scores, measure)
        one.set_ylabel(wrapped(f"layer of {x}", figure, 2.2))
        one.set_xlabel(wrapped(f"layer of {y}", figure, 2.2))
        if ax is not None and title is not None:
            one.set_title(title, loc="left")
    for empty in axes[len(measures) :]:
        empty.remove()
    if ax is None and title:
        figure.suptitle(wrapped(title, figure), x=0.01, ha="left", fontsize=11)
    return figure  # type: ignore[return-value] - the figure of axes may be a part of a figure


class _End(NamedTuple):
    """The last finite point of a line; `x` is None if there is none."""

    x: float | None
    value: float
    colour: str
    name: str


def _check_single(scores: Scores) -> None:
    """Raise OptionError if one measure has two scores for one layer pair."""
    seen = set()
    for score in scores:
        if (key := (score.measure, score.layer_x, score.layer_y)) in seen:
            raise OptionError(
                f"A line has one score for each layer pair: {key[0]} has several for {key[1:]}. Select the scores of "
                "one comparison first."
            )
        seen.add(key)


def _curve(ax: Axes, scores: Scores, pairs: list[Any], index: int) -> _End:
    """Draw one measure and return the end of its line."""
    by_pair = {(score.layer_x, score.layer_y): score for score in scores}
    drawn = [(x, by_pair[pair]) for x, pair in enumerate(pairs) if pair in by_pair]
    line = Line(
        scores[0].measure,
        [x for x, _ in drawn],
        [score.value for _, score in drawn],
        low=[score.interval and score.interval[0] for _, score in drawn],
        high=[score.interval and score.interval[1] for _, score in drawn],
    )
    style = line_style(index)
    draw_line(ax, line, style, clip_on=False)
    ends = [(x, value) for x, value in zip(line.x, line.values, strict=True) if math.isfinite(value)]
    return _End(*(ends[-1] if ends else (None, 0.0)), style.colour, line.label)


def _label_ends(ax: Axes, ends: Sequence[_End]) -> None:
    """Write each line's name at the right, connected to its end and placed so that no two names overlap."""
    low, high = ax.get_ylim()
    gap = (high - low) * 0.062
    order = sorted(ends, key=lambda end: low if end.x is None else end.value)
    places = [low if end.x is None else end.value for end in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    shift = max(0.0, places[-1] - high)
    places = [place - shift for place in places] if shift else places
    for i in range(len(places) - 2, -1, -1):
        places[i] = min(places[i], places[i + 1] - gap)
    across = ax.get_yaxis_transform()  # x in fractions of the axes, y in data
    for end, place in zip(order, places, strict=True):
        look = {"color": end.colour, "va": "center", "annotation_clip": False, "textcoords": across}
        if end.x is None:
            ax.annotate(f"{end.name}: no value", (1.035, place), (1.035, place), xycoords=across, **look)
            continue
        line = {"arrowstyle": "-", "color": end.colour, "linewidth": 0.6, "shrinkB": 4}
        ax.annotate(end.name, (end.x, end.value), (1.035, place), arrowprops=line, **look)
    ax.set_ylim(low, high)


def _heat_map(figure: Figure, ax: Axes, scores: Scores, measure: str) -> None:
    rows, columns, values = scores.matrix(measure)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    signed = low < -0.05 * high
    bound = max(abs(low), abs(high))
    limits = {"vmin": -bound, "vmax": bound} if signed else {"vmin": low, "vmax": high}
    image = ax.imshow(
        np.where(np.isfinite(values), values, np.nan), cmap="PuOr_r" if signed else "cividis", aspect="equal", **limits
    )
    name_ticks(ax.xaxis, list(map(str, columns)), _MAX_CELLS)
    name_ticks(ax.yaxis, list(map(str, rows)), _MAX_CELLS)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(measure, loc="left")
    if values.size <= 200:
        for (i, j), value in np.ndenumerate(values):
            if np.isfinite(value):
                red, green, blue, _ = image.cmap(image.norm(value))
                light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
                text = f"{value:.2f}" if bound < 10 else format_value(value)
                ax.text(j, i, text, ha="center", va="center", fontsize=6.8, color=INK if light else "white")
    bar = figure.colorbar(image, ax=ax, fraction=0.046, pad=0.03)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2, labelsize=8)
