"""Convert spans of words to spans of word pieces of a tokenizer, by their characters."""

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
    """A span without word pieces.

    Attributes
    ----------
    where : str
        Location of the record.
    target : int
        Index of the target in the record.
    name : {"span1", "span2"}
    span : (int, int)
        (start, end) in words.
    words : str
    reason : str

    Examples
    --------
    >>> print(Unaligned("dev.jsonl:3", 0, "span1", (2, 3), "keys", "no piece overlaps it"))
    dev.jsonl:3: span1 of target 0, 'keys': no piece overlaps it
    """

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
    """The result of `project`.

    Attributes
    ----------
    targets : tuple of dict
        Targets with spans of word pieces.
    unaligned : tuple of Unaligned
        The spans without a piece, whose targets are left out.
    """

    targets: tuple[Record, ...]
    unaligned: tuple[Unaligned, ...]


def align(text: str, pieces: Any, spans: Iterable[Sequence[int]], *, covered: Span | None = None) -> list[Span | None]:
    """Convert half-open spans of words to half-open spans of word pieces.

    A span goes from the first to the last piece that shares a character with it.

    Parameters
    ----------
    text : str
        Words joined by one space.
    pieces : tokenizers.Encoding or sequence of (int, int)
        An encoding of this text by a fast tokenizer, or (start, end) in characters of each piece; special tokens are
        empty intervals.
    spans : iterable of (int, int)
        (start, end) in words.
    covered : (int, int), optional
        The characters that the pieces cover, if they are a part of the text. A span that is not completely inside has
        no alignment. By default the whole text or, for a truncated encoding, the part before the cut.

    Returns
    -------
    list of (int, int) or None
        (start, end) in pieces, special tokens counted; None if no piece overlaps or the text was truncated.

    Raises
    ------
    TextError
        If a span is not inside the text.
    ShapeError
        If offsets are not in ascending order, as in a pair of texts, or beyond the text.

    Examples
    --------
    >>> pieces = [(0, 0), (0, 3), (4, 6), (6, 9), (0, 0)]  # [CLS] the riv ##ers [SEP]
    >>> align("the rivers", pieces, [(0, 1), (1, 2), (0, 2)])
    [(1, 2), (2, 4), (1, 4)]
    """
    locate = _Locator(text, pieces, covered)
    return [None if isinstance(located := locate(span), str) else located for span in spans]


def project(record: Record, pieces: Any, *, covered: Span | None = None) -> Projection:
    """Convert the spans of a record's targets with `align`.

    Parameters
    ----------
    record : dict
        A record of `read`.
    pieces, covered
        As in `align`.

    Returns
    -------
    Projection
        `targets` with spans of pieces; `unaligned` lists the spans without a piece, whose targets are left out.

    Examples
    --------
    >>> record = {"text": "the rivers", "targets": [{"span1": [1, 2], "label": "NNS"}]}
    >>> project(record, [(0, 0), (0, 3), (4, 6), (6, 9), (0, 0)]).targets
    ({'span1': [2, 4], 'label': 'NNS'},)
    """
    locate = _Locator(record["text"], pieces, covered)
    words = record["text"].split(" ")
    targets: list[Record] = []
    unaligned: list[Unaligned] = []
    for number, target in enumerate(record["targets"]):
        moved = dict(target)
        for name in ("span1", "span2"):
            if name in target:
                start, stop = target[name]
                span = locate((start, stop))
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
    """Find the pieces of spans of one text by bisection."""

    def __init__(self, text: str, pieces: Any, covered: Span | None) -> None:
        self._ends = [end - 1 for end in accumulate(len(word) + 1 for word in text.split(" "))]
        self._starts = [0, *(end + 1 for end in self._ends[:-1])]
        offsets = [(int(start), int(end)) for start, end in getattr(pieces, "offsets", pieces)]
        self._pieces = [i for i, (start, end) in enumerate(offsets) if start < end]
        self._first = [offsets[i][0] for i in self._pieces]
        self._last = [offsets[i][1] for i in self._pieces]
        if self._first != sorted(self._first) or self._last != sorted(self._last):
            raise ShapeError(
                "Offsets of pieces must be in ascending order: these are not. Give the offsets of a single text."
            )
        if self._last and self._last[-1] > len(text):
            raise ShapeError(
                f"Offsets must be characters of the text: they go to {self._last[-1]}, and it has {len(text)}. Give "
                "the offsets of this text."
            )
        truncated = bool(getattr(pieces, "overflowing", ()))
        if covered is None and truncated:
            covered = (self._first[0], self._last[-1]) if self._pieces else (0, 0)
        self._covered = covered or (0, len(text))

    def __call__(self, span: Sequence[int]) -> Span | str:
        """Return the pieces of a span of words, or the reason why there are none."""
        start, stop = span
        if not 0 <= start < stop <= len(self._starts):
            raise TextError(
                f"A span must be [start, end) in words, 0 <= start < end <= {len(self._starts)}: got {list(span)}. "
                "Check it."
            )
        low, high = self._starts[start], self._ends[stop - 1]
        if low < self._covered[0] or high > self._covered[1]:
            return BEYOND
        first = bisect_right(self._last, low)
        last = bisect_left(self._first, high) - 1
        if first > last:
            return NO_PIECE
        return self._pieces[first], self._pieces[last] + 1
