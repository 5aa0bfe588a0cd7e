"""Check the records of an edge-probing task: a text, and targets with their spans of words and their labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import xxhash

from ...core.errors import TextError
from ...data.documents import Document

__all__ = ["Record", "Target", "probe_texts", "read_records", "records_digest", "word_spans"]


@dataclass(frozen=True)
class Target:
    """One or two spans of words (start, one past the end), and their labels."""

    spans: tuple[tuple[int, int], ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """A text and its targets. `where` names the record in messages.

    `document` is ``info["document"]`` or, where that is not known, the text: records of one text depend on each other.
    """

    where: str
    text: str
    targets: tuple[Target, ...]
    document: str


def read_records(records: Iterable[Mapping[str, Any]], name: str) -> list[Record]:
    """Check the records of the split `name`.

    A record is ``{"text": str, "targets": [{"span1": [s, e], "span2": [s, e], "label": str or [str]}]}``, where span2
    is optional. Spans count words, which are separated by single spaces; e is one past the last word.

    Raises TextError for any other shape, and if some targets have one span and others two.
    """
    checked = [_record(record, f"record {index} of {name}") for index, record in enumerate(records)]
    counts = {len(target.spans) for record in checked for target in record.targets}
    if len(counts) > 1:
        raise TextError(
            f"All targets of a task must have the same number of spans: those of {name} have {sorted(counts)}. Probe "
            "the two kinds as two tasks."
        )
    return checked


def probe_texts(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the texts to extract for a probing: each text of the records once, in order of first appearance.

    Examples
    --------
    >>> from pyrepsim.probing.edge import probe_texts
    >>> probe_texts([{"text": "a b", "targets": []}, {"text": "c", "targets": []}, {"text": "a b", "targets": []}])
    ['a b', 'c']
    """
    return list(dict.fromkeys(str(record["text"]) for record in records))


def records_digest(records: Sequence[Record]) -> str:
    """Return the xxh3-128 digest of texts, spans and labels. Results are paired only if it is equal."""
    digest = xxhash.xxh3_128()
    for record in records:
        targets = [(target.spans, target.labels) for target in record.targets]
        digest.update(json.dumps([record.text, targets]).encode())
    return digest.hexdigest()


def word_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return the characters (start, end) of the words of a text, which are separated by single spaces."""
    return Document.from_words("", text.split(" ")).words or ()


def _record(record: Any, where: str) -> Record:
    if not isinstance(record, Mapping) or not isinstance(record.get("text"), str):
        raise TextError(f'A record must be an object with a "text": {where} is {str(record)[:60]!r}.')
    if surrogate := re.search("[\ud800-\udfff]", record["text"]):
        raise TextError(
            f"A text must be valid Unicode: {where} has half of a surrogate pair at character {surrogate.start()}. "
            "Replace that character."
        )
    targets = record.get("targets")
    if not isinstance(targets, Sequence) or isinstance(targets, str):
        raise TextError(f'A record must have a list of "targets": {where} has {str(targets)[:60]!r}.')
    info = record.get("info")
    info = info if isinstance(info, Mapping) else {}
    if "where" in info:
        where = f"{where}, {info['where']}"
    checked = tuple(_target(target, where, i) for i, target in enumerate(targets))
    return Record(where, record["text"], checked, str(info.get("document", record["text"])))


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
