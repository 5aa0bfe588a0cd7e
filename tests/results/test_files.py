"""Scores written and read back: nothing lost, nothing half written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pyrepsim.core.errors import OptionError, StoreError
from pyrepsim.results import Score, Scores

SCORES = Scores(
    [
        Score(
            0.1 + 0.2,
            "SVCCA",
            10,
            (0.25, 0.5),
            {"correlations": np.array([1.0, 1 / 3]), "rank": 2, "condition": np.inf, "ragged": [[1], [2, 3]]},
            "layer.0",
            "layer.0",
            {"model_x": "größer", "store": {"digest": "abc", "bytes": np.int64(5)}, "list": [1]},
        ),
        Score(-1.0, "RSA", 11, layer_x="layer.1", layer_y="layer.1", provenance={"model_x": "b", "value": 3}),
    ]
)


def test_jsonl_round_trip(tmp_path: Path):
    path = SCORES.to_jsonl(tmp_path / "new" / "scores.jsonl")
    again = Scores.from_jsonl(path)
    assert again == SCORES
    assert again[0].details["correlations"].tolist() == [1.0, 1 / 3]
    assert again[0].details["condition"] == np.inf
    assert again[0].details["ragged"] == ((1,), (2, 3))
    assert again[0].provenance["store"]["bytes"] == 5
    assert [entry.name for entry in path.parent.iterdir()] == ["scores.jsonl"]


def test_jsonl_is_json_that_others_read(tmp_path: Path):
    def refuse(word: str):
        raise AssertionError(f"{word} is not JSON")

    for line in SCORES.to_jsonl(tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=refuse)


@pytest.mark.parametrize("line", ["{", "[]", '{"value": 1}', '{"value": 1, "measure": "a", "details": {}, "x": 1}'])
def test_a_file_that_is_not_of_scores_is_refused(tmp_path: Path, line: str):
    path = SCORES.to_jsonl(tmp_path / "s.jsonl")
    path.write_text(path.read_text(encoding="utf-8") + "\n" + line, encoding="utf-8")
    with pytest.raises(OptionError, match=r"line 4 of .*s\.jsonl is not one .*to_jsonl"):
        Scores.from_jsonl(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = SCORES.to_jsonl(tmp_path / "s.jsonl")
    before = path.read_bytes()

    def fail(*args, **options):
        raise OSError("disk full")

    monkeypatch.setattr(json, "dump", fail)
    with pytest.raises(OSError, match="disk full"):
        SCORES.to_jsonl(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_records_are_flat_and_the_scores_own_columns_win():
    first, second = SCORES.to_records()
    assert first["store.digest"] == "abc"
    assert first["ci_high"] == 0.5
    assert "list" not in first
    assert second["value"] == -1.0, "provenance may not overwrite the value"
    assert second["ci_low"] is None


def test_csv_keeps_every_digit(tmp_path: Path):
    with SCORES.to_csv(tmp_path / "s.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["value"]) for row in rows] == [0.1 + 0.2, -1.0]
    assert rows[0]["model_x"] == "größer"
    assert rows[1]["store.digest"] == ""


def test_frame_and_parquet(tmp_path: Path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = SCORES.to_frame()
    assert frame.loc[0, "measure"] == "SVCCA"
    again = pandas.read_parquet(SCORES.to_parquet(tmp_path / "s.parquet"))
    assert again["value"].tolist() == [0.1 + 0.2, -1.0]
    assert again["n_samples"].tolist() == [10, 11]


@pytest.mark.parametrize("writer", ["to_csv", "to_jsonl", "to_parquet"])
def test_error_when_a_file_cannot_be_written(tmp_path: Path, writer: str):
    if writer == "to_parquet":
        pytest.importorskip("pandas")
        pytest.importorskip("pyarrow")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"must be written completely: .*s\.x was not .* choose another path"):
        getattr(SCORES, writer)(tmp_path / "file" / "s.x")


def test_error_when_a_file_cannot_be_read(tmp_path: Path):
    with pytest.raises(StoreError, match=r"absent\.jsonl cannot be read \(No such file .*\)\. Check the path"):
        Scores.from_jsonl(tmp_path / "absent.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(OptionError, match=r"A scores file is UTF-8: .*latin\.jsonl is not"):
        Scores.from_jsonl(tmp_path / "latin.jsonl")


def test_a_frame_has_typed_columns_and_short_names():
    pytest.importorskip("pandas")
    records = [
        Score(0.5, "CCA", 10, layer_x="a", layer_y="b", provenance={"model_x": "/a/long/way/org/model", "digest": "d"}),
        Score(0.25, "CCA", 11, (0.125, 0.5), layer_x="a", layer_y="c", provenance={"model_x": "org/model"}),
    ]
    frame = Scores(records).to_frame()
    assert list(frame.columns) == [
        "measure",
        "model_x",
        "layer_x",
        "layer_y",
        "value",
        "ci_low",
        "ci_high",
        "n_samples",
    ]
    assert frame["model_x"].tolist() == ["org/model"] * 2
    assert [str(frame[name].dtype) for name in ("value", "ci_low", "n_samples")] == ["float64", "float64", "int64"]
    assert str(frame["ci_low"].tolist()) == "[nan, 0.125]"
    whole = Scores(records).to_frame(provenance=True)
    assert whole["provenance.model_x"].tolist() == ["/a/long/way/org/model", "org/model"]
    assert whole["provenance.digest"][0] == "d"
    assert list(Scores().to_frame().columns) == ["measure", "value", "ci_low", "ci_high", "n_samples"]
