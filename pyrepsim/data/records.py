"""Records of a file or of a data set on the hub, each with where it stands."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.errors import TextError
from .hub import load_split

__all__ = ["HUB", "hub_records", "numbered_lines", "records"]

HUB = "hub:"

Lines = Iterable[tuple[int, str]]
Columns = Mapping[str, Sequence[str]]
Found = Iterator[tuple[str, dict[str, Any] | TextError]]  # an error in place of a row that does not fit its header


def _raise(problem: TextError) -> None:
    raise problem


def records(
    source: str | os.PathLike[str],
    columns: Columns,
    *,
    header: Sequence[str] | None = None,
    on_bad: Callable[[TextError], None] = _raise,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each record stands ("train.jsonl:17"), and its values in the columns asked for.

    Parameters
    ----------
    source
        A file, UTF-8, by its suffix: ``.jsonl``, ``.ndjson`` and ``.json`` hold one JSON object a line; ``.tsv`` has a
        header and no quoting, as the GLUE files need it; ``.csv`` has a header and quoting (RFC 4180). Or
        ``hub:owner/name[:config[:split]]``.
    columns
        Name in the returned record -> names that the column has in one source or another; the first there counts.
    header
        Columns of a TSV file without a header (CoLA): taken where the first line names none of the columns asked for.
    on_bad
        Called, instead of raising, with the error about a record that lacks a column, or a row with more or fewer
        fields than the header. The record is left out.

    Raises
    ------
    TextError
        No such file or data set, not UTF-8, broken JSON or CSV, nothing in it; and what `on_bad` raises.
    """
    name = os.fspath(source)
    if name.startswith(HUB):
        found, unit = hub_records(name), "record"
    else:
        found, unit = _file_records(Path(name), columns, header), "line"
    empty = True
    for where, record in found:
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
        raise TextError(f"A data file holds at least one record: {name} holds none. Check that it was written whole.")


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


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Lines of a UTF-8 file with their numbers, from 1, without their ends: ``\n`` or ``\r\n``, and nothing else.

    Raises TextError for a file that is not there or cannot be read, and for a line that is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise TextError(
                        f"Data files must be UTF-8: {path}:{number} is not (byte {error.start} of the line). Convert "
                        "the file, e.g. with iconv."
                    ) from error
                yield number, line.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise TextError(
            f"A source is a file that can be read, or 'hub:owner/name:config:split': {str(path)!r} is neither "
            f"({error.strerror or error}). Check the path."
        ) from error


def _file_records(path: Path, columns: Columns, header: Sequence[str] | None) -> Found:
    lines = numbered_lines(path)
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson", ".json"):
        return _json_lines(path, lines)
    if suffix == ".tsv":
        names = {name for alternatives in columns.values() for name in alternatives}
        return _tsv(path, lines, header, names)
    if suffix == ".csv":
        return _csv(path, lines)
    raise TextError(
        f"Records are read from .jsonl, .json (one object a line), .tsv and .csv files: {str(path)!r} ends in "
        f"{suffix or 'nothing'}. Rename or convert it."
    )


def _json_lines(path: Path, lines: Lines) -> Found:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise TextError(
                f"Each line must be one JSON object: {path}:{number} is not JSON ({error}). Repair the line; a file "
                "that is one JSON document must be rewritten with an object a line."
            ) from error
        if not isinstance(record, dict):
            raise TextError(
                f"Each line must be one JSON object: {path}:{number} is {type(record).__name__}. Write one a line."
            )
        yield f"{path}:{number}", record


def _tsv(path: Path, lines: Lines, header: Sequence[str] | None, wanted: set[str]) -> Found:
    names: Sequence[str] | None = None
    for number, line in lines:
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


def _csv(path: Path, lines: Lines) -> Found:
    reader = csv.reader((line + "\n" for _, line in lines), strict=True)
    names: Sequence[str] | None = None
    while True:
        number = reader.line_num + 1  # a quoted field may hold line breaks: where the record begins
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TextError(
                f"A .csv file must be comma-separated with double quotes: {path}:{number} is not ({error}). Repair the "
                "line, or name the file .tsv if its columns are parted by tabs."
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
        double = next(name for name in names if names.count(name) > 1)
        raise TextError(f"Column names must differ: {path}:{number} has {double!r} twice. Rename one.")
    return names


def _row(where: str, names: Sequence[str], fields: Sequence[str]) -> dict[str, str] | TextError:
    if len(fields) == len(names):
        return dict(zip(names, fields, strict=True))
    return TextError(
        f"Each row must have as many fields as the header: {where} has {len(fields)}, the header {len(names)}. Repair "
        "the row: a line break or a separator inside a text does this."
    )


def hub_records(source: str) -> Found:
    """Records of ``hub:owner/name[:config[:split]]``. Labels come by name; one that the data set hides (-1) is None.

    Raises TextError for a source of another form, and for a data set that cannot be loaded.
    """
    name, *rest = source.removeprefix(HUB).split(":")
    if not name or len(rest) > 2:
        raise TextError(f"A data set of the hub is 'hub:owner/name:config:split': got {source!r}. Check its parts.")
    config, split = [part or None for part in (*rest, "", "")[:2]]
    dataset = load_split(
        name,
        config,
        split,
        check="Check the parts of 'hub:owner/name:config:split', or the connection.",
        choose=f"Use '{HUB}{{name}}:{config or ''}:{{split}}'.",
    )
    decoders = {column: _label_names(feature) for column, feature in (dataset.features or {}).items()}
    for index, record in enumerate(dataset):
        yield f"{source}:{index}", {column: _decoded(decoders.get(column), x) for column, x in record.items()}


def _label_names(feature: Any) -> Sequence[str] | None:
    """Names of a column of class labels, or of lists of them; None for any other column."""
    inner = getattr(feature, "feature", feature)  # of a list
    names = getattr(inner, "names", None)
    return list(names) if names else None


def _decoded(names: Sequence[str] | None, entry: Any) -> Any:
    if names is None or isinstance(entry, str) or entry is None:
        return entry
    if isinstance(entry, list):
        return [_decoded(names, one) for one in entry]
    return names[entry] if entry >= 0 else None
