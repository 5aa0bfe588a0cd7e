"""The experiment on attention in miniature: a mean and each head of every block, a baseline, and means over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

from pyrepsim.core.errors import OptionError
from pyrepsim.studies.runner import run_study
from tests.helpers.tiny_models import tiny_bert
from tests.studies.mini_study import mini_scale, mini_study

TASK = {"mnli": vars(mini_scale().tasks["mnli"])}
TEXT = {"laboratory": {"source": "laboratory/text/dev.txt", "words": 150, "domain": {"mnli": "out"}}}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("attention")
    study = mini_study(_model(folder), tasks=TASK, corpora=TEXT, freezing=None, truncation=None, exit=None)
    result = run_study(study, out=folder / "out", only=["attention"], progress=False)
    assert result.errors == {}
    return [row for row in result.rows() if row["experiment"] == "attention"]


def _model(folder: Path) -> Path:
    return tiny_bert(folder / "tiny", layers=2, positions=128, spread=0.1)


def select(rows: list[dict[str, Any]], **wanted: Any) -> list[dict[str, Any]]:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_each_block_has_a_mean_and_its_heads(rows: list[dict[str, Any]]):
    assert {row["metric"] for row in rows} == {"attention_js"}
    for seed in (0, 1):
        for layer in (1, 2):
            (mean,) = select(rows, variant="tuned", seed=seed, layer=layer, member=None, kind="value")
            heads = [select(rows, seed=seed, layer=layer, member=f"head.{head}")[0]["value"] for head in (0, 1)]
            assert mean["value"] == pytest.approx(np.mean(heads))
            assert 0 < mean["value"] < 1
            assert mean["n"] > 150


def test_seeds_have_a_mean_and_an_interval(rows: list[dict[str, Any]]):
    (whole,) = select(rows, kind="aggregate", layer=2, member=None)
    seeds = [row["value"] for row in select(rows, variant="tuned", layer=2, member=None, kind="value")]
    assert whole["value"] == pytest.approx(np.mean(seeds))
    assert whole["band"] == "t of seeds"


def test_random_weights_are_the_baseline(rows: list[dict[str, Any]]):
    random = select(rows, variant="random", member=None)
    assert [(row["task"], row["layer"]) for row in random] == [(None, 1), (None, 2)]


def test_attention_on_pairs_is_refused(tmp_path: Path):
    with pytest.raises(OptionError, match="single sentences"):
        mini_study(_model(tmp_path), attention=["mnli-dev"])
