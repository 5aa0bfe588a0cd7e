"""Figures of structural probes: scores over the layers, and one sentence with two trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...results.figures import save
from ...results.lines import MAX_TICKS, Line, draw_lines
from ...results.style import COLOURS, INK, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .results import PredictedTree, StructuralProbeResult

__all__ = ["layer_curves", "save", "tree"]

_RIGHT, _WRONG, *_ = COLOURS
_FAINT = "#8a8a8a"
_TITLES = {"uuas": "UUAS (%)", "root": "root accuracy (%)", "dspr": "DSpr", "nspr": "NSpr"}
_CHARACTER, _WIDEST = 0.088, 26.0  # inches, of a letter at 10 points and of a figure


@styled()
def layer_curves(result: StructuralProbeResult) -> Figure:
    """Draw a panel for each score, with a line for each rank and a band of one standard deviation over seeds."""
    n_layers, x = len(result.layers), range(len(result.layers))
    figure = new_figure(max(7.4, 0.9 * min(n_layers, MAX_TICKS)), 5.6)
    for ax, (score, title) in zip(figure.subplots(2, 2, sharex=True).flat, _TITLES.items(), strict=True):
        lines = []
        for rank in result.ranks:
            values = result.values(score, rank)
            mean = values.mean(axis=0)
            sd = values.std(axis=0, ddof=1) if len(values) > 1 else np.full(n_layers, np.nan)
            lines.append(Line(f"rank {rank}", x, mean, mean - sd, mean + sd))
        draw_lines(ax, lines, ticks=result.layers, title=title)
    if len(result.ranks) > 1:
        handles = figure.axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper right", ncols=min(len(result.ranks), 6), frameon=False, fontsize=8.5)
    return figure


@styled()
def tree(predicted: PredictedTree) -> Figure:
    """The words in a row, the gold edges above them and the predicted ones below."""
    words = list(predicted.sentence.words)
    gold, found = ({(int(i), int(j)) for i, j in edges} for edges in (predicted.gold.edges, predicted.edges))
    ends = np.cumsum([max(len(word), 2) + 1.6 for word in words])
    places = ends - np.diff(ends, prepend=0) / 2
    scale = min(1.0, _WIDEST / (float(ends[-1]) * _CHARACTER))
    # Above and below alike, a unit of height is 0.45 inches; letters take the gap from -1 to 1.
    top = 1.35 + _height(max((j - i for i, j in gold | found), default=1))
    figure = new_figure(max(4.6, float(ends[-1]) * _CHARACTER * scale + 0.5), 0.45 * 2 * (top + 0.4) + 0.5)
    ax = figure.subplots()
    for word, (x, text) in enumerate(zip(places, words, strict=True)):
        colour = INK if predicted.gold.content[word] else _FAINT
        ax.text(x, 0, text, ha="center", va="center", fontsize=10 * scale, color=colour, parse_math=False)
    for up, edges, other, root, right_root in (
        (1, gold, found, predicted.gold.root, True),
        (-1, found, gold, predicted.root, predicted.root == predicted.gold.root),
    ):
        for edge in sorted(edges):
            _arc(ax, places, edge, up, _RIGHT if edge in other else _WRONG)
        _arrow(ax, float(places[root]), up, top, _RIGHT if right_root else _WRONG)
    n_right = len(gold & found)
    ax.set_title(
        f"{predicted.layer}, rank {predicted.rank}: {n_right} of {len(gold)} gold edges (above) are predicted (below); "
        f"in orange, edges of one tree alone",
        loc="left",
        fontsize=9,
        color=INK,
    )
    ax.set_xlim(0, float(ends[-1]))
    ax.set_ylim(-top - 0.4, top + 0.4)
    ax.axis("off")
    return figure


def _height(span: int) -> float:
    return 0.75 * span**0.6


def _arc(ax: Axes, places: np.ndarray, edge: tuple[int, int], up: int, colour: str) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    left, right = (float(places[word]) for word in edge)
    foot = 0.65 * up
    peak = foot + up * _height(edge[1] - edge[0]) * 4 / 3  # a Bezier curve rises to 3/4 of its handles
    curve = Path(
        [(left, foot), (left, peak), (right, peak), (right, foot)],
        [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
    )
    ax.add_patch(PathPatch(curve, fill=False, edgecolor=colour, linewidth=1.3))


def _arrow(ax: Axes, x: float, up: int, top: float, colour: str) -> None:
    """The mark of a root: a line that comes from outside."""
    line: dict[str, Any] = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (x, 0.6 * up), (x, up * (top + 0.35)), arrowprops=line)
