"""Folders of `compare_revisions`: what is kept, resumed, refused and removed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import pyrepsim as rs
from pyrepsim.core.errors import StoreError
from tests.extraction.revision_sweeps import Calls, changed, sweep


def test_an_interrupted_sweep_resumes_after_the_last_finished_revision(
    different: dict[str, Path], calls: Calls, tmp_path: Path
):
    models = [*different.values()]
    wanted = sweep(models)
    out, calls.compared, calls.stop_at = tmp_path / "out", 0, 3
    with pytest.raises(KeyboardInterrupt):
        sweep(models, out=out)
    assert (out / "revision" / "manifest.json").exists()
    calls.loaded, calls.stop_at = [], None
    found = sweep(models, out=out)
    assert calls.loaded == ["base", "m3", "base"]  # the reference, and what was not finished
    assert [s.value for s in found.scores] == [s.value for s in wanted.scores]
    assert sorted(path.name for path in out.iterdir()) == [
        "reference", "revisions", "scores.csv", "scores.jsonl", "scores.svg",
    ]  # fmt: skip
    assert rs.Scores.from_jsonl(out / "scores.jsonl") == wanted.scores
    calls.loaded = []
    again = sweep(models, out=out)
    assert calls.loaded == []
    assert again.scores == found.scores
    assert [score.provenance for score in again.scores] == [score.provenance for score in found.scores]


def test_what_an_interrupted_call_left_is_removed(different: dict[str, Path], calls: Calls, tmp_path: Path):
    out, calls.stop_at = tmp_path / "out", 3
    models = {name: different[name] for name in ("base", "m1", "m2")}
    with pytest.raises(KeyboardInterrupt):
        sweep(models, out=out, reference=different["base"])
    calls.loaded, calls.stop_at = [], None
    sweep({name: different[name] for name in ("base", "m1")}, out=out, reference=different["base"])
    assert calls.loaded == []
    assert not (out / "revision").exists()


def test_a_sweep_is_extended(different: dict[str, Path], calls: Calls, tmp_path: Path):
    sweep([different["m1"], different["base"]], out=tmp_path / "out")
    calls.loaded = []
    sweep([different["m1"], different["m2"], different["base"]], out=tmp_path / "out")
    assert calls.loaded == ["base", "m2"]


def test_another_request_is_refused(different: dict[str, Path], tmp_path: Path):
    models = [shutil.copytree(different[name], tmp_path / name) for name in ("m1", "base")]
    out = tmp_path / "out"
    sweep(models, out=out)
    others: list[tuple[dict[str, Any], str]] = [
        ({"measures": "CCA"}, "measures"),
        ({"tokens": "all"}, "tokens"),
        ({"tokens": lambda columns: columns["position"] > 1}, "tokens"),
        ({"reference": models[0]}, "reference"),
        ({"layers": ["layer.0"]}, "layers"),
        ({"interval": "Jackknife(blocks=4)"}, "interval"),
        ({"words": "mean"}, "words"),
        ({"model_dtype": "bfloat16"}, "model_dtype"),
    ]
    for options, name in others:
        with pytest.raises(StoreError, match=name):
            sweep(models, out=out, **options)
    changed(models[0], models[0], 9)
    with pytest.raises(StoreError, match=r"revision\.files"):
        sweep(models, out=out)


def test_a_damaged_record_is_computed_again(different: dict[str, Path], calls: Calls, tmp_path: Path):
    models, out = [different["m1"], different["base"]], tmp_path / "out"
    wanted = sweep(models, out=out)
    path = next((out / "revisions").glob("*m1-*.json"))
    path.write_text(path.read_text().replace("value", "valeu", 1))
    calls.loaded = []
    assert sweep(models, out=out).scores == wanted.scores
    assert calls.loaded == ["base", "m1"]
    plan = out / "reference" / "plan.json"
    path.unlink()
    plan.write_bytes(plan.read_bytes()[:40])
    with pytest.raises(StoreError):
        sweep(models, out=out)


def test_two_stores_on_the_disk_and_one_model_in_memory(different: dict[str, Path], calls: Calls, tmp_path: Path):
    sweep([*different.values()], out=tmp_path / "out")
    assert max(calls.stores) == 2
    assert calls.alive == [0] * 5
    assert not (tmp_path / "out" / "revision").exists()


def test_without_a_folder_nothing_stays(different: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    sweep([different["m1"], different["base"]])
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp"]
