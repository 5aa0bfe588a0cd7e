"""One record a sentence: its text, targets and origin. Checked, counted, and left out where it has no target."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from ...core.errors import TextError
from ...core.outputs import replacing

__all__ = ["ONE_SPAN", "TWO_SPANS", "Record", "Records", "coref_pairs", "record", "target", "write"]

Record = dict[str, Any]
Span = tuple[int, int]

ONE_SPAN = ("pos", "constituents", "entities")
TWO_SPANS = ("dependencies", "srl", "coref", "spr", "relations", "dpr")
_ONE_LABEL_A_WORD = ("pos", "dependencies")
_MULTI_LABEL = ("spr",)
_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def record(words: Sequence[str], targets: list[Record], **info: Any) -> Record:
    """Words joined by one space. A space inside a word becomes a no-break space."""
    return {"text": " ".join(word.replace(" ", _NO_BREAK_SPACE) for word in words), "targets": targets, "info": info}


def target(label: str, span1: Span, span2: Span | None = None, **info: Any) -> Record:
    spans = {"span1": list(span1)} if span2 is None else {"span1": list(span1), "span2": list(span2)}
    return {**spans, "label": label, "info": info}


def coref_pairs(mentions: Iterable[tuple[int, int, str]]) -> list[Record]:
    """All pairs i < j of a sentence's mentions (start, end, entity), by position: "1" if of one entity, else "0".

    Two entities over the same words are no pair.
    """
    ordered = sorted(set(mentions))
    return [
        target(str(int(first[2] == second[2])), first[:2], second[:2])
        for i, first in enumerate(ordered)
        for second in ordered[i + 1 :]
        if first[:2] != second[:2]
    ]


class Records(Iterator[Record]):
    """The records of a corpus for one task, read as they are asked for.

    Attributes
    ----------
    counts
        What was read so far: "sentences", "tokens" and "targets" of the "records" that were given; "without targets":
        records left out because nothing is annotated in them; and whatever else the format's reader left out, by name
        ("with empty nodes", "discontinuous mentions").
    labels
        How often each label was given.
    """

    def __init__(self, task: str, stream: Iterator[Record], counts: Counter[str]) -> None:
        self.task = task
        self.counts = counts
        self.labels: Counter[str] = Counter()
        self._stream = stream

    def __next__(self) -> Record:
        for found in self._stream:
            if not found["targets"]:
                self.counts["without targets"] += 1
                continue
            n_words = check(found, self.task)
            self.counts["records"] += 1
            self.counts["tokens"] += n_words
            self.counts["targets"] += len(found["targets"])
            for one in found["targets"]:
                self.labels.update([one["label"]] if isinstance(one["label"], str) else one["label"])
            return found
        raise StopIteration

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"Records({self.task}: {counts or 'nothing read so far'})"


def check(found: Record, task: str) -> int:
    """The number of words. TextError, with file and line, unless spans and labels are what the task has."""
    where = found["info"]["where"]
    words = found["text"].split(" ")
    if not all(words):
        raise TextError(f"{where}: Words are joined by one space: {found['text']!r} has an empty word. Remove it.")
    names = ("span1",) if task in ONE_SPAN else ("span1", "span2")
    for one in found["targets"]:
        for name in names:
            _check_span(one.get(name), name, len(words), where)
        if task in ONE_SPAN and "span2" in one:
            raise TextError(
                f"{where}: A target of {task!r} has one span: got span2 = {one['span2']}. This file holds one of "
                f"{', '.join(TWO_SPANS)}: name that task."
            )
        _check_label(one.get("label"), task, where)
    if task in _ONE_LABEL_A_WORD:
        _check_disjoint([one["span1"] for one in found["targets"]], task, where)
    return len(words)


def _check_span(span: Any, name: str, n_words: int, where: str) -> None:
    if span is None:
        raise TextError(f"{where}: A target of this task has {name}: one has none. Name another task, or add it.")
    pair = isinstance(span, (list, tuple)) and len(span) == 2 and all(type(end) is int for end in span)
    if not pair or not 0 <= span[0] < span[1] <= n_words:
        raise TextError(
            f"{where}: A span is [start, end) in words, 0 <= start < end <= {n_words}: {name} is {span}. Correct it."
        )


def _check_label(label: Any, task: str, where: str) -> None:
    several = isinstance(label, (list, tuple))
    labels = label if several else [label]
    if not all(isinstance(one, str) and one for one in labels):
        raise TextError(f"{where}: A label is a string, or a list of strings: got {label!r}. Write it so.")
    if several and len(labels) != 1 and task not in _MULTI_LABEL:
        raise TextError(f"{where}: A target of {task!r} has one label: got {label!r}. Only spr has several, or none.")


def _check_disjoint(spans: list[Sequence[int]], task: str, where: str) -> None:
    ordered = sorted(spans)
    for before, after in pairwise(ordered):
        if after[0] < before[1]:
            raise TextError(
                f"{where}: In {task!r} each word has one label: the spans {list(before)} and {list(after)} overlap. "
                "Keep one of them."
            )


def write(records: Iterable[Record], path: str | os.PathLike[str]) -> None:
    """Records as JSONL, one a line: what `read` reads again."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for found in records:
            file.write(json.dumps(found, ensure_ascii=False) + "\n")
