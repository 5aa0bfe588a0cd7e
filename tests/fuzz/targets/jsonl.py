"""JSON lines: texts, records of tasks, tagged words, targets of edge probing."""

from __future__ import annotations

from pathlib import Path

from pyrepsim.data.tagged import read_tagged_records
from pyrepsim.data.texts import read_texts
from pyrepsim.finetuning.tasks import get_task
from pyrepsim.finetuning.tasks.sequence import SequenceRegression
from pyrepsim.probing import corpora
from pyrepsim.probing.edge.records import read_records
from tests.fuzz.running import tolerate

LINES = [
    b'{"text": "A river.", "label": 1}\n{"text": "A bank \\ud83d\\ude00", "label": 0}\n',
    b'\xef\xbb\xbf["two", "words"]\r\n"a text"\n\n{"sentence": "x", "label": 1e3, "sentence1": "a", "sentence2": "b"}',
    b'{"tokens": ["Go", "on"], "upos": ["VERB", "_"], "tags": ["O", "B-x"]}\n',
    b'{"text": "a b c", "targets": [{"span1": [0, 1], "span2": [1, 3], "label": ["x", "y"]}], "info": {"id": 12}}\n',
    b'{"uds_id": "1", "text": "a b", "targets": [{"span1": [0, 1], "span2": [1, 2], "label": "x", "info": {}}]}\n',
]


def examples() -> list[bytes]:
    return LINES


def read(data: bytes, folder: Path) -> None:
    path = folder / "a.jsonl"
    path.write_bytes(data)
    texts = tolerate(read_texts, path)
    if texts is not None:
        tolerate(lambda: texts.fingerprint)
    for task in (get_task("sst2"), get_task("mnli"), SequenceRegression()):
        tolerate(task.read, path)
    tolerate(lambda: read_tagged_records(path, words=("tokens", "words"), tags=("upos", "tags")))
    for task in ("pos", "srl", "spr", "relations"):
        records = tolerate(lambda: list(corpora.read(path, task)))  # noqa: B023
        if records:
            tolerate(lambda: read_records(records, "train"))  # noqa: B023
