"""Figures of ablations: lines, bands over seeds, missing scores."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("matplotlib")

from pyrepsim.core.errors import OptionError
from pyrepsim.finetuning.figures import ablation_curves
from pyrepsim.results.figures import to_svg


def row(value: int, score: float | None, seed: int = 0, kind: str = "freeze", task: str = "mnli") -> dict[str, Any]:
    return {"kind": kind, "value": value, "seed": seed, "task": task, "metric": "accuracy", "score": score}


def test_the_line_is_the_mean_and_the_band_the_range():
    rows = [row(k, 0.80 - 0.01 * k + 0.02 * seed, seed) for seed in (0, 1) for k in (2, 0, 1)]
    (ax,) = ablation_curves(rows).axes
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [0, 1, 2]
    assert line.get_ydata().tolist() == pytest.approx([0.81, 0.80, 0.79])
    low, high = (f(ax.collections[0].get_paths()[0].vertices[:, 1]) for f in (min, max))
    assert (low, high) == pytest.approx((0.78, 0.82))
    assert ax.get_ylabel() == "accuracy (%)"
    assert ax.yaxis.get_major_formatter()(0.8) == "80"
    assert "2 seeds" in ax.get_title(loc="left")


def test_failures_are_left_out_and_the_unchanged_score_is_dashed():
    rows = [row(0, 0.70), row(1, None), {**row(2, 0.60), "score_unchanged": 0.72}]
    (ax,) = ablation_curves(rows).axes
    line, dashed = ax.lines
    assert line.get_xdata().tolist() == [0, 2]
    assert dashed.get_ydata() == [0.72, 0.72]
    assert not ax.collections


def test_each_task_and_kind_has_a_line():
    rows = [
        row(k, 0.50 + 0.01 * k, kind=kind, task=task)
        for task in ("mnli", "squad")
        for kind in ("freeze", "head")
        for k in (1, 2)
    ]
    figure = ablation_curves(rows)
    (ax,) = figure.axes
    assert len({line.get_color() for line in ax.lines}) == 4
    assert "squad, head" in to_svg(figure)
    assert ax.get_xlabel() == "k"


def test_records_without_scores_are_refused():
    with pytest.raises(OptionError, match="no record has one"):
        ablation_curves([row(0, None)])
