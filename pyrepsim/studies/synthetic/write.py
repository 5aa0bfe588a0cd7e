"""Synthetic data as files in the official formats, so that the readers of real data read them too."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from ...core.errors import OptionError
from ...core.outputs import replacing
from .domains import DOMAINS
from .entailment import LABELS, Pair, generate_pairs
from .formats import conllu, ner, plain
from .grammar import generate
from .probing import PROBING_TASKS, edge_probing
from .questions import Paragraph, generate_paragraphs

__all__ = ["SPLITS", "write_synthetic"]

SPLITS = ("train", "dev", "test")


def write_synthetic(
    folder: str | os.PathLike[str], *, train: int = 2000, dev: int = 300, test: int = 300, seed: int = 0
) -> None:
    """Write sentences, pairs and questions of both domains, so many of each a split.

    ::

        <folder>/<domain>/dependency/<split>.conllu    CoNLL-U
                          mnli/<split>.jsonl           MultiNLI's keys; the genre is the domain
                          squad/<split>.json           SQuAD 1.1
                          ner/<split>.conll            word and BIO tag
                          text/<split>.txt             a sentence a line
                          edge/<task>/<split>.jsonl    edge probing: pos, constituents, dependencies, entities, srl,
                                                       coref, spr, relations

    The splits share no sentence, no hypothesis and no paragraph, the domains little but function words. The sentences
    of dependency, ner, text and edge are the same ones. OptionError for a split of fewer than 1.
    """
    sizes = dict(zip(SPLITS, (train, dev, test), strict=True))
    for split, size in sizes.items():
        if size < 1:
            raise OptionError(f"A split has at least 1 example: got {split}={size}.")
    for domain in DOMAINS:
        root = Path(folder) / domain
        sentences = iter(generate(sum(sizes.values()), seed=seed, domain=domain))
        triples = {split: -(-size // len(LABELS)) * len(LABELS) for split, size in sizes.items()}
        pairs = iter(generate_pairs(sum(triples.values()), seed=seed, domain=domain))
        # A paragraph has at least four questions.
        paragraphs = iter(generate_paragraphs(sum(-(-size // 4) for size in sizes.values()), seed=seed, domain=domain))
        for split, size in sizes.items():
            part = list(islice(sentences, size))
            name = f"synthetic-{domain}-{split}"
            _lines(root / "dependency" / f"{split}.conllu", conllu(part, name))
            _lines(root / "ner" / f"{split}.conll", ner(part))
            _lines(root / "text" / f"{split}.txt", plain(part))
            for task in PROBING_TASKS:
                _lines(root / "edge" / task / f"{split}.jsonl", edge_probing(part, task))
            _lines(root / "mnli" / f"{split}.jsonl", _multinli(list(islice(pairs, triples[split]))[:size], name))
            _lines(root / "squad" / f"{split}.json", _squad(paragraphs, size, name))


def _lines(path: Path, lines: Iterable[str]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def _multinli(pairs: Sequence[Pair], name: str) -> Iterator[str]:
    for number, pair in enumerate(pairs):
        prompt = f"{name}-{number // len(LABELS):05d}"
        yield json.dumps(
            {
                "annotator_labels": [pair.label],
                "genre": pair.domain,
                "gold_label": pair.label,
                "pairID": f"{prompt}{pair.label[0]}",
                "promptID": prompt,
                "sentence1": pair.premise,
                "sentence1_parse": pair.premise_brackets,
                "sentence2": pair.hypothesis,
                "sentence2_parse": pair.hypothesis_brackets,
            }
        )


def _squad(paragraphs: Iterator[Paragraph], size: int, name: str) -> Iterator[str]:
    """One article with as many paragraphs as it takes for `size` questions."""
    written, number = [], 0
    while number < size:
        paragraph = next(paragraphs)
        asked = []
        for question in paragraph.questions[: size - number]:
            answer = {"answer_start": question.start, "text": question.answer}
            asked.append({"answers": [answer], "id": f"{name}-{number:05d}", "question": question.text})
            number += 1
        written.append({"context": paragraph.text, "qas": asked})
    yield json.dumps({"data": [{"paragraphs": written, "title": name}], "version": "1.1"})
