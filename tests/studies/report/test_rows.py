"""Result files of a study: which files may be missing, and which contents are errors that name the line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyrepsim.core.errors import NonFiniteError, OptionError, StoreError
from pyrepsim.studies.report.rows import read_study
from tests.studies.study_rows import COLUMNS, claims, study_rows, write_study

ROW = {"experiment": "weights", "metric": "weight_distance", "value": 0.5, "layer": 1, "task": "mnli"}


def test_rows_get_every_column_and_a_kind(tmp_path: Path):
    files = read_study(write_study(tmp_path, [ROW]))
    (row,) = files.rows
    assert tuple(key for key in row if key in COLUMNS) == COLUMNS
    assert row["kind"] == "value"
    assert row["seed"] is None
    assert len(files.claims) == 6
    assert files.study["scale"] == "paper"


def test_the_digest_is_that_of_the_rows(tmp_path: Path):
    import hashlib

    folder = write_study(tmp_path, study_rows(("mnli",), layers=1, seeds=1))
    assert read_study(folder).digest == hashlib.sha256((folder / "rows.jsonl").read_bytes()).hexdigest()


def test_only_the_rows_are_needed(tmp_path: Path):
    files = read_study(write_study(tmp_path, [ROW], study=None, claims=None))
    assert (files.study, files.claims) == ({}, [])
    with pytest.raises(StoreError, match=r"rows\.jsonl: .* has none\. Give the folder"):
        read_study(tmp_path / "elsewhere")


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("column", ["value", "low"])
def test_a_number_that_is_not_finite_is_an_error_that_names_its_line(tmp_path: Path, word: str, column: str):
    write_study(tmp_path, [ROW, ROW])
    line = json.dumps(ROW | {column: 0.25}).replace("0.25", word)
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(ROW)}\n{line}\n")
    with pytest.raises(NonFiniteError, match=r"numbers are finite: line 2 of .*rows\.jsonl has"):
        read_study(tmp_path)


@pytest.mark.parametrize("name", ["study.json", "claims.jsonl"])
def test_numbers_of_the_other_files_are_finite_too(tmp_path: Path, name: str):
    write_study(tmp_path, [ROW])
    (tmp_path / name).write_text('{"why": null, "seconds": NaN}')
    with pytest.raises(NonFiniteError, match=f"numbers are finite: .*{name} has NaN"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
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
def test_a_line_that_is_not_a_row_is_an_error(tmp_path: Path, line: str, message: str):
    write_study(tmp_path, [])
    (tmp_path / "rows.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(OptionError, match=f"{message}|line 2 .*{message}"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    "change", [{"tasks": "mnli"}, {"tasks": ["mnli"]}, {"figure": ["freezing"]}, {"effect": "large"}, {"why": 3}]
)
def test_a_claim_with_wrong_types_is_an_error(tmp_path: Path, change: dict):
    write_study(tmp_path, [ROW], claims=[claims()[0] | change])
    with pytest.raises(OptionError, match=r"A claim's .* line 1 of"):
        read_study(tmp_path)


def test_a_file_that_is_not_utf8_is_an_error(tmp_path: Path):
    write_study(tmp_path, [ROW])
    (tmp_path / "rows.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match="UTF-8"):
        read_study(tmp_path)
    (tmp_path / "rows.jsonl").unlink()
    (tmp_path / "rows.jsonl").mkdir()
    with pytest.raises(StoreError, match="cannot be read"):
        read_study(tmp_path)
