"""Claims judged on made-up rows: the paper's results hold, and changed rows change the verdict as they should."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from pyrepsim.studies.merchant2020.claims import judge
from pyrepsim.studies.merchant2020.claims.claim import TaskVerdict
from pyrepsim.studies.merchant2020.claims.estimates import Estimate, difference, for_verdict, needed, over_seeds
from pyrepsim.studies.merchant2020.claims.rows import estimate_of
from tests.studies import made_up_rows as made

COLUMNS = {
    "claim",
    "statement",
    "verdict",
    "effect",
    "low",
    "high",
    "unit",
    "in_points",
    "tasks",
    "why",
    "rule",
    "figure",
}


def of(claim: str, rows: list[made.Row]) -> dict[str, Any]:
    return next(found for found in judge(rows) if found["claim"] == claim)


def without(rows: list[made.Row], **columns: Any) -> list[made.Row]:
    return [row for row in rows if not all(row.get(name) == value for name, value in columns.items())]


def one_seed(rows: list[made.Row]) -> list[made.Row]:
    return [row for row in rows if row.get("seed") in (None, 0)]


def test_the_results_of_the_paper_hold():
    found = judge(made.whole_study())
    assert [claim["claim"] for claim in found] == ["C3", "C4", "C5", "C6", "C7", "C8"]
    assert {claim["claim"]: claim["verdict"] for claim in found} == dict.fromkeys(
        ["C3", "C4", "C5", "C6", "C7", "C8"], "holds"
    )
    for claim in found:
        assert claim.keys() == COLUMNS
        assert claim["low"] <= claim["effect"] <= claim["high"]
        assert claim["why"]
        assert claim["rule"]
        assert claim["tasks"]
        assert "nan" not in claim["why"].lower()
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_nothing_measured_is_not_tested():
    for claim in judge([]):
        assert (claim["verdict"], claim["effect"], claim["tasks"]) == ("not tested", None, [])
        assert claim["why"].startswith("Not tested")


SHARED: dict[str, Callable[[], list[made.Row]]] = {
    "C3": lambda: (
        [row for row in made.whole_study() if row["experiment"] == "structural"]
        + made.edge(-0.08, task="mnli")
        + made.edge(-0.01, task="squad")
    ),
    "C4": lambda: (
        [row for task in made.TASKS for row in made.similarity(task, made.curve(2, 0.5))] + made.random_baseline()
    ),
    "C5": lambda: made.similarity("mnli", made.curve(2, 0.2)) + made.similarity("dependency", made.curve(8, 0.6)),
    "C6": lambda: made.domains("mnli", -0.1),
    "C7": lambda: made.freezing("squad", {0: 0.0, 8: 0.03, 12: 0.2}),
    "C8": lambda: made.depths("mnli", made.curve(2, 0.2), 5.0) + made.depths("dependency", made.curve(8, 0.6), 9.0),
}


@pytest.mark.parametrize("claim", SHARED)
def test_the_contrary_does_not_hold(claim: str):
    found = of(claim, SHARED[claim]())
    assert found["verdict"] == "does not hold", found["why"]


OPEN: dict[str, Callable[[], list[made.Row]]] = {
    # A loss of half of what context adds, within its band.
    "C3": lambda: made.edge(-0.05),
    # Wide intervals of texts, one seed.
    "C4": lambda: made.similarity("mnli", made.CURVES["mnli"], half=1.2, seeds=(0,)) + made.random_baseline(),
    "C5": lambda: (
        one_seed(made.similarity("mnli", made.CURVES["mnli"], half=None))
        + one_seed(made.similarity("dependency", made.CURVES["dependency"], half=None))
    ),
    "C6": lambda: made.domains("mnli", 0.1, half=0.2),
    "C7": lambda: made.freezing("mnli", {0: 0.0, 8: 0.004, 12: 0.2}, seeds=(0,), half=0.02),
    "C8": lambda: (
        made.depths("mnli", made.curve(4, 0.3), 10.0, half=0.3)
        + made.depths("dependency", made.curve(3, 0.3), 6.0, half=0.3)
    ),
}


@pytest.mark.parametrize("claim", OPEN)
def test_wide_intervals_are_undecided(claim: str):
    found = of(claim, OPEN[claim]())
    assert found["verdict"] == "undecided", found["why"]


def test_no_verdict_without_intervals():
    """Without any interval nothing is decided, however large the effect."""
    rows = [{**row, "low": None, "high": None, "n": None} for row in made.whole_study() if row.get("seed") in (None, 0)]
    assert {claim["verdict"] for claim in judge(rows)} == {"undecided"}


def test_parsing_is_shown_for_c4_and_c7_and_does_not_count():
    rows = made.whole_study()
    for name in ("C4", "C7"):
        claim = of(name, rows)
        parsing = claim["tasks"][-1]
        assert (parsing["task"], parsing["verdict"], parsing["counted"]) == ("dependency", "does not hold", False)
        assert claim["verdict"] == "holds"


@pytest.mark.parametrize("metric", ["accuracy", "f1", "exact_match", "las", "uas", "uuas", "root"])
def test_a_score_over_cases_gets_a_normal_interval_from_their_number(metric: str):
    half = 1.959964 * math.sqrt(0.8 * 0.2 / 400)
    assert estimate_of({"metric": metric, "value": 0.8, "n": 400}).ends == pytest.approx((0.8 - half, 0.8 + half))
    assert estimate_of({"metric": metric, "value": 0.8}).ends is None


def test_an_interval_with_one_end_is_none_and_perfect_scores_have_some_width():
    row = {"metric": "accuracy", "value": 0.5, "n": 100}
    half = 1.959964 * 0.05
    for ends in ({"low": None, "high": 0.9}, {"low": 0.1, "high": None}):
        assert estimate_of(row | ends).ends == pytest.approx((0.5 - half, 0.5 + half))
    for value in (0.0, 1.0):
        low, high = estimate_of(row | {"value": value}).ends
        assert (high - low) / 2 == pytest.approx(1.959964 * math.sqrt(1e-13 / 100), rel=1e-6)
    assert estimate_of(row | {"value": 50.0}).ends is None  # percent, not a fraction


@pytest.mark.parametrize("metric", ["macro_f1", "mcc", "dspr", "RSA"])
def test_no_normal_interval_for_a_score_that_is_no_mean_over_cases(metric: str):
    assert estimate_of({"metric": metric, "value": 0.8, "n": 400}).ends is None


def test_difference_of_independent_estimates_adds_squares():
    found = difference(Estimate(3.0, 2.7, 4.2), Estimate(1.0, 0.5, 1.4))
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 1.5, 3.3))
    assert difference(Estimate(1.0), Estimate(0.0, -1.0, 1.0)).ends is None


def test_over_seeds_adds_the_variation_of_texts():
    bare = over_seeds([Estimate(1.0), Estimate(2.0), Estimate(3.0)])
    half = 4.302653 / math.sqrt(3)  # Student's t, two degrees of freedom
    assert bare.ends == pytest.approx((2 - half, 2 + half), rel=1e-6)
    banded = over_seeds([Estimate(value, value - 1, value + 1) for value in (1.0, 2.0, 3.0)])
    assert banded.ends == pytest.approx((2 - math.hypot(half, 1), 2 + math.hypot(half, 1)), rel=1e-6)
    assert over_seeds([Estimate(1.0)]).ends is None


def test_judging_needs_no_torch():
    code = (
        "import sys; from pyrepsim.studies.merchant2020.claims import judge; judge([]);"
        "print(*sorted({'torch', 'transformers', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


def test_the_interval_of_one_seed_is_a_tenth_wider_for_a_verdict():
    wider = for_verdict(Estimate(0.5, 0.4, 0.7), 1)
    assert (wider.value, wider.low, wider.high) == pytest.approx((0.5, 0.39, 0.72))
    assert for_verdict(Estimate(0.5, 0.4, 0.7), 2) == Estimate(0.5, 0.4, 0.7)
    assert for_verdict(Estimate(0.5), 1) == Estimate(0.5)


def test_units_needed_for_a_decision():
    # at n = 50 the interval reaches 0.4 past the threshold's distance of 0.1: 16 times as many halve it twice
    estimate = Estimate(0.1, -0.3, 0.5)
    assert needed(estimate, 0.0, 50) == 50 * 16
    assert needed(estimate, 0.5, 50) == 50
    assert needed(Estimate(0.2, 0.1, 0.9), 0.4, 10) == 123  # 10 (0.7 / 0.2)^2, towards the threshold
    assert needed(estimate, 0.1, 50) is None
    assert needed(Estimate(0.1), 0.0, 50) is None


def test_an_undecided_task_says_what_would_decide():
    verdict = TaskVerdict(
        "mnli", "undecided", "0.1 [-0.3, 0.5].", Estimate(0.1, -0.3, 0.5), needed="about 800 documents"
    )
    record = verdict.record()
    assert record["needed"] == "about 800 documents"
    assert record["why"] == "0.1 [-0.3, 0.5]. Cannot be decided here: about 800 documents would be needed."
