"""Scales, and the parts of the study that need no model: lengths of texts, undefined measures, means over seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import OptionError
from pyrepsim.studies.merchant2020 import load_scale
from pyrepsim.studies.merchant2020.aggregates import aggregate
from pyrepsim.studies.merchant2020.comparison import compare_stores
from pyrepsim.studies.merchant2020.scales import Similarity, build_scale
from pyrepsim.studies.merchant2020.texts import match_sizes


@pytest.mark.parametrize("name", ["smoke", "small", "paper"])
def test_the_shipped_scales_are_complete(name: str):
    scale = load_scale(name)
    assert set(scale.tasks) == {"mnli", "squad", "dependency"}
    assert all(
        any(c.domain.get(task) == side for c in scale.corpora.values())
        for task in scale.tasks
        for side in ("in", "out")
    )
    shared = [name for name, corpus in scale.corpora.items() if set(corpus.domain) == set(scale.tasks)]
    assert shared, "the claims compare tasks on one text"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"speed": 3}, "got speed"),
        ({"corpora": {"a": {"source": "x", "form": "training"}}}, "form"),
        ({"corpora": {"a": {"source": "x", "domain": {"mnli": "in"}}}}, "domain maps tasks"),
        ({"profiles": ["b"]}, "A corpus is one of"),
        ({"tasks": {"mnli": {}}}, "not complete"),
        ([1], "maps names to values"),
    ],
)
def test_invalid_scales_are_refused(content: Any, complaint: str):
    with pytest.raises(OptionError, match=complaint):
        build_scale({"name": "x", **content} if isinstance(content, dict) else content, "x.yaml")
    with pytest.raises(OptionError, match="A scale is one of paper, small, smoke"):
        load_scale("large")


def test_an_undefined_measure_is_left_out_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rng = np.random.default_rng(0)
    one_way = np.outer(1 + np.arange(40), np.eye(12)[0])  # rows differ in length alone: their cosines do not vary
    sides = [
        rs.write_store(tmp_path / name, {"a": layer}, dtype="float32")
        for name, layer in (("x", rng.standard_normal((40, 12))), ("y", one_way))
    ]
    found = compare_stores(sides[0], sides[1], Similarity(measures=("RSA", "LinearCKA(debiased=True)"), blocks=4))
    assert found.measures == ("LinearCKA(debiased=True)",)
    assert "RSA is left out" in caplog.text


def test_one_text_is_drawn_for_each_length():
    sizes = [3, 9, 9, 4, 30, 5, 12]
    assert sorted(sizes[i] for i in match_sizes(sizes, [9, 10, 4])) == [4, 9, 9]
    assert match_sizes(sizes, [1] * 20) == list(range(7))


def test_aggregates_are_over_seeds():
    rows = [{"task": "a", "layer": k, "seed": s, "value": 1.0 * s + k, "n": 7} for s in (0, 2) for k in (0, 1)]
    found = aggregate(rows)
    assert [(row["layer"], row["value"], row["n"]) for row in found] == [(0, 1.0, 2), (1, 2.0, 2)]
    assert found[0]["high"] - found[0]["value"] == pytest.approx(12.7062, abs=1e-3)  # t of 1 degree of freedom
    assert "band" not in aggregate(rows[:1])[0]
    depths = [
        {**row, "experiment": "exit", "metric": "depth of the score: las", "value": 9.0 + row["seed"]} for row in rows
    ]
    assert aggregate(depths)[0]["high"] == pytest.approx(10.0 + 12.7062, abs=1e-3)  # not cut to 1, as scores are


def test_the_first_measure_needs_intervals():
    for options in ({"measures": ["RSA"], "values_only": ["RSA"]}, {"measures": []}):
        with pytest.raises(OptionError, match="The first of the measures judges the claims"):
            build_scale({"name": "x", "similarity": options}, "x.yaml")
    assert build_scale({"name": "x", "similarity": {"measures": ["RSA", "CCA"], "values_only": ["CCA"]}}, "x.yaml")
