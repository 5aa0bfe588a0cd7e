"""Lines over the layers of one model: what a probe reads there, with its band, beside a floor.

FOLDED: Learning curves: the training loss, and the score on the dev data, against updates.
FOLDED: Figures of ablations, drawn from result rows: score against k, and the distance of weights over layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..core.errors import OptionError
from .style import COLOURS, GRID, MARKERS, QUIET, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["layer_lines", "learning_curve", "sweep_curves", "weight_curves"]

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


def learning_curve(history: Sequence[Mapping[str, float]], metric: str) -> Figure:
    """Draw the entries' ``loss`` above, smoothed by a running mean, and ``eval_<metric>`` below."""
    losses = [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]
    scores = [(entry["step"], entry[f"eval_{metric}"]) for entry in history if f"eval_{metric}" in entry]
    with styled():
        figure = new_figure(6.4, 4.8)
        above, below = figure.subplots(2, 1, sharex=True)
        if losses:
            steps, values = zip(*losses, strict=True)
            above.plot(steps, values, color=COLOURS[0], alpha=0.3, linewidth=1)
            above.plot(steps, _smoothed(values), color=COLOURS[0], linewidth=1.8)
        if scores:
            steps, values = zip(*scores, strict=True)
            below.plot(steps, values, color=COLOURS[1], marker="o", markersize=4)
            below.annotate(
                f"{values[-1]:.1f}", (steps[-1], values[-1]), xytext=(6, 0), textcoords="offset points", va="center"
            )
        above.set_ylabel("training loss")
        above.set_ylim(bottom=0)
        below.set_ylabel(f"{metric} on dev (%)")
        below.set_xlabel("updates")
        for axes in (above, below):
            axes.grid(axis="y", color=GRID, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.margins(x=0.02)
    return figure


def _smoothed(values: Sequence[float], keep: float = 0.7) -> list[float]:
    """Running mean with weights falling by `keep`, corrected for its start at zero."""
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        smooth.append(total / weight)
    return smooth


_AXES = {
    "freeze": "blocks frozen, from the bottom (from 1: with the embeddings)",
    "layers": "blocks kept, from the bottom, then fine-tuned",
    "reinit-top": "blocks re-initialised, from the top",
    "reinit-bottom": "blocks re-initialised, from the bottom",
    "head": "layer under the head, which alone is trained",
    "exit": "layer under the tuned head, without further training",
    "revert": "layer set back to its weights before tuning (0: embeddings)",
}
_MOST_TICKS_sweeps = 26


def sweep_curves(rows: Iterable[Mapping[str, Any]]) -> Figure:
    """Draw ``score`` against ``value``: a line through the means over seeds, a band from the lowest to the highest.

    One line for each task and kind of ablation; a dashed line stands at the mean ``score_whole``, the score of the
    model without the change, where rows have one. Rows without a score are left out.

    Raises
    ------
    OptionError
        If no row has a score.
    """
    scored = [row for row in rows if row.get("score") is not None]
    if not scored:
        raise OptionError("A figure of a sweep needs a score: no row has one. Look at the rows' errors.")
    kinds = list(dict.fromkeys(row["kind"] for row in scored))
    metrics = list(dict.fromkeys(row["metric"] for row in scored))
    series = list(dict.fromkeys((row["task"], row["kind"]) for row in scored))
    values = sorted({row["value"] for row in scored})
    with styled():
        figure = new_figure(max(5.6, 2.4 + 0.36 * len(values)), 3.8)
        ax = figure.subplots()
        for place, (task, kind) in enumerate(series):
            own = [row for row in scored if (row["task"], row["kind"]) == (task, kind)]
            name = ", ".join(part for part, several in ((task, True), (kind, len(kinds) > 1)) if several)
            _line(ax, own, name, place)
        _finish(ax, named=len(series) > 1)
        ax.set_xticks(
            [value for value in values if not values.index(value) % math.ceil(len(values) / _MOST_TICKS_sweeps)]
        )
        ax.set_xlabel(_AXES.get(kinds[0], kinds[0]) if len(kinds) == 1 else "k")
        ax.set_ylabel(f"{metrics[0]} (%)" if len(metrics) == 1 else "score (%)")
        seeds = len({row["seed"] for row in scored})
        what = series[0][0] if len(series) == 1 else "ablations"
        ax.set_title(f"{what}, {seeds} seeds: mean and range" if seeds > 1 else what, loc="left", fontsize=11)
    return figure


def weight_curves(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw ``distance`` over ``layer``, one line for each ``module`` that stands in more than one layer.

    Raises
    ------
    OptionError
        If no row has a distance.
    """
    known = [row for row in rows if row["distance"] is not None]
    if not known:
        raise OptionError("A figure of weight distances needs one: no row has a distance.")
    layers = list(dict.fromkeys(row["layer"] for row in known))
    points: dict[str, list[tuple[int, float]]] = {}
    for row in known:
        points.setdefault(row["module"], []).append((layers.index(row["layer"]), row["distance"]))
    drawn = {module: found for module, found in points.items() if len(found) > 1 or module == "all"}
    with styled():
        figure = new_figure(max(6.4, 3.4 + 0.4 * len(layers)), 4.0)
        ax = figure.subplots()
        for place, (module, found) in enumerate(drawn.items()):
            ax.plot(*zip(*found, strict=True), label=module, **_look(place))
        _finish(ax, named=len(drawn) > 1)
        ax.set_xticks(range(len(layers)), layers, rotation=40, ha="right", rotation_mode="anchor")
        ax.set_ylabel("‖W′ − W‖ / ‖W‖")
        ax.set_ylim(bottom=0)
    return figure


def _line(ax: Axes, rows: Sequence[Mapping[str, Any]], name: str, place: int) -> None:
    by_value: dict[Any, list[float]] = {}
    for row in rows:
        by_value.setdefault(row["value"], []).append(row["score"])
    values = sorted(by_value)
    look = _look(place)
    ax.plot(values, [fmean(by_value[value]) for value in values], label=name, **look)
    if any(len(scores) > 1 for scores in by_value.values()):
        low, high = ([pick(by_value[value]) for value in values] for pick in (min, max))
        ax.fill_between(values, low, high, color=look["color"], alpha=0.18, linewidth=0)
    whole = {row["seed"]: row["score_whole"] for row in rows if row.get("score_whole") is not None}
    if whole:
        ax.axhline(fmean(whole.values()), color=look["color"], linestyle="--", linewidth=1)


def _look(place: int) -> dict[str, Any]:
    # After seven lines the colours return, dotted.
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": MARKERS[place % len(MARKERS)],
        "markersize": 4.2,
        "linewidth": 1.6,
        "linestyle": "-" if place < len(COLOURS) else ":",
    }


def _finish(ax: Axes, *, named: bool) -> None:
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    if named:
        ax.legend(frameon=False, labelcolor=QUIET, loc="center left", bbox_to_anchor=(1.0, 0.5))
