"""Tables as files: CSV, LaTeX with booktabs' rules, Parquet where pandas is."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import MissingExtraError
from ...outputs import replacing
from .tables import Cell, Table

__all__ = ["TABLE_FORMATS", "latex", "write_table"]

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
