"""Records that are JSONL already: those of `write`, of jiant's edge probing, and of UDS proto-roles."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...core.errors import TextError
from ...data.records import numbered_lines
from .records import Record

__all__ = ["read_jsonl"]

_TARGET = ("span1", "span2", "label")
_NAMES = ("sentence", "sent_id", "sentence_id", "uds_id", "id")


def read_jsonl(path: Path, counts: Counter[str]) -> Iterator[Record]:
    """Records as they are. What a record or target holds beside the shape goes to its ``info``."""
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        counts["sentences"] += 1
        found = _parse(line, where)
        words = found.get("tokens")
        if words is not None and words != found["text"].split(" "):
            raise TextError(f"{where}: 'tokens' are the words of 'text': they differ. Keep one of them.")
        rest = {name: item for name, item in found.items() if name not in ("text", "targets", "info", "tokens")}
        info = {**rest, **_mapping(found.get("info", {}), "info", where)}
        info.setdefault("source", path.name)
        info["sentence"] = str(next((info[name] for name in _NAMES if name in info), where))
        info["where"] = where
        yield {"text": found["text"], "targets": [_target(one, where) for one in found["targets"]], "info": info}


def _parse(line: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise TextError(f"{where}: Each line is one JSON record: this one is not ({error}). Correct it.") from error
    found = _mapping(found, "record", where)
    if not isinstance(found.get("text"), str) or not isinstance(found.get("targets"), list):
        raise TextError(
            f"{where}: A record has a string 'text' and a list 'targets': got {', '.join(found) or 'nothing'}. Add "
            "what is missing."
        )
    return found


def _target(one: Any, where: str) -> Record:
    one = _mapping(one, "target", where)
    rest = {name: item for name, item in one.items() if name not in (*_TARGET, "info")}
    kept = {name: one[name] for name in _TARGET if one.get(name) is not None}
    return {**kept, "info": {**rest, **_mapping(one.get("info", {}), "info", where)}}


def _mapping(item: Any, name: str, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise TextError(f"{where}: A {name} is a JSON object: got {json.dumps(item)[:60]}. Correct it.")
    return item
