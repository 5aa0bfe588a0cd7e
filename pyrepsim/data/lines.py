"""Numbered lines and JSON lines of UTF-8 files, on which the readers of text formats are built."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..core.errors import TextError

__all__ = ["JSONL_SUFFIXES", "json_lines", "numbered_lines"]

JSONL_SUFFIXES = (".jsonl", ".ndjson", ".json")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Yield (line number, line) of a UTF-8 file; numbers start at 1.

    Lines end with ``\n`` or ``\r\n``, which are removed. Other characters, such as a lone ``\r``, end no line.

    Raises
    ------
    TextError
        If the file cannot be read, or a line is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise TextError(
                        f"Files must be UTF-8: {path}:{number} is not (byte {error.start} of the line). Convert the "
                        "file, e.g. with iconv."
                    ) from error
                yield number, line.removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise TextError(
            f"A source must be a readable file or 'hub:owner/name:config:split': {str(path)!r} is neither "
            f"({error.strerror or error}). Check the path."
        ) from error


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line number, value) of a file with one JSON value per line; blank lines are skipped.

    Raises
    ------
    TextError
        If a line is not JSON, and as `numbered_lines` does.
    """
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise TextError(
                f"Each line must be one JSON object: {path}:{number} is not JSON ({error}). Correct the line; if the "
                "file is one JSON document, rewrite it with one object per line."
            ) from error
        yield number, value
