"""Figures as files and as part of a page. The same data always give the same bytes."""

from __future__ import annotations

import io
import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import OptionError
from ..core.outputs import replacing
from ..core.paths import as_path
from ..core.text import printable
from .style import COLOURS, GRID, INK, QUIET, fonts_present, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger("pyrepsim.results")

__all__ = ["THEME", "save", "themed_svg", "to_svg"]

_LIGHTER = ("#63b0ec", "#ff9350", "#3fcf9f", "#e6a9cd", "#f4bb4f", "#93d2f5", "#f0f0ee")
THEME = {
    "ink": (INK, "#ececea"),
    "quiet": (QUIET, "#a9a9a5"),
    "grid": (GRID, "#34373c"),
    "paper": ("#ffffff", "#17191c"),
    **{f"c{place}": pair for place, pair in enumerate(zip(COLOURS, _LIGHTER, strict=True))},
}
"""Name of each CSS variable of a page, with its colour in light mode and in dark mode (the same hue, lighter)."""

_VARIABLES = {light.lower(): f"var(--{name}, {light.lower()})" for name, (light, _) in reversed(THEME.items())}


def save(figure: Figure, path: str | os.PathLike[str], *, source: str | None = None, dpi: int = 200) -> Path:
    """Write a figure and return its path; the ending of `path` chooses the format.

    Parameters
    ----------
    figure : matplotlib Figure
    path : path-like
        File name that ends in .svg, .png, .pdf or another format of matplotlib.
    source : str, optional
        Where the data come from, written into the metadata of SVG and PNG files.
    dpi : int, default 200
        Dots per inch of formats made of pixels.

    Raises
    ------
    OptionError
        If the ending is not a format of matplotlib.
    """
    path = as_path(path)
    formats = figure.canvas.get_supported_filetypes()
    if (suffix := path.suffix.lstrip(".").lower()) not in formats:
        endings = ", ".join(sorted(formats))
        raise OptionError(f"A figure's file name must end in one of {endings}: got {path.name!r}.")
    # Without a date, equal data give equal bytes.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": "pyrepsim"}}.get(suffix)
    if source is not None and suffix in ("svg", "png"):
        metadata = {**(metadata or {}), "Source": printable(source)}
    _escape_names(figure)
    with styled(), _glyph_warnings() as missing, fonts_present(figure, suffix), replacing(path) as temporary:
        figure.savefig(temporary, format=suffix, dpi=dpi, metadata=metadata)
    if missing and suffix != "svg":
        log.warning("%s: no font on this machine has some of its letters. SVG files use the reader's fonts.", path)
    return path


def to_svg(figure: Figure, *, salt: str = "pyrepsim") -> str:
    """Return the figure as an ``<svg>`` element. With different `salt`, ids of two figures on a page differ."""
    _escape_names(figure)
    with styled(**{"svg.hashsalt": salt}), _glyph_warnings():
        figure.savefig(buffer := io.StringIO(), format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def themed_svg(figure: Figure, *, salt: str, alt: str) -> str:
    """Return the figure as an ``<svg>`` element in the colours of its page, described by `alt`.

    Colours become the CSS variables of `THEME`, ids begin with `salt`, and what only a file needs (metadata, size,
    unused ids, more than two decimals of a point) is removed.
    """
    svg = to_svg(figure, salt=salt)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda match: _VARIABLES.get(match[0], match[0]), svg)
    used = set(re.findall(r"(?:href=\"|url\()#([^\")]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda match: f' id="{salt}-{match[1]}"' if match[1] in used else "", svg)
    svg = re.sub(r"(href=\"|url\()#", rf"\g<1>#{salt}-", svg)
    # Coordinates keep two decimals; numbers written on the figure keep all their digits.
    svg = re.sub(r'\b(?:d|x|y|width|height|transform)="[^"]*"', lambda match: _two_decimals(match[0]), svg)
    svg = re.sub(r">\s*\n\s*<", "><", svg)
    opening, _, rest = svg.partition(">")
    (box,) = re.findall(r'viewBox="[^"]*"', opening)
    return f'<svg {box} role="img" aria-label="{escape(printable(alt))}" xmlns:xlink="http://www.w3.org/1999/xlink">{rest.rstrip()}'


def _escape_names(figure: Figure) -> None:
    """Replace characters in the texts of a figure that XML forbids. (`name_ticks` does so for the names of ticks.)"""
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        shown = text.get_text()
        if shown != (escaped := printable(shown, keep="\n")):
            text.set_text(escaped)


def _two_decimals(attribute: str) -> str:
    return re.sub(r"(\d\.\d\d)\d+", r"\1", attribute)


@contextmanager
def _glyph_warnings() -> Iterator[list[warnings.WarningMessage]]:
    """Collect matplotlib's warnings about letters that a font lacks; issue all other warnings again at the end."""
    missing: list[warnings.WarningMessage] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield missing
    for warning in caught:
        if re.search(r"Glyph .* missing from", str(warning.message)):
            missing.append(warning)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
