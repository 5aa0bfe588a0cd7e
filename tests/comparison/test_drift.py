"""`Drift`: the values of `compare` with a reference that stays, by layer, also where a measure is not defined."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import LayerError, NonFiniteError, OptionError, ShapeError

MEASURES = ["LinearCKA(debiased=True)", "CCA", "MutualKNN"]


@pytest.fixture
def steps(rng: np.random.Generator) -> list[np.ndarray]:
    X = rng.standard_normal((60, 5)).astype(np.float32)
    return [X + np.float32(0.2 * k) * rng.standard_normal((60, 5)).astype(np.float32) for k in range(3)]


def due(X: np.ndarray, Y: np.ndarray) -> dict[str, float]:
    return {score.measure: score.value for score in rs.compare(X, Y, MEASURES)}


def test_the_first_rows_are_the_reference_and_stay_it(steps):
    drift = rs.Drift(MEASURES)
    rows = steps[0].copy()
    assert drift.measure(rows) == due(steps[0], steps[0])
    rows[:] = 7.0  # a model writes into the same buffer again
    for X in steps[1:]:
        assert drift.measure(X) == due(steps[0], X)


def test_a_reference_of_other_width_and_layers(steps):
    reference = {"layer.0": steps[0][:, :3], "layer.1": steps[1]}
    drift = rs.Drift(MEASURES, reference, n_threads=1)
    found = drift.measure({"layer.1": steps[2], "layer.0": steps[2]})
    for layer, X in reference.items():
        for measure, value in due(X, steps[2]).items():
            assert found[f"{layer}/{measure}"] == value
    assert len(found) == 6


def test_torch_tensors(steps):
    torch = pytest.importorskip("torch")
    drift = rs.Drift("CCA", torch.from_numpy(steps[0]).bfloat16().requires_grad_())
    assert 0.9 < drift.measure(torch.from_numpy(steps[1]))["CCA"] < 1


def test_a_measure_that_is_not_defined_is_nan_with_the_reason_and_the_others_are_given(steps, caplog):
    zero_row = np.vstack([np.zeros((1, 5), np.float32), steps[1][1:]])
    drift = rs.Drift(["LinearCKA", "RSA", "CCA"], {"last": steps[0]})
    with caplog.at_level(logging.WARNING, "pyrepsim.comparison"):
        found = drift.measure({"last": zero_row})
    assert math.isnan(found["last/RSA"])
    assert found["last/LinearCKA"] == rs.compare(steps[0], zero_row, "LinearCKA").value
    assert found["last/CCA"] == rs.compare(steps[0], zero_row, "CCA").value
    assert "last/RSA is NaN: row 0 of Y is all zero" in caplog.text
    assert all(map(math.isnan, drift.measure({"last": np.ones((60, 5))}).values()))


def test_errors(steps):
    drift = rs.Drift(MEASURES, steps[0])
    with pytest.raises(LayerError, match="got layer.0, want an array"):
        drift.measure({"layer.0": steps[1]})
    with pytest.raises(LayerError, match="got an array, want a"):
        rs.Drift(MEASURES, {"a": steps[0]}).measure(steps[0])
    with pytest.raises(ShapeError, match="same number of rows"):
        drift.measure(steps[1][:50])
    with pytest.raises(NonFiniteError):
        drift.measure(np.full((60, 5), np.nan))
    with pytest.raises(OptionError):
        rs.Drift([])
    with pytest.raises(ShapeError):
        rs.Drift("CCA", steps[0][0])
