"""C4, C5 and C8 judged on made-up rows, with effects and intervals computed by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from pyrepsim.studies.merchant2020.claims import judge
from pyrepsim.studies.merchant2020.claims.curves import mean_similarity
from pyrepsim.studies.merchant2020.claims.exits import depth_of_exits, depth_over_groups
from tests.studies import made_up_rows as made

T_2 = 4.302653  # 97.5 % point of Student's t, two degrees of freedom
T_4 = 2.776445
SHARE, MEAN = "share of change in the top third: RSA()", "mean similarity of the blocks: RSA()"
MIDDLE, CENTRE = "similarity of the middle third: RSA()", "centre of change: RSA()"


def of(claim: str, rows: list[made.Row]) -> dict[str, Any]:
    return next(found for found in judge(rows) if found["claim"] == claim)


def measured(task: str, values: list[float], metric: str, half: float, **columns: Any) -> list[made.Row]:
    """A statistic of the curve of each seed, with its half width over documents."""
    row = {"experiment": "similarity", "variant": "tuned", "corpus": "wikitext", "form": "sentences", "task": task}
    row |= {"metric": metric, "n": 48, **columns}
    return [
        row | {"seed": seed, "value": value, "low": value - half, "high": value + half}
        for seed, value in enumerate(values)
    ]


def contrast(task: str, value: float, metric: str, half: float, member: str, **columns: Any) -> list[made.Row]:
    return [
        row | {"seed": None, "kind": "difference", "member": member}
        for row in measured(task, [value], metric, half, **columns)
    ]


def curves(task: str, *, variant: str = "tuned", seeds: int = 3) -> list[made.Row]:
    return made.similarity(task, made.CURVES[task], variant=variant, seeds=tuple(range(seeds)))


# --- C4 -------------------------------------------------------------------------------------------------------------


def conservative(shares: list[float], half: float, nearer: float, half_nearer: float, **columns: Any) -> list[made.Row]:
    """MNLI with these shares of change in the top third, and this distance above half-way."""
    rows = curves("mnli", seeds=len(shares)) + made.random_baseline() + measured("mnli", shares, SHARE, half, **columns)
    rows += measured("mnli", [0.8] * len(shares), MEAN, 0.01, **columns)
    return rows + contrast("mnli", nearer, MEAN, half_nearer, "half-way", **columns)


def test_the_share_has_the_interval_of_seeds_and_documents():
    found = of("C4", conservative([0.68, 0.70, 0.72], 0.03, 0.3, 0.02))
    assert "(wikitext (sentences), 3 seeds)" in found["why"]
    assert "1 seed, so of this model only" in of("C4", conservative([0.7], 0.03, 0.3, 0.02))["why"]
    half = math.hypot(T_2 * 0.02 / math.sqrt(3), 0.03)
    assert found["verdict"] == "holds"
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((0.7, 0.7 - half, 0.7 + half), rel=1e-6)


@pytest.mark.parametrize(
    ("share", "nearer", "verdict"),
    [
        (0.54, 0.3, "holds"),
        (0.52, 0.3, "undecided"),
        (0.48, 0.3, "undecided"),
        (0.46, 0.3, "does not hold"),
        (0.7, 0.03, "holds"),
        (0.7, 0.01, "undecided"),
        (0.7, -0.01, "undecided"),
        (0.7, -0.03, "does not hold"),
        (0.46, 0.01, "does not hold"),
    ],
)
def test_the_share_and_the_distance_above_half_way_decide(share: float, nearer: float, verdict: str):
    """More than half of the change at the top, and nearer to the base than half-way: half widths 0.03 and 0.02."""
    assert of("C4", conservative([share], 0.03, nearer, 0.02))["verdict"] == verdict


def test_nearer_than_half_way_varies_with_the_seeds():
    rows = conservative([0.7] * 3, 0.01, 0.03, 0.02)
    assert of("C4", rows)["verdict"] == "holds"
    spread = [
        {**row, "value": 0.8 + 0.02 * row["seed"]} if row["metric"] == MEAN and row["seed"] else row for row in rows
    ]
    assert of("C4", spread)["verdict"] == "undecided"  # t 0.02 / sqrt(3) = 0.05


def test_without_measured_numbers_layers_decide():
    """All of the drop is at the last block: the share is 1. The mean similarity is 0.95, half-way 0.55."""
    rows = made.similarity("mnli", [1.0] * 12 + [0.4], seeds=(0,)) + made.random_baseline()
    found = of("C4", rows)
    assert (found["verdict"], found["effect"]) == ("holds", pytest.approx(1.0))
    assert "mean similarity of the blocks is 0.950 [0.950, 0.951], of random weights 0.100" in found["why"]


def test_a_change_as_large_as_to_an_unrelated_model_is_not_conservative():
    rows = made.similarity("mnli", [1.0] * 5 + [0.95] * 4 + [0.5, 0.2, 0.1, 0.05]) + made.random_baseline(0.8)
    found = of("C4", rows)
    assert found["effect"] > 0.8
    assert found["verdict"] == "does not hold"


def test_an_unrelated_model_is_the_baseline_if_there_is_one():
    unrelated = made.similarity(None, [0.9] + [0.3] * 12, variant="unrelated", seeds=(None,))
    assert "an unrelated model 0.300" in of("C4", made.similarities() + unrelated)["why"]
    assert "random weights 0.100" in of("C4", made.similarities())["why"]
    assert "random weights 0.100" in of("C4", made.similarities() + unrelated[:-1])["why"]  # a layer is missing


def test_without_a_baseline_half_way_is_one_half():
    """Mean similarity 0.52 and 0.48, with half widths below 0.005."""
    for low, verdict in ((0.04, "holds"), (-0.12, "does not hold")):
        values = [1.0] * 7 + [0.0] * 5 + [low]  # the mean of the blocks is (6 + low) / 12
        rows = made.similarity("mnli", values, seeds=(0,), half=0.001) + measured("mnli", [0.9], SHARE, 0.01)
        assert of("C4", rows)["verdict"] == verdict


def test_measured_statistics_of_curves_are_preferred_to_those_from_intervals():
    rows = made.similarity("mnli", made.curve(6, 0.4), half=0.3, seeds=(0,)) + made.random_baseline()
    found = of("C4", rows + measured("mnli", [1.0], SHARE, 0.03))
    assert (found["low"], found["high"]) == (0.97, 1.03)
    assert of("C4", rows)["high"] - of("C4", rows)["low"] > 0.1


def test_other_measures_are_reported_and_rsa_between_documents_decides():
    other = made.similarity("mnli", made.curve(2, 0.5), metric="DocumentCKA()")
    found = of("C4", other + made.similarities())
    assert found["verdict"] == "holds"
    assert "DocumentCKA does not hold (0.40)" in found["why"]
    first = made.similarity("mnli", made.curve(2, 0.5), metric="DocumentRSA()")
    assert of("C4", made.similarities() + first)["verdict"] == "does not hold"


def test_other_measures_are_reported_for_the_tasks_that_have_them():
    other = made.similarity("squad", made.curve(2, 0.5), metric="DocumentCKA()")
    elsewhere = made.similarity("mnli", made.curve(2, 0.5), metric="SVCCA()", corpus="news")
    tasks = {one["task"]: one["why"] for one in of("C4", made.similarities() + other + elsewhere)["tasks"]}
    assert "By other measures: DocumentCKA does not hold (0.40)." in tasks["squad"]
    assert "DocumentCKA" not in tasks["mnli"]


def test_identical_models_show_no_change_and_no_claim():
    rows = [row for task in made.TASKS for row in made.similarity(task, [1.0] * 13)] + made.random_baseline()
    for name in ("C4", "C8"):
        assert of(name, rows)["verdict"] in ("not tested", "undecided"), name
    assert of("C5", rows)["verdict"] == "does not hold"  # parsing reconfigured nothing
    assert "nothing changed" in of("C4", rows)["why"]


def test_few_documents_decide_nothing():
    assert of("C4", conservative([0.7] * 3, 0.01, 0.3, 0.01, n=20))["verdict"] == "holds"
    assert of("C4", conservative([0.7] * 3, 0.01, 0.3, 0.01, n=19))["verdict"] == "undecided"
    fewer = conservative([0.7] * 3, 0.01, 0.3, 0.01)
    fewer[-1]["n"] = 19  # of one row of several
    assert of("C4", fewer)["verdict"] == "undecided"


def test_an_undecided_share_says_how_many_documents_and_seeds_would_decide():
    task = of("C4", conservative([0.52] * 3, 0.04, 0.3, 0.01))["tasks"][0]
    assert task["needed"] == "about 192 documents and 12 seeds"  # (0.04 / 0.02)^2 as many
    task = of("C4", conservative([0.7], 0.04, 0.01, 0.03))["tasks"][0]
    assert task["needed"] == "about 523 documents"  # half-way is open, with one seed: 48 (1.1 x 0.03 / 0.01)^2


@pytest.mark.parametrize(
    ("share", "seeds", "verdict"),
    [
        (0.543, 1, "undecided"),
        (0.545, 1, "holds"),
        (0.543, 3, "holds"),
        (0.457, 1, "undecided"),
        (0.455, 1, "does not hold"),
    ],
)
def test_one_seed_asks_for_an_interval_a_tenth_wider(share: float, seeds: int, verdict: str):
    assert of("C4", conservative([share] * seeds, 0.04, 0.3, 0.01))["verdict"] == verdict


PUBLIC = {
    # Linear CKA of BERT-base before and after fine-tuning, layers 1 to 12, PTB dev (Wu et al. 2020, their notebook)
    "mnli": [0.967, 0.907, 0.864, 0.831, 0.798, 0.730, 0.620, 0.509, 0.387, 0.256],
    "qnli": [0.990, 0.955, 0.929, 0.901, 0.878, 0.831, 0.751, 0.672, 0.582, 0.444],
    "qqp": [0.991, 0.962, 0.929, 0.906, 0.889, 0.847, 0.799, 0.730, 0.648, 0.522],
    "sst2": [0.995, 0.970, 0.943, 0.925, 0.902, 0.846, 0.735, 0.568, 0.328, 0.058, 0.020, 0.012],
}


def public_rows(half: float | None) -> list[made.Row]:
    return [
        row
        for task, values in PUBLIC.items()
        for row in made.similarity(task, [1.0, *values], seeds=(None,), half=None, metric="LinearCKA()")
        for row in [row if half is None else row | {"low": row["value"] - half, "high": row["value"] + half}]
    ]


def test_public_curves_that_end_early_are_not_tested_and_the_whole_one_gets_its_verdict():
    """SST-2: (0.568 - 0.012) / (1 - 0.012) = 0.563 of the change is at the top, the mean similarity is 0.6085.

    The embeddings, which are not in the public numbers, are taken as unchanged. Without an interval nothing is decided;
    with half widths of 0.02 the share is 0.563 -+ 0.0222 (by linearisation), and the claim holds for SST-2.
    """
    for half, verdict in ((None, "undecided"), (0.02, "holds"), (0.1, "undecided")):
        tasks = {one["task"]: one for one in of("C4", public_rows(half))["tasks"]}
        assert [tasks[name]["verdict"] for name in ("mnli", "qnli", "qqp")] == ["not tested"] * 3
        assert tasks["sst2"]["verdict"] == verdict
        assert tasks["sst2"]["effect"] == pytest.approx(0.56275, abs=1e-5)
    q = 0.432 / 0.988
    assert (tasks["sst2"]["high"] - tasks["sst2"]["low"]) / 2 == pytest.approx(0.1 * math.hypot(1, q) / 0.988, rel=1e-6)
    assert mean_similarity([1.0, *PUBLIC["sst2"]]) == pytest.approx(0.6085)
    for values in PUBLIC.values():
        assert (np.diff([1.0, *values]) < 0).all()


# --- C5 -------------------------------------------------------------------------------------------------------------


def shallower(
    difference: float, parsing: float, *, half: float = 0.02, spread: float = 0.0, equal: bool = True, **columns: Any
) -> list[made.Row]:
    """Middle thirds of MNLI and parsing, with three seeds each, after both kinds of training."""
    rows = []
    for variant in ("tuned", "equal") if equal else ("tuned",):
        for task, value in (("mnli", parsing + difference), ("dependency", parsing)):
            seeds = [value - spread, value, value + spread]
            rows += curves(task, variant=variant) + measured(task, seeds, MIDDLE, half, variant=variant, **columns)
        rows += contrast("mnli", difference, MIDDLE, half, "dependency", variant=variant, **columns)
    return rows


def test_the_difference_has_the_interval_of_documents_and_of_both_groups_of_seeds():
    found = of("C5", shallower(0.2, 0.7, spread=0.03))
    half = math.hypot(0.02, T_4 * math.sqrt(2 * 0.03**2 / 3))  # two groups of three seeds of equal variance: 4 degrees
    assert found["verdict"] == "holds"
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((0.2, 0.2 - half, 0.2 + half), rel=1e-6)


@pytest.mark.parametrize(
    ("difference", "parsing", "verdict"),
    [
        (0.03, 0.7, "holds"),
        (0.01, 0.7, "undecided"),
        (-0.01, 0.7, "undecided"),
        (-0.03, 0.7, "does not hold"),
        (0.05, 0.87, "holds"),
        (0.05, 0.89, "undecided"),
        (0.05, 0.91, "undecided"),
        (0.05, 0.93, "does not hold"),
    ],
)
def test_parsing_must_change_the_middle_and_more_than_the_others(difference: float, parsing: float, verdict: str):
    assert of("C5", shallower(difference, parsing))["verdict"] == verdict


@pytest.mark.parametrize("task", ["mnli", "dependency"])
def test_without_the_curve_of_one_task_there_is_no_difference(task: str):
    rows = [row for row in shallower(0.2, 0.7) if (row["task"], row["variant"]) != (task, "equal")]
    assert of("C5", rows)["verdict"] == "undecided"


def test_both_trainings_must_show_it():
    rows = shallower(0.1, 0.7)
    assert of("C5", shallower(0.1, 0.7, equal=False))["verdict"] == "undecided"
    assert "after equal numbers of updates there are no models" in of("C5", shallower(0.1, 0.7, equal=False))["why"]
    for variant in ("tuned", "equal"):
        less = [
            row | {"value": -0.1, "low": -0.12, "high": -0.08}
            if row["variant"] == variant and row.get("kind") == "difference"
            else row
            for row in rows
        ]
        assert of("C5", less)["verdict"] == "does not hold"
        assert of("C5", less)["effect"] == pytest.approx(-0.1)


def test_text_outside_all_domains_is_chosen_and_single_sentences():
    rows = [row | {"domain": "out"} for row in shallower(0.1, 0.7)]
    alone = [row | {"corpus": "mnli-dev", "domain": domain} for row in shallower(-0.1, 0.7) for domain in ("in",)]
    assert of("C5", alone + rows)["verdict"] == "holds"
    pairs = [row | {"form": "training"} for row in shallower(-0.1, 0.7)]
    assert of("C5", pairs + shallower(0.1, 0.7))["verdict"] == "holds"


def test_few_documents_do_not_decide_c5_and_c8():
    assert of("C5", shallower(0.1, 0.7, n=19))["verdict"] == "undecided"
    assert of("C5", shallower(0.1, 0.7, n=20))["verdict"] == "holds"


def test_a_decided_difference_needs_nothing_more_where_parsing_is_open():
    assert "needed" not in of("C5", shallower(0.05, 0.89))["tasks"][0]


def test_an_undecided_difference_says_what_would_decide():
    found = of("C5", shallower(0.01, 0.7, half=0.03))["tasks"][0]
    assert found["needed"] == "about 432 documents and 27 seeds"


def test_without_measured_numbers_the_layers_of_the_middle_third_are_compared():
    """Blocks 5 to 8: 0.75 after MNLI, 0.35 after parsing, with mean half widths 0.1 x 0.25 and 0.1 x 0.65."""
    middles = {"mnli": [0.9, 0.8, 0.7, 0.6], "dependency": [0.5, 0.4, 0.3, 0.2]}
    rows = [
        row
        for task, middle in middles.items()
        for row in made.similarity(task, [1.0] * 5 + middle + [0.1] * 4, seeds=(0,), half=0.1)
    ]
    found, half = of("C5", rows), math.hypot(0.025, 0.065)
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((0.4, 0.4 - half, 0.4 + half))


def test_one_seed_speaks_of_these_models_only():
    rows = [row for row in shallower(0.2, 0.7, spread=0.0) if row["seed"] in (None, 0)]
    found = of("C5", rows)
    assert "1 and 1 seeds, so of these models only" in found["why"]
    assert (found["low"], found["high"]) == pytest.approx((0.18, 0.22))


# --- C8 -------------------------------------------------------------------------------------------------------------


def deeper(full: float, equal: float, by_exit: float, half: float = 0.2) -> list[made.Row]:
    """Centres of MNLI minus those of parsing after both trainings, and the depth of the score by early exit."""
    rows = made.exits("mnli", 6 + by_exit) + made.exits("dependency", 6.0)
    for variant, difference in (("tuned", full), ("equal", equal)):
        for task, value in (("mnli", 7 + difference), ("dependency", 7.0)):
            rows += curves(task, variant=variant) + measured(task, [value] * 3, CENTRE, half, variant=variant)
        rows += contrast("mnli", difference, CENTRE, half, "dependency", variant=variant)
    return rows


@pytest.mark.parametrize(
    ("full", "equal", "by_exit", "verdict"),
    [
        (2.0, 2.0, 2.0, "holds"),
        (0.3, 0.3, 0.4, "holds"),
        (0.1, 2.0, 2.0, "undecided"),
        (2.0, 0.1, 2.0, "undecided"),
        (2.0, 2.0, 0.2, "undecided"),
        (2.0, 2.0, -2.0, "undecided"),
        (-2.0, -2.0, 2.0, "undecided"),
        (-2.0, 2.0, -2.0, "undecided"),
        (-2.0, -2.0, -2.0, "does not hold"),
    ],
)
def test_similarity_and_early_exits_must_agree(full: float, equal: float, by_exit: float, verdict: str):
    """The half width of the exits is hypot(0.1 sqrt(2), t sqrt(2 0.1^2 / 3)) = 0.267."""
    assert of("C8", deeper(full, equal, by_exit))["verdict"] == verdict


def test_the_depth_of_exits_has_the_interval_of_items_and_seeds():
    half = math.hypot(0.1 * math.sqrt(2), T_4 * math.sqrt(2 * 0.1**2 / 3))
    assert half == pytest.approx(0.26719, abs=1e-5)
    assert of("C8", deeper(2.0, 2.0, half + 0.001))["verdict"] == "holds"
    assert of("C8", deeper(2.0, 2.0, half - 0.001))["verdict"] == "undecided"
    found = of("C8", deeper(2.0, 2.0, 3.0))
    assert "arises at block 9.0 [8.9, 9.1], of parsing 6.0 [5.9, 6.1]: 3.0 [2.7, 3.3]" in found["why"]


def test_without_measured_numbers_centres_are_those_of_layers():
    """All of the change at block 12, surely; and at block 6: 12 (1 - 0.3 / 0.6), linearised with 0.003 and 0.006."""
    rows = made.similarity("mnli", [1.0] * 12 + [0.4], seeds=(0,))
    rows += made.similarity("dependency", [1.0] * 6 + [0.4] * 7, seeds=(0,))
    found, half = of("C8", rows), 12 * math.hypot(0.003, 0.5 * 0.006) / 0.6
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((6.0, 6 - half, 6 + half))


def test_without_early_exits_nothing_agrees():
    rows = [row for row in deeper(2.0, 2.0, 2.0) if row["experiment"] != "exit"]
    found = of("C8", rows)
    assert found["verdict"] == "undecided"
    assert "early exits of both tasks are missing" in found["why"]


def test_the_depth_at_which_a_score_arises():
    assert depth_of_exits({2: 0.3, 4: 0.3, 6: 0.3, 12: 0.7}) == pytest.approx(12)
    assert depth_of_exits({2: 0.3, 4: 0.7, 12: 0.7}) == pytest.approx(4)
    assert depth_of_exits({4: 0.4, 2: 0.2, 12: 0.6}) == pytest.approx(8)  # half at 4, half at 12
    assert depth_of_exits({2: 0.2, 4: 0.5, 12: 0.4}) == pytest.approx((4 * 0.3 - 12 * 0.1) / 0.2)
    assert math.isnan(depth_of_exits({2: 0.5, 4: 0.5}))
    assert math.isnan(depth_of_exits({2: 0.5, 4: 0.4}))


def test_the_depth_of_exits_has_a_jackknife_interval_over_groups():
    """Three groups with 2, 1 and 1 cases; exits at 2, 4, 6."""
    scores = {2: np.array([0.0, 0.0, 0.0]), 6: np.array([2.0, 1.0, 1.0]), 4: np.array([1.0, 0.0, 1.0])}
    cases = np.array([2.0, 1.0, 1.0])
    found = depth_over_groups(scores, cases)
    whole, without = 4 * 0.5 + 6 * 0.5, np.array([5.0, 4 * 2 / 3 + 6 / 3, 4 / 3 + 6 * 2 / 3])
    assert found.value == pytest.approx(whole)
    deviation = without - without.mean()
    error = math.sqrt(2 / 3 * (deviation**2).sum())
    half = stats.t.ppf(0.975, 2) * error  # of three values, two degrees of freedom
    assert (found.low, found.high) == pytest.approx((whole - half, whole + half))
    assert depth_over_groups({2: cases, 4: cases}, cases) is None
