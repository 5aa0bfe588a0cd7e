"""The drawing of one sentence with its gold tree and its predicted tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...results.style import COLOURS, INK, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .result import PredictedTree

__all__ = ["draw_trees"]

_SHARED, _DIFFERENT, *_ = COLOURS
_GREY = "#8a8a8a"
_LETTER_WIDTH, _MAX_WIDTH = 0.088, 26.0  # inches, of a letter at 10 points and of a figure


@styled()
def draw_trees(predicted: PredictedTree) -> Figure:
    """Draw the words in a row, with the gold edges above them and the predicted edges below."""
    words = list(predicted.sentence.words)
    gold, edges = ({(int(i), int(j)) for i, j in tree} for tree in (predicted.gold.edges, predicted.edges))
    ends = np.cumsum([max(len(word), 2) + 1.6 for word in words])
    places = ends - np.diff(ends, prepend=0) / 2
    scale = min(1.0, _MAX_WIDTH / (float(ends[-1]) * _LETTER_WIDTH))
    # A unit of height is 0.45 inches; the words are between -1 and 1.
    top = 1.35 + _height(max((j - i for i, j in gold | edges), default=1))
    figure = new_figure(max(4.6, float(ends[-1]) * _LETTER_WIDTH * scale + 0.5), 0.45 * 2 * (top + 0.4) + 0.5)
    ax = figure.subplots()
    for word, (x, text) in enumerate(zip(places, words, strict=True)):
        colour = INK if predicted.gold.content[word] else _GREY
        ax.text(x, 0, text, ha="center", va="center", fontsize=10 * scale, color=colour, parse_math=False)
    for up, own, other, root, correct_root in (
        (1, gold, edges, predicted.gold.root, True),
        (-1, edges, gold, predicted.root, predicted.root == predicted.gold.root),
    ):
        for edge in sorted(own):
            _draw_arc(ax, places, edge, up, _SHARED if edge in other else _DIFFERENT)
        _draw_root(ax, float(places[root]), up, top, _SHARED if correct_root else _DIFFERENT)
    ax.set_title(
        f"{predicted.layer}, rank {predicted.rank}: {len(gold & edges)} of {len(gold)} gold edges (above) are "
        "predicted (below); orange edges are in one tree only",
        loc="left",
        fontsize=9,
        color=INK,
    )
    ax.set_xlim(0, float(ends[-1]))
    ax.set_ylim(-top - 0.4, top + 0.4)
    ax.axis("off")
    return figure


def _height(span: int) -> float:
    """Return the height of an arc over so many words."""
    return 0.75 * span**0.6


def _draw_arc(ax: Axes, places: np.ndarray, edge: tuple[int, int], up: int, colour: str) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    left, right = (float(places[word]) for word in edge)
    start = 0.65 * up
    peak = start + up * _height(edge[1] - edge[0]) * 4 / 3  # a Bezier curve rises to 3/4 of its control points
    curve = Path(
        [(left, start), (left, peak), (right, peak), (right, start)],
        [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4],
    )
    ax.add_patch(PathPatch(curve, fill=False, edgecolor=colour, linewidth=1.3))


def _draw_root(ax: Axes, x: float, up: int, top: float, colour: str) -> None:
    """Draw an arrow from outside to the root."""
    line: dict[str, Any] = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.3, "shrinkA": 0, "shrinkB": 0}
    ax.annotate("", (x, 0.6 * up), (x, up * (top + 0.35)), arrowprops=line)
