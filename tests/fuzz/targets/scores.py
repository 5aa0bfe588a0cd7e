"""Files of scores, and the rows, claims and record of a study. The first byte chooses the file."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from pyrepsim.results import Scores
from tests.fuzz.running import tolerate

SCORE = {"value": 0.5, "measure": "CKA", "n_samples": 10, "interval": [0.1, {"float": "inf"}], "layer_x": "a"}
SCORE |= {"layer_y": "b", "details": {"rank": 3, "rho": [0.5, {"float": "nan"}]}, "provenance": {"model_x": "m"}}
ROW = {"experiment": "e", "metric": "m", "value": 0.5, "layer": 3, "low": 0.1, "high": 0.9, "task": "mnli"}
CLAIM = {"claim": "1", "statement": "s", "verdict": "yes", "why": "w", "effect": 0.5, "tasks": [{"task": "mnli"}]}
STUDY = {"study": "s", "cells": [{"experiment": "e", "name": "n", "key": "0123456789"}]}
FILES = ("rows.jsonl", "claims.jsonl", "study.json")


def examples() -> list[bytes]:
    return [bytes([i]) + json.dumps(value).encode() + b"\n" for i, value in enumerate((ROW, CLAIM, STUDY, SCORE))]


def read(data: bytes, folder: Path) -> None:
    kind = data[0] % 4 if data else 3
    if kind == 3:
        path = folder / "scores.jsonl"
        path.write_bytes(data[1:])
        scores = tolerate(Scores.from_jsonl, path)
        if scores is not None:
            scores.table()
            repr(scores)
            scores.to_records()
            scores.to_csv(folder / "scores.csv")
            again = scores.to_jsonl(folder / "again.jsonl")
            assert Scores.from_jsonl(again).to_jsonl(folder / "third.jsonl").read_bytes() == again.read_bytes()
        return
    if find_spec("pyrepsim.studies") is None:  # studies are an optional part of the package
        return
    from pyrepsim.studies.report.rows import read_study
    from pyrepsim.studies.runner import study_status

    study = folder / "study"
    study.mkdir(exist_ok=True)
    for name, example in zip(FILES, examples(), strict=False):
        (study / name).write_bytes(example[1:])
    (study / FILES[kind]).write_bytes(data[1:])
    tolerate(read_study, study)
    status = tolerate(study_status, study)
    if status is not None:
        status.table()
