"""Records of an edge-probing task, checked: a text, and targets with their spans of words and their labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xxhash

from ...core.errors import TextError
from .documents import unique_texts


@dataclass(frozen=True)
class Target:
    """One or two spans of words (start, one past the end), and the labels that hold of them."""

    spans: tuple[tuple[int, int], ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """A text and its targets. `where` names the record in messages."""

    where: str
    text: str
    targets: tuple[Target, ...]


def read_records(records: Iterable[Mapping[str, Any]], name: str) -> list[Record]:
    """Check records of the shape {"text": str, "targets": [{"span1": [s, e], "span2": [s, e]?, "label": str | [str]}]}.

    Spans count words, which single spaces separate, e being one past the last. Raises TextError for any other shape,
    and for targets with one span beside targets with two.
    """
    found = [_record(record, f"record {index} of {name}") for index, record in enumerate(records)]
    counts = {len(target.spans) for record in found for target in record.targets}
    if len(counts) > 1:
        raise TextError(
            f"All targets of a task must have equally many spans: those of {name} have {sorted(counts)}. Probe the two "
            "kinds as two tasks."
        )
    return found


def probe_texts(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The texts to extract for a probing: each text of the records once, in order of first appearance."""
    return unique_texts([str(record["text"]) for record in records])


def digest_of(records: Sequence[Record]) -> str:
    """xxh3-128 over texts, spans and labels: results are compared pairwise only where it is the same."""
    digest = xxhash.xxh3_128()
    for record in records:
        targets = [(target.spans, target.labels) for target in record.targets]
        digest.update(json.dumps([record.text, targets]).encode())
    return digest.hexdigest()


def _record(record: Any, where: str) -> Record:
    if not isinstance(record, Mapping) or not isinstance(record.get("text"), str):
        raise TextError(f'A record must be an object with a "text": {where} is {str(record)[:60]!r}.')
    targets = record.get("targets")
    if not isinstance(targets, Sequence) or isinstance(targets, str):
        raise TextError(f'A record must have a list of "targets": {where} has {str(targets)[:60]!r}.')
    info = record.get("info")
    if isinstance(info, Mapping) and "where" in info:
        where = f"{where}, {info['where']}"
    return Record(where, record["text"], tuple(_target(target, where, i) for i, target in enumerate(targets)))


def _target(target: Any, record: str, index: int) -> Target:
    where = f"target {index} of {record}"
    if not isinstance(target, Mapping):
        raise TextError(f"A target must be an object with span1 and label: {where} is {str(target)[:60]!r}.")
    spans = []
    for span in [target.get("span1")] + ([target["span2"]] if target.get("span2") is not None else []):
        if not (isinstance(span, Sequence) and len(span) == 2 and all(type(end) is int for end in span)):
            raise TextError(f"A span must be [start, end], two whole numbers: {where} has {str(span)[:60]!r}.")
        spans.append((span[0], span[1]))
    label = target.get("label")
    labels = [label] if isinstance(label, str) else label
    if not isinstance(labels, Sequence) or not all(isinstance(item, str) for item in labels):
        raise TextError(f"A label must be a string or a list of strings: {where} has {str(label)[:60]!r}.")
    return Target(tuple(spans), tuple(dict.fromkeys(labels)))
