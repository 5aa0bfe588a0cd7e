"""A table for people and the records under it for programs.

FOLDED: Tables as files: CSV, LaTeX with booktabs' rules, Parquet where pandas is.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import MissingExtraError
from ...core.outputs import replacing
from .plots import Plot
from .words import digits_for, interval, number

__all__ = ["TABLE_FORMATS", "Cell", "Table", "latex", "numbers", "write_table"]

TABLE_FORMATS = ("csv", "tex", "parquet")
_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "–": "--", "±": r"$\pm$", "‖": r"$\|$",
    "′": r"$'$", "≥": r"$\geq$", "▲": r"$\uparrow$", "▼": r"$\downarrow$", "“": "``", "”": "''", "…": r"\dots{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$", "\n": " ", "\r": " ",
}  # fmt: skip
_MARKS = {"gained": "▲", "lost": "▼"}


def write_table(table: Table, path: Path) -> Path:
    """Write in the format that the path's ending names.

    Raises MissingExtraError for Parquet without pandas and pyarrow, StoreError for what the system refuses.
    """
    if path.suffix == ".parquet":
        return _parquet(table.records, path)
    with replacing(path) as temporary:
        if path.suffix == ".tex":
            temporary.write_text(latex(table), encoding="utf-8")
        else:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(dict.fromkeys(key for row in table.records for key in row)))
                writer.writeheader()
                writer.writerows(table.records)
    return path


def latex(table: Table) -> str:
    r"""Return a `tabular` for \input: needs \usepackage{booktabs}, and nothing else."""
    columns = "l" * table.n_labels + "r" * (len(table.header) - table.n_labels)
    lines = [f"% {_tex(table.title)}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    if table.groups:
        lines.append(" & ".join(_group(name, span) for name, span in table.groups) + r" \\")
        lines.append(" ".join(_rules(table.groups)))
    lines += [" & ".join(map(_tex, table.header)) + r" \\", r"\midrule"]
    lines += [" & ".join(map(_cell, row)) + r" \\" for row in table.rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.note:
        lines.append(f"% {_tex(table.note)}")
    return "\n".join(lines) + "\n"


def _group(name: str, span: int) -> str:
    return _tex(name) if span == 1 else rf"\multicolumn{{{span}}}{{c}}{{{_tex(name)}}}"


def _rules(groups: Sequence[tuple[str, int]]) -> list[str]:
    rules, start = [], 1
    for name, span in groups:
        if name:
            rules.append(rf"\cmidrule(lr){{{start}-{start + span - 1}}}")
        start += span
    return rules


def _cell(cell: Cell) -> str:
    words = [cell.text, _MARKS.get(cell.mark, ""), cell.aside]
    return " ".join(_tex(word) for word in words if word)


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)


def _parquet(records: Sequence[Mapping[str, Any]], path: Path) -> Path:
    try:
        import pandas as pd
        import pyarrow as pa  # noqa: F401 (pandas asks for it later, and less clearly)
    except ImportError as error:
        raise MissingExtraError(
            "Parquet needs pandas and pyarrow: pip install pandas pyarrow, or leave parquet out of the formats."
        ) from error
    with replacing(path) as temporary:
        pd.DataFrame(list(records)).to_parquet(temporary, index=False)
    return path


@dataclass(frozen=True)
class Cell:
    """A value's text; `aside` is said more quietly beside it (an interval), `mark` is "gained", "lost" or nothing."""

    text: str
    aside: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """`rows` have a cell a column, the first `n_labels` of them names; `groups` stand above the columns, if any."""

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    records: Sequence[Mapping[str, Any]]
    """What CSV and Parquet hold: one value a record, unrounded."""
    note: str = ""
    n_labels: int = 1
    groups: tuple[tuple[str, int], ...] = ()
    """A name and how many columns it spans, the labels included."""


def numbers(plot: Plot) -> Table:
    """All points of a figure: the places along x down, the lines across."""
    if any(panel.grid for panel in plot.panels):
        return _map(plot)
    columns = [(panel, line) for panel in plot.panels for line in panel.lines]
    named = any(panel.categories for panel in plot.panels)
    records, at = [], {}
    for place, (panel, line) in enumerate(columns):
        digits = digits_for(point.value for point in line.points) if plot.digits is None else plot.digits
        for point in line.points:
            x = panel.categories[int(point.x)] if panel.categories else point.x
            at[x, place] = Cell(number(point.value, digits), interval(point.low, point.high, digits))
            records.append({
                "panel": panel.title, "line": line.look.label or panel.title, "x": x, "value": point.value,
                "low": point.low, "high": point.high, "band": point.band, "confidence": point.confidence, "n": point.n,
                "p": point.p,
            })  # fmt: skip
    places = list(dict.fromkeys(x for x, _ in at)) if named else sorted({x for x, _ in at})
    rows = tuple(
        (Cell(x if isinstance(x, str) else f"{x:g}"), *(at.get((x, place), Cell("")) for place in range(len(columns))))
        for x in places
    )
    labels = [line.look.label or panel.title for panel, line in columns]
    groups = [(panel.title, len(panel.lines)) for panel in plot.panels]
    several = len(groups) > 1 and any(n > 1 for _, n in groups)
    first = "" if named else plot.xlabel
    return Table(
        plot.name, plot.title, (first, *labels), rows, records, groups=(("", 1), *groups) if several else ()
    )  # fmt: skip


def _map(plot: Plot) -> Table:
    """Heat maps go to files: a page has the colours."""
    records = [
        {"panel": panel.title, "measure": panel.grid.label, "before": x, "after": y, "value": value}
        for panel in plot.panels
        if panel.grid is not None
        for x, row in zip(panel.grid.rows, panel.grid.values, strict=True)
        for y, value in zip(panel.grid.columns, row, strict=True)
    ]
    header = ("", "before", "after", "value")
    rows = tuple((Cell(r["panel"]), Cell(f"{r['before']:g}"), Cell(f"{r['after']:g}"), Cell(number(r["value"])))
                 for r in records)  # fmt: skip
    return Table(plot.name, plot.title, header, rows, records)
