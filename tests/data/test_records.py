"""Records from every kind of file and from the hub, and errors with file and line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyrepsim.core.errors import MissingExtraError, TextError
from pyrepsim.data.records import records

COLUMNS = {"text": ("text", "sentence"), "label": ("label",)}


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json"])
def test_json_lines_and_their_line_numbers(tmp_path: Path, name: str):
    rows = [{"text": "a\u2028b", "label": 0, "other": [1]}, {"sentence": "c", "label": "x"}]
    path = written(tmp_path, name, "\ufeff" + "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\r\n")
    assert list(records(path, COLUMNS)) == [
        (f"{path}:1", {"text": "a\u2028b", "label": 0}),
        (f"{path}:3", {"text": "c", "label": "x"}),
    ]
    assert list(records(str(path), COLUMNS)) == list(records(path, COLUMNS))


def test_tsv_has_no_quoting(tmp_path: Path):
    path = written(tmp_path, "a.tsv", 'id\tsentence\tlabel\r\n7\t"Un\u0085quote\rd\t1\n8\tHe said "no"\t0\n')
    assert [row for _, row in records(path, COLUMNS)] == [
        {"text": '"Un\u0085quote\rd', "label": "1"},
        {"text": 'He said "no"', "label": "0"},
    ]
    assert [where for where, _ in records(path, COLUMNS)] == [f"{path}:2", f"{path}:3"]


def test_a_tsv_without_header(tmp_path: Path):
    header = ("source", "label", "star", "sentence")
    plain = written(tmp_path, "plain.tsv", "gj04\t1\t\tThe keys are here.\n")
    assert list(records(plain, COLUMNS, header=header)) == [
        (f"{plain}:1", {"text": "The keys are here.", "label": "1"})
    ]
    headed = written(tmp_path, "headed.tsv", "sentence\tlabel\na\t0\n")
    assert list(records(headed, COLUMNS, header=header)) == [(f"{headed}:2", {"text": "a", "label": "0"})]


def test_csv_has_quoting_and_line_numbers_count_quoted_line_breaks(tmp_path: Path):
    path = written(tmp_path, "a.csv", 'text,label\n"a, ""b""\nc",x\n\nd,y\n')
    assert list(records(path, COLUMNS)) == [
        (f"{path}:2", {"text": 'a, "b"\nc', "label": "x"}),
        (f"{path}:5", {"text": "d", "label": "y"}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "a", "label": 0}\n{broken', "a.jsonl:2 is not JSON"),
        ("a.json", '[\n{"text": "a"}]', "a.json:1 is not JSON .* rewrite it with one object per line"),
        ("a.jsonl", '["a"]', "a.jsonl:1 is list"),
        ("a.jsonl", '{"text": "a", "label": 0}\n{"label": 0, "txt": ""}', "'text' or 'sentence': .*:2 has label, txt"),
        ("a.jsonl", "{}", "a.jsonl:1 has none"),
        ("a.tsv", "premise\tlabel\na\t0\n", "'text' or 'sentence': .*a.tsv:2 has premise, label"),
        ("a.tsv", "text\tlabel\na\t0\nb\n", "a.tsv:3 has 1, the header 2"),
        ("a.tsv", "text\tlabel\na\tb\t0\n", "a.tsv:2 has 3, the header 2"),
        ("a.tsv", "text\tlabel\tlabel\n", "a.tsv:1 has 'label' twice"),
        ("a.csv", 'text,label\n"a" b,0\n', "a.csv:2 is not"),
        ("a.csv", 'text,label\na,0\n"b,0\nc,1\n', "a.csv:3 is not"),
        ("a.csv", "text,label\na\n", "a.csv:2 has 1, the header 2"),
        ("a.jsonl", b'{"text": "a", "label": 0}\n{"text": "caf\xe9"}', r"UTF-8: .*a.jsonl:2 is not \(byte 13"),
        ("a.tsv", b"\xff\xfet\x00", "UTF-8 text: .*a.tsv is UTF-16"),
        ("a.jsonl", "\n", "a.jsonl holds none"),
        ("a.tsv", "text\tlabel\n", "a.tsv holds none"),
        ("a.csv", "", "a.csv holds none"),
        ("a.txt", "text", "a.txt' ends in .txt"),
        ("a", "text", "ends in nothing"),
    ],
)
def test_invalid_files(tmp_path: Path, name: str, content: str | bytes, message: str):
    with pytest.raises(TextError, match=message):
        list(records(written(tmp_path, name, content), COLUMNS))


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(TextError, match=r"no.jsonl' is neither \(No such file"):
        list(records(tmp_path / "no.jsonl", COLUMNS))
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(TextError, match="is neither"):
        list(records(tmp_path / "folder.tsv", COLUMNS))


def test_bad_rows_may_be_collected(tmp_path: Path):
    path = written(tmp_path, "a.tsv", "text\tlabel\na\t0\nb\nc\t1\n")
    problems: list[TextError] = []
    assert [row["text"] for _, row in records(path, COLUMNS, on_bad=problems.append)] == ["a", "c"]
    assert [str(problem).count("a.tsv:3") for problem in problems] == [1]


def stub_hub(monkeypatch: pytest.MonkeyPatch, splits: dict[str, Any]) -> list[tuple[Any, ...]]:
    datasets = pytest.importorskip("datasets", reason="no datasets")
    calls = []

    def load_dataset(name: str, config: str | None, split: str | None) -> object:
        calls.append((name, config, split))
        return datasets.DatasetDict(splits) if split is None else splits[split]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return calls


def test_hub_labels_come_by_name(monkeypatch: pytest.MonkeyPatch):
    datasets = pytest.importorskip("datasets", reason="no datasets")
    label = datasets.ClassLabel(names=["yes", "no"])
    features = datasets.Features(
        {
            "sentence": datasets.Value("string"),
            "label": label,
            "tags": datasets.List(label),
            "n": datasets.Value("int8"),
        }
    )
    columns = {"sentence": ["a", "b"], "label": [1, -1], "tags": [[0, 1], []], "n": [1, -1]}
    split = datasets.Dataset.from_dict(columns, features=features)
    calls = stub_hub(monkeypatch, {"dev": split})
    wanted = {"text": ("sentence",), "label": ("label",), "tags": ("tags",), "n": ("n",)}
    assert list(records("hub:owner/pairs:config:dev", wanted)) == [
        ("hub:owner/pairs:config:dev:0", {"text": "a", "label": "no", "tags": ["yes", "no"], "n": 1}),
        ("hub:owner/pairs:config:dev:1", {"text": "b", "label": None, "tags": [], "n": -1}),
    ]
    assert len(list(records("hub:owner/pairs", wanted))) == len(list(records("hub:owner/pairs::dev", wanted))) == 2
    assert calls == [("owner/pairs", "config", "dev"), ("owner/pairs", None, None), ("owner/pairs", None, "dev")]
    with pytest.raises(TextError, match=r"'premise': hub:owner/pairs:0 has sentence, label"):
        list(records("hub:owner/pairs", {"text": ("premise",)}))


def test_incomplete_and_invalid_hub_sources(monkeypatch: pytest.MonkeyPatch):
    stub_hub(monkeypatch, {"train": SimpleNamespace(), "dev": SimpleNamespace()})
    with pytest.raises(TextError, match="it has train, dev. Use 'hub:owner/pairs:mnli:train'"):
        list(records("hub:owner/pairs:mnli", COLUMNS))
    with pytest.raises(TextError, match="KeyError: 'nosuch'.*Check the parts"):
        list(records("hub:owner/pairs:mnli:nosuch", COLUMNS))
    for source in ("hub:", "hub:a:b:c:d"):
        with pytest.raises(TextError, match="'hub:owner/name:config:split': got"):
            list(records(source, COLUMNS))


def test_the_hub_needs_its_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        list(records("hub:owner/pairs", COLUMNS))
