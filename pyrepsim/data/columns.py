"""Files with one word per line and its annotation in columns: sentences as blocks of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..core.errors import TextError
from .lines import BLANKS

__all__ = ["ColumnBlock", "column_blocks", "split_columns"]


@dataclass(frozen=True)
class ColumnBlock:
    """The lines of one sentence, up to a blank line.

    Attributes
    ----------
    file : str
    rows : tuple of list of str
        The columns of each word.
    numbers : tuple of int
        The line number of each word.
    comments : tuple of str
        The comment lines before and between the words.
    """

    file: str
    rows: tuple[list[str], ...]
    numbers: tuple[int, ...]
    comments: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """File and line of the first word."""
        return f"{self.file}:{self.numbers[0]}"

    def column(self, index: int) -> list[str]:
        return [row[index] for row in self.rows]

    def error(self, message: str, word: int = 0) -> TextError:
        """Return an error that starts with the file and line of a word."""
        return TextError(f"{self.file}:{self.numbers[word]}: {message}")

    def comment(self, name: str) -> str | None:
        """Return the value of the comment ``# name = value``."""
        for comment in self.comments:
            key, equals, text = comment.lstrip("# ").partition("=")
            if equals and key.strip(BLANKS) == name:
                return text.strip(BLANKS)
        return None


def column_blocks(
    lines: Iterable[tuple[int, str]], file: str, *, comments: bool, equal_widths: bool = True
) -> Iterator[ColumnBlock]:
    """Yield the sentences of numbered lines.

    With ``comments=True``, lines that start with ``#`` are comments. With ``equal_widths=True``, a TextError is raised
    if the rows of a sentence differ in their number of columns.
    """
    rows: list[list[str]] = []
    numbers: list[int] = []
    notes: list[str] = []
    for number, line in lines:
        if comments and line.startswith("#"):
            notes.append(line)
        elif line.strip(BLANKS):
            row = split_columns(line)
            if equal_widths and rows and len(row) != len(rows[0]):
                raise TextError(
                    f"{file}:{number}: All words of a sentence must have the same number of columns: got {len(row)} "
                    f"after {len(rows[0])}. Check the separators of this line."
                )
            rows.append(row)
            numbers.append(number)
        elif rows:
            yield ColumnBlock(file, tuple(rows), tuple(numbers), tuple(notes))
            rows, numbers, notes = [], [], []
    if rows:
        yield ColumnBlock(file, tuple(rows), tuple(numbers), tuple(notes))


def split_columns(line: str) -> list[str]:
    r"""Split a line at tabs or, if it has none, at spaces. A no-break space is part of a word.

    >>> split_columns("New\tB-place"), split_columns("EU  NNP I-ORG")
    (['New', 'B-place'], ['EU', 'NNP', 'I-ORG'])
    """
    return (
        [cell.strip(" ") for cell in line.split("\t")] if "\t" in line else [cell for cell in line.split(" ") if cell]
    )
