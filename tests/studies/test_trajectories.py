"""The second study on a tiny encoder: layers leave the base and near the final model, and copies do not stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

from pyrepsim.cli import main
from pyrepsim.studies.runner import plan_study, run_study
from pyrepsim.studies.trajectories import trajectories
from tests.studies.mini_study import mini_scale

SCALE = mini_scale()
ONE_TASK: dict[str, Any] = {
    "tasks": {"mnli": {**vars(SCALE.tasks["mnli"]), "recipe": {**SCALE.tasks["mnli"].recipe, "epochs": 3}}},
    "corpora": {"laboratory": {"source": "laboratory/text/dev.txt", "words": 150, "domain": {"mnli": "out"}}},
    "seeds": [0],
}


@pytest.fixture(scope="module")
def study(model: Path) -> Any:
    return trajectories(model, mini_scale(**ONE_TASK), steps=(1, 4, 4096), device="cpu")


@pytest.fixture(scope="module")
def out(study: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trajectories")
    result = run_study(study, out=folder, progress=False)
    assert result.errors == {}
    assert result.complete
    return folder


@pytest.fixture(scope="module")
def rows(study: Any, out: Path) -> list[dict[str, Any]]:
    found = run_study(study, out=out, progress=False).rows()
    return [row for row in found if row["experiment"] == "trajectories" and row["kind"] == "value"]


def values(rows: list[dict[str, Any]], metric: str) -> dict[int, list[float]]:
    """By step the values along the layers."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["metric"] == metric:
            found.setdefault(row["k"], []).append(row["value"])
    return found


def test_each_checkpoint_is_compared_with_base_and_final(rows: list[dict[str, Any]]):
    last = max(row["k"] for row in rows)
    assert 4 < last < 4096
    for measure in ("LinearCKA(debiased=True)", "SVCCA", "SVCCA distance", "attention_js"):
        to_base, to_final = values(rows, f"{measure} to base"), values(rows, f"{measure} to final")
        assert list(to_base) == [1, 4, last]
        assert list(to_final) == [0, 1, 4]
        n_layers = 2 if measure == "attention_js" else 3
        assert {len(one) for one in [*to_base.values(), *to_final.values()]} == {n_layers}
        # the final model is as far from the base as the base from it
        assert to_base[last] == pytest.approx(to_final[0], rel=1e-6)


def test_layers_move_away_from_the_base_and_towards_the_final_model(rows: list[dict[str, Any]]):
    for measure, sign in (("LinearCKA(debiased=True)", 1), ("SVCCA distance", -1), ("attention_js", -1)):
        to_base = [sign * one[-1] for one in values(rows, f"{measure} to base").values()]
        to_final = [sign * one[-1] for one in values(rows, f"{measure} to final").values()]
        assert to_base == sorted(to_base, reverse=True), measure
        assert to_final == sorted(to_final), measure


def test_distance_is_one_less_similarity(rows: list[dict[str, Any]]):
    similarity, distance = values(rows, "SVCCA to base"), values(rows, "SVCCA distance to base")
    for step, one in similarity.items():
        assert distance[step] == pytest.approx([1 - value for value in one])


def test_checkpoints_are_removed_and_no_cell_runs_twice(study: Any, out: Path):
    assert list(out.glob("cells/finetuning/mnli-seed0-*/run/model.safetensors"))
    assert not list(out.glob("cells/finetuning/*/run/checkpoints"))
    assert run_study(study, out=out, progress=False).ran == ()


def test_the_command_lists_the_cells(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["study", "trajectories", "--model", str(model), "--device", "cpu", "--steps", "1,8"]
    assert main([*words, "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    told = capsys.readouterr()
    assert "trajectories/mnli-seed0-laboratory" in told.out
    assert "steps=[1, 8]" in told.err


def test_a_plan_has_cells_for_texts_and_no_stores(study: Any, tmp_path: Path):
    named = {cell.id.partition("/")[0] for cell in plan_study(study, out=tmp_path).cells}
    assert named == {"data", "finetuning", "texts", "trajectories"}
