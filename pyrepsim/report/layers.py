"""Lines over the layers of one model: what a probe reads there, with its band, beside a floor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .style import COLOURS, GRID, MARKERS, QUIET, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["layer_lines"]

Point = tuple[str, float, float, float]
"""A layer's name, and its value with the ends of its band."""

_MOST_TICKS = 16


def layer_lines(
    lines: Mapping[str, Sequence[Point]], *, title: str, xlabel: str, ylabel: str, floors: Mapping[str, float]
) -> Figure:
    """Draw a line with a band for each name, over the layers of the first one, and a dashed line at each floor."""
    layers = [point[0] for point in next(iter(lines.values()))]
    step = math.ceil(len(layers) / _MOST_TICKS)
    with styled():
        figure = new_figure(max(6.4, 0.5 * min(len(layers), _MOST_TICKS) + 2), 3.8)
        ax = figure.subplots()
        for style, (name, points) in enumerate(lines.items()):
            places = [layers.index(point[0]) for point in points]
            colour = COLOURS[style % len(COLOURS)]
            marker = MARKERS[style % len(MARKERS)]
            ax.plot(places, [p[1] for p in points], color=colour, marker=marker, markersize=4.5, label=name)
            ax.fill_between(places, [p[2] for p in points], [p[3] for p in points], color=colour, alpha=0.18, lw=0)
        for name, value in floors.items():
            ax.axhline(value, color=QUIET, linestyle="--", linewidth=1)
            right = {"xytext": (0, 3), "textcoords": "offset points", "ha": "right"}
            ax.annotate(name, (len(layers) - 1, value), color=QUIET, **right)
        if len(lines) > 1:
            ax.legend(frameon=False)
        ax.set_xticks(range(0, len(layers), step), layers[::step], rotation=40, ha="right", rotation_mode="anchor")
        ax.set_xlabel(xlabel)
        ax.set_ylabel(ylabel)
        ax.set_title(title, loc="left", fontsize=11)
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.set_axisbelow(True)
    return figure
