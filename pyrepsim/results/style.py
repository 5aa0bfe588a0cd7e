"""The style of all figures: colours, markers and fonts, without changes to matplotlib's global state."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "GRID",
    "INK",
    "MARKERS",
    "QUIET",
    "figure_and_axes",
    "fonts_present",
    "new_figure",
    "styled",
    "title_axes",
]

# Colours of Okabe and Ito, which people with colour blindness can distinguish; markers differ in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, QUIET, GRID = "#1b1b1b", "#5c5c5c", "#e6e6e6"

# Chinese, Japanese and Korean fonts of Linux, macOS and Windows, and free ones
_EAST_ASIAN = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
    "Noto Sans SC",
    "Noto Sans JP",
    "Noto Sans KR",
    "Source Han Sans",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans",
    "Apple SD Gothic Neo",
    "Arial Unicode MS",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "SimHei",
)

_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "svg.fonttype": "none",  # text can be searched, copied and read by screen readers
    "text.parse_math": False,  # a dollar sign in the name of a layer is not mathematics
    "svg.hashsalt": "pyrepsim",  # the same data give the same bytes
}


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches, not registered with pyplot."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    return Figure(figsize=(width, height), layout=layout, facecolor="white")


def figure_and_axes(ax: Axes | None, width: float, height: float) -> tuple[Any, Axes]:
    """Return the caller's axes and their figure, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax.figure, ax
    figure = new_figure(width, height)
    return figure, figure.subplots()


def title_axes(ax: Axes, title: str, *, indent: float = 0.0) -> None:
    """Write a title above axes, in lines that fit the figure less `indent` inches at the left of the axes."""
    ax.set_title(wrapped(title, ax.figure, indent), loc="left", fontsize=11, pad=10)


def wrapped(text: str, figure: Any, indent: float = 0.0) -> str:
    """Break a text of 11 points into lines that fit the width of a figure less `indent` inches."""
    return textwrap.fill(text, max(24, int(11 * (figure.bbox.width / figure.dpi - indent))))


@contextmanager
def styled(**changes: Any) -> Iterator[None]:
    """Use the style of pyrepsim's figures, with changes to matplotlib's rcParams. Also a decorator.

    Raises MissingExtraError without matplotlib.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError('Figures need matplotlib: pip install "pyrepsim[plot]".') from error
    with mpl.rc_context(_STYLE | changes):
        yield


@contextmanager
def fonts_present(figure: Figure, suffix: str) -> Iterator[None]:
    """Let a figure use installed East Asian fonts for letters that its own font lacks.

    SVG files keep text as text and are not changed, so that their bytes do not depend on the installed fonts.
    """
    from matplotlib.font_manager import fontManager
    from matplotlib.text import Text

    installed = set(fontManager.get_font_names())
    others = [name for name in _EAST_ASIAN if name in installed]
    texts = [text for text in figure.findobj(Text) if not text.get_text().isascii()] if others else []
    if suffix == "svg" or not texts:
        yield
        return
    families = [text.get_fontfamily() for text in texts]
    try:
        for text, family in zip(texts, families, strict=True):
            text.set_fontfamily([*family, *others])
        yield
    finally:
        for text, family in zip(texts, families, strict=True):
            text.set_fontfamily(family)
