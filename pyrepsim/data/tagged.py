"""Sentences with one tag per word, from column files of the CoNLL tasks, from CoNLL-U and from records."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import TextError
from .columns import column_blocks
from .conllu import read_conllu
from .hub import HUB
from .lines import JSONL_SUFFIXES, numbered_lines
from .records import records

__all__ = ["TaggedSentence", "holds_records", "read_tagged_columns", "read_tagged_conllu", "read_tagged_records"]

_DOCUMENT = "-DOCSTART-"
_NO_TAG = "_"


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Words and their tags, with the file and line of the first word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    where: str
    one_line_per_word: bool = False
    """Whether word i is i lines below the first word."""

    def at(self, word: int) -> str:
        """Return the location of a word and the word itself, for error messages."""
        if self.one_line_per_word:
            file, _, line = self.where.rpartition(":")
            return f"{file}:{int(line) + word} ({self.words[word]!r})"
        return f"{self.where}, word {word + 1} ({self.words[word]!r})"


def holds_records(source: str | os.PathLike[str]) -> bool:
    """Return whether each record of a source is a sentence: JSON lines, or a data set on the hub."""
    name = os.fspath(source)
    return name.startswith(HUB) or name.lower().endswith(JSONL_SUFFIXES)


def read_tagged_columns(path: str | os.PathLike[str], *, word: int, tag: int) -> list[TaggedSentence]:
    """Read a file with one word per line; a blank line ends a sentence.

    Lines that start with ``-DOCSTART-`` are left out.

    Parameters
    ----------
    path : str or path
        Columns are separated by tabs or, in a line without tabs, by spaces.
    word, tag : int
        Index of the column of the word and of the tag, from 0; from the end if negative.

    Raises
    ------
    TextError
        If a line lacks one of the columns, a word or tag is empty, the file is not UTF-8, or it has no sentence. The
        message has the file and line.
    """
    path = Path(path)
    lines = ((number, "" if line.startswith(_DOCUMENT) else line) for number, line in numbered_lines(path))
    sentences: list[TaggedSentence] = []
    for block in column_blocks(lines, str(path), comments=False, equal_widths=False):
        pairs: list[tuple[str, str]] = []
        for number, row in zip(block.numbers, block.rows, strict=True):
            width = len(row)
            if not (-width <= word < width and -width <= tag < width) or word % width == tag % width:
                raise TextError(
                    f"Each line must have a word and a tag, in columns {word} and {tag}: {path}:{number} is "
                    f"{' '.join(row)!r}. Correct it, or name the columns."
                )
            pairs.append((row[word], row[tag]))
            if not all(pairs[-1]):
                raise TextError(
                    f"Words and tags must not be empty: {path}:{number} has {row[word]!r} with the tag {row[tag]!r}. "
                    "Correct the line."
                )
        words, tags = zip(*pairs, strict=True)
        sentences.append(TaggedSentence(words, tags, block.where, True))
    if not sentences:
        raise TextError(f"A file of tagged words must hold at least one sentence: {path} holds none. Check the file.")
    return sentences


def read_tagged_conllu(path: str | os.PathLike[str], column: str) -> list[TaggedSentence]:
    """Read words and their ``"upos"`` or ``"xpos"`` from a CoNLL-U file. TextError if a word has no tag ("_")."""
    sentences = []
    for parsed in read_conllu(path):
        sentence = TaggedSentence(parsed.words, getattr(parsed, column), parsed.where)
        if _NO_TAG in sentence.tags:
            raise TextError(
                f"Each word must have {column.upper()}: {sentence.at(sentence.tags.index(_NO_TAG))} has none. Annotate "
                "it, or take the other column."
            )
        sentences.append(sentence)
    return sentences


def read_tagged_records(
    source: str | os.PathLike[str], *, words: Sequence[str], tags: Sequence[str]
) -> list[TaggedSentence]:
    """Read records that hold a list of words and a list of tags; `words` and `tags` are the possible column names.

    Words with the tag "_" are left out: data sets on the hub list a contraction as a whole and then word by word.

    Raises
    ------
    TextError
        If a column is not a list of strings, the lists differ in length, or no word has a tag. The message has the file
        and line.
    """
    sentences = []
    for where, record in records(source, {"words": words, "tags": tags}):
        kept = [pair for pair in zip(*_lists(record, where), strict=True) if pair[1] != _NO_TAG]
        if not kept:
            raise TextError(f"A sentence must have at least one word: {where} has none with a tag. Remove the record.")
        sentences.append(TaggedSentence(tuple(word for word, _ in kept), tuple(tag for _, tag in kept), where))
    return sentences


def _lists(record: dict[str, Any], where: str) -> tuple[list[str], list[str]]:
    for column in record.values():
        if not isinstance(column, list) or not all(isinstance(entry, str) and entry.strip() for entry in column):
            raise TextError(
                f"Words and tags must be lists of strings, none of them empty: {where} has {column!r:.60}. Correct it."
            )
    words, tags = record["words"], record["tags"]
    if len(words) != len(tags):
        raise TextError(
            f"Each word must have a tag: {where} has {len(words)} words and {len(tags)} tags. Correct the record."
        )
    return words, tags
