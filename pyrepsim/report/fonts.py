"""Letters that matplotlib's own font lacks, from fonts that are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["fonts_present"]

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
