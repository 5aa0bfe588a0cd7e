"""Writing the report of a study: the page, the figures and the tables."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import OptionError
from ...core.ownership import owning
from ...results.figures import save
from ...results.page import write_html
from .drawing import draw
from .page import page
from .plots import Plot
from .rows import StudyFiles, read_study
from .sections import FIGURES
from .tables import TABLE_FORMATS, TABLES, Table, claims_table, numbers, write_table

__all__ = ["FORMATS", "StudyReport", "study_report"]

FIGURE_FORMATS = ("svg", "png")
FORMATS = (*FIGURE_FORMATS, *TABLE_FORMATS)


@dataclass(frozen=True)
class StudyReport:
    """The files of a report."""

    page: Path
    """The page: one HTML file that includes its figures."""
    files: tuple[Path, ...]
    """Figures and tables."""
    missing: tuple[str, ...]
    """Names of the figures for which the study has no rows."""


def study_report(
    out: str | os.PathLike[str],
    *,
    formats: Iterable[str] = ("svg", "png", "csv", "tex"),
    title: str | None = None,
    wait: float | None = None,
) -> StudyReport:
    """Write the report of a study to `out`/report, from the study's result files alone.

    ``report/index.html`` has the claims with their verdicts, every figure, the tables, what was run, and the methods
    with citations. ``report/figures`` and ``report/tables`` have each figure and each table as a file. The same rows
    always give the same bytes.

    Parameters
    ----------
    out : str or path
        Folder of the study, with rows.jsonl and, if there are any, study.json and claims.jsonl.
    formats : iterable of str, or str, default ("svg", "png", "csv", "tex")
        Formats of the files: svg, png, csv, tex (LaTeX with booktabs), parquet. A string such as "svg,csv" is split.
        Files hold fractions; figures and pages show percent.
    title : str, optional
        Title of the page.
    wait : float, optional
        Seconds to wait for another process that writes the report. By default it is refused at once.

    Returns
    -------
    StudyReport

    Raises
    ------
    StoreError
        If `out` has no rows.jsonl, or the report cannot be written.
    LockedError
        If another process writes the report.
    OptionError
        If a format is unknown or a line of a file is not a row.
    NonFiniteError
        If a row has NaN or infinity.
    MissingExtraError
        Without matplotlib or jinja2, or for parquet without pandas.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> from pyrepsim.studies import study_report
    >>> rows = [
    ...     {"experiment": "freezing", "task": "mnli", "seed": 0, "k": k, "metric": "accuracy", "value": value}
    ...     for k, value in [(0, 0.844), (6, 0.841), (12, 0.512)]
    ... ]
    >>> Path("study").mkdir()
    >>> with open("study/rows.jsonl", "w", encoding="utf-8") as file:
    ...     for row in rows:
    ...         print(json.dumps(row), file=file)
    >>> report = study_report("study", formats="csv")
    >>> report.page.as_posix()
    'study/report/index.html'
    >>> [path.as_posix() for path in report.files]
    ['study/report/tables/freezing.csv']
    """
    chosen = tuple(dict.fromkeys(formats.split(",") if isinstance(formats, str) else formats))
    if unknown := [name for name in chosen if name not in FORMATS]:
        raise OptionError(f"The formats of a report are {', '.join(FORMATS)}: got {', '.join(unknown)}.")
    files = read_study(out)
    plots = {name: plot for name, describe in FIGURES.items() if (plot := describe(files.rows)) is not None}
    tables = {name: table for name, make in TABLES.items() if (table := make(files.rows)) is not None}
    text = page(files, plots, tables, title=title)
    folder = Path(out) / "report"
    with owning(folder, wait=wait):
        write_html(text, folder / "index.html")
        written = [
            *_figures(plots, chosen, folder / "figures", files),
            *_tables(plots, tables, chosen, folder / "tables", files),
        ]
    return StudyReport(folder / "index.html", tuple(written), tuple(name for name in FIGURES if name not in plots))


def _figures(plots: dict[str, Plot], formats: tuple[str, ...], folder: Path, files: StudyFiles) -> list[Path]:
    written = []
    suffixes = [suffix for suffix in FIGURE_FORMATS if suffix in formats]
    for name, plot in plots.items() if suffixes else ():
        figure = draw(plot)
        for suffix in suffixes:
            source = f"rows.jsonl SHA-256 {files.digest}"
            written.append(save(figure, folder / f"{name}.{suffix}", source=source, dpi=160))
            figure.set_layout_engine("none")  # the layout of the first format serves the second
    return written


def _tables(
    plots: dict[str, Plot], tables: dict[str, Table], formats: tuple[str, ...], folder: Path, files: StudyFiles
) -> list[Path]:
    """Write the tables of the page, the claims, and the numbers of each figure under the name of the figure."""
    claims = claims_table(files)
    named = {} if claims is None else {"claims": claims}
    named |= tables | {name: numbers(plot) for name, plot in plots.items() if plot.listed}
    suffixes = [suffix for suffix in TABLE_FORMATS if suffix in formats]
    return [write_table(table, folder / f"{name}.{suffix}") for name, table in named.items() for suffix in suffixes]
