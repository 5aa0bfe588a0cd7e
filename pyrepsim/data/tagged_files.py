"""Sentences whose words carry tags: in columns as the CoNLL tasks write them, in CoNLL-U, and as records."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import TextError
from .conllu import read_conllu
from .records import HUB, numbered_lines, records

__all__ = ["TaggedSentence", "holds_records", "read_columns", "read_records", "read_treebank"]

_DOCUMENT = "-DOCSTART-"
_NO_TAG = "_"
_RECORDS = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class TaggedSentence:
    """Words and their tags, with file and line of the first word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    where: str
    a_word_a_line: bool = False
    """Whether word i stands i lines below the first."""

    def at(self, word: int) -> str:
        """Where a word stands, and the word."""
        if self.a_word_a_line:
            file, _, line = self.where.rpartition(":")
            return f"{file}:{int(line) + word} ({self.words[word]!r})"
        return f"{self.where}, word {word + 1} ({self.words[word]!r})"


def holds_records(source: str | os.PathLike[str]) -> bool:
    """Whether a source gives a record a sentence: JSON lines, or a data set of the hub."""
    name = os.fspath(source)
    return name.startswith(HUB) or name.lower().endswith(_RECORDS)


def read_columns(path: str | os.PathLike[str], *, word: int, tag: int) -> list[TaggedSentence]:
    """A word a line, its columns parted by tabs (or, in a line without tabs, by blanks); an empty line ends a sentence.

    ``word`` and ``tag`` are the numbers of their columns, from 0, or from the end if negative. Lines that begin with
    ``-DOCSTART-`` are left out.

    Raises
    ------
    TextError
        With file and line: a column is not there or empty, not UTF-8, no sentence.
    """
    path = Path(path)
    sentences: list[TaggedSentence] = []
    words: list[str] = []
    tags: list[str] = []

    def close(after: int) -> None:
        if words:
            sentences.append(TaggedSentence(tuple(words), tuple(tags), f"{path}:{after - len(words)}", True))
            words.clear()
            tags.clear()

    number = 0
    for number, line in numbered_lines(path):
        if not line.strip() or line.startswith(_DOCUMENT):
            close(number)
            continue
        columns = [column.strip() for column in (line.split("\t") if "\t" in line else line.split())]
        try:
            if word % len(columns) == tag % len(columns):
                raise IndexError
            found = columns[word], columns[tag]
        except IndexError:
            raise TextError(
                f"Each line must have a word and a tag, in columns {word} and {tag}: {path}:{number} is {line!r}. "
                "Repair it, or name the columns."
            ) from None
        if not all(found):
            raise TextError(f"Words and tags must not be empty: {path}:{number} is {line!r}. Repair the line.")
        words.append(found[0])
        tags.append(found[1])
    close(number + 1)
    if not sentences:
        raise TextError(f"A file of tagged words holds at least one sentence: {path} holds none. Check the file.")
    return sentences


def read_treebank(path: str | os.PathLike[str], column: str) -> list[TaggedSentence]:
    """Words of a CoNLL-U file with their ``"upos"`` or ``"xpos"``. TextError where a word has none ("_")."""
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


def read_records(source: str | os.PathLike[str], *, words: Sequence[str], tags: Sequence[str]) -> list[TaggedSentence]:
    """A list of words and one of tags a record; `words` and `tags` are names that their columns may have.

    Words whose tag is "_" are left out: on the hub, contractions that are there a second time, word by word.

    Raises
    ------
    TextError
        With file and line: no list of strings, not as many tags as words, nothing in it.
    """
    sentences = []
    for where, record in records(source, {"words": words, "tags": tags}):
        pairs = list(zip(*_lists(record, where), strict=True))
        kept = [pair for pair in pairs if pair[1] != _NO_TAG]
        if not kept:
            raise TextError(f"A sentence has at least one word: {where} has none with a tag. Remove the record.")
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
