"""The simulations of benchmarks/error_rates.py: their truth, their tables, and the committed page."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from benchmarks import error_rates
from benchmarks.table import replace_table


def test_the_page_shows_the_committed_results():
    text = error_rates.PAGE.read_text(encoding="utf-8")
    shown = replace_table(text, error_rates.page(error_rates.read_summaries()))
    assert shown == text, "run python -m benchmarks.error_rates"


def test_a_finished_cell_is_not_run_again(tmp_path, monkeypatch):
    monkeypatch.setattr(error_rates, "FOLDER", tmp_path)
    cell = {"documents": 40, "lengths": "wildly unequal"}
    first = error_rates.run("size", cell, 4, 1)
    assert first["refused"] < 4
    assert set(first["rates"]) == set(error_rates.TESTED)
    monkeypatch.setattr(error_rates, "_summary", None)
    assert error_rates.run("size", cell, 3, 1) == first
    assert error_rates.read_summaries() == [first]
    assert "| `p` | 40 | wildly unequal | 4 |" in error_rates.page([first])


def test_rates_are_fractions_of_the_draws():
    cell = {"documents": 40, "width": 24}
    draws = [error_rates.coverage(seed, **cell) for seed in range(2)]
    truth = error_rates._model(24)
    assert {*draws[0]} == {*error_rates.UNBIASED, *error_rates.BIASED}
    for value, low, high in draws[0].values():
        assert low <= value <= high
    found = error_rates._within(np.array([[0.5, 0.4, 0.6], [0.5, 0.2, 0.3]]), 0.4)
    assert found == 0.5
    assert all(part.shape == (24, 24) for part in truth.values())


def test_the_population_value_is_that_of_many_documents():
    rng = np.random.default_rng(0)
    X, Y = error_rates._related(rng, np.arange(20_000), 24)
    known = error_rates.population(24)
    for measure, value in known.items():
        assert rs.compare(X, Y, measure).value == pytest.approx(value, abs=0.01)
