"""The simulations of benchmarks/error_rates.py: their truth, their tables, and the committed page."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import error_rates
from benchmarks.table import replace_table
from pyrepsim.comparison.intervals import COVERAGE_OF_FEW, FEW_DOCUMENTS


def test_the_page_shows_the_committed_results():
    text = error_rates.PAGE.read_text(encoding="utf-8")
    shown = replace_table(text, error_rates.page(error_rates.read_summaries()))
    assert shown == text, "run python -m benchmarks.error_rates"


def test_the_warning_of_few_documents_says_what_was_measured():
    of_intervals = [one for one in error_rates.read_summaries() if one["simulation"] == "coverage"]
    few = [one for one in of_intervals if one["documents"] < FEW_DOCUMENTS]
    rates = [rate for one in few for of_measure in one["rates"].values() for rate in of_measure.values()]
    assert {one["documents"] for one in few} == {8, 12, 16}
    assert f"{min(rates):.0%} to {max(rates):.0%}".replace("% to", " to").replace("%", " %") == COVERAGE_OF_FEW


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


@pytest.mark.parametrize("data", error_rates.DATA)
def test_rates_are_fractions_of_the_draws(data):
    draws = [error_rates.coverage(seed, documents=40, width=24, data=data) for seed in range(2)]
    assert {*draws[0]} == {*error_rates.UNBIASED, *error_rates.BIASED}
    for value, low, high in draws[0].values():
        assert low <= value <= high
    found = error_rates._within(np.array([[0.5, 0.4, 0.6], [0.5, 0.2, 0.3]]), 0.4)
    assert found == 0.5


def test_the_population_value_is_that_of_the_covariances():
    parts = error_rates._model(24)
    assert all(part.shape == (24, 24) for part in parts.values())
    xx = parts["u"].T @ parts["u"] + parts["e"].T @ parts["e"]
    xy = xx @ parts["r"]
    yy = parts["r"].T @ xy + parts["v"].T @ parts["v"] + parts["w"].T @ parts["w"]
    expected = np.sum(xy**2) / np.sqrt(np.sum(xx**2) * np.sum(yy**2))
    found = error_rates.population(24, "normal")
    assert found["DocumentCKA"] == pytest.approx(expected, abs=0.005)
    assert 0 < found["DocumentRSA"] < 1


def test_documents_of_heavy_rows_differ():
    X, Y, of_row = error_rates.DATA["heavy"](np.random.default_rng(0), 300, 8)
    sizes = np.bincount(of_row)
    assert len(X) == len(Y) == len(of_row)
    assert (sizes.min(), sizes.max() > 60) == (sizes[sizes > 1].min(), True)
    spread = [np.var((Y - X @ error_rates._model(8)["r"])[of_row == k]) for k in range(300)]
    assert max(spread) > 10 * np.median(spread)
