"""Edge-probing records in the shape of jiant: spans of whitespace tokens with labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

from .sentence import Edge, Sentence, Span

__all__ = ["PROBING_TASKS", "edge_probing"]

Target = dict[str, Any]


def edge_probing(sentences: Sequence[Sentence], task: str) -> Iterator[str]:
    """JSON lines ``{"text", "targets": [{"span1", "span2"?, "label"}], "info"}`` of one of `PROBING_TASKS`.

    Spans are half-open. Semantic roles have one record a predicate, as Tenney et al. (2019) count them; sentences
    without targets are left out. A label is a list where several may hold (spr), else a string.
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
    """Each word and its head; the root is its own, as in Tenney et al."""
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
    return [[_one(edge) for edge in sentence.relations]]


def _one(edge: Edge) -> Target:
    return _target(edge.labels[0], edge.span1, edge.span2)


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
