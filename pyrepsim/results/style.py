"""How every figure looks: colours, markers, fonts, and a canvas without matplotlib's global state.

FOLDED: Letters that matplotlib's own font lacks, from fonts that are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "GRID", "INK", "MARKERS", "QUIET", "fonts_present", "new_figure", "styled"]

# Chinese, Japanese and Korean: those that Linux, macOS and Windows bring, and the free ones
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


@contextmanager
def fonts_present(figure: Figure, suffix: str) -> Iterator[None]:
    """While a figure is drawn as pixels or PDF: after its own font, the East Asian ones of this machine.

    SVG keeps its text and is left alone: equal scores, equal bytes, whatever fonts there are.
    """
    from matplotlib.font_manager import fontManager
    from matplotlib.text import Text

    there = set(fontManager.get_font_names())
    others = [name for name in _EAST_ASIAN if name in there]
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


# Okabe and Ito's colours are told apart under every common colour blindness; markers do it in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, QUIET, GRID = "#1b1b1b", "#5c5c5c", "#e6e6e6"
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
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "text.parse_math": False,  # a dollar sign in a layer's name is a dollar sign
    "svg.hashsalt": "pyrepsim",  # equal scores draw equal bytes
}


def new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1)
    return Figure(figsize=(width, height), layout=layout, facecolor="white")


@contextmanager
def styled(**changes: Any) -> Iterator[None]:
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise MissingExtraError('Figures need matplotlib: pip install "pyrepsim[plot]".') from error
    with mpl.rc_context(_STYLE | changes):
        yield
