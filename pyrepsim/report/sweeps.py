"""Figures of ablations, drawn from result rows: score against k, and the distance of weights over layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from .style import COLOURS, GRID, MARKERS, QUIET, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["sweep_curves", "weight_curves"]

_AXES = {
    "freeze": "blocks frozen, from the bottom (from 1: with the embeddings)",
    "layers": "blocks kept, from the bottom, then fine-tuned",
    "reinit-top": "blocks re-initialised, from the top",
    "reinit-bottom": "blocks re-initialised, from the bottom",
    "head": "layer under the head, which alone is trained",
    "exit": "layer under the tuned head, without further training",
    "revert": "layer set back to its weights before tuning (0: embeddings)",
}
_MOST_TICKS = 26


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
        ax.set_xticks([value for value in values if not values.index(value) % math.ceil(len(values) / _MOST_TICKS)])
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
