"""Learning curves: the training loss, and the score on the dev data, against updates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .figures import COLOURS, GRID, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["learning_curve"]


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
