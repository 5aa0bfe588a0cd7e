"""Named entities as tags of words: recognise IOB1, IOB2 and BIOES, convert them to IOB2, and read spans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

from ..core.errors import TextError
from .tagged import TaggedSentence

__all__ = ["OUTSIDE", "Entity", "as_iob2", "entities"]

OUTSIDE = "O"
_BIOES = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S"}  # BILOU has other letters for the same five

Entity = tuple[int, int, str]
"""First word, word after the last, type."""


def as_iob2(sentences: Sequence[TaggedSentence]) -> list[TaggedSentence]:
    """Return the sentences of one file with tags in IOB2: ``B-type`` for the first word of an entity, then ``I-type``.

    The scheme of the file is recognised: BIOES (or BILOU) by its letters; IOB2 if every entity starts with ``B-``; IOB1
    if ``B-`` is used only for an entity directly after another one of its type (Ramshaw and Marcus, 1995).

    Raises
    ------
    TextError
        If a tag belongs to no scheme, or the scheme does not allow a sequence of tags. The message has the file and
        line.
    """
    split = [[_split(tag, sentence, i) for i, tag in enumerate(sentence.tags)] for sentence in sentences]
    if {prefix for prefix, _ in chain.from_iterable(split)} & set("ESLU"):
        starts = [_starts_bioes(sentence, tags) for sentence, tags in zip(sentences, split, strict=True)]
    else:
        _check_iob(sentences, split)
        starts = [[_starts(tags, i) for i in range(len(tags))] for tags in split]
    return [
        replace(sentence, tags=tuple(_iob2(kind, first) for (_, kind), first in zip(tags, firsts, strict=True)))
        for sentence, tags, firsts in zip(sentences, split, starts, strict=True)
    ]


def _iob2(kind: str, first: bool) -> str:
    return OUTSIDE if not kind else f"B-{kind}" if first else f"I-{kind}"


def _split(tag: str, sentence: TaggedSentence, word: int) -> tuple[str, str]:
    """Return prefix and type; the type is empty outside entities."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, _, kind = tag.partition("-")
    if prefix not in _BIOES or not kind:
        raise TextError(
            f"Entity tags are O, or B-, I-, E- or S- and a type: {sentence.at(word)} has {tag!r}. Convert the file to "
            "IOB2, or name the column that holds the tags."
        )
    return prefix, kind


def _starts(tags: Sequence[tuple[str, str]], i: int) -> bool:
    """Return whether an entity starts at word i by the rule of conlleval: at a B, or if the previous type differs."""
    prefix, kind = tags[i]
    return bool(kind) and (prefix == "B" or i == 0 or tags[i - 1][1] != kind)


def _check_iob(sentences: Sequence[TaggedSentence], split: Sequence[Sequence[tuple[str, str]]]) -> None:
    starts_with_i = starts_with_b = None  # the first entity that only IOB1 allows, and the first that only IOB2 allows
    for sentence, tags in zip(sentences, split, strict=True):
        for i, (prefix, kind) in enumerate(tags):
            if kind and (i == 0 or tags[i - 1][1] != kind):
                if prefix == "I":
                    starts_with_i = starts_with_i or (sentence, i)
                else:
                    starts_with_b = starts_with_b or (sentence, i)
    if starts_with_i is not None and starts_with_b is not None:
        (sentence, i), (other, j) = starts_with_i, starts_with_b
        raise TextError(
            "All entities of a file must start with B- (IOB2), or with I- unless they follow one of their type "
            f"(IOB1): {sentence.at(i)} starts one with {sentence.tags[i]!r}, {other.at(j)} with {other.tags[j]!r}. "
            "Correct them."
        )


def _starts_bioes(sentence: TaggedSentence, tags: Sequence[tuple[str, str]]) -> list[bool]:
    starts = []
    open_kind = ""
    for i, (prefix, kind) in enumerate([*tags, (OUTSIDE, "")]):
        prefix = _BIOES.get(prefix, OUTSIDE)
        if (prefix in "IE" and open_kind != kind) or (prefix in "BSO" and open_kind):
            before = sentence.tags[i - 1] if i else "the beginning"
            after = sentence.tags[i] if i < len(tags) else "the end"
            raise TextError(
                "Entities in BIOES are S, or B, any number of I, and E, of one type: "
                f"{sentence.at(min(i, len(tags) - 1))} has {after!r} after {before!r}. Correct the tags."
            )
        starts.append(prefix in "BS")
        open_kind = kind if prefix in "BI" else ""
    return starts[:-1]


def entities(tags: Iterable[str]) -> list[Entity]:
    """Return the entities of a sequence of IOB tags from left to right, by the rule of conlleval.

    Any sequence is valid: an entity starts at ``B-`` or where the type changes.

    >>> entities(["B-person", "I-person", "O", "I-place"])
    [(0, 2, 'person'), (3, 4, 'place')]
    """
    spans: list[Entity] = []
    split = [(prefix, kind) for prefix, _, kind in (tag.partition("-") for tag in tags)]
    start = 0
    for i in range(len(split) + 1):
        ends = i == len(split) or _starts(split, i) or not split[i][1]
        if i and ends and split[i - 1][1]:
            spans.append((start, i, split[i - 1][1]))
        if i < len(split) and _starts(split, i):
            start = i
    return spans
