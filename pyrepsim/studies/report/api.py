"""Everything a report has, into the study's folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import OptionError
from ...results.figures import save
from ...results.page import write_html
from .catalogue import FIGURES
from .contents import TABLES, claims_table
from .drawing import draw
from .page import page
from .plots import Plot
from .reading import Evidence, read_evidence
from .tables import TABLE_FORMATS, Table, numbers, write_table

__all__ = ["FORMATS", "StudyReport", "study_report"]

FIGURE_FORMATS = ("svg", "png")
FORMATS = (*FIGURE_FORMATS, *TABLE_FORMATS)


@dataclass(frozen=True)
class StudyReport:
    """What was written."""

    page: Path
    """The page, one file that needs no other."""
    files: tuple[Path, ...]
    """Figures and tables."""
    missing: tuple[str, ...]
    """Figures that the rows don't have."""


def study_report(
    out: str | os.PathLike[str], *, formats: Iterable[str] = ("svg", "png", "csv", "tex"), title: str | None = None
) -> StudyReport:
    """Write `out`/report from the files that a study left in `out`; nothing is computed anew.

    index.html is the whole report in one file: claims with their verdicts, every figure, the tables, what was run,
    methods with citations. figures/ has each figure and tables/ each table in the `formats` asked for, of svg, png,
    csv, tex (LaTeX with booktabs) and parquet; "svg,csv" will do. Equal rows give equal bytes.

    Raises StoreError if `out` has no rows.jsonl or the report can't be written, OptionError for an unknown format or a
    line that is no row, NonFiniteError for NaN or infinity in a row, MissingExtraError without matplotlib or jinja2, or
    for parquet without pandas.
    """
    wanted = tuple(dict.fromkeys(formats.split(",") if isinstance(formats, str) else formats))
    if unknown := [name for name in wanted if name not in FORMATS]:
        raise OptionError(f"A report's formats are of {', '.join(FORMATS)}: got {', '.join(unknown)}.")
    evidence = read_evidence(out)
    plots = {name: plot for name, describe in FIGURES.items() if (plot := describe(evidence.rows)) is not None}
    tables = {name: table for name, lay_out in TABLES.items() if (table := lay_out(evidence.rows)) is not None}
    text = page(evidence, plots, tables, title=title)
    folder = Path(out) / "report"
    write_html(text, folder / "index.html")
    files = [*_figures(plots, wanted, folder / "figures", evidence)]
    files += _tables(plots, tables, wanted, folder / "tables", evidence)
    return StudyReport(folder / "index.html", tuple(files), tuple(name for name in FIGURES if name not in plots))


def _figures(plots: dict[str, Plot], wanted: tuple[str, ...], folder: Path, evidence: Evidence) -> list[Path]:
    written = []
    for name, plot in plots.items():
        formats = [suffix for suffix in FIGURE_FORMATS if suffix in wanted]
        if formats:
            figure = draw(plot)
            source = f"rows.jsonl SHA-256 {evidence.digest}"
            for suffix in formats:
                written.append(save(figure, folder / f"{name}.{suffix}", source=source, dpi=160))
                figure.set_layout_engine("none")  # the layout of the first format serves the second
    return written


def _tables(
    plots: dict[str, Plot], tables: dict[str, Table], wanted: tuple[str, ...], folder: Path, evidence: Evidence
) -> list[Path]:
    """The tables of the page, the claims, and the numbers of each figure under the figure's name."""
    judged = claims_table(evidence)
    named = {} if judged is None else {"claims": judged}
    named |= tables | {name: numbers(plot) for name, plot in plots.items() if plot.listed}
    formats = [suffix for suffix in TABLE_FORMATS if suffix in wanted]
    return [write_table(table, folder / f"{name}.{suffix}") for name, table in named.items() for suffix in formats]
