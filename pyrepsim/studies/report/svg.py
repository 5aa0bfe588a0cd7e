"""Figures as SVG: for a page, with colours that the page sets (light, dark, print); for a file, as they are."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.outputs import replacing
from ...results.figures import quiet, to_svg
from ...results.style import COLOURS, GRID, INK, QUIET, fonts_present, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["THEME", "inline", "save_figure", "themed"]

_LIGHTER = ("#63b0ec", "#ff9350", "#3fcf9f", "#e6a9cd", "#f4bb4f", "#93d2f5", "#f0f0ee")
THEME = {
    "ink": (INK, "#ececea"),
    "quiet": (QUIET, "#a9a9a5"),
    "grid": (GRID, "#34373c"),
    "paper": ("#ffffff", "#17191c"),
    **{f"c{place}": pair for place, pair in enumerate(zip(COLOURS, _LIGHTER, strict=True))},
}
"""Name of a CSS variable: its colour in the light and in the dark. The lighter ones keep their hue."""

_VARIABLES = {light.lower(): f"var(--{name}, {light.lower()})" for name, (light, _) in reversed(THEME.items())}


def inline(figure: Figure, *, salt: str, alt: str) -> str:
    """Return the figure as an `<svg>` element in the page's own colours, named by `alt`; ids begin with `salt`."""
    return themed(to_svg(figure, salt=salt), salt=salt, alt=alt)


def themed(svg: str, *, salt: str, alt: str) -> str:
    """Let the page colour an SVG of matplotlib, and drop what it needs only as a file: metadata, size, unused ids."""
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style type=\"text/css\">.*?</style>\s*</defs>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda found: _VARIABLES.get(found[0], found[0]), svg)
    used = set(re.findall(r"(?:href=\"|url\()#([^\")]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{salt}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r"(href=\"|url\()#", rf"\g<1>#{salt}-", svg)
    # A hundredth of a point in places; what is written on a figure keeps its digits.
    svg = re.sub(r'\b(?:d|x|y|width|height|transform)="[^"]*"', lambda found: _shorter(found[0]), svg)
    svg = re.sub(r">\s*\n\s*<", "><", svg)
    opening, _, rest = svg.partition(">")
    (box,) = re.findall(r'viewBox="[^"]*"', opening)
    return (
        f'<svg {box} role="img" aria-label="{escape(alt)}" xmlns:xlink="http://www.w3.org/1999/xlink">{rest.rstrip()}'
    )


def _shorter(attribute: str) -> str:
    return re.sub(r"(\d\.\d\d)\d+", r"\1", attribute)


def save_figure(figure: Figure, path: Path, *, source: str) -> Path:
    """Write SVG or PNG that names its source. No dates: equal rows, equal bytes."""
    suffix = path.suffix.lstrip(".")
    said = {"svg": {"Date": None, "Source": source}, "png": {"Software": "pyrepsim", "Source": source}}[suffix]
    with styled(), quiet(), fonts_present(figure, suffix), replacing(path) as temporary:
        figure.savefig(temporary, format=suffix, dpi=160, metadata=said)
    figure.set_layout_engine("none")  # it has been laid out; a second format needs no second time
    return path
