"""Numbered lines and JSON lines of UTF-8 files, on which the readers of text formats are built.

The formats separate by ASCII characters only: lines by line feeds, columns by tabs or spaces. Texts may hold any other
character of Unicode, among them many that Python's own `str.splitlines`, `str.split` and `str.strip` take as ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ..core.errors import TextError
from ..core.json_files import OTHERS, loads
from ..core.paths import as_path, open_regular

__all__ = ["BLANKS", "JSONL_SUFFIXES", "json_lines", "numbered_lines", "without_mark"]

JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")
BLANKS = " \t\r"
"""The white space of the formats inside a line. A line that has nothing else is blank."""

_MOST_BYTES = 1 << 30  # of a line
_MARK = "\ufeff"
_SIGNATURES = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "compressed (gzip)",
    b"PK\x03\x04": "a ZIP archive",
    b"BZh": "compressed (bzip2)",
    b"\xfd7zXZ": "compressed (xz)",
    b"(\xb5/\xfd": "compressed (zstd)",
    b"PAR1": "Parquet",
}


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield (line number, line) of a UTF-8 file; numbers start at 1.

    Lines end with ``\n`` or ``\r\n``, which are removed. Other characters, such as a lone ``\r`` or U+2028, end no
    line. A byte-order mark at the start of a line is left out: there is one where files were joined.

    Raises
    ------
    TextError
        If the file cannot be read, or a line is not UTF-8, has a NUL character or more than 1 GiB.
    """
    path = as_path(path, "A source", error=TextError)
    try:
        with open_regular(path) as file:
            for number, raw in enumerate(iter(partial(file.readline, _MOST_BYTES + 1), b""), 1):
                if number == 1 and (kind := next((k for start, k in _SIGNATURES.items() if raw.startswith(start)), "")):
                    raise TextError(f"Files must be UTF-8 text: {path} is {kind}. Convert or unpack it first.")
                if len(raw) > _MOST_BYTES:
                    raise TextError(f"A line must have at most 1 GiB: {path}:{number} has more. Split the file.")
                if b"\0" in raw:
                    raise TextError(
                        f"Files must be UTF-8 text: {path}:{number} has a NUL character, as UTF-16 and binary files "
                        "do. Convert the file, e.g. with iconv."
                    )
                try:
                    line = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise TextError(
                        f"Files must be UTF-8: {path}:{number} is not (byte {error.start} of the line). Convert the "
                        "file, e.g. with iconv."
                    ) from error
                yield number, without_mark(line.removesuffix("\n").removesuffix("\r"))
    except OSError as error:
        raise TextError(
            f"A source must be a readable file or 'hub:owner/name:config:split': {str(path)!r} is neither "
            f"({error.strerror or error}). Check the path."
        ) from error


def without_mark(text: str) -> str:
    """Return `text` without byte-order marks at its start."""
    return text.lstrip(_MARK)


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value) of a file with one JSON value per line; blank lines are skipped.

    Raises
    ------
    TextError
        If a line is not JSON (`pyrepsim.core.json_files.loads`), and as `numbered_lines` does.
    """
    for number, line in numbered_lines(path):
        if not line.strip(BLANKS):
            continue
        try:
            value = loads(line, OTHERS)
        except ValueError as error:
            raise TextError(
                f"Each line must be one JSON object: {path}:{number} is not JSON ({error}). Correct the line; if the "
                "file is one JSON document, rewrite it with one object per line."
            ) from error
        yield number, value
