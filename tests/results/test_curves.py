"""Figures of ablations: the line, the band over seeds, what is left out."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("matplotlib")

from pyrepsim.core.errors import OptionError
from pyrepsim.results.curves import sweep_curves, weight_curves
from pyrepsim.results.figures import to_svg


def row(value: int, score: float | None, seed: int = 0, kind: str = "freeze", task: str = "mnli") -> dict[str, Any]:
    return {"kind": kind, "value": value, "seed": seed, "task": task, "metric": "accuracy", "score": score}


def test_a_line_through_the_means_and_a_band_from_lowest_to_highest():
    rows = [row(k, 80.0 - k + 2 * seed, seed) for seed in (0, 1) for k in (2, 0, 1)]
    (ax,) = sweep_curves(rows).axes
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [0, 1, 2]
    assert line.get_ydata().tolist() == [81.0, 80.0, 79.0]
    low, high = (f(ax.collections[0].get_paths()[0].vertices[:, 1]) for f in (min, max))
    assert (low, high) == (78.0, 82.0)
    assert ax.get_ylabel() == "accuracy (%)"
    assert "2 seeds" in ax.get_title(loc="left")


def test_a_failed_cell_leaves_a_gap_and_the_whole_models_score_is_dashed():
    rows = [row(0, 70.0), row(1, None), {**row(2, 60.0), "score_whole": 72.0}]
    (ax,) = sweep_curves(rows).axes
    line, dashed = ax.lines
    assert line.get_xdata().tolist() == [0, 2]
    assert dashed.get_ydata() == [72.0, 72.0]
    assert not ax.collections


def test_tasks_and_kinds_have_lines_of_their_own():
    rows = [
        row(k, 50.0 + k, kind=kind, task=task)
        for task in ("mnli", "squad")
        for kind in ("freeze", "head")
        for k in (1, 2)
    ]
    figure = sweep_curves(rows)
    (ax,) = figure.axes
    assert len({line.get_color() for line in ax.lines}) == 4
    assert "squad, head" in to_svg(figure)
    assert ax.get_xlabel() == "k"


def test_no_score_no_figure():
    with pytest.raises(OptionError, match="no row has one"):
        sweep_curves([row(0, None)])


def test_weights_have_a_line_a_module_over_the_layers():
    rows = [
        {"layer": layer, "module": module, "distance": distance}
        for layer, module, distance in [
            ("embeddings", "all", 0.1),
            ("embeddings", "word_embeddings", 0.1),
            ("layer.0", "all", 0.2),
            ("layer.0", "output.dense", None),
            ("layer.1", "all", 0.3),
            ("layer.1", "output.dense", 0.3),
            ("layer.2", "output.dense", 0.4),
        ]
    ]
    (ax,) = weight_curves(rows).axes
    assert [line.get_label() for line in ax.lines] == ["all", "output.dense"]
    assert ax.lines[1].get_xdata().tolist() == [2, 3]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["embeddings", "layer.0", "layer.1", "layer.2"]
    with pytest.raises(OptionError, match="no row has a distance"):
        weight_curves(rows[3:4])
