"""Dependency treebanks in CoNLL-U: the words of a sentence and its basic tree, checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.errors import TextError
from .records import HUB, hub_records, numbered_lines

__all__ = ["Sentence", "parse_conllu", "read_conllu", "universal", "with_tree"]

_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")


@dataclass(frozen=True)
class Sentence:
    """One sentence and its basic dependency tree, which has one root and no cycle.

    Attributes
    ----------
    words : the syntactic words; those of a contraction ("du" = "de" + "le") one by one.
    heads : for each word the head, counted from 1; 0 at the root.
    relations : the label of the arc from the head, subtype included ("nmod:poss").
    upos, xpos : universal and treebank-specific part of speech; "_" where there is none.
    where : file and line of its first word.
    ranges : words written as one token: first word, last word (from 1), and the token.
    empty_nodes : how many nodes of the enhanced graph that are no words were left out.
    lines : the lines as they were read, comments included.
    """

    words: tuple[str, ...]
    heads: tuple[int, ...]
    relations: tuple[str, ...]
    upos: tuple[str, ...]
    xpos: tuple[str, ...]
    sent_id: str
    where: str
    text: str = ""
    ranges: tuple[tuple[int, int, str], ...] = ()
    empty_nodes: int = 0
    lines: tuple[str, ...] = field(default=(), repr=False)


def read_conllu(source: str | os.PathLike[str]) -> list[Sentence]:
    """All sentences of a CoNLL-U file, or of ``hub:owner/name:config:split``.

    The format: https://universaldependencies.org/format.html. Ranges ("3-4") and empty nodes ("5.1") are no words: they
    are kept aside in `Sentence.ranges` and counted in `Sentence.empty_nodes`. The column of the enhanced graph is not
    looked at. A data set of the hub has a sentence a record; its rows without a head ("None") are ranges, of which it
    does not say the extent: they are left out, and so are the features, which are not as CoNLL-U writes them.

    Raises
    ------
    TextError
        If the source cannot be read, or a sentence is not a tree: with file, line and the sentence's id.
    """
    name = os.fspath(source)
    if name.startswith(HUB):
        return [_from_record(where, record) for where, record in hub_records(name)]
    return list(parse_conllu(numbered_lines(Path(name)), name))


def parse_conllu(lines: Iterable[tuple[int, str]], name: str) -> Iterator[Sentence]:
    """The sentences of numbered CoNLL-U lines; `name` stands for the file in `Sentence.where` and in errors."""
    block: list[str] = []
    start = count = 0
    for number, line in lines:
        if line.strip():
            if not block:
                start = number
            block.append(line)
        elif block:
            count += 1
            yield _sentence(block, name, start, count)
            block = []
    if block:
        yield _sentence(block, name, start, count + 1)
    elif not count:
        raise TextError(f"A treebank has at least one sentence: {name!r} has none. Give a CoNLL-U file.")


def with_tree(sentence: Sentence, heads: Sequence[int], relations: Sequence[str]) -> list[str]:
    """The CoNLL-U lines of a sentence with another tree; without the enhanced graph, which goes with the old one."""
    tree = iter(zip(heads, relations, strict=True))
    lines = []
    for line in sentence.lines:
        if line.startswith("#"):
            lines.append(line)
            continue
        columns = line.split("\t")
        if "." in columns[0]:
            continue
        if "-" not in columns[0]:
            head, relation = next(tree)
            columns[6:9] = str(head), relation, "_"
        lines.append("\t".join(columns))
    return lines


def _from_record(where: str, record: Any) -> Sentence:
    """The sentence of a record of a data set on the hub."""
    if isinstance(record, TextError):
        raise record
    names = {"form": "tokens", "lemma": "lemmas"}
    columns = {column: record.get(column) or record.get(names.get(column, "")) for column in _COLUMNS[1:8]}
    columns["feats"] = None
    for column in ("form", "head", "deprel"):
        if not columns[column]:
            raise TextError(
                f"{where}: a record of a treebank has words, heads and relations: it lacks "
                f"{names.get(column, column)!r} (it has {', '.join(record)}). Choose another data set or configuration."
            )
    kept = [row for row, head in enumerate(columns["head"]) if head not in (None, "None")]
    block = [f"# {key} = {record[key]}" for key in ("sent_id", "text") if record.get(key)]
    for number, row in enumerate(kept, start=1):
        cells = [columns[column][row] if columns[column] else "_" for column in _COLUMNS[1:8]]
        block.append("\t".join(["_" if cell in (None, "") else str(cell) for cell in [number, *cells, "_", "_"]]))
    return replace(_sentence(block, where, 1, 1), where=where)


def universal(relation: str) -> str:
    """The universal part of a relation: "nmod" of "nmod:poss"."""
    return relation.partition(":")[0]


@dataclass
class _Place:
    """Where reading is: what an error names."""

    file: str
    line: int
    sentence: str

    def error(self, rule: str, line: int | None = None) -> TextError:
        return TextError(f"{self.file}:{line or self.line}: {rule} Sentence: {self.sentence}.")


def _sentence(block: Sequence[str], name: str, start: int, count: int) -> Sentence:
    from conllu.parser import parse_comment_line

    comments: dict[str, str | None] = {}
    for line in block:
        if line.startswith("#"):
            comments |= dict(parse_comment_line(line))
    place = _Place(name, start, comments.get("sent_id") or f"number {count} of the file")
    tokens: list[Any] = []
    lines_of_words: list[int] = []
    ranges: list[tuple[int, int, str]] = []
    empty_nodes = 0
    for place.line, line in enumerate(block, start=start):
        if line.startswith("#"):
            continue
        token = _token(line, place)
        if isinstance(token["id"], int):
            if token["id"] != len(tokens) + 1:
                raise place.error(f"Words are counted 1, 2, 3, ...: got {token['id']} after {len(tokens)}.")
            tokens.append(token)
            lines_of_words.append(place.line)
        elif token["id"][1] == "-":
            first, _, last = token["id"]
            if first != len(tokens) + 1 or (ranges and first <= ranges[-1][1]):
                raise place.error(f"A range stands before its first word, outside others: got {first}-{last}.")
            ranges.append((first, last, token["form"]))
        else:
            empty_nodes += 1
    if not tokens:
        raise place.error("A sentence has at least one word: got comments, ranges or empty nodes alone.")
    columns = {column: tuple(token[column] for token in tokens) for column in _COLUMNS}
    _check_tree(columns["head"], lines_of_words, place)
    if ranges and ranges[-1][1] > len(tokens):
        raise place.error(f"A range ends inside its sentence of {len(tokens)} words: got {ranges[-1][:2]}.")
    return Sentence(
        words=columns["form"],
        heads=columns["head"],
        relations=columns["deprel"],
        upos=columns["upos"],
        xpos=columns["xpos"],
        sent_id=comments.get("sent_id") or "",
        where=f"{name}:{lines_of_words[0]}",
        text=comments.get("text") or "",
        ranges=tuple(ranges),
        empty_nodes=empty_nodes,
        lines=tuple(block),
    )


def _token(line: str, place: _Place) -> Any:
    """The columns of a line, id and head as numbers."""
    from conllu.exceptions import ParseException
    from conllu.parser import parse_id_value, parse_int_value, parse_line

    if (columns := line.count("\t") + 1) != len(_COLUMNS):
        raise place.error(f"A line has {len(_COLUMNS)} columns with tabs between them: got {columns}.")
    parsers = {"id": lambda row, i: parse_id_value(row[i]), "head": lambda row, i: parse_int_value(row[i])}
    try:
        token = parse_line(line, _COLUMNS, parsers)
    except ParseException as error:
        raise place.error(f"Ids and heads are numbers: {error}") from error
    if token["id"] is None or len(token) != len(_COLUMNS) or not token["form"]:
        raise place.error(f"A line has an id and a form, and no two spaces in a row: got {line!r}.")
    return token


def _check_tree(heads: Sequence[int | None], lines: Sequence[int], place: _Place) -> None:
    """One root, heads inside the sentence, no cycle."""
    for i, head in enumerate(heads):
        if head is None:
            raise place.error(f"Every word has a head: word {i + 1} has '_'. Annotate it first.", lines[i])
        if not 0 <= head <= len(heads):
            raise place.error(f"A head is 0 or a word, 1 to {len(heads)}: word {i + 1} has {head}.", lines[i])
    roots = [i for i, head in enumerate(heads) if head == 0]
    if len(roots) > 1:
        words = ", ".join(str(i + 1) for i in roots)
        raise place.error(f"A tree has one root: words {words} have head 0. Attach all but one.", lines[roots[1]])
    # Each walk towards the root stops at the first word that an earlier one has seen.
    seen = [0] * (len(heads) + 1)
    for start in range(1, len(heads) + 1):
        word = start
        while word and not seen[word]:
            seen[word] = start
            word = heads[word - 1] or 0
        if word and seen[word] == start:
            raise place.error(f"A tree has no cycle: word {word} is its own ancestor.", lines[word - 1])
