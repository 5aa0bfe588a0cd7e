"""Attachment scores of two CoNLL-U files of one text, as the CoNLL-18 shared task counts them."""

from __future__ import annotations

import os
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from ...core.errors import TextError
from ...data.conllu import Sentence, read_conllu, universal

__all__ = ["evaluate"]

ROOT = -1


def evaluate(gold_conllu: str | os.PathLike[str], system_conllu: str | os.PathLike[str]) -> dict[str, float]:
    """Labelled and unlabelled attachment score, in percent (Zeman et al. 2018, section 5).

    The files must hold the same characters, white space aside; sentences, tokens and words may differ. Words are
    aligned (below), and a system word is correct if its gold word depends on the gold word of its head, or both are
    roots. The scores are F1 = 2 correct / (gold words + system words), which is the share of correct words where both
    files have the same words. Punctuation counts.

    * ``"uas"``: heads alone.
    * ``"las"``: heads and universal relations, the part before the colon: the shared task's measure.
    * ``"las_full"``: heads and whole relations.

    Words are aligned that are the same stretch of characters. Where either file has a range ("3-4 du") its words have
    no characters of their own: within such stretches, merged where they overlap, the words that lie wholly inside are
    aligned by the longest common subsequence of their forms, case aside.

    Raises
    ------
    TextError
        If a file is not CoNLL-U, a sentence is not a tree, or the characters differ.
    """
    gold, system = _words(read_conllu(gold_conllu)), _words(read_conllu(system_conllu))
    _check_same_text(gold, system)
    aligned = dict(_aligned(gold, system)) | {ROOT: ROOT}
    correct = {"uas": 0, "las": 0, "las_full": 0}
    for theirs, ours in aligned.items():
        if theirs == ROOT or aligned.get(system[theirs].head) != gold[ours].head:
            continue
        found, expected = system[theirs].relation, gold[ours].relation
        correct["uas"] += 1
        correct["las"] += universal(found) == universal(expected)
        correct["las_full"] += found == expected
    return {name: 200 * count / (len(gold) + len(system)) for name, count in correct.items()}


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a file: its characters are text[start:end] of the file's; those of its token if it is of a range."""

    form: str
    characters: str  # of the token, at its first word; "" at the others
    start: int
    end: int
    of_range: bool
    head: int  # position in the file, or ROOT
    relation: str
    where: str


def _words(sentences: Sequence[Sentence]) -> list[_Word]:
    words: list[_Word] = []
    end = 0
    for sentence in sentences:
        before = len(words) - 1
        ranges = {word: (first, form) for first, last, form in sentence.ranges for word in range(first, last + 1)}
        start = end
        for number, form in enumerate(sentence.words, start=1):
            first, token = ranges.get(number, (number, form))
            characters = _without_spaces(token) if number == first else ""
            if number == first:
                start, end = end, end + len(characters)
            head = sentence.heads[number - 1]
            words.append(
                _Word(
                    form=form.lower(),
                    characters=characters,
                    start=start,
                    end=end,
                    of_range=number in ranges,
                    head=before + head if head else ROOT,
                    relation=sentence.relations[number - 1],
                    where=sentence.where,
                )
            )
    return words


def _without_spaces(token: str) -> str:
    return "".join(character for character in token if unicodedata.category(character) != "Zs")


def _characters(words: Sequence[_Word]) -> Iterator[tuple[str, _Word]]:
    return ((character, word) for word in words for character in word.characters)


def _check_same_text(gold: Sequence[_Word], system: Sequence[_Word]) -> None:
    for ours, theirs in zip_longest(_characters(gold), _characters(system)):
        if ours and theirs and ours[0] == theirs[0]:
            continue
        places = [
            f"{pair[0]!r} of {pair[1].form!r} in the sentence at {pair[1].where}" if pair else "the end of the file"
            for pair in (ours, theirs)
        ]
        raise TextError(
            f"Both files must hold the same text: the first has {places[0]} where the second has {places[1]}. Parse "
            "the gold file's own text."
        )


def _aligned(gold: Sequence[_Word], system: Sequence[_Word]) -> Iterator[tuple[int, int]]:
    """Pairs of a system word and its gold word, as positions."""
    regions = _merged(sorted({(word.start, word.end) for side in (gold, system) for word in side if word.of_range}))
    gold_free, gold_inside = _by_region(gold, regions)
    system_free, system_inside = _by_region(system, regions)
    for span, position in system_free.items():
        if span in gold_free:
            yield position, gold_free[span]
    for region, theirs in system_inside.items():
        ours = gold_inside.get(region, [])
        for j, i in _common_subsequence([system[j].form for j in theirs], [gold[i].form for i in ours]):
            yield theirs[j], ours[i]


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted stretches, those that overlap as one."""
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _by_region(
    words: Sequence[_Word], regions: Sequence[tuple[int, int]]
) -> tuple[dict[tuple[int, int], int], dict[int, list[int]]]:
    """Words that touch no region, by their characters, and words that lie inside one, by region."""
    starts, ends = [start for start, _ in regions], [end for _, end in regions]
    free: dict[tuple[int, int], int] = {}
    inside: dict[int, list[int]] = {}
    for position, word in enumerate(words):
        region = bisect_right(ends, word.start)  # the first that ends behind the word's start
        if region == len(regions) or bisect_left(starts, word.end) <= region:
            free[word.start, word.end] = position
        elif starts[region] <= word.start and word.end <= ends[region]:
            inside.setdefault(region, []).append(position)
    return free, inside


def _common_subsequence(system: Sequence[str], gold: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of positions of a longest common subsequence; of several, the one that skips gold words first."""
    rest = [[0] * (len(system) + 1) for _ in range(len(gold) + 1)]  # length for gold[i:] and system[j:]
    for i in reversed(range(len(gold))):
        for j in reversed(range(len(system))):
            same = gold[i] == system[j]
            rest[i][j] = 1 + rest[i + 1][j + 1] if same else max(rest[i + 1][j], rest[i][j + 1])
    i = j = 0
    while i < len(gold) and j < len(system):
        if gold[i] == system[j]:
            yield j, i
            i, j = i + 1, j + 1
        elif rest[i][j] == rest[i + 1][j]:
            i += 1
        else:
            j += 1
