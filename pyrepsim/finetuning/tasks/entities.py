"""Entities as tags of words: IOB1, IOB2 and BIOES are told apart, checked and turned into IOB2; spans are read off."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from ...core.errors import TextError
from ...data.tagged_files import TaggedSentence

__all__ = ["OUTSIDE", "Entity", "as_iob2", "entities", "entity_scores"]

OUTSIDE = "O"
_BIOES = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S"}  # BILOU's names are those of the same five

Entity = tuple[int, int, str]
"""First word, word after the last, type."""


def as_iob2(sentences: Sequence[TaggedSentence]) -> list[TaggedSentence]:
    """The sentences of one file with their tags in IOB2: ``B-type`` at the first word of an entity, ``I-type`` after.

    The file's scheme is recognised: BIOES (or BILOU) by its letters; IOB2 if every entity begins with ``B-``; IOB1 if
    ``B-`` stands only where an entity follows another of its type (Ramshaw and Marcus, 1995).

    Raises
    ------
    TextError
        With file and line: a tag of no scheme, or a sequence of tags that the file's scheme does not allow.
    """
    split = [[_split(tag, sentence, i) for i, tag in enumerate(sentence.tags)] for sentence in sentences]
    if {prefix for prefix, _ in chain.from_iterable(split)} & set("ESLU"):
        begins = [_begins_bioes(sentence, tags) for sentence, tags in zip(sentences, split, strict=True)]
    else:
        _check_iob(sentences, split)
        begins = [[_starts(tags, i) for i in range(len(tags))] for tags in split]
    return [
        TaggedSentence(
            sentence.words,
            tuple(_iob2(kind, begin) for (_, kind), begin in zip(tags, where, strict=True)),
            sentence.where,
            sentence.a_word_a_line,
        )
        for sentence, tags, where in zip(sentences, split, begins, strict=True)
    ]


def _iob2(kind: str, begins: bool) -> str:
    return OUTSIDE if not kind else f"B-{kind}" if begins else f"I-{kind}"


def _split(tag: str, sentence: TaggedSentence, word: int) -> tuple[str, str]:
    """Prefix and type; no type outside entities."""
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
    """Whether an entity begins at word i, as conlleval reads tags: at a B, and where the type is not that before."""
    prefix, kind = tags[i]
    return bool(kind) and (prefix == "B" or i == 0 or tags[i - 1][1] != kind)


def _check_iob(sentences: Sequence[TaggedSentence], split: Sequence[Sequence[tuple[str, str]]]) -> None:
    bare = b_start = None  # the first entity that begins with I, and that begins with a B which IOB1 would not write
    for sentence, tags in zip(sentences, split, strict=True):
        for i, (prefix, kind) in enumerate(tags):
            if kind and (i == 0 or tags[i - 1][1] != kind):
                if prefix == "I":
                    bare = bare or (sentence, i)
                else:
                    b_start = b_start or (sentence, i)
    if bare is not None and b_start is not None:
        (sentence, i), (other, j) = bare, b_start
        raise TextError(
            f"Entities of a file begin with B- (IOB2) or, away from their like, with I- (IOB1): {sentence.at(i)} "
            f"begins one with {sentence.tags[i]!r}, {other.at(j)} with {other.tags[j]!r}. Correct them."
        )


def _begins_bioes(sentence: TaggedSentence, tags: Sequence[tuple[str, str]]) -> list[bool]:
    begins = []
    inside = ""  # type of the entity that is open
    for i, (prefix, kind) in enumerate([*tags, (OUTSIDE, "")]):
        prefix = _BIOES.get(prefix, OUTSIDE)
        if (prefix in "IE" and inside != kind) or (prefix in "BSO" and inside):
            before = sentence.tags[i - 1] if i else "the beginning"
            after = sentence.tags[i] if i < len(tags) else "the end"
            raise TextError(
                "Entities in BIOES are S, or B, any number of I, and E, of one type: "
                f"{sentence.at(min(i, len(tags) - 1))} has {after!r} after {before!r}. Correct the tags."
            )
        begins.append(prefix in "BS")
        inside = kind if prefix in "BI" else ""
    return begins[:-1]


def entities(tags: Iterable[str]) -> set[Entity]:
    """Entities that IOB tags mark, as conlleval reads any sequence of them: one begins at ``B-`` or with a new type."""
    found: set[Entity] = set()
    split = [(prefix, kind) for prefix, _, kind in (tag.partition("-") for tag in tags)]
    begin = 0
    for i in range(len(split) + 1):
        ends = i == len(split) or _starts(split, i) or not split[i][1]
        if i and ends and split[i - 1][1]:
            found.add((begin, i, split[i - 1][1]))
        if i < len(split) and _starts(split, i):
            begin = i
    return found


def entity_scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Precision, recall and F1 over the entities of all sentences, in [0, 1]; right is the same span and type.

    With c right entities, p predicted and g gold ones: ``precision`` = c / p, ``recall`` = c / g, ``f1`` =
    2 c / (p + g), each 0 where there is nothing to divide by (Tjong Kim Sang and De Meulder, 2003).
    """
    right = predicted_n = gold_n = 0
    for its_gold, its_predicted in zip(gold, predicted, strict=True):
        found, there = entities(its_predicted), entities(its_gold)
        right += len(found & there)
        predicted_n += len(found)
        gold_n += len(there)
    return {
        "precision": right / max(predicted_n, 1),
        "recall": right / max(gold_n, 1),
        "f1": 2 * right / max(predicted_n + gold_n, 1),
    }
