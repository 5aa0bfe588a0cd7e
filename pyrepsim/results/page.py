"""The builder of HTML pages, and the page of a comparison: figures, table, details, provenance.

A page is one file with everything inside: it has no script and loads nothing from the network.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingExtraError, OptionError
from ..core.outputs import replacing
from ..core.text import printable
from .figures import themed_svg
from .score_figures import plot
from .score_tables import flat_text, names, sample_counts, score_table, sides

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .scores import Scores

__all__ = ["page", "render_html", "write_html"]


def render_html(package: str, template: str, **content: Any) -> str:
    """Fill a template that lies in a package and return the HTML text.

    Parameters
    ----------
    package : str
        Import name of the package whose folder has the template and what it includes.
    template : str
        File name of the Jinja template. Variables are escaped; for HTML or SVG that pyrepsim made, such as the value
        of `pyrepsim.results.figures.themed_svg`, the template says ``{{ variable | safe }}``.
    **content
        Values of the template's variables. A missing variable is an error.

    Raises
    ------
    MissingExtraError
        If jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError('Pages need jinja2: pip install "pyrepsim[plot]".') from error
    environment = Environment(
        loader=PackageLoader(package, "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_printable_text,
    )  # fmt: skip
    return environment.get_template(template).render(**content)


def _printable_text(value: Any) -> Any:
    return printable(value, keep="\n\t") if type(value) is str else value  # HTML that is marked safe is as it is


def write_html(text: str, path: str | os.PathLike[str]) -> Path:
    """Write a page to `path`, whole or not at all, and return the path. Folders on the way are made."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def page(scores: Scores, *, title: str | None = None) -> str:
    """Return the page of a comparison as HTML text. Needs ``pip install "pyrepsim[plot]"`` (jinja2, matplotlib)."""
    if not len(scores):
        raise OptionError("A page shows scores: got none. Compare first.")
    x, y = names(scores)
    pairs = {(score.layer_x, score.layer_y) for score in scores}
    size = f"{_count(len(pairs), 'layer pair')}, {_count(len(scores.measures), 'measure')}"
    figure = plot(scores, title="") if None not in scores.layers_x else None
    compared = sides(scores)
    alt = f"{', '.join(scores.measures)} of the layers of {x} and {y}"
    prefix = "" if title is None else f"{compared}, "  # without a title, the heading names the sides
    return render_html(
        "pyrepsim.results",
        "page.html",
        title=compared if title is None else title,
        subtitle=f"{prefix}{sample_counts(scores)}; {size}",
        figure=None if figure is None else themed_svg(figure, salt="scores", alt=alt),
        axes=_axes_in_words(figure) if figure is not None else "",
        bands=any(score.interval is not None for score in scores),
        curves=len(pairs) == len(scores.layers_x) == len(scores.layers_y),
        folded=len(scores) > 60 and len(pairs) > len(scores.layers_x),
        x=x,
        y=y,
        table=score_table(scores).html(bare=True),
        details=_details(scores),
        provenance=_shared_provenance(scores),
    )


def _axes_in_words(figure: Figure) -> str:
    """Return a sentence if a vertical axis does not start at zero, else an empty text."""
    without = [ax.get_ylim()[0] > 0 or ax.get_ylim()[1] < 0 for ax in figure.axes]
    if not any(without):
        return ""
    if len(without) == 1:
        return "The vertical axis does not start at zero."
    return f"{'The' if all(without) else 'Some'} vertical axes do not start at zero."


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _details(scores: Scores) -> list[dict[str, Any]]:
    """Return for each measure a table of the scalars in its details, one row for each layer pair."""
    tables = []
    for measure in scores.measures:
        details = [(score, dict(flat_text(score.details))) for score in scores.select(measure=measure)]
        columns = list(dict.fromkeys(key for _, items in details for key in items))
        rows = []
        for score, items in details:
            same = score.layer_x == score.layer_y
            layer = (score.layer_x or "") if same else f"{score.layer_x} ~ {score.layer_y}"
            rows.append([layer, *(items.get(column, "") for column in columns)])
        if columns:
            tables.append({"measure": measure, "columns": columns, "rows": rows})
    return tables


def _shared_provenance(scores: Scores) -> dict[str, str]:
    """Return the entries of the provenance that all scores share."""
    each = [dict(flat_text(score.provenance)) for score in scores]
    return {key: item for key, item in each[0].items() if all(other.get(key) == item for other in each)}
