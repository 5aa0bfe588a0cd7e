"""Questions of SQuAD, and files of predictions."""

from __future__ import annotations

import json
from pathlib import Path

from pyrepsim.finetuning.tasks.squad import Squad, evaluate
from tests.fuzz.running import tolerate
from tests.helpers.squad_files import two_paragraphs


def examples() -> list[bytes]:
    questions = two_paragraphs()
    small = {"version": "v2.0", "data": [{"paragraphs": [questions["data"][0]["paragraphs"][0]]}]}
    return [json.dumps(content).encode() for content in (questions, small, {"n1": "Egypt", "n2": "6,650 km"})]


def read(data: bytes, folder: Path) -> None:
    path, valid = folder / "a.json", folder / "valid.json"
    path.write_bytes(data)
    if not valid.exists():
        valid.write_bytes(examples()[1])
    for misplaced in ("error", "nearest", "drop"):
        tolerate(Squad(misplaced=misplaced).read, path)
    tolerate(evaluate, path, path)
    tolerate(evaluate, valid, path)
