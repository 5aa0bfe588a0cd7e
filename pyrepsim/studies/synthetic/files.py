"""Synthetic data as files in the usual formats of each task, so that the readers of real data read them too."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations, islice
from pathlib import Path
from typing import Any

from ...core.errors import OptionError
from ...core.outputs import replacing
from ...core.paths import as_path
from .annotations import Sentence, Span
from .inference import LABELS, Pair, generate_pairs
from .lexicon import DOMAINS
from .questions import Paragraph, generate_paragraphs
from .sentences import generate_sentences

__all__ = ["PROBING_TASKS", "SPLITS", "edge_probing_records", "write_synthetic"]

SPLITS = ("train", "dev", "test")


def write_synthetic(
    folder: str | os.PathLike[str], *, train: int = 2000, dev: int = 300, test: int = 300, seed: int = 0
) -> None:
    """Write sentences, inference pairs and questions of both domains as files.

    ::

        <folder>/<domain>/dependency/<split>.conllu    CoNLL-U
                          mnli/<split>.jsonl           the keys of MultiNLI; the genre is the domain
                          squad/<split>.json           SQuAD 1.1
                          ner/<split>.conll            columns: word and BIO tag
                          text/<split>.txt             one sentence per line
                          edge/<task>/<split>.jsonl    edge probing: pos, constituents, dependencies, entities, srl,
                                                       coref, spr, relations

    The splits share no sentence, no hypothesis and no paragraph. The domains share hardly any words but function
    words. The files of dependency, ner, text and edge have the same sentences.

    Parameters
    ----------
    folder : str or path
        Folder to write to; it is created if needed.
    train, dev, test : int
        Number of sentences, of pairs and of questions in each split, at least 1.
    seed : int
        The same seed gives the same bytes on every Python version.

    Raises
    ------
    OptionError
        If a split has fewer than 1 example.

    Examples
    --------
    >>> from pathlib import Path
    >>> from pyrepsim.studies.synthetic import write_synthetic
    >>> write_synthetic("data", train=2, dev=1, test=1)
    >>> print(Path("data/village/text/train.txt").read_text(encoding="utf-8").strip())
    Did the rusty chairs fall?
    The clean gate was in the quiet stable.
    """
    sizes = dict(zip(SPLITS, (train, dev, test), strict=True))
    for split, size in sizes.items():
        if size < 1:
            raise OptionError(f"A split has at least 1 example: got {split}={size}.")
    for domain in DOMAINS:
        root = as_path(folder) / domain
        sentences = iter(generate_sentences(sum(sizes.values()), seed=seed, domain=domain))
        triples = {split: -(-size // len(LABELS)) * len(LABELS) for split, size in sizes.items()}
        pairs = iter(generate_pairs(sum(triples.values()), seed=seed, domain=domain))
        # A paragraph has at least four questions.
        paragraphs = iter(generate_paragraphs(sum(-(-size // 4) for size in sizes.values()), seed=seed, domain=domain))
        for split, size in sizes.items():
            part = list(islice(sentences, size))
            name = f"synthetic-{domain}-{split}"
            _lines(root / "dependency" / f"{split}.conllu", _conllu(part, name))
            _lines(root / "ner" / f"{split}.conll", _ner(part))
            _lines(root / "text" / f"{split}.txt", (sentence.text for sentence in part))
            for task in PROBING_TASKS:
                _lines(root / "edge" / task / f"{split}.jsonl", edge_probing_records(part, task))
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
    """Return one article with `size` questions."""
    written, number = [], 0
    while number < size:
        paragraph = next(paragraphs)
        entries = []
        for question in paragraph.questions[: size - number]:
            answer = {"answer_start": question.start, "text": question.answer}
            entries.append({"answers": [answer], "id": f"{name}-{number:05d}", "question": question.text})
            number += 1
        written.append({"context": paragraph.text, "qas": entries})
    yield json.dumps({"data": [{"paragraphs": written, "title": name}], "version": "1.1"})


def _conllu(sentences: Sequence[Sentence], name: str) -> Iterator[str]:
    """Yield lines of CoNLL-U. As in English-EWT, a possessive is one token of two words (``3-4  Anna's``)."""
    for number, sentence in enumerate(sentences, 1):
        yield f"# sent_id = {name}-{number:05d}"
        yield f"# text = {sentence.text}"
        for i, token in enumerate(sentence.tokens):
            following = sentence.tokens[i + 1].form if i + 1 < len(sentence.tokens) else ""
            if following == "'s":
                yield f"{i + 1}-{i + 2}\t{token.form}{following}" + "\t_" * 8
            joined = following != "'s" and following and not sentence.space_after(i)
            yield "\t".join(
                (
                    str(i + 1),
                    token.form,
                    token.lemma,
                    token.upos,
                    token.xpos,
                    token.feats,
                    str(token.head),
                    token.relation,
                    "_",
                    "SpaceAfter=No" if joined else "_",
                )
            )
        yield ""


def _ner(sentences: Sequence[Sentence]) -> Iterator[str]:
    """Yield lines of two columns: the word, and its B-, I- or O tag."""
    for sentence in sentences:
        tags = ["O"] * len(sentence.tokens)
        for start, end, kind in sentence.entities:
            tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
        yield from (f"{token.form}\t{tag}" for token, tag in zip(sentence.tokens, tags, strict=True))
        yield ""


Target = dict[str, Any]


def edge_probing_records(sentences: Sequence[Sentence], task: str) -> Iterator[str]:
    """Yield JSON lines ``{"text", "targets": [{"span1", "span2"?, "label"}], "info"}`` of one of `PROBING_TASKS`.

    Spans are half-open. Semantic roles have one record per predicate, as in Tenney et al. (2019). Sentences without
    targets are left out. A label is a list if several may apply (spr), else a string.
    """
    make = PROBING_TASKS[task]
    for number, sentence in enumerate(sentences):
        for targets in make(sentence):
            if targets:
                info = {"sentence": number, "domain": sentence.domain}
                yield json.dumps({"text": " ".join(sentence.words), "targets": targets, "info": info})


def _target(label: object, span1: Span, span2: Span | None = None) -> Target:
    second = {} if span2 is None else {"span2": list(span2)}
    return {"span1": list(span1), **second, "label": label}


def _pos(sentence: Sentence) -> list[list[Target]]:
    return [[_target(token.xpos, (i, i + 1)) for i, token in enumerate(sentence.tokens)]]


def _constituents(sentence: Sentence) -> list[list[Target]]:
    return [[_target(label, (start, end)) for start, end, label in sentence.constituents]]


def _dependencies(sentence: Sentence) -> list[list[Target]]:
    """Return each word with its head; the root is its own head, as in Tenney et al. (2019)."""
    return [
        [
            _target(token.relation, (i, i + 1), (token.head - 1, token.head) if token.head else (i, i + 1))
            for i, token in enumerate(sentence.tokens)
        ]
    ]


def _entities(sentence: Sentence) -> list[list[Target]]:
    return [[_target(kind, (start, end)) for start, end, kind in sentence.entities]]


def _roles(sentence: Sentence) -> list[list[Target]]:
    return [[_target(role, frame.predicate, span) for role, span in frame.arguments] for frame in sentence.frames]


def _coreference(sentence: Sentence) -> list[list[Target]]:
    mentions = sorted((span, i) for i, chain in enumerate(sentence.chains) for span in chain)
    return [[_target("1" if i == j else "0", a, b) for (a, i), (b, j) in combinations(mentions, 2)]]


def _proto_roles(sentence: Sentence) -> list[list[Target]]:
    return [[_target(list(edge.labels), edge.span1, edge.span2) for edge in sentence.proto_roles]]


def _relations(sentence: Sentence) -> list[list[Target]]:
    return [[_target(edge.labels[0], edge.span1, edge.span2) for edge in sentence.relations]]


PROBING_TASKS: dict[str, Callable[[Sentence], list[list[Target]]]] = {
    "pos": _pos,
    "constituents": _constituents,
    "dependencies": _dependencies,
    "entities": _entities,
    "srl": _roles,
    "coref": _coreference,
    "spr": _proto_roles,
    "relations": _relations,
}
