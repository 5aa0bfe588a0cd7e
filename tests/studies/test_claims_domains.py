"""C6 judged on made-up rows, with effects and intervals computed by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pyrepsim.studies.merchant2020.claims import judge
from tests.studies import made_up_rows as made


def c6(rows: list[made.Row]) -> dict[str, Any]:
    return next(found for found in judge(rows) if found["claim"] == "C6")


def test_the_gap_has_the_interval_of_documents_and_of_the_seeds_of_all_tasks():
    """Three seeds a task with standard deviation 0.02: variances 0.02^2 / 3 times 1, 1/4 and 1/4."""
    variances = [0.02**2 / 3 * factor for factor in (1, 0.25, 0.25)]
    dof = sum(variances) ** 2 / sum(one**2 / 2 for one in variances)
    assert dof == pytest.approx(4.0)
    half = math.hypot(0.03, 2.776445 * math.sqrt(sum(variances)))
    found = c6(made.domains("mnli", 0.1, half=0.03, spread=0.02))
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((0.1, 0.1 - half, 0.1 + half), rel=1e-6)
    assert found["verdict"] == "holds"
    assert "(3 seeds, 48 documents of each text)" in found["why"]


@pytest.mark.parametrize(
    ("gap", "verdict"), [(0.032, "holds"), (0.028, "undecided"), (-0.028, "undecided"), (-0.032, "does not hold")]
)
def test_the_interval_must_be_on_one_side_of_zero(gap: float, verdict: str):
    assert c6(made.domains("mnli", gap, half=0.03, spread=0.0))["verdict"] == verdict


def test_one_seed_speaks_of_these_models_only():
    found = c6(made.domains("mnli", 0.1, half=0.03, seeds=1))
    assert (found["low"], found["high"]) == pytest.approx((0.07, 0.13))
    assert "these models only" in found["why"]


def test_all_texts_must_show_it_and_the_weakest_is_reported():
    both = made.domains("mnli", 0.1) + made.domains("mnli", -0.1, corpus="reviews")
    assert c6(both)["verdict"] == "does not hold"
    assert c6(both)["effect"] == pytest.approx(-0.1)
    two = made.domains("mnli", 0.2) + made.domains("mnli", 0.1, corpus="reviews")
    assert (c6(two)["verdict"], c6(two)["effect"]) == ("holds", pytest.approx(0.1))
    assert "news" in c6(two)["why"]
    assert "reviews" in c6(two)["why"]


def test_single_sentences_are_judged_where_there_are_some():
    pairs = made.domains("mnli", -0.1, form="training")
    assert c6(pairs + made.domains("mnli", 0.1))["verdict"] == "holds"
    assert c6(pairs)["verdict"] == "does not hold"


def test_without_other_tasks_a_difference_of_texts_is_not_judged():
    rows = [row for row in made.domains("mnli", 0.1) if "minus" not in row["metric"]]
    found = c6(rows)
    assert found["verdict"] == "not tested"
    assert "no other task's models read news" in found["tasks"][0]["why"]
    both = rows + made.domains("mnli", 0.1, corpus="reviews")
    assert c6(both)["verdict"] == "holds"


def test_few_documents_decide_nothing():
    assert c6(made.domains("mnli", 0.1, n=20))["verdict"] == "holds"
    assert c6(made.domains("mnli", 0.1, n=19))["verdict"] == "undecided"


def test_an_undecided_gap_says_what_would_decide():
    task = c6(made.domains("mnli", 0.02, half=0.04, spread=0.0))["tasks"][0]
    assert task["needed"] == "about 192 documents and 12 seeds"


def test_rsa_between_documents_is_judged_before_rsa():
    plain = made.domains("mnli", -0.1)
    between = [row | {"metric": row["metric"].replace("RSA()", "DocumentRSA()")} for row in made.domains("mnli", 0.1)]
    assert c6(plain + between)["verdict"] == "holds"
