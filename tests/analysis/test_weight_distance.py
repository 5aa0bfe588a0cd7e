"""Weight distances against the definition, written again in NumPy."""

from __future__ import annotations

import copy
import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from pyrepsim.analysis.weights import WeightDistances, weight_distance
from pyrepsim.core.errors import ModelError, OptionError
from pyrepsim.models import load_encoder
from pyrepsim.models.layer_changes import truncate


@pytest.fixture
def pair(encoder: Path) -> tuple[torch.nn.Module, torch.nn.Module]:
    base = load_encoder(encoder, device="cpu").module
    tuned = copy.deepcopy(base)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return base, tuned


def test_records_agree_with_the_definition(pair, encoder: Path):
    base, tuned = pair
    rows = {(row["layer"], row["module"]): row for row in weight_distance(encoder, tuned)}
    modules = [
        *("all", "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        *("attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"),
    ]
    assert [module for layer, module in rows if layer == "layer.2"] == modules
    assert {layer for layer, _ in rows} == {"embeddings", "layer.0", "layer.1", "layer.2", "layer.3"}
    for module in modules:
        inside = "encoder.layer.2." + ("" if module == "all" else f"{module}.")
        w, v = (
            np.concatenate(
                [p.detach().numpy().astype(float).ravel() for n, p in m.named_parameters() if n.startswith(inside)]
            )
            for m in (base, tuned)
        )
        row = rows["layer.2", module]
        assert row["distance"] == pytest.approx(np.linalg.norm(v - w) / np.linalg.norm(w), rel=1e-12)
        assert row["cosine"] == pytest.approx(v @ w / np.linalg.norm(v) / np.linalg.norm(w), rel=1e-12)
        assert (row["norm"], row["n_weights"]) == (pytest.approx(np.linalg.norm(w), rel=1e-12), len(w))


def test_models_in_float64_are_not_changed(pair):
    base, tuned = (module.double() for module in pair)
    before = copy.deepcopy(tuned.state_dict())
    weight_distance(base, tuned)
    assert all(torch.equal(before[name], tensor) for name, tensor in tuned.state_dict().items())


def test_equal_weights_and_zero_norms(pair):
    base, _ = pair
    assert {row["distance"] for row in weight_distance(base, base)} == {0.0}
    torch.nn.init.zeros_(base.encoder.layer[1].output.LayerNorm.weight)
    torch.nn.init.zeros_(base.encoder.layer[1].output.LayerNorm.bias)
    (row,) = (r for r in weight_distance(base, base) if (r["layer"], r["module"]) == ("layer.1", "output.LayerNorm"))
    assert (row["distance"], row["cosine"]) == (None, None)


def test_a_shorter_tuned_model_is_compared_where_it_is(pair):
    base, tuned = pair
    truncate(tuned, 2)
    assert {row["layer"] for row in weight_distance(base, tuned)} == {"embeddings", "layer.0", "layer.1"}
    with pytest.raises(ModelError, match="4 blocks, the base 2"):
        weight_distance(tuned, base)


def test_the_table_is_text_csv_frame_and_figure(pair, tmp_path: Path):
    pytest.importorskip("matplotlib")
    distances = weight_distance(*pair)
    assert distances.table().splitlines()[0].split() == ["layer", "module", "distance", "cosine", "norm", "n_weights"]
    with distances.to_csv(tmp_path / "weights.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["distance"]) for row in rows] == [row["distance"] for row in distances]
    assert distances.to_frame()["module"].tolist() == [row["module"] for row in rows]
    assert len(distances.plot(tmp_path / "weights.svg").axes[0].lines) == 9


def test_weight_figure_has_a_line_for_each_module():
    pytest.importorskip("matplotlib")
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
    (ax,) = WeightDistances(rows).plot().axes
    assert [line.get_label() for line in ax.lines] == ["all", "output.dense"]
    assert ax.lines[1].get_xdata().tolist() == [2, 3]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["embeddings", "layer.0", "layer.1", "layer.2"]
    with pytest.raises(OptionError, match="no record has one"):
        WeightDistances(rows[3:4]).plot()
