"""Result files of a study: what is refused, by name, and what may be absent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyrepsim.core.errors import NonFiniteError, OptionError, StoreError
from pyrepsim.studies.report.reading import COLUMNS, read_evidence
from tests.studies.study_rows import claims, study_rows, write_study

ROW = {"experiment": "weights", "metric": "weight_distance", "value": 0.5, "layer": 1, "task": "mnli"}


def test_rows_get_every_column_and_a_kind(tmp_path: Path):
    evidence = read_evidence(write_study(tmp_path, [ROW]))
    (row,) = evidence.rows
    assert tuple(key for key in row if key in COLUMNS) == COLUMNS
    assert row["kind"] == "value"
    assert row["seed"] is None
    assert len(evidence.claims) == 6
    assert evidence.study["scale"] == "paper"


def test_the_digest_is_that_of_the_rows(tmp_path: Path):
    import hashlib

    folder = write_study(tmp_path, study_rows(("mnli",), layers=1, seeds=1))
    assert read_evidence(folder).digest == hashlib.sha256((folder / "rows.jsonl").read_bytes()).hexdigest()


def test_only_the_rows_are_needed(tmp_path: Path):
    evidence = read_evidence(write_study(tmp_path, [ROW], study=None, claims=None))
    assert (evidence.study, evidence.claims) == ({}, [])
    with pytest.raises(StoreError, match=r"rows\.jsonl: .* has none\. Name the folder"):
        read_evidence(tmp_path / "elsewhere")


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("column", ["value", "low"])
def test_what_is_no_number_is_refused_by_name(tmp_path: Path, word: str, column: str):
    write_study(tmp_path, [ROW, ROW])
    line = json.dumps(ROW | {column: 0.25}).replace("0.25", word)
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(ROW)}\n{line}\n")
    with pytest.raises(NonFiniteError, match=r"numbers are finite: line 2 of .*rows\.jsonl has"):
        read_evidence(tmp_path)


@pytest.mark.parametrize("name", ["study.json", "claims.jsonl"])
def test_so_it_is_in_the_other_files(tmp_path: Path, name: str):
    write_study(tmp_path, [ROW])
    (tmp_path / name).write_text('{"why": null, "seconds": NaN}')
    with pytest.raises(NonFiniteError, match=f"numbers are finite: .*{name} has NaN"):
        read_evidence(tmp_path)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "hold JSON"),
        ("[1]", "is a list"),
        ("{}", "lacks experiment"),
        (json.dumps(ROW | {"value": None}), "lacks value"),
        (json.dumps(ROW | {"value": "0.5"}), "value is a number"),
        (json.dumps(ROW | {"value": True}), "value is a number"),
        (json.dumps(ROW | {"layer": "layer.1"}), "layer is a number"),
        (json.dumps(ROW | {"task": ["mnli"]}), "task is text"),
    ],
)
def test_a_line_that_is_no_row_is_refused(tmp_path: Path, line: str, complaint: str):
    write_study(tmp_path, [])
    (tmp_path / "rows.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(OptionError, match=f"{complaint}|line 2 .*{complaint}"):
        read_evidence(tmp_path)


@pytest.mark.parametrize(
    "change", [{"tasks": "mnli"}, {"tasks": ["mnli"]}, {"figure": ["freezing"]}, {"effect": "large"}, {"why": 3}]
)
def test_a_claim_of_another_shape_is_refused(tmp_path: Path, change: dict):
    write_study(tmp_path, [ROW], claims=[claims()[0] | change])
    with pytest.raises(OptionError, match=r"A claim's .* line 1 of"):
        read_evidence(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path):
    write_study(tmp_path, [ROW])
    (tmp_path / "rows.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match="UTF-8"):
        read_evidence(tmp_path)
    (tmp_path / "rows.jsonl").unlink()
    (tmp_path / "rows.jsonl").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        read_evidence(tmp_path)
