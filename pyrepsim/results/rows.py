"""Result rows as a table: records, CSV, JSON lines, a pandas frame, text."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import MissingExtraError
from ..core.outputs import replacing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table"]


class Table(Sequence[Mapping[str, Any]]):
    """Flat rows, each a mapping from column to value; a column that a row lacks is empty there. Immutable."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows = tuple(dict(row) for row in rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        return self._rows[index]

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self._rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns, in order of first appearance."""
        return tuple(dict.fromkeys(name for row in self for name in row))

    def table(self) -> str:
        """The rows as text, columns aligned, without columns that are empty throughout."""
        columns = [name for name in self.columns if any(row.get(name) is not None for row in self)]
        cells = [columns, *([_cell(row.get(name)) for name in columns] for row in self)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells]
        return "\n".join(line.rstrip() for line in lines)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} rows; {', '.join(self.columns)})"

    def to_records(self) -> list[dict[str, Any]]:
        """One dict a row."""
        return [dict(row) for row in self]

    def to_frame(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame."""
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("to_frame() needs pandas: pip install pandas, or use to_records().") from error
        return pd.DataFrame.from_records(self.to_records())

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the rows as CSV. Floats keep all their digits."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self)
        return Path(path)

    def to_jsonl(self, path: str | os.PathLike[str]) -> Path:
        """Write one JSON object a row."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for row in self:
                file.write(json.dumps(row, allow_nan=False, ensure_ascii=False) + "\n")
        return Path(path)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
