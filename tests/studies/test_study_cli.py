"""`pyrepsim study`: its plan, its output and its errors, on one experiment of the study in miniature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from pyrepsim.studies.synthetic import write_synthetic
from tests.helpers.tiny_synthetic import synthetic_bert
from tests.studies.mini_study import mini_scale

pytest.importorskip("accelerate")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    write_synthetic(folder / "data", train=20, dev=8, test=8)
    texts = [path.read_text(encoding="utf-8") for path in (folder / "data").rglob("*") if path.is_file()]
    return synthetic_bert(folder / "tiny", texts, width=16, layers=1)


@pytest.fixture
def scale(tmp_path: Path) -> Path:
    """As a file of one's own, with the tuples of the dataclasses as lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(one) for key, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, tuple | list) else value

    content = plain(asdict(mini_scale()))
    content |= {"freezing": None, "truncation": None, "exit": None, "structural": None, "edge": {}}
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_study_is_planned_run_and_reported(run: Callable[..., Any], encoder: Path, scale: Path, tmp_path: Path):
    words = ("study", "merchant2020", "--model", encoder, "--scale", scale, "--device", "cpu", "--only", "texts")
    planned = run(*words, "--dry-run")
    assert planned.status == 0, planned.err
    assert "texts/mnli-sentences" in planned.out
    assert "4 of 4 cells are left" in planned.out
    assert [path.name for path in tmp_path.iterdir()] == ["own.yaml"]
    ran = run(*words)
    assert ran.status == 0, ran.err
    assert "from pyrepsim.studies.merchant2020 import merchant2020" in ran.err
    assert "run_study(study, out=" in ran.err
    assert "texts/mnli-dev: 0 rows" in ran.err
    out = Path("studies") / f"merchant2020-own-{encoder.parent.name}-tiny"
    assert "merchant2020: 4 of" in ran.out
    assert ran.out.splitlines()[-1] == str(out / "report" / "index.html")
    assert (out / "report" / "index.html").is_file()
    assert run("study", "status", out).out.splitlines()[0] == ran.out.splitlines()[0]


def test_errors_name_a_remedy(run: Callable[..., Any], encoder: Path):
    assert "A scale is one of paper, small, smoke" in run("study", "merchant2020", "--scale", "large").err
    refused = run("study", "merchant2020", "--scale", "small", "--model", encoder)
    assert refused.status == 2
    assert "Set data_folder=, or --data" in refused.err
    assert "names no encoder" in run("study", "merchant2020", "--scale", "small").err
    assert "holds study.json" in run("study", "status", "nowhere").err
