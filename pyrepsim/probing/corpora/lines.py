"""Blocks of columns, which know their file and line numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...core.errors import TextError

__all__ = ["Block", "blocks", "split_columns"]


@dataclass(frozen=True)
class Block:
    """The lines up to a blank one: columns and line number of each word, and the comments above."""

    file: str
    rows: tuple[list[str], ...]
    numbers: tuple[int, ...]
    comments: tuple[str, ...]

    @property
    def where(self) -> str:
        return f"{self.file}:{self.numbers[0]}"

    def column(self, index: int) -> list[str]:
        return [row[index] for row in self.rows]

    def error(self, message: str, word: int = 0) -> TextError:
        return TextError(f"{self.file}:{self.numbers[word]}: {message}")

    def comment(self, name: str) -> str | None:
        """What follows ``# name =``."""
        for comment in self.comments:
            key, equals, text = comment.lstrip("# ").partition("=")
            if equals and key.strip() == name:
                return text.strip()
        return None


def blocks(lines: Iterable[tuple[int, str]], file: str, *, comments: bool) -> Iterator[Block]:
    """Blocks of rows of equal width; lines that start with ``#`` are comments where the format has them."""
    rows: list[list[str]] = []
    numbers: list[int] = []
    above: list[str] = []
    for number, line in lines:
        if comments and line.startswith("#"):
            above.append(line)
        elif line.strip():
            row = split_columns(line)
            if rows and len(row) != len(rows[0]):
                raise TextError(
                    f"{file}:{number}: All words of a sentence have the same number of columns: got {len(row)} after "
                    f"{len(rows[0])}. Check the separators of this line."
                )
            rows.append(row)
            numbers.append(number)
        else:
            if rows:
                yield Block(file, tuple(rows), tuple(numbers), tuple(above))
                above = []
            rows, numbers = [], []
    if rows:
        yield Block(file, tuple(rows), tuple(numbers), tuple(above))


def split_columns(line: str) -> Sequence[str]:
    """Columns between tabs or, in a line without tabs, between spaces. No-break spaces belong to words."""
    return line.split("\t") if "\t" in line else [column for column in line.split(" ") if column]
