"""Numbers with their values without each document: means, differences between texts, and verdicts on them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pyrepsim.core.errors import OptionError
from pyrepsim.inference.resampling import degrees_of_freedom
from pyrepsim.results import Score, Scores
from pyrepsim.studies.merchant2020.claims import judge
from pyrepsim.studies.merchant2020.claims.curves import (
    centre_of_change,
    curve_statistics,
    drops,
    first_change,
    middle_similarity,
    thirds,
    top_share,
)
from pyrepsim.studies.merchant2020.claims.estimates import (
    Estimate,
    above,
    agreed_verdict,
    below,
    ratio,
    units_needed,
    with_enough_documents,
    with_seeds,
)
from pyrepsim.studies.merchant2020.claims.replicates import Replicates, difference_of_texts, weighted
from tests.studies import made_up_rows as made


def test_the_interval_must_be_beyond_the_threshold():
    assert above(Estimate(1.0, 0.5, 1.5), 0.5) == "undecided"
    assert above(Estimate(0.0, -0.5, 0.5), 0.5) == "undecided"
    assert below(Estimate(1.0, 0.5, 1.5), 1.6) == "holds"


def test_texts_are_compared_with_the_errors_of_both():
    rng = np.random.default_rng(0)
    sums = [rng.exponential(size=(n, 1)) for n in (30, 50)]
    found = difference_of_texts(*map(Replicates.of_documents, sums))
    value = float(sums[0].mean() - sums[1].mean())
    error = math.hypot(*(float(one.std(ddof=1)) / math.sqrt(len(one)) for one in sums))  # of means: exact
    assert found.estimate.value == pytest.approx(value)
    assert (found.estimate.high - found.estimate.low) / 2 > 1.96 * error
    t = (found.estimate.high - value) / error
    assert 2.0 < t < 2.2
    errors = [float(one.var(ddof=1)) / len(one) for one in sums]
    dofs = [degrees_of_freedom(Replicates.of_documents(one).without[:, 0]) for one in sums]
    dof = sum(errors) ** 2 / sum(one**2 / k for one, k in zip(errors, dofs, strict=True))
    assert t == pytest.approx(stats.t.ppf(0.975, dof))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(value) / error, dof))
    equal = Replicates.of_documents(np.ones((5, 1)))
    assert difference_of_texts(equal, equal).p == 1.0
    assert difference_of_texts(equal, Replicates.of_documents(np.zeros((5, 1)))).p == 0.0


def test_means_over_documents_of_unequal_sizes():
    found = Replicates.of_documents(np.array([[2.0, 4.0], [1.0, 0.0]]), np.array([2.0, 3.0]))
    assert found.values == pytest.approx([0.6, 0.8])
    assert found.without == pytest.approx(np.array([[1 / 3, 0.0], [1.0, 2.0]]))


def test_a_ratio_is_linearised():
    found = ratio(Estimate(2.0, 1.7, 2.6), Estimate(4.0, 3.0, 6.0))
    low, high = 0.5 - math.hypot(0.3, 0.5 * 2) / 4, 0.5 + math.hypot(0.6, 0.5 * 1) / 4
    assert (found.value, found.low, found.high) == pytest.approx((0.5, low, high))
    found = ratio(Estimate(-2.0, -2.3, -1.4), Estimate(4.0, 3.0, 6.0))
    low, high = -0.5 - math.hypot(0.3, 0.5 * 1) / 4, -0.5 + math.hypot(0.6, 0.5 * 2) / 4
    assert (found.value, found.low, found.high) == pytest.approx((-0.5, low, high))
    assert ratio(Estimate(1.0, 0.9, 1.1), Estimate(1.0, 0.0, 2.0)).ends is None
    assert math.isnan(ratio(Estimate(1.0), Estimate(0.0)).value)
    assert ratio(Estimate(1.0), Estimate(2.0, 1.0, 3.0)) == Estimate(0.5)
    assert ratio(Estimate(1.0, 0.5, 1.5), Estimate(2.0)) == Estimate(0.5)


def test_seeds_of_groups_are_added_in_squares():
    models = Estimate(1.0, 0.8, 1.3)
    groups = [(1.0, [1.0, 2.0, 3.0]), (0.5, [0.0, 4.0])]
    variances = [1 / 3, 0.25 * 8 / 2]
    dof = sum(variances) ** 2 / (variances[0] ** 2 / 2 + variances[1] ** 2 / 1)
    assert dof == pytest.approx(1.684, abs=1e-3)
    half = stats.t.ppf(0.975, dof) * math.sqrt(sum(variances))
    found = with_seeds(models, groups)
    assert (found.value, found.low, found.high) == pytest.approx(
        (1.0, 1 - math.hypot(0.2, half), 1 + math.hypot(0.3, half)), rel=1e-6
    )
    assert with_seeds(models, [(1.0, [1.0, 2.0]), (1.0, [1.0])]) == models
    assert with_seeds(models, []) == models
    assert with_seeds(Estimate(1.0), groups) == Estimate(1.0)
    assert with_seeds(models, [(1.0, [1.0, 1.0])]).ends == pytest.approx(models.ends)


def test_verdicts_agree_or_are_undecided():
    assert agreed_verdict(["holds", "holds"]) == "holds"
    assert agreed_verdict(["does not hold"] * 3) == "does not hold"
    assert agreed_verdict(["holds", "does not hold"]) == "undecided"
    assert agreed_verdict(["not tested", "not tested"]) == "undecided"


def test_units_that_would_decide():
    wide = Estimate(0.01, -0.03, 0.05)
    assert units_needed("undecided", wide, 0.0, documents=48, seeds=3) == "about 768 documents and 48 seeds"
    assert units_needed("undecided", wide, 0.0, documents=1000, seeds=1) == "about 16,000 documents"
    assert units_needed("holds", wide, 0.0, documents=48, seeds=3) == ""
    assert units_needed("undecided", wide, 0.0, documents=None, seeds=1) == ""
    assert units_needed("undecided", wide, 0.01, documents=48, seeds=3) == ""
    narrow = Estimate(0.4, 0.3, 0.5)  # few documents: 20 at least
    assert units_needed("undecided", narrow, 0.0, documents=12, seeds=3) == "about 20 documents and 2 seeds"
    assert with_enough_documents("holds", None) == "holds"


def test_numbers_of_one_text_have_the_same_blocks():
    one, other = (Replicates.of_documents(np.arange(float(n))[:, None]) for n in (4, 5))
    with pytest.raises(OptionError, match="same blocks"):
        weighted([(1.0, one), (-1.0, other)])
    twice = weighted([(2.0, one), (-0.5, one)])
    assert twice.values == pytest.approx(1.5 * one.values)
    assert twice.without == pytest.approx(1.5 * one.without)


def test_statistics_of_a_measure_have_jackknife_intervals_over_its_layers():
    """Curves 1, 0.9, 0.7, 0.4: centre (0.1 + 2 x 0.2 + 3 x 0.3) / 0.6; without each block the last value varies."""
    last = np.array([0.3, 0.4, 0.5, 0.4])

    def score(measure: str, value: float, without: np.ndarray) -> Score:
        return Score(value, measure, 100, details={"interval": {"without_block": without}})

    curve = [score("RSA", value, np.full(4, value)) for value in (1.0, 0.9, 0.7)] + [score("RSA", 0.4, last)]
    other = [score("CKA", value, np.full(4, value)) for value in (1.0, 1.0, 1.0, 1.0)]
    found = {(one.measure, one.statistic): one for one in curve_statistics(Scores(other + curve))}
    changed = 1 - last
    wanted = {
        "centre of change": (1.4 / 0.6, (0.1 + 0.4 + 3 * (0.7 - last)) / changed),
        "share of change in the top third": (0.5, (0.7 - last) / changed),
        "similarity of the middle third": (0.7, np.full(4, 0.7)),
        "mean similarity of the blocks": (2 / 3, (1.6 + last) / 3),
    }
    for name, (value, without) in wanted.items():
        one = found["RSA", name]
        half = stats.t.ppf(0.975, degrees_of_freedom(without)) * math.sqrt(3 * np.var(without))
        assert (one.value, one.low, one.high, one.blocks) == pytest.approx((value, value - half, value + half, 4))
    assert ("CKA", "centre of change") not in found
    assert found["CKA", "mean similarity of the blocks"].value == 1.0
    one_block = [score("RSA", 1.0, np.ones(3)), score("RSA", 0.4, np.array([1.0, 0.3, 0.2]))]
    names = [one.statistic for one in curve_statistics(Scores(one_block))]
    assert names == [
        "similarity of the middle third",
        "mean similarity of the blocks",
    ]  # nothing changed without block 0
    two_blocks = [score("RSA", value, np.full(3, value)) for value in (1.0, 0.9, 0.7)]
    assert "similarity of the middle third" not in [one.statistic for one in curve_statistics(Scores(two_blocks))]
    with pytest.raises(OptionError, match="without each block"):
        curve_statistics(Scores([Score(1.0, "RSA", 100)]))


def test_the_first_layer_that_changed():
    assert first_change([1.0, 1 - 1e-7, 0.9, 1.0]) == 2
    assert first_change([0.5, 0.9]) == 0
    assert first_change([1.0, 0.75, 0.5], noise=0.25) == 2
    assert first_change([1.0, 1.0]) is None
    assert drops([0.9, 0.95, 0.5]) == pytest.approx([0.1, -0.05, 0.45])
    assert top_share([1.0, 0.9, 0.8, 0.4]) == pytest.approx(0.4 / 0.6)
    assert math.isnan(top_share([1.0, 0.9, 1.0]))


def test_thirds_and_middles_of_curves():
    assert thirds(12) == (range(1, 5), range(5, 9), range(9, 13))
    assert math.isnan(middle_similarity([1.0, 0.8, 0.5]))
    assert middle_similarity([1.0, 0.9, 0.7, 0.2]) == pytest.approx(0.7)


def test_an_estimate_has_two_ends_or_none():
    assert Estimate(1.0, 0.5).ends is None
    assert Estimate(1.0, None, 1.5).ends is None
    assert Estimate(1.0, 0.5, 1.5).ends == (0.5, 1.5)


def test_the_last_layer_is_named():
    rows = made.similarity("mnli", made.curve(8, 0.6), seeds=(0,)) + made.random_baseline()
    found = next(one for one in judge(rows) if one["claim"] == "C4")
    assert "RSA falls to 0.600 [0.596, 0.604]" in found["why"]


@pytest.mark.parametrize("curve", [[], [1.0], [1.0, math.nan], [[1.0, 0.9], [1.0, 0.8]]])
def test_a_curve_has_at_least_two_finite_numbers(curve: list):
    with pytest.raises(OptionError, match="A curve holds"):
        centre_of_change(curve)
    assert centre_of_change([1.0, 0.5]) == 1.0
