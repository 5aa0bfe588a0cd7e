"""Layer curves and layer x layer heat maps, drawn with matplotlib and without its global state."""

from __future__ import annotations

import io
import logging
import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.errors import OptionError
from ..core.outputs import replacing
from .style import COLOURS, GRID, INK, MARKERS, fonts_present, new_figure, styled
from .tables import caption, format_value, names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .scores import Scores

log = logging.getLogger("pyrepsim.report")

__all__ = ["heat_maps", "layer_curves", "plot", "quiet", "save", "to_svg"]

_MOST_TICKS, _MOST_CELLS = 16, 24  # beyond, a figure grows no wider and not every layer is named


def plot(
    scores: Scores, *, path: str | os.PathLike[str] | None = None, measure: Any = None, titled: bool = True
) -> Figure:
    """Draw layer curves where layers pair off one to one, else heat maps; write them to `path` if given.

    `titled=False` leaves the names of the two sides to the page around the figure.
    """
    chosen = scores if measure is None else scores.select(measure=measure)
    if not len(chosen) or None in chosen.layers_x:
        raise OptionError("A figure shows layers: these scores have none. Compare stores, or use table().")
    pairs = {(score.layer_x, score.layer_y) for score in chosen}
    one_to_one = len({x for x, _ in pairs}) == len({y for _, y in pairs}) == len(pairs)
    figure = layer_curves(chosen, titled=titled) if one_to_one else heat_maps(chosen)
    if path is not None:
        save(figure, path)
    return figure


def layer_curves(scores: Scores, *, titled: bool = True) -> Figure:
    """Draw one line a measure over the layers, with a band where scores have intervals.

    Measures that stay within [-1, 1] share a panel; each other one has its own scale below.
    Raises OptionError when a pair has two scores of one measure.
    """
    _check_single(scores)
    # Debiased estimates may pass 1 by a hair; they still belong with their kind.
    reach = dict.fromkeys(scores.measures, 0.0)
    for score in scores:
        if math.isfinite(score.value):
            reach[score.measure] = max(reach[score.measure], abs(score.value))
    within = [name for name in scores.measures if reach[name] <= 1.05]
    panels = ([within] if within else []) + [[name] for name in scores.measures if name not in within]
    pairs = list(dict.fromkeys((score.layer_x, score.layer_y) for score in scores))
    ticks = [str(x) if x == y else f"{x} ~ {y}" for x, y in pairs]
    heights = [3.6 if len(panel) > 1 else 2.4 for panel in panels]
    with styled():
        figure = new_figure(max(6.4, 1.9 + 0.42 * min(len(pairs), _MOST_TICKS)) + 1.6, sum(heights) + 1.0)
        axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for panel, ax in zip(panels, axes, strict=True):
            ends = []
            for name in panel:
                style = scores.measures.index(name)
                ends.append(_curve(ax, scores.select(measure=name), pairs, style))
            ax.grid(axis="y", color=GRID, linewidth=0.8)
            ax.set_axisbelow(True)
            ax.margins(y=0.08)
            ax.set_xlim(-0.3, len(pairs) - 0.7)
            ax.set_ylabel("score" if len(panel) > 1 else panel[0].partition("(")[0])
            _label_ends(ax, ends)
        x, y = names(scores)
        places, ticks = _thinned(ticks, _MOST_TICKS)
        axes[-1].set_xticks(places, ticks, **_slanted(ticks))
        axes[-1].set_xlabel(f"layer of {x} and of {y}" if x != y else f"layer of {x}")
        if titled:
            axes[0].set_title(caption(scores), loc="left", fontsize=11, pad=10)
    return figure


def heat_maps(scores: Scores) -> Figure:
    """Draw one layer x layer map a measure: the first side's layers down, the second side's across."""
    measures = scores.measures
    across = min(len(measures), 2)
    down = math.ceil(len(measures) / across)
    x, y = names(scores)
    with styled():
        cell = 0.46
        width = max(3.4, cell * min(len(scores.layers_y), _MOST_CELLS) + 2.2)
        height = max(2.8, cell * min(len(scores.layers_x), _MOST_CELLS) + 1.5)
        figure = new_figure(width * across, height * down + 0.3)
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for measure, ax in zip(measures, axes, strict=False):
            _heat_map(figure, ax, scores, measure)
            ax.set_ylabel(f"layer of {x}")
            ax.set_xlabel(f"layer of {y}")
        for ax in axes[len(measures) :]:
            ax.remove()
    return figure


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write the figure; the ending of `path` chooses the format. No dates: equal scores, equal bytes."""
    path = Path(path)
    formats = figure.canvas.get_supported_filetypes()
    if (suffix := path.suffix.lstrip(".").lower()) not in formats:
        endings = ", ".join(sorted(formats))
        raise OptionError(f"A figure's file name must end in one of {endings}: got {path.name!r}.")
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with styled(), quiet() as unheard, fonts_present(figure, suffix), replacing(path) as temporary:
        figure.savefig(temporary, format=suffix, dpi=200, metadata=dated.get(suffix))
    if unheard and suffix != "svg":
        log.warning("%s: no font here has some of its letters. In .svg, text takes the reader's fonts.", path)
    return path


def to_svg(figure: Figure, *, salt: str = "pyrepsim") -> str:
    """Return the figure as an `<svg>` element. `salt` keeps the ids of two figures on a page apart."""
    with styled(**{"svg.hashsalt": salt}), quiet():
        figure.savefig(buffer := io.StringIO(), format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


class _End(NamedTuple):
    """Where a measure's line ends: its last finite point, or None if it has no point."""

    place: int | None
    value: float
    colour: str
    name: str


def _check_single(scores: Scores) -> None:
    """OptionError for two scores of one measure and pair: a line can't show both, and must not choose."""
    seen = set()
    for score in scores:
        if (key := (score.measure, score.layer_x, score.layer_y)) in seen:
            raise OptionError(
                f"A curve has one score a layer pair: {key[0]} has several for {key[1:]}. Select first, the scores of "
                "one comparison."
            )
        seen.add(key)


def _curve(ax: Axes, scores: Scores, pairs: list[Any], style: int) -> _End:
    """Draw one measure, with a gap where a value is not finite, and return the end of its line."""
    by_pair = {(score.layer_x, score.layer_y): score for score in scores}
    found = [(place, by_pair[pair]) for place, pair in enumerate(pairs) if pair in by_pair]
    values = [score.value if math.isfinite(score.value) else math.nan for _, score in found]
    colour, marker = COLOURS[style % len(COLOURS)], MARKERS[style % len(MARKERS)]
    # After seven measures the colours return, with broken lines.
    dash = "-" if style < len(COLOURS) else "--"
    size = 4.2 if len(pairs) <= 2 * _MOST_TICKS else 2.4
    look = {"color": colour, "marker": marker, "markersize": size, "linewidth": 1.6}
    ax.plot([at for at, _ in found], values, dash, clip_on=False, zorder=3, **look)
    bands = [(at, *score.interval) for at, score in found if score.interval is not None]
    bands = [band for band in bands if all(map(math.isfinite, band))]
    if bands:
        ax.fill_between(*zip(*bands, strict=True), color=colour, alpha=0.18, linewidth=0, zorder=2)
    ends = [(at, value) for (at, _), value in zip(found, values, strict=True) if math.isfinite(value)]
    return _End(*(ends[-1] if ends else (None, 0.0)), colour, scores[0].measure)


def _label_ends(ax: Axes, ends: Sequence[_End]) -> None:
    """Name each line at the right, led there from its end, and moved so that no two names touch."""
    low, high = ax.get_ylim()
    gap = (high - low) * 0.062
    order = sorted(ends, key=lambda end: low if end.place is None else end.value)
    places = [low if end.place is None else end.value for end in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    shift = max(0.0, places[-1] - high)
    places = [place - shift for place in places] if shift else places
    for i in range(len(places) - 2, -1, -1):
        places[i] = min(places[i], places[i + 1] - gap)
    across = ax.get_yaxis_transform()  # across in axes, up in scores
    for end, place in zip(order, places, strict=True):
        look = {"color": end.colour, "va": "center", "annotation_clip": False, "textcoords": across}
        if end.place is None:
            ax.annotate(f"{end.name}: no value", (1.035, place), (1.035, place), xycoords=across, **look)
            continue
        line = {"arrowstyle": "-", "color": end.colour, "linewidth": 0.6, "shrinkB": 4}
        ax.annotate(end.name, (end.place, end.value), (1.035, place), arrowprops=line, **look)
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
    places, labels = _thinned(list(map(str, columns)), _MOST_CELLS)
    ax.set_xticks(places, labels, **_slanted(labels))
    ax.set_yticks(*_thinned(list(map(str, rows)), _MOST_CELLS))
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


def _thinned(labels: Sequence[str], most: int) -> tuple[list[int], list[str]]:
    """Places and names of every label, or of every second, third, ..., so that there are at most `most`."""
    places = list(range(0, len(labels), math.ceil(len(labels) / most)))
    return places, [labels[place] for place in places]


def _slanted(labels: Sequence[str]) -> dict[str, Any]:
    return {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, labels)) > 3 else {}


@contextmanager
def quiet() -> Iterator[list[warnings.WarningMessage]]:
    """No warning for letters that the font lacks, but a list of them; other warnings are passed on."""
    missing: list[warnings.WarningMessage] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield missing
    for warning in caught:
        if re.search(r"Glyph .* missing from", str(warning.message)):
            missing.append(warning)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
