"""Attachment scores of two CoNLL-U files of one text, as the CoNLL-18 shared task counts them."""

from __future__ import annotations

import os
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from ...core.errors import TextError
from ...data.conllu import Sentence, read_conllu, universal_relation

__all__ = ["evaluate"]

ROOT = -1


def evaluate(gold_conllu: str | os.PathLike[str], system_conllu: str | os.PathLike[str]) -> dict[str, float]:
    r"""Score a parsed CoNLL-U file like the CoNLL-18 shared task (Zeman et al. 2018, section 5), in percent.

    Parameters
    ----------
    gold_conllu, system_conllu : str or path
        They must hold the same characters except for white space; sentences, tokens and words may differ.

    Returns
    -------
    dict
        Attachment scores in percent, F1 = 200 correct / (gold words + system words). A system word is correct if its
        aligned gold word depends on the gold word aligned with its head, or both are roots, and:

        * ``"uas"``: without further condition;
        * ``"las"``: the universal relations are equal, the part before the colon (the main score of the task);
        * ``"las_full"``: the whole relations are equal.

        Punctuation counts.

    Raises
    ------
    TextError
        If a file is not CoNLL-U, a sentence is not a tree, or the characters differ.

    Notes
    -----
    Words are aligned if they cover the same characters. The words of a range ("3-4 du") have no characters of their
    own: within the characters of ranges, merged where they overlap, words are aligned by the longest common subsequence
    of their lower-cased forms.

    Examples
    --------
    >>> rows = ["1 Keys key NOUN NNS _ 2 nsubj _ _", "2 turn turn VERB VBP _ 0 root _ _"]
    >>> gold = "\n".join(row.replace(" ", "\t") for row in rows) + "\n\n"
    >>> with open("gold.conllu", "w") as file, open("system.conllu", "w") as system:
    ...     _ = file.write(gold), system.write(gold.replace("nsubj", "obj"))
    >>> evaluate("gold.conllu", "system.conllu")
    {'uas': 100.0, 'las': 50.0, 'las_full': 50.0}
    """
    gold, system = _words(read_conllu(gold_conllu)), _words(read_conllu(system_conllu))
    _check_same_text(gold, system)
    aligned = dict(_aligned(gold, system)) | {ROOT: ROOT}
    correct = {"uas": 0, "las": 0, "las_full": 0}
    for j, i in aligned.items():
        if j == ROOT or aligned.get(system[j].head) != gold[i].head:
            continue
        predicted, expected = system[j].relation, gold[i].relation
        correct["uas"] += 1
        correct["las"] += universal_relation(predicted) == universal_relation(expected)
        correct["las_full"] += predicted == expected
    return {name: 200 * count / (len(gold) + len(system)) for name, count in correct.items()}


@dataclass(frozen=True, slots=True)
class _Word:
    """A word and its characters, text[start:end] of the file; in a range, those of the whole token."""

    form: str
    characters: str  # of the token, at its first word; "" at the others
    start: int
    end: int
    in_range: bool
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
                    in_range=number in ranges,
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
    for pairs in zip_longest(_characters(gold), _characters(system)):
        if all(pairs) and pairs[0][0] == pairs[1][0]:
            continue
        locations = [
            f"{pair[0]!r} of {pair[1].form!r} in the sentence at {pair[1].where}" if pair else "the end of the file"
            for pair in pairs
        ]
        raise TextError(
            f"Both files must hold the same text: the first has {locations[0]} where the second has {locations[1]}. "
            "Parse the gold file's own text."
        )


def _aligned(gold: Sequence[_Word], system: Sequence[_Word]) -> Iterator[tuple[int, int]]:
    """Yield (position of a system word, position of its gold word)."""
    regions = _merged(sorted({(word.start, word.end) for side in (gold, system) for word in side if word.in_range}))
    gold_free, gold_inside = _by_region(gold, regions)
    system_free, system_inside = _by_region(system, regions)
    for span, position in system_free.items():
        if span in gold_free:
            yield position, gold_free[span]
    for region, system_words in system_inside.items():
        gold_words = gold_inside.get(region, [])
        for j, i in _common_subsequence([system[j].form for j in system_words], [gold[i].form for i in gold_words]):
            yield system_words[j], gold_words[i]


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge the sorted spans that overlap."""
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
    """Return the words outside all regions, by their characters, and the words inside each region."""
    starts, ends = [start for start, _ in regions], [end for _, end in regions]
    free: dict[tuple[int, int], int] = {}
    inside: dict[int, list[int]] = {}
    for position, word in enumerate(words):
        region = bisect_right(ends, word.start)  # the first region that ends after the word's start
        if region == len(regions) or bisect_left(starts, word.end) <= region:
            free[word.start, word.end] = position
        elif starts[region] <= word.start and word.end <= ends[region]:
            inside.setdefault(region, []).append(position)
    return free, inside


def _common_subsequence(system: Sequence[str], gold: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield pairs of positions of a longest common subsequence; of several, the one that skips gold words first."""
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
