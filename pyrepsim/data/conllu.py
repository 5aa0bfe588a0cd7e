"""Treebanks in CoNLL-U: the words of each sentence and its basic dependency tree, checked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from ..core.errors import TextError
from ..core.json_files import first_duplicate
from .hub import HUB, hub_records
from .lines import BLANKS, numbered_lines

__all__ = ["Sentence", "parse_conllu", "read_conllu", "universal_relation", "with_tree"]

_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_STANDARD_ORDER = f"# global.columns = {' '.join(_COLUMNS).upper()}"
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Sentence:
    """One sentence and its basic dependency tree, which has one root and no cycle.

    Attributes
    ----------
    words : tuple of str
        The syntactic words; a contraction ("du" = "de" + "le") counts as its words.
    heads : tuple of int
        The head of each word, counted from 1; 0 for the root. Empty if trees were not read.
    relations : tuple of str
        The label of the arc from the head, subtype included ("nmod:poss"). Empty if trees were not read.
    upos, xpos : tuple of str
        Universal and treebank-specific part of speech; "_" if there is none.
    sent_id : str
        The comment ``sent_id``, or "".
    where : str
        File and line of the first word.
    text : str
        The comment ``text``, or "".
    ranges : tuple of (int, int, str)
        Words written as one token: first word, last word (from 1), and the token.
    empty_nodes : int
        Number of nodes of the enhanced graph that are not words; they are left out.
    lines : tuple of str
        The lines as read, comments included; those of CoNLL-U Plus in the ten columns of CoNLL-U.
    misc : tuple of str
        The last column of each word.
    numbers : tuple of int
        The line number of each word.
    document : str
        The id of the last comment ``newdoc`` before the sentence, or its file and line if it has no id; "" if there
        is none.
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
    misc: tuple[str, ...] = field(default=(), repr=False)
    numbers: tuple[int, ...] = field(default=(), repr=False)
    document: str = ""


def read_conllu(source: str | os.PathLike[str]) -> list[Sentence]:
    r"""Read all sentences of a CoNLL-U file, or of ``hub:owner/name:config:split``.

    The format: https://universaldependencies.org/format.html. Columns are separated by single tabs, and any other
    character belongs to them. Ranges ("3-4") and empty nodes ("5.1") are not words: they are kept in `Sentence.ranges`
    and counted in `Sentence.empty_nodes`. The column of the enhanced graph is not read. A comment ``# global.columns``
    (CoNLL-U Plus) gives the order of the columns in the lines after it. A block of comments alone is not a sentence;
    its comments about all sentences (``# global. ...``) are kept with the next one.

    A record of a data set on the hub is one sentence; its rows without a head ("None") are ranges of unknown extent and
    are left out, as are the features, which are not in CoNLL-U's notation.

    Parameters
    ----------
    source : str or path

    Returns
    -------
    list of Sentence

    Raises
    ------
    TextError
        If the source cannot be read, or a sentence is not a tree. The message has file, line and sentence id.

    Examples
    --------
    >>> rows = ["1 Keys key NOUN NNS _ 2 nsubj _ _", "2 turn turn VERB VBP _ 0 root _ _"]
    >>> with open("keys.conllu", "w") as file:
    ...     _ = file.write("\n".join(row.replace(" ", "\t") for row in rows) + "\n\n")
    >>> (sentence,) = read_conllu("keys.conllu")
    >>> sentence.words, sentence.heads, sentence.relations
    (('Keys', 'turn'), (2, 0), ('nsubj', 'root'))
    """
    name = os.fspath(source)
    if name.startswith(HUB):
        return [_from_record(where, record) for where, record in hub_records(name)]
    return list(parse_conllu(numbered_lines(Path(name)), name))


def parse_conllu(lines: Iterable[tuple[int, str]], name: str, *, trees: bool = True) -> Iterator[Sentence]:
    """Yield the sentences of numbered CoNLL-U lines; `name` stands for the file in `Sentence.where` and in errors.

    With ``trees=False``, heads and relations are neither checked nor kept.
    """
    block: list[str] = []
    kept: list[str] = []  # of blocks without words: comments about all sentences
    order = _COLUMNS
    start = count = 0
    document = ""
    for number, line in chain(lines, [(0, "")]):
        if line.startswith("#"):
            key, value = _comment(line)
            if key == "global.columns":
                order = _declared_order(line, f"{name}:{number}")
                line = _STANDARD_ORDER
            elif key in ("newdoc", "newdoc id"):
                document = value or f"{name}:{number}"
        elif line.strip(BLANKS):
            line = _in_standard_order(line, order, f"{name}:{number}")
        if line.strip(BLANKS):
            if not block:
                start = number
            block.append(line)
        elif all(before.startswith("#") for before in block):
            kept += [before for before in block if _comment(before)[0].startswith("global.")]
            block = []
        else:
            count += 1
            sentence = _sentence(block, name, start, count, trees=trees)
            yield replace(sentence, lines=(*kept, *block), document=document)
            block, kept = [], []
    if not count:
        raise TextError(f"A treebank must have at least one sentence: {name!r} has none. Give a CoNLL-U file.")


def with_tree(sentence: Sentence, heads: Sequence[int], relations: Sequence[str]) -> list[str]:
    """Return the CoNLL-U lines of a sentence with another tree, without the enhanced graph of the old tree."""
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
    """Make a sentence of one record of a data set on the hub."""
    names = {"form": "tokens", "lemma": "lemmas"}
    columns = {column: record.get(column) or record.get(names.get(column, "")) for column in _COLUMNS[1:8]}
    columns["feats"] = None
    for column in ("form", "head", "deprel"):
        if not columns[column]:
            raise TextError(
                f"{where}: A record of a treebank must have words, heads and relations: it lacks "
                f"{names.get(column, column)!r} (it has {', '.join(record)}). Choose another data set or configuration."
            )
    kept = [row for row, head in enumerate(columns["head"]) if head not in (None, "None")]
    block = [f"# {key} = {record[key]}" for key in ("sent_id", "text") if record.get(key)]
    for number, row in enumerate(kept, start=1):
        cells = [columns[column][row] if columns[column] else "_" for column in _COLUMNS[1:8]]
        block.append("\t".join(["_" if cell in (None, "") else str(cell) for cell in [number, *cells, "_", "_"]]))
    return replace(_sentence(block, where, 1, 1), where=where)


def universal_relation(relation: str) -> str:
    """Return the universal part of a relation: "nmod" of "nmod:poss"."""
    return relation.partition(":")[0]


@dataclass
class _Location:
    """The current line, for error messages."""

    file: str
    line: int
    sentence: str

    def error(self, rule: str, line: int | None = None) -> TextError:
        return TextError(f"{self.file}:{line or self.line}: {rule} Sentence: {self.sentence}.")


def _sentence(block: Sequence[str], name: str, start: int, count: int, *, trees: bool = True) -> Sentence:
    comments = dict(_comment(line) for line in block if line.startswith("#"))
    location = _Location(name, start, comments.get("sent_id") or f"number {count} of the file")
    tokens: list[Any] = []
    lines_of_words: list[int] = []
    ranges: list[tuple[int, int, str]] = []
    empty_nodes = 0
    for location.line, line in enumerate(block, start=start):
        if line.startswith("#"):
            continue
        token = _token(line, location, trees=trees)
        if isinstance(token["id"], int):
            if token["id"] != len(tokens) + 1:
                raise location.error(f"Words must be numbered 1, 2, 3, ...: got {token['id']} after {len(tokens)}.")
            tokens.append(token)
            lines_of_words.append(location.line)
        elif token["id"][1] == "-":
            first, _, last = token["id"]
            if first != len(tokens) + 1 or (ranges and first <= ranges[-1][1]):
                raise location.error(f"A range must precede its first word, outside other ranges: got {first}-{last}.")
            ranges.append((first, last, token["form"]))
        else:
            empty_nodes += 1
    if not tokens:
        raise location.error("A sentence must have at least one word: got only comments, ranges or empty nodes.")
    columns = {column: tuple(token[column] for token in tokens) for column in _COLUMNS}
    if trees:
        _check_tree(columns["head"], lines_of_words, location)
    if ranges and ranges[-1][1] > len(tokens):
        raise location.error(f"A range must end inside its sentence of {len(tokens)} words: got {ranges[-1][:2]}.")
    return Sentence(
        words=columns["form"],
        heads=columns["head"] if trees else (),
        relations=columns["deprel"] if trees else (),
        upos=columns["upos"],
        xpos=columns["xpos"],
        sent_id=comments.get("sent_id") or "",
        where=f"{name}:{lines_of_words[0]}",
        text=comments.get("text") or "",
        ranges=tuple(ranges),
        empty_nodes=empty_nodes,
        lines=tuple(block),
        misc=columns["misc"],
        numbers=tuple(lines_of_words),
    )


def _token(line: str, location: _Location, *, trees: bool) -> dict[str, Any]:
    """Return the columns of a line; id and, with `trees`, head as numbers."""
    columns = line.split("\t")
    if len(columns) != len(_COLUMNS):
        raise location.error(
            f"A line of CoNLL-U must have {len(_COLUMNS)} columns, separated by tabs: got {len(columns)}."
        )
    token: dict[str, Any] = dict(zip(_COLUMNS, columns, strict=True))
    if token["id"] in ("", "_") or not token["form"]:
        raise location.error(f"A line must have an id and a form: got {line[:60]!r}.")
    token["id"] = _id(token["id"], location)
    if trees:
        token["head"] = None if token["head"] == "_" else _number(token["head"], location)
    return token


def _id(text: str, location: _Location) -> int | tuple[int, str, int]:
    """Return the number of a word, or (first, "-", last) of a range, or (word, ".", place) of an empty node."""
    for sign in "-.":
        first, found, last = text.partition(sign)
        if found and first:
            ends = _number(first, location), _number(last, location)
            if sign == "-" and ends[0] > ends[1]:
                raise location.error(f"Ids and heads must be numbers, and ranges in order: got {text!r}.")
            return ends[0], sign, ends[1]
    return _number(text, location)


def _number(text: str, location: _Location) -> int:
    if not _INTEGER.fullmatch(text):
        raise location.error(f"Ids and heads must be numbers: got {text[:40]!r}.")
    return int(text)


def _declared_order(line: str, where: str) -> tuple[str, ...]:
    """Return the columns in the order that ``# global.columns`` declares."""
    names = tuple(name.lower() for name in _comment(line)[1].split(" ") if name)
    for needed in ("id", "form"):
        if names.count(needed) != 1:
            raise TextError(
                f"{where}: # global.columns must name {needed.upper()} once: got {line[:80]!r}. Correct it, or remove "
                "it from a file with the ten columns of CoNLL-U."
            )
    if len(set(names)) < len(names):
        raise TextError(
            f"{where}: The columns in # global.columns must differ: {first_duplicate(names).upper()} occurs twice. "
            "Correct it."
        )
    return names


def _in_standard_order(line: str, order: tuple[str, ...], where: str) -> str:
    """Return a line with the columns of CoNLL-U; those that are not declared are "_"."""
    if order == _COLUMNS:
        return line
    cells = line.split("\t")
    if len(cells) != len(order):
        raise TextError(
            f"{where}: A line must have the {len(order)} columns of # global.columns, separated by tabs: got "
            f"{len(cells)}. Correct the line."
        )
    declared = dict(zip(order, cells, strict=True))
    return "\t".join(declared.get(name, "_") for name in _COLUMNS)


def _comment(line: str) -> tuple[str, str]:
    """Return key and value of ``# key = value``."""
    key, _, value = line[1:].partition("=")
    return key.strip(BLANKS), value.strip(BLANKS)


def _check_tree(heads: Sequence[int | None], lines: Sequence[int], location: _Location) -> None:
    """Check for one root, heads inside the sentence and no cycle."""
    for i, head in enumerate(heads):
        if head is None:
            raise location.error(f"Every word must have a head: word {i + 1} has '_'. Annotate it first.", lines[i])
        if not 0 <= head <= len(heads):
            raise location.error(f"A head must be 0 or a word, 1 to {len(heads)}: word {i + 1} has {head}.", lines[i])
    roots = [i for i, head in enumerate(heads) if head == 0]
    if len(roots) > 1:
        words = ", ".join(str(i + 1) for i in roots)
        rule = f"A tree must have one root: words {words} have head 0. Attach all but one."
        raise location.error(rule, lines[roots[1]])
    # Each walk to the root stops at the first word that an earlier walk has visited.
    seen = [0] * (len(heads) + 1)
    for start in range(1, len(heads) + 1):
        word = start
        while word and not seen[word]:
            seen[word] = start
            word = heads[word - 1] or 0
        if word and seen[word] == start:
            raise location.error(f"A tree must have no cycle: word {word} is its own ancestor.", lines[word - 1])
