"""A small annotated corpus, written from two sentence patterns: every task of edge probing, and dependency trees."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

__all__ = ["TASKS", "write_annotated_text"]

TASKS = ("pos", "constituents", "dependencies", "entities", "srl", "coref", "spr", "relations")

ADJECTIVES = ("old", "young", "quiet", "brave", "tall", "small")
NOUNS = ("farmer", "teacher", "baker", "nurse", "singer", "miller")
NAMES = (("Anna", "Field", "she"), ("Peter", "Wood", "he"), ("Greta", "Stone", "she"), ("Jakob", "Hill", "he"))

# Of each token: its part of speech, its head (counted from 1, 0 for the root) and the relation to it.
SEES = [
    ("DT", 3, "det"),
    ("JJ", 3, "amod"),
    ("NN", 4, "nsubj"),
    ("VBD", 0, "root"),
    ("NNP", 4, "obj"),
    ("NNP", 5, "flat"),
    ("IN", 9, "case"),
    ("DT", 9, "det"),
    ("NN", 4, "obl"),
    (".", 4, "punct"),
]
MAKES = [
    ("NNP", 2, "nsubj"),
    ("VBD", 0, "root"),
    ("DT", 5, "det"),
    ("JJ", 5, "amod"),
    ("NN", 2, "obj"),
    ("CC", 8, "cc"),
    ("PRP", 8, "nsubj"),
    ("VBD", 2, "conj"),
    (".", 2, "punct"),
]
UNIVERSAL = {"DT": "DET", "JJ": "ADJ", "NN": "NOUN", "NNP": "PROPN", "VBD": "VERB", "IN": "ADP", "CC": "CCONJ"}
UNIVERSAL |= {"PRP": "PRON", ".": "PUNCT"}

PERSON, THING = ["existed_before", "sentient", "volition"], ["existed_after", "existed_before"]
SPANS: dict[str, dict[str, list[tuple[Any, ...]]]] = {  # (span1, [span2,] label), in tokens from 0
    "sees": {
        "constituents": [
            ((0, 10), "S"),
            ((0, 3), "NP"),
            ((3, 9), "VP"),
            ((4, 6), "NP"),
            ((6, 9), "PP"),
            ((7, 9), "NP"),
        ],
        "entities": [((4, 6), "PERSON")],
        "srl": [((3, 4), (0, 3), "ARG0"), ((3, 4), (4, 6), "ARG1"), ((3, 4), (6, 9), "ARGM-LOC")],
        "coref": [((0, 3), (4, 6), "0"), ((0, 3), (7, 9), "0"), ((4, 6), (7, 9), "0")],
        "spr": [((3, 4), (0, 3), PERSON), ((3, 4), (4, 6), PERSON[:2])],
        "relations": [((2, 3), (8, 9), "Entity-Destination(e1,e2)")],
    },
    "makes": {
        "constituents": [((0, 9), "S"), ((0, 1), "NP"), ((1, 5), "VP"), ((2, 5), "NP"), ((6, 7), "NP"), ((7, 8), "VP")],
        "entities": [((0, 1), "PERSON")],
        "srl": [((1, 2), (0, 1), "ARG0"), ((1, 2), (2, 5), "ARG1"), ((7, 8), (6, 7), "ARG0")],
        "coref": [((0, 1), (6, 7), "1"), ((0, 1), (2, 5), "0"), ((2, 5), (6, 7), "0")],
        "spr": [((1, 2), (0, 1), PERSON), ((1, 2), (2, 5), THING)],
        "relations": [((0, 1), (4, 5), "Product-Producer(e2,e1)")],
    },
}


def write_annotated_text(folder: Path, *, train: int = 24, dev: int = 8, test: int = 8) -> Path:
    """Write the given number of different sentences for each part.

    ``edge/<task>/<part>.jsonl``, ``dependency/<part>.conllu`` and ``text/<part>.txt``.
    """
    sentences = _sentences()
    for part, n in (("train", train), ("dev", dev), ("test", test)):
        chosen = [next(sentences) for _ in range(n)]
        for task in TASKS:
            records = [{"text": " ".join(words), "targets": _targets(pattern, task)} for pattern, words in chosen]
            _write(folder / "edge" / task / f"{part}.jsonl", map(json.dumps, records))
        _write(folder / "dependency" / f"{part}.conllu", (_tree(pattern, words) for pattern, words in chosen))
        _write(folder / "text" / f"{part}.txt", (" ".join(words) for _, words in chosen))
    return folder


def _sentences() -> Iterator[tuple[str, list[str]]]:
    """Sentences of the two patterns in turn, each with other words."""
    for (adjective, noun), (first, last, pronoun) in zip(product(ADJECTIVES, NOUNS), NAMES * 9, strict=True):
        yield "sees", ["The", adjective, noun, "saw", first, last, "near", "the", "market", "."]
        yield "makes", [first, "built", "the", adjective, "house", "and", pronoun, "slept", "."]


def _tokens(pattern: str) -> list[tuple[str, int, str]]:
    return SEES if pattern == "sees" else MAKES


def _targets(pattern: str, task: str) -> list[dict[str, Any]]:
    tokens = list(enumerate(_tokens(pattern)))
    if task == "pos":
        return [{"span1": [k, k + 1], "label": tag} for k, (tag, _, _) in tokens]
    if task == "dependencies":
        return [
            {"span1": [k, k + 1], "span2": [head - 1, head], "label": relation} if head
            else {"span1": [k, k + 1], "span2": [k, k + 1], "label": relation}
            for k, (_, head, relation) in tokens
        ]  # fmt: skip
    return [
        {**{f"span{place + 1}": list(span) for place, span in enumerate(spans)}, "label": label}
        for *spans, label in SPANS[pattern][task]
    ]


def _tree(pattern: str, words: list[str]) -> str:
    lines = [
        f"{k + 1}\t{word}\t{word.lower()}\t{UNIVERSAL[tag]}\t{tag}\t_\t{head}\t{relation}\t_\t_"
        for k, (word, (tag, head, relation)) in enumerate(zip(words, _tokens(pattern), strict=True))
    ]
    return "\n".join([f"# text = {' '.join(words)}", *lines, ""])


def _write(path: Path, lines: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
