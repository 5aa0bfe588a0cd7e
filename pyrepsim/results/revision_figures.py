"""Figures of the revisions of a model: value against revision, a line for each layer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..core.errors import OptionError
from .figures import save
from .lines import MAX_TICKS, Line, LineStyle, draw_line, finish_axes, line_style, name_ticks, thinned
from .score_tables import layer_label, sample_counts
from .style import COLOURS, QUIET, new_figure, styled, title_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .revisions import RevisionScores

__all__ = ["plot"]


def plot(
    result: RevisionScores,
    *,
    path: str | os.PathLike[str] | None = None,
    measure: Any = None,
    ax: Axes | None = None,
    title: str | None = None,
) -> Figure:
    """Draw a panel for each measure; write the figure to `path` if given. ``title=""`` draws no title."""
    chosen = result.scores if measure is None else result.scores.select(measure=measure)
    measures = chosen.measures
    if ax is not None and len(measures) > 1:
        raise OptionError(
            f"ax= takes a figure of one panel: these scores have {len(measures)} measures. Choose one with measure=, "
            "or leave ax out."
        )
    with styled():
        if ax is None:
            width = max(6.4, 0.5 * min(len(result), MAX_TICKS) + 2) + 1.6
            figure: Any = new_figure(width, 3.2 * len(measures) + 0.8)
            axes = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
        else:
            figure, axes = ax.figure, [ax]
        for one, name in zip(axes, measures, strict=True):
            lines = _panel(one, result, name)
            if one is axes[0] and lines > 1:  # the lines of all panels look alike
                one.legend(frameon=False, labelcolor=QUIET, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        name_ticks(axes[-1].xaxis, list(result))
        axes[-1].set_xlabel("revision")
        text = f"{result.reference} ~ each revision, {sample_counts(chosen)}" if title is None else title
        if text:
            title_axes(axes[0], text, indent=0.6)
    if path is not None:
        save(figure, path)
    return figure


def _panel(ax: Axes, result: RevisionScores, measure: str) -> int:
    """Draw the lines of one measure, and return their number."""
    found: dict[str | None, dict[int, Any]] = {}
    for place, scores in enumerate(result.values()):
        for score in scores:
            if score.measure == measure:
                if place in found.setdefault(score.layer_x, {}):
                    raise OptionError(_SEVERAL)
                found[score.layer_x][place] = score
    named = set(thinned(list(found), MAX_TICKS))
    for index, (layer, scores) in enumerate(found.items()):
        partners = {score.layer_y for score in scores.values()}
        label = (layer_label(layer, partners.pop()) if len(partners) == 1 else layer) or measure
        ends = [score.interval or (None, None) for score in scores.values()]
        values = [score.value for score in scores.values()]
        line = Line(label, list(scores), values, [low for low, _ in ends], [high for _, high in ends])
        draw_line(ax, line, _style(index, len(found)), label=label if layer in named else "_")
    finish_axes(ax)
    ax.set_ylabel(measure.partition("(")[0])
    return len(found)


def _style(index: int, n_lines: int) -> LineStyle:
    """Return the style of a line: with more layers than colours, from dark to light with depth."""
    if n_lines <= len(COLOURS):
        return line_style(index)
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return LineStyle(to_hex(colormaps["viridis"](0.92 * index / (n_lines - 1))), "o")


_SEVERAL = (
    "A line for each layer needs one partner for each: these scores have several. Draw one revision with "
    "result[name].plot(), or compare with layers='same'."
)
