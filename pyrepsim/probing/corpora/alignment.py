"""Spans of words as spans of a tokenizer's pieces, by their characters."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from ...core.errors import ShapeError, TextError
from .records import Record

__all__ = ["Projection", "Unaligned", "align", "project"]

Span = tuple[int, int]

NO_PIECE = "no piece overlaps it"
BEYOND = "beyond the model's limit"


@dataclass(frozen=True)
class Unaligned:
    """A span that has no pieces: of which record and target, its words, and why."""

    where: str
    target: int
    name: str
    span: Span
    words: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.name} of target {self.target}, {self.words!r}: {self.reason}"


@dataclass(frozen=True)
class Projection:
    """Targets over pieces instead of words, and the spans for which targets were left out."""

    targets: tuple[Record, ...]
    unaligned: tuple[Unaligned, ...]


def align(text: str, pieces: Any, spans: Iterable[Sequence[int]], *, covered: Span | None = None) -> list[Span | None]:
    """Half-open piece intervals of half-open word intervals: first to last piece that shares a character with the span.

    Parameters
    ----------
    text
        Words joined by one space.
    pieces
        Of this text alone: an ``Encoding`` of a fast tokenizer, or (start, end) in characters for each piece, special
        tokens included as empty intervals.
    spans
        (start, end) in words.
    covered
        The characters that the pieces stand for, where they are a part of the text: a span that is not wholly inside
        has no alignment. None is all of the text or, for an encoding that was truncated, what is left of it.

    Returns
    -------
    aligned
        (start, end) in pieces, special tokens counted, or None where no piece overlaps or the text was cut.

    Raises
    ------
    TextError
        If a span is not inside the text.
    ShapeError
        If offsets do not follow each other, as those of a pair of texts.
    """
    located = _Locator(text, pieces, covered)
    found = (located(span) for span in spans)
    return [None if isinstance(span, str) else span for span in found]


def project(record: Record, pieces: Any, *, covered: Span | None = None) -> Projection:
    """The targets of a record over pieces, by `align`. A target one of whose spans has none is listed, not given."""
    located = _Locator(record["text"], pieces, covered)
    words = record["text"].split(" ")
    targets: list[Record] = []
    unaligned: list[Unaligned] = []
    for number, target in enumerate(record["targets"]):
        moved = dict(target)
        for name in ("span1", "span2"):
            if name in target:
                start, stop = target[name]
                span = located((start, stop))
                if isinstance(span, str):
                    where = record.get("info", {}).get("where", "")
                    unaligned.append(Unaligned(where, number, name, (start, stop), " ".join(words[start:stop]), span))
                    del moved[name]
                else:
                    moved[name] = list(span)
        if moved.keys() == target.keys():
            targets.append(moved)
    return Projection(tuple(targets), tuple(unaligned))


class _Locator:
    """Finds pieces of one text by bisection."""

    def __init__(self, text: str, pieces: Any, covered: Span | None) -> None:
        self._ends = [end - 1 for end in accumulate(len(word) + 1 for word in text.split(" "))]
        self._starts = [0, *(end + 1 for end in self._ends[:-1])]
        offsets = [(int(start), int(end)) for start, end in getattr(pieces, "offsets", pieces)]
        self._pieces = [i for i, (start, end) in enumerate(offsets) if start < end]
        self._first = [offsets[i][0] for i in self._pieces]
        self._last = [offsets[i][1] for i in self._pieces]
        if self._first != sorted(self._first) or self._last != sorted(self._last):
            raise ShapeError("Offsets of pieces follow each other in one text: these do not. Give those of one text.")
        if self._last and self._last[-1] > len(text):
            raise ShapeError(
                f"Offsets are characters of the text: they go to {self._last[-1]}, and it has {len(text)}. Give the "
                "offsets of this text."
            )
        truncated = bool(getattr(pieces, "overflowing", ()))
        if covered is None and truncated:
            covered = (self._first[0], self._last[-1]) if self._pieces else (0, 0)
        self._covered = covered or (0, len(text))

    def __call__(self, span: Sequence[int]) -> Span | str:
        """The pieces of a span of words, or why there are none."""
        start, stop = span
        if not 0 <= start < stop <= len(self._starts):
            raise TextError(
                f"A span is [start, end) in words, 0 <= start < end <= {len(self._starts)}: got {list(span)}. Check it."
            )
        low, high = self._starts[start], self._ends[stop - 1]
        if low < self._covered[0] or high > self._covered[1]:
            return BEYOND
        first = bisect_right(self._last, low)
        last = bisect_left(self._first, high) - 1
        if first > last:
            return NO_PIECE
        return self._pieces[first], self._pieces[last] + 1
