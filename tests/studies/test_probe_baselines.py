"""The comparison of a probe with its baselines: exact values, ends and p-values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from pyrepsim.probing.documents import Jackknifed, fieller_interval
from pyrepsim.studies.merchant2020.probe_baselines import kept_columns

OFF = np.array([-0.02, 0.0, 0.02, 0.0])  # of the values without each of four documents


def columns(before: float, after: float, **baselines: float):
    scores = {name: Jackknifed(value, value + OFF[::-1]) for name, value in baselines.items()}
    found = kept_columns("f1", Jackknifed(before, before + OFF), Jackknifed(after, after + np.roll(OFF, 1)), scores)
    return {one["metric"]: one for one in found}


def test_context_margin_and_share_of_each_baseline():
    """0.7 after 0.9, baselines 0.6 and 0.5: margins -0.05 and 0, shares -2 / 3 and -1 / 2."""
    found = columns(0.9, 0.7, lexical=0.6, random=0.5)
    values = {name: one["value"] for name, one in found.items()}
    assert values == pytest.approx(
        {
            "f1_context_lexical": 0.3, "f1_margin_lexical": -0.05, "f1_share_lexical": -2 / 3,
            "f1_context_random": 0.4, "f1_margin_random": 0.0, "f1_share_random": -0.5,
        }
    )  # fmt: skip
    assert {(one["kind"], one["n"]) for one in found.values()} == {("difference", 4)}


def test_the_interval_is_that_of_the_combination_without_each_document():
    margin = columns(0.9, 0.7, lexical=0.6)["f1_margin_lexical"]
    without = [0.7 + a - (0.9 + b + 0.6 + c) / 2 for a, b, c in zip(np.roll(OFF, 1), OFF, OFF[::-1], strict=True)]
    deviations = np.array(without) - np.mean(without)
    error = math.sqrt(3 / 4 * (deviations**2).sum())
    dof = min(2 * 4 / (4 * (deviations**4).sum() / (deviations**2).sum() ** 2 - 1), 3)
    half = scipy.stats.t.ppf(0.975, dof) * error
    assert (margin["low"], margin["high"]) == pytest.approx((-0.05 - half, -0.05 + half))
    assert margin["p"] == pytest.approx(2 * scipy.stats.t.sf(0.05 / error, dof))
    assert (margin["band"], margin["confidence"]) == ("jackknife of documents", 0.95)


def test_the_share_has_fiellers_interval():
    share = columns(0.9, 0.7, lexical=0.6)["f1_share_lexical"]
    change = Jackknifed(-0.2, -0.2 + np.roll(OFF, 1) - OFF)
    context = Jackknifed(0.3, 0.3 + OFF - OFF[::-1])
    assert (share["low"], share["high"]) == pytest.approx(fieller_interval(change, context))
    assert share["band"] == "Fieller, by documents"


def test_a_base_at_or_below_the_baseline_has_no_share():
    assert set(columns(0.6, 0.7, lexical=0.6)) == {"f1_context_lexical", "f1_margin_lexical"}
    assert set(columns(0.5, 0.7, lexical=0.6)) == {"f1_context_lexical", "f1_margin_lexical"}
    uncertain = columns(0.61, 0.7, lexical=0.6)["f1_share_lexical"]
    assert uncertain["value"] == pytest.approx(9.0)
    assert "low" not in uncertain


def test_a_single_document_has_values_alone():
    one, zero = (Jackknifed(value, np.zeros(1)) for value in (0.9, 0.5))
    for columns_ in kept_columns("uuas", one, one, {"lexical": zero}):
        assert not {"low", "high", "band", "p"} & columns_.keys()
        assert columns_["metric"].startswith("uuas_")
