"""Records of JSON lines, TSV and CSV files and of data sets on the hub, each with its location."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import TextError
from ..core.json_files import first_duplicate
from .hub import HUB, hub_records
from .lines import JSONL_SUFFIXES, json_lines, numbered_lines

__all__ = ["records"]

Columns = Mapping[str, Sequence[str]]
RawRecords = Iterator[tuple[str, dict[str, Any] | TextError]]  # an error in place of a row that does not fit its header


def _raise(problem: TextError) -> None:
    raise problem


def records(
    source: str | os.PathLike[str],
    columns: Columns,
    *,
    header: Sequence[str] | None = None,
    on_bad: Callable[[TextError], None] = _raise,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (location, record), such as ("train.jsonl:17", {"text": ...}), with the chosen columns.

    Parameters
    ----------
    source : str or path
        A UTF-8 file or ``hub:owner/name[:config[:split]]``. The suffix of a file says its format: ``.jsonl``,
        ``.ndjson`` and ``.json`` hold one JSON object per line; ``.tsv`` has a header and no quoting, as the GLUE files
        need; ``.csv`` has a header and quoting (RFC 4180).
    columns : mapping from str to sequence of str
        Key of the yielded record -> names that the column may have in the source; the first that exists is taken.
    header : sequence of str, optional
        Columns of a TSV file without a header (CoLA), used if the first line names none of the wanted columns.
    on_bad : callable, optional
        Called with the error, instead of raising it, for a record that lacks a column or a row with more or fewer
        fields than the header. The record is left out.

    Raises
    ------
    TextError
        If the source does not exist, is not UTF-8, has broken JSON or CSV, or holds no record; and what `on_bad`
        raises.
    """
    name = os.fspath(source)
    if name.startswith(HUB):
        raw_records: RawRecords = hub_records(name)
        unit = "record"
    else:
        raw_records, unit = _file_records(Path(name), columns, header), "line"
    empty = True
    for where, record in raw_records:
        empty = False
        if isinstance(record, TextError):
            on_bad(record)
            continue
        chosen = {wanted: _first_present(record, names) for wanted, names in columns.items()}
        if None in chosen.values():
            on_bad(_missing(where, record, columns, chosen, unit))
        else:
            yield where, {wanted: record[column] for wanted, column in chosen.items() if column is not None}
    if empty:
        raise TextError(f"A data file must hold at least one record: {name} holds none. Check that it is complete.")


def _first_present(record: Mapping[str, Any], names: Iterable[str]) -> str | None:
    return next((column for column in names if column in record), None)


def _missing(
    where: str, record: Mapping[str, Any], columns: Columns, chosen: Mapping[str, str | None], unit: str
) -> TextError:
    wanted = next(wanted for wanted, column in chosen.items() if column is None)
    names = " or ".join(repr(column) for column in columns[wanted])
    return TextError(
        f"Each {unit} must have the column {names}: {where} has {', '.join(record) or 'none'}. Complete it, or name "
        "the columns that hold the texts and the label."
    )


def _file_records(path: Path, columns: Columns, header: Sequence[str] | None) -> RawRecords:
    suffix = path.suffix.lower()
    if suffix in JSONL_SUFFIXES:
        return _json_records(path)
    if suffix == ".tsv":
        names = {name for alternatives in columns.values() for name in alternatives}
        return _tsv(path, header, names)
    if suffix == ".csv":
        return _csv(path)
    raise TextError(
        f"Records are read from .jsonl, .json (one object per line), .tsv and .csv files: {str(path)!r} ends in "
        f"{suffix or 'nothing'}. Rename or convert it."
    )


def _json_records(path: Path) -> RawRecords:
    for number, record in json_lines(path):
        if not isinstance(record, dict):
            raise TextError(
                f"Each line must be one JSON object: {path}:{number} is {type(record).__name__}. Write one per line."
            )
        yield f"{path}:{number}", record


def _tsv(path: Path, header: Sequence[str] | None, wanted: set[str]) -> RawRecords:
    names: Sequence[str] | None = None
    for number, line in numbered_lines(path):
        if not line:
            continue
        fields = line.split("\t")
        if names is None:
            if header is None or wanted & set(fields):
                names = _unique(path, number, fields)
                continue
            names = header
        where = f"{path}:{number}"
        yield where, _row(where, names, fields)


def _csv(path: Path) -> RawRecords:
    reader = csv.reader((line + "\n" for _, line in numbered_lines(path)), strict=True)
    names: Sequence[str] | None = None
    while True:
        number = reader.line_num + 1  # where the record begins: a quoted field may hold line breaks
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TextError(
                f"A .csv file must be comma-separated with double quotes: {path}:{number} is not ({error}). Correct "
                "the line, or name the file .tsv if its columns are separated by tabs."
            ) from error
        if not fields:
            continue
        if names is None:
            names = _unique(path, number, fields)
        else:
            where = f"{path}:{number}"
            yield where, _row(where, names, fields)


def _unique(path: Path, number: int, names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        double = first_duplicate(names)
        raise TextError(f"Column names must differ: {path}:{number} has {double!r} twice. Rename one.")
    return names


def _row(where: str, names: Sequence[str], fields: Sequence[str]) -> dict[str, str] | TextError:
    if len(fields) == len(names):
        return dict(zip(names, fields, strict=True))
    return TextError(
        f"Each row must have as many fields as the header: {where} has {len(fields)}, the header {len(names)}. Correct "
        "the row; a common cause is a line break or a separator inside a text."
    )
