"""Records: the text, targets and origin of one sentence; their check, their counts, and their JSONL form."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ...core.errors import TextError
from ...core.outputs import replacing
from ...data.lines import json_lines

__all__ = ["ONE_SPAN", "TWO_SPANS", "Record", "Records", "coref_pairs", "read_jsonl", "record", "target", "write"]

Record = dict[str, Any]
Span = tuple[int, int]

ONE_SPAN = ("pos", "constituents", "entities")
TWO_SPANS = ("dependencies", "srl", "coref", "spr", "relations", "dpr")
_ONE_LABEL_A_WORD = ("pos", "dependencies")
_MULTI_LABEL = ("spr",)
_TARGET_KEYS = ("span1", "span2", "label")
_SENTENCE_KEYS = ("sentence", "sent_id", "sentence_id", "uds_id", "id")
_NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"


def record(words: Sequence[str], targets: list[Record], **info: Any) -> Record:
    """Make a record. Words are joined by one space; a space inside a word becomes a no-break space."""
    return {"text": " ".join(word.replace(" ", _NO_BREAK_SPACE) for word in words), "targets": targets, "info": info}


def target(label: str, span1: Span, span2: Span | None = None, **info: Any) -> Record:
    """Make a target of half-open spans of words."""
    spans = {"span1": list(span1)} if span2 is None else {"span1": list(span1), "span2": list(span2)}
    return {**spans, "label": label, "info": info}


def coref_pairs(mentions: Iterable[tuple[int, int, str]]) -> list[Record]:
    """Make a target of each pair of mentions (start, end, entity) by position: "1" if of the same entity, else "0".

    Two mentions with the same span are not a pair.
    """
    ordered = sorted(set(mentions))
    return [
        target(str(int(first[2] == second[2])), first[:2], second[:2])
        for i, first in enumerate(ordered)
        for second in ordered[i + 1 :]
        if first[:2] != second[:2]
    ]


class Records(Iterator[Record]):
    r"""An iterator over the records of a corpus for one task.

    Attributes
    ----------
    task : str
    counts : collections.Counter
        What was read so far: "sentences" of the corpus; "records" yielded, and their "tokens" and "targets"; "without
        targets", records left out because they have no annotation; and what else was left out, by name, such as "with
        empty nodes" or "parts of discontinuous mentions".
    labels : collections.Counter
        Number of targets by label.

    Examples
    --------
    >>> from pyrepsim.probing.corpora import read
    >>> with open("words.conll", "w") as file:
    ...     _ = file.write("New\tB-place\nYork\tI-place\n\nhere\tO\n")
    >>> records = read("words.conll", "entities")
    >>> [record["text"] for record in records], records.labels["place"], records.counts["without targets"]
    (['New York'], 1, 1)
    """

    def __init__(self, task: str, stream: Iterator[Record], counts: Counter[str]) -> None:
        self.task = task
        self.counts = counts
        self.labels: Counter[str] = Counter()
        self._stream = stream

    def __next__(self) -> Record:
        for item in self._stream:
            if not item["targets"]:
                self.counts["without targets"] += 1
                continue
            n_words = check(item, self.task)
            self.counts["records"] += 1
            self.counts["tokens"] += n_words
            self.counts["targets"] += len(item["targets"])
            for one in item["targets"]:
                self.labels.update([one["label"]] if isinstance(one["label"], str) else one["label"])
            return item
        raise StopIteration

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"Records({self.task}: {counts or 'nothing read so far'})"


def check(item: Record, task: str) -> int:
    """Check the spans and labels of a record for its task, and return its number of words."""
    where = item["info"]["where"]
    words = item["text"].split(" ")
    if not all(words):
        raise TextError(f"{where}: Words must be joined by one space: {item['text']!r} has an empty word. Remove it.")
    names = ("span1",) if task in ONE_SPAN else ("span1", "span2")
    for one in item["targets"]:
        for name in names:
            _check_span(one.get(name), name, len(words), where)
        if task in ONE_SPAN and "span2" in one:
            raise TextError(
                f"{where}: A target of {task!r} must have one span: got span2 = {one['span2']}. This file holds one of "
                f"{', '.join(TWO_SPANS)}: choose that task."
            )
        _check_label(one.get("label"), task, where)
    if task in _ONE_LABEL_A_WORD:
        _check_disjoint([one["span1"] for one in item["targets"]], task, where)
    return len(words)


def _check_span(span: Any, name: str, n_words: int, where: str) -> None:
    if span is None:
        raise TextError(
            f"{where}: A target of this task must have {name}: one has none. Add it, or choose another task."
        )
    pair = isinstance(span, (list, tuple)) and len(span) == 2 and all(type(end) is int for end in span)
    if not pair or not 0 <= span[0] < span[1] <= n_words:
        raise TextError(
            f"{where}: A span must be [start, end) in words, 0 <= start < end <= {n_words}: {name} is {span}. Correct "
            "it."
        )


def _check_label(label: Any, task: str, where: str) -> None:
    several = isinstance(label, (list, tuple))
    labels = label if several else [label]
    if not all(isinstance(one, str) and one for one in labels):
        raise TextError(f"{where}: A label must be a string, or a list of strings: got {label!r}. Correct it.")
    if several and len(labels) != 1 and task not in _MULTI_LABEL:
        raise TextError(
            f"{where}: A target of {task!r} must have one label: got {label!r}. Only spr has several, or none."
        )


def _check_disjoint(spans: list[Sequence[int]], task: str, where: str) -> None:
    ordered = sorted(spans)
    for before, after in pairwise(ordered):
        if after[0] < before[1]:
            raise TextError(
                f"{where}: In {task!r} each word must have one label: the spans {list(before)} and {list(after)} "
                "overlap. Keep one of them."
            )


def read_jsonl(path: Path, counts: Counter[str]) -> Iterator[Record]:
    """Yield the records of JSONL: those of `write`, of jiant's edge probing and of UDS proto-roles.

    Other keys of a record or target are kept in its ``info``.
    """
    for number, value in json_lines(path):
        where = f"{path}:{number}"
        counts["sentences"] += 1
        item = _mapping(value, "record", where)
        if not isinstance(item.get("text"), str) or not isinstance(item.get("targets"), list):
            raise TextError(
                f"{where}: A record must have a string 'text' and a list 'targets': got {', '.join(item) or 'nothing'}."
                " Add what is missing."
            )
        words = item.get("tokens")
        if words is not None and words != item["text"].split(" "):
            raise TextError(f"{where}: 'tokens' must be the words of 'text': they differ. Remove one of them.")
        rest = {name: entry for name, entry in item.items() if name not in ("text", "targets", "info", "tokens")}
        info = {**rest, **_mapping(item.get("info", {}), "info", where)}
        info.setdefault("source", path.name)
        info["sentence"] = str(next((info[name] for name in _SENTENCE_KEYS if name in info), where))
        info["where"] = where
        yield {"text": item["text"], "targets": [_target(one, where) for one in item["targets"]], "info": info}


def _target(one: Any, where: str) -> Record:
    one = _mapping(one, "target", where)
    rest = {name: entry for name, entry in one.items() if name not in (*_TARGET_KEYS, "info")}
    kept = {name: one[name] for name in _TARGET_KEYS if one.get(name) is not None}
    return {**kept, "info": {**rest, **_mapping(one.get("info", {}), "info", where)}}


def _mapping(value: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TextError(f"{where}: A {name} must be a JSON object: got {json.dumps(value)[:60]}. Correct it.")
    return value


def write(records: Iterable[Record], path: str | os.PathLike[str]) -> None:
    """Write records as JSONL, one per line, which `read` reads again.

    Parameters
    ----------
    records : iterable of dict
    path : str or path

    Examples
    --------
    >>> from pyrepsim.probing.corpora import read
    >>> record = {"text": "a b", "targets": [{"span1": [0, 1], "label": "X"}], "info": {}}
    >>> write([record], "records.jsonl")
    >>> next(read("records.jsonl", "pos"))["targets"]
    [{'span1': [0, 1], 'label': 'X', 'info': {}}]
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for item in records:
            file.write(json.dumps(item, ensure_ascii=False) + "\n")
