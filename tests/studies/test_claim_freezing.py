"""The rule of C7: losses paired by items, over seeds, of models that are trained out; numbers worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pyrepsim.studies.merchant2020.claims import judge
from tests.studies import made_up_rows as made

T_2 = 4.302652729749464  # two-sided 95 % of 2 degrees of freedom
COST = {0: 0.0, 8: 0.003, 12: 0.2}


def c7(rows: list[made.Row]) -> dict[str, Any]:
    return next(found for found in judge(rows) if found["claim"] == "C7")


def one(lost: float, half: float, *, k: int = 8, **columns: Any) -> list[made.Row]:
    """A study of one seed: a loss at k of 12 blocks, another of 0.2 at 12, and no gain from the last epoch."""
    shared = {"experiment": "freezing", "task": "mnli", "metric": "accuracy", "seed": 0, "n": 2000}
    ends = {"low": lost - half, "high": lost + half}
    rows = [
        {"kind": "difference", "k": k, "value": lost, **ends},
        {"kind": "difference", "k": 12, "value": 0.2, "low": 0.19, "high": 0.21},
        *({"kind": "gain", "member": "last epoch", "k": blocks, "value": 0.0} for blocks in (0, k)),
    ]
    return [shared | row | columns for row in rows]


def gain(value: float, k: int, member: str, *, half: float | None = None, **columns: Any) -> made.Row:
    row = {"experiment": "freezing", "task": "mnli", "metric": "accuracy", "seed": 0, "kind": "gain", "k": k}
    ends = {} if half is None else {"low": value - half, "high": value + half}
    return row | {"member": member, "value": value} | ends | columns


def without_gains(rows: list[made.Row], k: int) -> list[made.Row]:
    return [row for row in rows if not (row.get("kind") == "gain" and row["k"] == k)]


# --- one seed -------------------------------------------------------------------------------------------------------


def test_one_seed_is_about_these_two_models():
    found = c7(one(0.004, 0.003))
    assert found["verdict"] == "holds"
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((0.004, 0.001, 0.007), abs=1e-15)
    assert found["why"] == (
        "Holds for MNLI. MNLI: the model with 8 of 12 blocks frozen is 0.40 [0.10, 0.70] points of accuracy below that "
        "with none: these two models, one seed, paired by items; freezing all costs 20.00 [19.00, 21.00], so that 98 % "
        "of what the blocks add is kept."
    )
    assert found["in_points"]
    assert "freezing 8" not in found["why"]


@pytest.mark.parametrize(
    ("lost", "verdict"),
    [
        (0.0066, "holds"),
        (0.0068, "undecided"),
        (0.01, "undecided"),
        (0.0132, "undecided"),
        (0.0134, "does not hold"),
    ],
)
def test_the_whole_interval_lies_on_one_side_of_one_point(lost: float, verdict: str):
    """Half of it is 0.003, of one seed 0.0033 for a verdict."""
    assert c7(one(lost, 0.003 + 1e-12))["verdict"] == verdict


def test_an_undecided_verdict_says_how_many_examples_would_decide():
    """2,000 x (1.1 x 0.0119 / 0.004)^2 = 21,418.5, and 2,000 x (1.1 x 0.0119 / 0.006)^2 = 9,519.3."""
    (task,) = c7(one(0.006, 0.0119))["tasks"]
    assert task["needed"] == "about 21,419 dev examples"
    (above,) = c7(one(0.016, 0.0119))["tasks"]
    assert above["needed"] == "about 9,520 dev examples"
    assert "needed" not in c7(one(0.01, 0.0119))["tasks"][0]  # at the threshold no number decides
    assert "needed" not in c7(one(0.006, 0.0119, n=None))["tasks"][0]


# --- several seeds --------------------------------------------------------------------------------------------------


def test_seeds_and_items_are_added_in_squares():
    losses, half = (0.002, 0.004, 0.003), 0.002
    rows = [row for seed, lost in enumerate(losses) for row in one(lost, half, seed=seed)]
    found = c7(rows)
    of_seeds = T_2 * 0.001 / math.sqrt(3)
    wanted = math.hypot(of_seeds, half)
    assert (found["effect"], found["low"], found["high"]) == pytest.approx(
        (0.003, 0.003 - wanted, 0.003 + wanted), abs=1e-12
    )
    assert found["verdict"] == "holds"
    assert (
        "freezing 8 of 12 blocks costs 0.30 [-0.02, 0.62] points of accuracy, 3 seeds, paired by items" in found["why"]
    )


def test_the_interval_over_items_is_that_of_the_mean_over_seeds():
    """Items of several trainings err less together than those of one: the joint interval is narrower."""
    rows = [row for seed, lost in enumerate((0.002, 0.004, 0.003)) for row in one(lost, 0.02, seed=seed)]
    joint = one(0.003, 0.0)[0] | {"seed": None, "low": 0.002, "high": 0.0045}
    found = c7([*rows, joint])
    of_seeds = T_2 * 0.001 / math.sqrt(3)
    ends = 0.003 - math.hypot(of_seeds, 0.001), 0.003 + math.hypot(of_seeds, 0.0015)
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((0.003, *ends), abs=1e-12)
    assert "3 seeds, paired by items" in found["why"]
    alone = c7([row for row in [*rows, joint] if row["seed"] in (0, None)])
    assert "these two models, one seed" in alone["why"]
    assert (alone["effect"], alone["low"]) == pytest.approx((0.002, 0.001), abs=1e-12)
    without_ends = joint | {"low": None, "high": None}
    assert c7([*rows, without_ends]) == c7(rows)


def test_a_mean_over_seeds_without_the_seeds_is_one_value():
    found = c7([row | {"seed": None} for row in one(0.004, 0.003)])
    assert (found["verdict"], found["effect"], found["low"]) == ("holds", 0.004, pytest.approx(0.001))


def test_the_spread_of_seeds_alone_decides_nothing():
    rows = [row for seed in range(3) for row in one(0.003, 0.001, seed=seed)]
    for row in rows:
        if row["kind"] == "difference" and row["seed"] == 1:
            row |= {"low": None, "high": None}  # one group of items
    found = c7(rows)
    assert (found["verdict"], found["effect"], found["low"]) == ("undecided", pytest.approx(0.003), None)
    assert "needed" not in found["tasks"][0]


def test_the_number_of_seeds_that_would_decide():
    """sd 0.004 over seeds, 0.001 over items: 3 seeds give 0.00999, 6 give t_5 0.004 / sqrt 6 = 0.0042, 7 0.0037."""
    rows = [row for seed, lost in enumerate((0.002, 0.006, 0.010)) for row in one(lost, 0.001, seed=seed)]
    (task,) = c7(rows)["tasks"]
    assert task["high"] - task["effect"] == pytest.approx(math.hypot(T_2 * 0.004 / math.sqrt(3), 0.001))
    assert task["needed"] == "about 7 seeds"


def test_seeds_that_would_decide_are_added_to_the_interval_over_items():
    """sd 0.001, items 0.003, distance 0.0035: seeds may add sqrt(0.0035^2 - 0.003^2) = 0.0018; t_3 0.001 / 2 = 0.0016.

    Three give t_2 0.001 / sqrt 3 = 0.0025.
    """
    rows = [row for seed, lost in enumerate((0.0055, 0.0065, 0.0075)) for row in one(lost, 0.003, seed=seed)]
    assert c7(rows)["tasks"][0]["needed"] == "about 4 seeds"


def test_one_more_seed_may_decide():
    """sd 0.002: 3 seeds give t_2 0.002 / sqrt 3 = 0.0050, 4 seeds t_3 0.001 = 0.0032, below the distance of 0.004."""
    rows = [row for seed, lost in enumerate((0.004, 0.006, 0.008)) for row in one(lost, 1e-4, seed=seed)]
    assert c7(rows)["tasks"][0]["needed"] == "about 4 seeds"


@pytest.mark.parametrize(("distance", "needed"), [(2.483e-4, "about 1000 seeds"), (2.4815e-4, "more than 1,000 seeds")])
def test_at_most_a_thousand_seeds_are_named(distance: float, needed: str):
    """sd 0.004: 1,000 seeds give t_999 0.004 / sqrt 1000 = 2.4822e-4, one more 2.4810e-4."""
    mean = 0.01 - distance
    rows = [row for seed, off in enumerate((-0.004, 0, 0.004)) for row in one(mean + off, 1e-9, seed=seed)]
    assert c7(rows)["tasks"][0]["needed"] == needed


def test_items_alone_may_be_too_few():
    rows = [row for seed, lost in enumerate((0.004, 0.006, 0.005)) for row in one(lost, 0.01, seed=seed)]
    (task,) = c7(rows)["tasks"]
    assert task["needed"] == "more seeds and about 16,000 dev examples"  # 2,000 x 2 x (0.010 / 0.005)^2


def test_differences_between_seeds_do_not_matter_if_each_loses_the_same():
    rows = made.freezing("mnli", COST)
    spread = [{**row, "value": row["value"] + 0.05 * row["seed"]} if "kind" not in row else row for row in rows]
    assert c7(rows) == c7(spread)
    assert c7(rows)["verdict"] == "holds"


# --- trained out ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocks", [0, 8])
@pytest.mark.parametrize("lost", [0.002, 0.05])
def test_a_last_epoch_that_still_helps_decides_nothing(blocks: int, lost: float):
    rows = without_gains(one(lost, 0.003), blocks)
    assert c7([*rows, gain(0.01, blocks, "last epoch")])["verdict"] in ("holds", "does not hold")
    found = c7([*rows, gain(0.011, blocks, "last epoch")])
    (task,) = found["tasks"]
    assert (found["verdict"], task["needed"]) == ("undecided", "a training with more updates")
    wanted = f"Not trained out: the last epoch raised the score with {blocks} blocks frozen by 1.10 points."
    assert wanted in task["why"]


def test_the_last_epoch_is_a_mean_over_seeds():
    rows = [row for seed in (0, 1) for row in without_gains(one(0.002, 0.001, seed=seed), 8)]
    high = [gain(0.018, 8, "last epoch"), gain(0.004, 8, "last epoch", seed=1)]
    assert "by 1.10 points" in c7(rows + high)["why"]
    assert "Not trained out" not in c7([*rows, high[0], high[1] | {"value": 0.001}])["why"]


def test_one_epoch_alone_is_not_known_to_suffice():
    for blocks in (0, 8):
        found = c7(without_gains(one(0.05, 0.003), blocks))
        assert found["verdict"] == "undecided"
        assert f"with {blocks} blocks frozen, neither a longer training nor the epoch before is scored" in found["why"]


def test_a_longer_training_is_judged_where_the_first_is_not_known_to_suffice():
    longer = [row | {"experiment": "longer"} for row in one(0.004, 0.003)]
    assert c7(without_gains(one(0.05, 0.003), 8) + longer)["effect"] == 0.004


@pytest.mark.parametrize("blocks", [0, 8])
@pytest.mark.parametrize(("gained", "verdict"), [(0.012, "does not hold"), (0.014, "undecided")])
def test_twice_the_updates_decide_before_the_last_epoch(blocks: int, gained: float, verdict: str):
    """A gain of 1.2 points with an interval of 0.3 is not surely above one; the last epoch does not count then."""
    rows = without_gains(one(0.05, 0.003), blocks)
    rows.append(gain(0.03, blocks, "last epoch"))
    rows.append(gain(gained, blocks, "longer training", half=0.003, experiment="longer"))
    found = c7(rows)
    assert found["verdict"] == verdict
    wanted = f"more updates raise the score with {blocks} blocks frozen by 1.40 [1.10, 1.70] points"
    assert (wanted in found["why"]) == (verdict == "undecided")


def test_the_longer_training_is_judged_if_the_first_is_not_trained_out():
    first = [*one(0.05, 0.003), gain(0.04, 8, "longer training", half=0.003, experiment="longer")]
    longer = [row | {"experiment": "longer"} for row in one(0.004, 0.003)]
    found = c7(first + longer)
    assert (found["verdict"], found["effect"]) == ("holds", 0.004)
    still = [*without_gains(longer, 8), gain(0.02, 8, "last epoch", experiment="longer")]
    found = c7(first + still)
    assert (found["verdict"], found["effect"]) == ("undecided", 0.004)
    assert "the last epoch raised the score with 8 blocks frozen by 2.00 points" in found["why"]
    for gained, judged in ((0.006, 0.05), (0.008, 0.004)):  # surely below one point, or not surely
        out = [*one(0.05, 0.003), gain(gained, 8, "longer training", half=0.003, experiment="longer")]
        assert c7(out + longer)["effect"] == judged
        both = [*out, gain(0.0, 0, "longer training", half=0.003, experiment="longer")]
        assert c7(both + longer)["effect"] == judged
        first_block = [row | {"k": 8 - row["k"]} if row.get("member") == "longer training" else row for row in both]
        assert c7(first_block + longer)["effect"] == judged


# --- which blocks ---------------------------------------------------------------------------------------------------


def test_freezing_that_costs_nothing_even_for_all_blocks_shows_nothing():
    rows = one(0.001, 0.003)
    rows[1] |= {"value": 0.009, "low": 0.005, "high": 0.013}
    found = c7(rows)
    assert found["verdict"] == "undecided"
    assert found["tasks"][0]["needed"] == "a task that the blocks matter for"
    rows[1] |= {"value": 0.02, "low": 0.0101, "high": 0.03}
    assert c7(rows)["verdict"] == "holds"
    assert "so that 95 % of what the blocks add is kept" in c7(rows)["why"]
    rows[1] |= {"value": 0.0, "low": -0.01, "high": 0.01}
    assert "is kept" not in c7(rows)["why"]


@pytest.mark.parametrize(
    ("depth", "numbers", "judged"), [(12, (4, 8, 10, 12), 8), (6, (3, 4, 6), 4), (12, (6, 9, 12), 9), (2, (1, 2), 1)]
)
def test_two_thirds_of_the_blocks_or_the_next_number(depth: int, numbers: tuple[int, ...], judged: int):
    rows = made.freezing("mnli", {0: 0.0} | {k: 0.001 * k for k in numbers} | {depth: 0.3})
    found = c7(rows)
    assert found["effect"] == pytest.approx(0.001 * judged, abs=6e-4)
    assert f"{judged} of {depth} blocks" in found["why"]


def test_only_full_freezing_is_judged_too():
    rows = made.freezing("mnli", {0: 0.0, 12: 0.3})
    assert c7(rows)["verdict"] == "does not hold"
    assert "freezing all" not in c7(rows)["why"]
    assert c7(made.freezing("mnli", {0: 0.0, 4: 0.3}) + made.freezing("squad", {0: 0.0, 12: 0.3}))["verdict"] != "holds"


def test_parsing_is_shown_but_does_not_count():
    rows = one(0.004, 0.003) + [row | {"task": "dependency"} for row in one(0.05, 0.003)]
    found = c7(rows)
    assert found["verdict"] == "holds"
    assert [(task["task"], task["verdict"], task.get("counted")) for task in found["tasks"]] == [
        ("mnli", "holds", None),
        ("dependency", "does not hold", False),
    ]
    larger = c7(one(0.002, 0.003) + [row | {"task": "squad"} for row in one(0.004, 0.003)])
    assert (larger["verdict"], larger["effect"]) == ("holds", 0.004)  # the task that speaks most against the claim
    both = c7(one(0.004, 0.003) + [row | {"task": "squad"} for row in one(0.05, 0.003)])
    assert (both["verdict"], both["effect"]) == ("does not hold", 0.05)


# --- rows of earlier studies ----------------------------------------------------------------------------------------


def test_scores_without_items_give_wider_intervals():
    """Two independent proportions of 9,000: each 1.959964 sqrt(p (1 - p) / n), added in squares."""
    rows = [row for row in made.freezing("mnli", COST, seeds=(0,)) if row.get("kind") != "difference"]
    found = c7(rows)
    before, after = 0.84, 0.84 - 0.003 + 0.0005 * 2
    half = 1.959964 * math.sqrt((before * (1 - before) + after * (1 - after)) / 9000)
    assert (found["effect"], found["high"]) == pytest.approx((before - after, before - after + half), abs=1e-12)
    assert "these two models, one seed, items not paired" in found["why"]
    moved = [
        {**row, "experiment": "finetuning", "k": None} if row["k"] == 0 and "kind" not in row else row for row in rows
    ]
    assert c7(moved)["high"] == found["high"]
    nothing = [row | {"n": None} for row in rows]
    assert c7(nothing)["verdict"] == "undecided"
    assert "no interval known" in c7(nothing)["why"]
    assert "needed" not in c7(nothing)["tasks"][0]


def test_the_main_score_is_that_of_the_first_row():
    rows = made.freezing("mnli", COST)
    other = [row | {"metric": "macro_f1", "value": 0.5} for row in rows]
    assert c7(rows + other) == c7(rows)
    assert "macro_f1" in c7(other + rows)["why"]


def test_only_shared_seeds_are_compared_without_items():
    rows = [row for row in made.freezing("mnli", COST) if row.get("kind") != "difference"]
    fewer = [row for row in rows if row["k"] == 0 or row["seed"] != 2]
    assert "2 seeds, items not paired" in c7(fewer)["why"]
    assert c7([row for row in rows if row["k"] == 0])["verdict"] == "not tested"
