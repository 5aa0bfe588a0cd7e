"""Figures of fine-tuning: learning curves, and scores of ablations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..core.errors import OptionError
from ..results.lines import Line, LineStyle, draw_line, finish_axes, line_figure, line_style
from ..results.style import COLOURS, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ablation_curves", "learning_curve"]

_AXES = {
    "freeze": "frozen blocks, from the bottom (from 1: with the embeddings)",
    "layers": "blocks kept, from the bottom, then fine-tuned",
    "reinit-top": "blocks re-initialised, from the top",
    "reinit-bottom": "blocks re-initialised, from the bottom",
    "head": "layer below the head; only the head is trained",
    "exit": "layer below the tuned head, without further training",
    "revert": "layer with the weights of the base model (0: embeddings)",
}


def ablation_curves(records: Iterable[Mapping[str, Any]]) -> Figure:
    """Draw ``score`` against ``value``: the mean over seeds as a line, the range over seeds as a band.

    There is one line for each task and kind of ablation. A dashed line in the same colour shows the mean of
    ``score_unchanged``, the score of the unchanged model, where records have it. Records without a score are left out.

    Raises
    ------
    OptionError
        If no record has a score.
    """
    scored = [record for record in records if record.get("score") is not None]
    if not scored:
        raise OptionError("A figure of ablations needs scores: no record has one. See the column error.")
    kinds = list(dict.fromkeys(record["kind"] for record in scored))
    metrics = list(dict.fromkeys(record["metric"] for record in scored))
    series: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in scored:
        series.setdefault((record["task"], record["kind"]), []).append(record)
    lines = [_line(f"{task}, {kind}" if len(kinds) > 1 else task, own) for (task, kind), own in series.items()]
    n_seeds = len({record["seed"] for record in scored})
    title = next(iter(series))[0] if len(series) == 1 else "ablations"
    figure = line_figure(
        lines,
        percent=True,
        title=f"{title}, {n_seeds} seeds: mean and range" if n_seeds > 1 else title,
        xlabel=_AXES.get(kinds[0], kinds[0]) if len(kinds) == 1 else "k",
        ylabel=metrics[0] if len(metrics) == 1 else "score",
    )
    for index, own in enumerate(series.values()):
        by_seed = {record["seed"]: record.get("score_unchanged") for record in own}
        if unchanged := [score for score in by_seed.values() if score is not None]:
            figure.axes[0].axhline(fmean(unchanged), color=line_style(index).colour, linestyle="--", linewidth=1)
    return figure


def _line(label: str, records: Sequence[Mapping[str, Any]]) -> Line:
    by_value: dict[Any, list[float]] = {}
    for record in records:
        by_value.setdefault(record["value"], []).append(record["score"])
    scores = [by_value[value] for value in sorted(by_value)]
    line = Line(label, sorted(by_value), [fmean(group) for group in scores])
    if all(len(group) == 1 for group in scores):
        return line
    return replace(line, low=[min(group) for group in scores], high=[max(group) for group in scores])


def learning_curve(history: Sequence[Mapping[str, float]], metric: str) -> Figure:
    """Draw the training loss and its running mean above, and ``eval_<metric>`` below, against updates."""
    losses = [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]
    scores = [(entry["step"], entry[f"eval_{metric}"]) for entry in history if f"eval_{metric}" in entry]
    with styled():
        figure = new_figure(6.4, 4.8)
        above, below = figure.subplots(2, 1, sharex=True)
        if losses:
            steps, values = zip(*losses, strict=True)
            above.plot(steps, values, color=COLOURS[0], alpha=0.3, linewidth=1)
            draw_line(above, Line("loss", steps, _smoothed(values)), LineStyle(COLOURS[0]))
        if scores:
            steps, values = zip(*scores, strict=True)
            draw_line(below, Line(metric, steps, values), line_style(1))
            text = f"{100 * values[-1]:.1f}"
            below.annotate(text, (steps[-1], values[-1]), xytext=(6, 0), textcoords="offset points", va="center")
        above.set_ylabel("training loss")
        above.set_ylim(bottom=0)
        below.set_ylabel(f"{metric} on dev (%)")
        below.set_xlabel("updates")
        for axes in (above, below):
            finish_axes(axes, percent=axes is below)
            axes.margins(x=0.02)
    return figure


def _smoothed(values: Sequence[float], keep: float = 0.7) -> list[float]:
    """Return the exponential running mean, corrected for its start at zero."""
    smooth, total, weight = [], 0.0, 0.0
    for value in values:
        total = keep * total + (1 - keep) * value
        weight = keep * weight + (1 - keep)
        smooth.append(total / weight)
    return smooth
