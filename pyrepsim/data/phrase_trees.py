"""Phrase-structure trees from bracketed files (Penn Treebank) and from the parse bits of CoNLL-2012 columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..core.errors import TextError

__all__ = ["Node", "Tree", "parse_bits", "parse_bracketed", "strip_label"]

_BIT = re.compile(r"((?:\([^()*\s]+)*)\*(\)*)", re.ASCII)
_TOKEN = re.compile(r"[()]|[^\s()]+", re.ASCII)  # a no-break space is part of a word
_ESCAPES = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}", "\\/": "/", "\\*": "*"}


@dataclass
class Node:
    """A non-terminal over words [start, end). Its height is 1 more than its highest child's; tags have height 1."""

    label: str
    start: int
    end: int = -1
    height: int = 1


@dataclass
class Tree:
    """Words, their tags, and the non-terminals from the top down."""

    where: str
    words: list[str]
    tags: list[str]
    nodes: list[Node]


def strip_label(label: str) -> tuple[str, list[str]]:
    """Split ``NP-SBJ-1`` into NP and [SBJ]. Labels such as ``-LRB-`` and the old ``PRP-S`` are not split."""
    if label.startswith("-"):
        return label, []
    first, *rest = re.split(r"[-=|]", label)
    if rest and rest[0] == "S" and first in ("PRP", "WP"):
        first, rest = f"{first}-S", rest[1:]
    return first, [part for part in rest if part and not (part.isascii() and part.isdigit())]


def parse_bits(bits: Sequence[str], fail: Callable[[str, int], TextError]) -> list[Node]:
    """Return the non-terminals of one sentence from parse bits such as ``(S(NP*``, ``*`` and ``*))``."""
    nodes: list[Node] = []
    opened: list[Node] = []
    for word, bit in enumerate(bits):
        match = _BIT.fullmatch(bit)
        if not match:
            raise fail(f"A parse bit must be (LABEL...*...): got {bit!r}. Correct it.", word)
        for label in match[1].split("(")[1:]:
            opened.append(Node(label, word))
            nodes.append(opened[-1])
        for _ in match[2]:
            if not opened:
                raise fail(
                    f"Brackets of a tree must be balanced: {bit!r} closes one that is not open. Correct it.", word
                )
            _close(opened, word + 1)
    if opened:
        raise fail(
            f"Brackets of a tree must be balanced: ({opened[-1].label} is not closed. Add a ).", opened[-1].start
        )
    return nodes


def _close(opened: list[Node], end: int) -> None:
    node = opened.pop()
    node.end = end
    node.height += 1
    if opened and node.start < end:
        opened[-1].height = max(opened[-1].height, node.height)


def parse_bracketed(lines: Iterable[tuple[int, str]], file: str) -> Iterator[Tree]:
    r"""Yield the trees of a bracketed file; a tree may span several lines.

    Traces (``-NONE-``) are not words. Escaped brackets and slashes in words (``-LRB-``, ``\/``) are unescaped.
    """
    reader = _BracketReader()
    start = 0
    for number, line in lines:
        for token in _TOKEN.findall(line):
            start = start if reader.depth else number
            try:
                reader.take(token)
            except ValueError as error:
                raise TextError(f"{file}:{number}: {error} Correct it.") from None
            if not reader.depth:
                named = [node for node in reader.nodes if node.label]
                yield Tree(f"{file}:{start}", reader.words, reader.tags, named)
                reader = _BracketReader()
    if reader.depth:
        raise TextError(
            f"{file}:{start}: Brackets of a tree must be balanced: this one is open at the end of the file."
        )


class _BracketReader:
    """Build one tree from tokens: ``(``, ``)``, a label or a word. ValueError if a token does not fit."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.tags: list[str] = []
        self.nodes: list[Node] = []
        self._opened: list[Node] = []
        # The tokens after the last opening bracket, as long as it may be the bracket of a tag: a label, then a word.
        self._pending: list[str] | None = None

    @property
    def depth(self) -> int:
        return len(self._opened) + (self._pending is not None)

    def take(self, token: str) -> None:
        if token == "(":
            self._enter()
        elif token != ")":
            if self._pending is None:
                raise ValueError(f"A word must be in brackets with its tag: got {token!r} alone.")
            self._pending.append(token)
        elif self._pending is not None:
            self._add_word(self._pending)
        elif self._opened:
            _close(self._opened, len(self.words))
        else:
            raise ValueError("Brackets of a tree must be balanced: got a ) that closes none.")

    def _enter(self) -> None:
        """Make the pending label a non-terminal, because another bracket follows it."""
        if self._pending is not None:
            if len(self._pending) > 1:
                raise ValueError(f"A bracket must have one label: got {' '.join(self._pending)!r}.")
            self._opened.append(Node("".join(self._pending), len(self.words)))
            self.nodes.append(self._opened[-1])
        self._pending = []

    def _add_word(self, pending: list[str]) -> None:
        if len(pending) != 2:
            raise ValueError(f"A word must be in brackets with its tag: got ({' '.join(pending)}).")
        tag, word = pending
        if tag != "-NONE-":
            self.tags.append(tag)
            self.words.append(_unescape(word))
        self._pending = None


def _unescape(word: str) -> str:
    for escaped, plain in _ESCAPES.items():
        word = word.replace(escaped, plain)
    return word
