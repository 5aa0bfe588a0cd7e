"""Tables of results: records for programs, and aligned text or HTML for people."""

from __future__ import annotations

import csv
import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import MissingExtraError, NonFiniteError
from ..core.outputs import replacing
from ..core.text import printable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Records", "Table", "TextTable", "flat", "frame_of", "write_csv"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # and as wide letters
_NOTEBOOK_STYLE = "text-align:right;font-variant-numeric:tabular-nums;padding:2px 10px"


class Records(ABC):
    """Base class of results that are a long table: one flat record for each value."""

    @abstractmethod
    def to_records(self) -> list[dict[str, Any]]:
        """Return one dict for each record."""

    def to_frame(self) -> pd.DataFrame:
        """Return the records as a pandas DataFrame, one row for each record.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        return frame_of(self.to_records())

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the records as CSV and return the path (`write_csv`). Floats keep all their digits."""
        records = self.to_records()
        return write_csv(path, dict.fromkeys(name for record in records for name in record), records)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Write the records as Parquet and return the path.

        Raises
        ------
        MissingExtraError
            If pandas or pyarrow is not installed.
        """
        frame = frame_of(self.to_records())
        try:
            import pyarrow as pa  # noqa: F401 (the error of pandas is less clear)
        except ImportError as error:
            raise MissingExtraError("to_parquet() needs pyarrow: pip install pyarrow, or use to_csv().") from error
        with replacing(path) as temporary:
            frame.to_parquet(temporary, index=False)
        return Path(path)

    def to_jsonl(self, path: str | os.PathLike[str]) -> Path:
        """Write one JSON object a line, one for each record, and return the path."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for record in self.to_records():
                try:
                    file.write(json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n")
                except ValueError as error:
                    raise NonFiniteError(
                        f"JSON has no NaN and no infinity: a record for {path} has one. Use to_csv or to_parquet."
                    ) from error
        return Path(path)


def frame_of(content: Any) -> pd.DataFrame:
    """Return a pandas DataFrame of records or columns, or raise MissingExtraError."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("to_frame() needs pandas: pip install pandas, or use to_records().") from error
    return pd.DataFrame(content)


class Table(Records, Sequence[Mapping[str, Any]]):
    """An immutable sequence of records, each a mapping from column to value. Records may lack columns.

    Examples
    --------
    >>> from pyrepsim.results.tables import Table
    >>> table = Table([{"layer": "embeddings", "distance": 0.01}, {"layer": "layer.0", "distance": 0.125}])
    >>> table.columns
    ('layer', 'distance')
    >>> print(table.table())
    layer       distance
    embeddings  0.01
    layer.0     0.125
    """

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        self._records = tuple(dict(record) for record in records)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: Any) -> Any:
        return self._records[index]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._records)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order of first appearance."""
        return tuple(dict.fromkeys(name for record in self for name in record))

    def table(self) -> str:
        """Return the records as aligned text, without columns that are empty in every record."""
        columns = tuple(name for name in self.columns if any(record.get(name) is not None for record in self))
        cells = tuple(tuple(_cell(record.get(name)) for name in columns) for record in self)
        return TextTable(columns, cells, n_labels=len(columns)).text(rule=False)

    def __repr__(self) -> str:
        return printable(f"{type(self).__name__}({len(self)} records; {', '.join(self.columns)})")

    def to_records(self) -> list[dict[str, Any]]:
        """Return one dict for each record."""
        return [dict(record) for record in self]


def write_csv(path: str | os.PathLike[str], columns: Iterable[str], records: Iterable[Mapping[str, Any]]) -> Path:
    """Write a CSV file with a header and one line for each record; other keys than `columns` are left out.

    Text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break gets a ``'`` in front, because spreadsheets
    would run it as a formula; and so does text that begins with ``'``, so that whoever removes one from each such text
    has the texts as they were. Numbers are written as numbers.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*columns], extrasaction="ignore")
        writer.writerow({name: _inert(name) for name in writer.fieldnames})
        writer.writerows({name: _inert(value) for name, value in record.items()} for record in records)
    return Path(path)


def _inert(value: Any) -> Any:
    text = value if value is None or isinstance(value, str | int | float | np.number) else str(value)
    return f"'{text}" if isinstance(text, str) and text.startswith(_FORMULA) else text


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class TextTable:
    """A table of formatted cells: the first `n_labels` columns are left-aligned labels, the others right-aligned.

    Examples
    --------
    >>> from pyrepsim.results.tables import TextTable
    >>> print(TextTable(("layer", "CKA"), (("embeddings", "0.9900"), ("layer.0", "0.9800")), "base ~ tuned").text())
    base ~ tuned
    layer          CKA
    ----------  ------
    embeddings  0.9900
    layer.0     0.9800
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    n_labels: int = 1

    def text(self, *, rule: bool = True) -> str:
        """Return the table as aligned text: caption, header, a rule if wanted, and the rows."""
        header, *rows = ([printable(cell) for cell in cells] for cells in (self.header, *self.rows))
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

        def line(cells: Sequence[str]) -> str:
            aligned = (
                cell.ljust(width) if column < self.n_labels else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            return "  ".join(aligned).rstrip()

        lines = [printable(self.caption)] if self.caption else []
        if header:
            lines += [line(header), *(["  ".join("-" * width for width in widths)] if rule else [])]
        return "\n".join([*lines, *map(line, rows)])

    def html(self, *, bare: bool = False) -> str:
        """Return the table as HTML, with its style for notebooks, or without style and caption (``bare=True``)."""
        style = "" if bare else f' style="{_NOTEBOOK_STYLE}"'
        label_style = ' class="label"' if bare else f' style="{_NOTEBOOK_STYLE};text-align:left"'

        def row(cells: Sequence[str], tag: str) -> str:
            out = []
            for column, cell in enumerate(cells):
                label = column < self.n_labels
                kind = "th" if label else tag
                scope = f' scope="{"col" if tag == "th" else "row"}"' if kind == "th" else ""
                out.append(f"<{kind}{scope}{label_style if label else style}>{escape(printable(cell))}</{kind}>")
            return f"<tr>{''.join(out)}</tr>"

        head = row(self.header, "th")
        body = "\n".join(row(cells, "td") for cells in self.rows)
        title = "" if bare else f"<caption>{escape(printable(self.caption))}</caption>\n"
        return f"<table>\n{title}<thead>{head}</thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield key and value of every scalar of a nested mapping; nested keys are joined by dots."""
    for key, item in mapping.items():
        if isinstance(item, Mapping):
            yield from flat(item, f"{prefix}{key}.")
        elif item is None or isinstance(item, str | bool | int | float | np.generic):
            yield prefix + key, item.item() if isinstance(item, np.generic) else item
