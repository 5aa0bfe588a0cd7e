"""C3: the score after fine-tuning against the middle between base and baseline, with exact effects and ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import scipy.stats

from pyrepsim.studies.merchant2020.claims import judge

from . import made_up_rows as made


def c3(rows: list[made.Row]) -> dict[str, Any]:
    return next(claim for claim in judge(rows) if claim["claim"] == "C3")


def test_the_effect_is_that_against_the_higher_baseline():
    """0.93 after, 0.95 before: 0.055 above the middle to 0.80, and 0.03 above that to 0.85."""
    found = c3(made.edge(-0.02))
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((0.03, 0.025, 0.035))
    assert (found["verdict"], found["in_points"]) == ("holds", True)
    assert found["why"] == (
        "Holds for MNLI. MNLI: the edge probe of dependencies scores 3.0 [2.5, 3.5] points above the middle between "
        "the base and the random baseline (100 documents, 1 seed), a change of -0.20 [-0.21, -0.20] of what context "
        "adds; at the top layer alone the edge probe of dependencies changes by -6.0 points."
    )
    without = c3(made.edge(-0.02, baselines={"lexical": 0.80}))
    assert (without["effect"], without["low"], without["high"]) == pytest.approx((0.055, 0.05, 0.06))


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (-0.0449, "holds"),  # 0.0051 above the middle, half width 0.005
        (-0.0451, "undecided"),
        (-0.0549, "undecided"),
        (-0.0552, "does not hold"),
    ],
)
def test_the_whole_interval_must_lie_on_one_side_of_half_of_what_context_adds(change: float, verdict: str):
    """One baseline, 0.85, so that Holm's adjustment has one test."""
    found = c3(made.edge(change, baselines={"random": 0.85}))
    assert found["verdict"] == verdict, found["why"]
    assert found["effect"] == pytest.approx(0.05 + change)


def test_both_baselines_count_even_if_one_is_lower():
    """The effect against the lower baseline is far above 0; against the higher one it is open."""
    assert c3(made.edge(-0.048))["verdict"] == "undecided"
    assert c3(made.edge(-0.048, baselines={"lexical": 0.80}))["verdict"] == "holds"


def test_what_does_not_hold_is_adjusted_for_all_probes_baselines_and_tasks():
    """p = 0.01 alone, 0.02 with another test at 0, and 0.06 of six tests."""
    half = 0.005
    effect = half * scipy.stats.t.ppf(1 - 0.01 / 2, 99) / scipy.stats.t.ppf(0.975, 99)

    def at(value: float, probe: str, task: str = "mnli") -> list[made.Row]:
        return made.edge(value - 0.05, probe=probe, task=task, half=half, baselines={"random": 0.85})

    zero = [at(1e-9, f"probe {k}", task) for k, task in enumerate(["mnli", "mnli", "squad", "squad", "dependency"])]
    for n, verdict in ((0, "does not hold"), (3, "does not hold"), (4, "undecided"), (5, "undecided")):
        found = c3(at(-effect, "pos") + [row for rows in zero[:n] for row in rows])
        own = next(one for one in found["tasks"] if one["task"] == "mnli")
        assert own["verdict"] == verdict, n
        assert (own["effect"], own["low"], own["high"]) == pytest.approx((-effect, -effect - half, -effect + half))


def test_a_probe_that_is_no_better_than_a_baseline_is_not_counted():
    """SPR at 0.952 with random weights could leave every study undecided."""
    flat = made.edge(-0.005, probe="spr", baselines={"lexical": 0.80, "random": 0.947})
    found = c3(made.edge(-0.01) + flat)
    assert found["verdict"] == "holds"
    assert found["effect"] == pytest.approx(0.04)
    assert "not counted, because no better than the baseline before: the edge probe of spr" in found["why"]
    alone = c3(flat)
    assert (alone["verdict"], alone["effect"]) == ("undecided", None)
    assert "no probe is above its baselines: the edge probe of spr" in alone["why"]
    # context of 0.0051 and 0.0049, half width 0.005
    assert c3(made.edge(0.01, baselines={"lexical": 0.9449}))["verdict"] == "holds"
    assert c3(made.edge(0.01, baselines={"lexical": 0.9451}))["effect"] is None


@pytest.mark.parametrize(("half", "counted"), [(0.0299, False), (0.0301, True)])
def test_a_probe_whose_context_is_uncertain_leaves_the_claim_open(half: float, counted: bool):
    """Context 0.02: with an interval up to 0.0499 it is surely little, up to 0.0501 it may be more."""
    wide = made.edge(0.1, probe="coref", baselines={"lexical": 0.93}, half=half)
    alone = c3(wide)
    assert (alone["verdict"], alone["effect"] is not None) == ("undecided", counted)
    assert ("the base itself may be at the baseline" in alone["why"]) == counted
    assert c3(wide + made.edge(-0.01))["verdict"] == ("undecided" if counted else "holds")
    assert c3(wide + made.edge(-0.09, probe="pos"))["verdict"] == "does not hold"


def test_one_forgotten_probe_of_several_decides():
    found = c3(made.edge(-0.01) + made.edge(-0.09, probe="pos") + made.structural(-0.01))
    assert found["verdict"] == "does not hold"
    assert found["effect"] == pytest.approx(-0.04)
    assert "the edge probe of pos scores -4.0 [-4.5, -3.5] points above the middle" in found["why"]
    assert "2 of 3 probes are surely above 0" in found["why"]
    assert "at the top layer alone the edge probe of pos changes by -27.0 points" in found["why"]


def test_two_probes_are_counted():
    assert "1 of 2 probes are surely above 0" in c3(made.edge(-0.01) + made.edge(-0.09, probe="pos"))["why"]


def test_the_highest_layer_is_the_top_layer():
    rows = made.edge(-0.02)
    first = [row | {"layer": 1, "member": "embeddings", "value": -0.5} for row in rows if row.get("layer") == 12]
    for given in (rows + first, first + rows):
        assert "at the top layer alone" in (why := c3(given)["why"])
        assert "changes by -6.0 points" in why


def test_of_several_probes_with_the_verdict_the_lowest_is_shown():
    found = c3(made.edge(-0.03, probe="pos") + made.edge(-0.02, probe="srl") + made.edge(-0.01))
    assert found["effect"] == pytest.approx(0.02)
    assert "the edge probe of pos" in found["why"]


def test_structural_probes_have_layer_0_and_random_weights_as_baselines():
    """0.78 after, 0.80 before, 0.55 in layer 0: 0.105 above the middle; the random encoder's 0.50 is lower."""
    found = c3(made.structural(-0.02))
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((0.105, 0.095, 0.115))
    assert "the structural probe (UUAS) scores 10.5 [9.5, 11.5] points" in found["why"]
    assert "lexical baseline (300 documents, 1 seed)" in found["why"]
    assert "at the top layer alone the structural probe (UUAS) changes by -4.0 points" in found["why"]


def test_the_largest_rank_counts():
    small = [row | {"rank": 8} for row in made.structural(-0.2)]
    for rows in (small + made.structural(-0.02), made.structural(-0.02) + small):
        assert c3(rows)["effect"] == pytest.approx(0.105)


def test_seeds_and_documents_are_added_in_squares():
    rows = made.edge(-0.02, baselines={"lexical": 0.80}) + [
        row | {"seed": 1} for row in made.edge(-0.03, baselines={"lexical": 0.80})
    ]
    found = c3(rows)
    half = math.hypot(scipy.stats.t.ppf(0.975, 1) * 0.005, 0.005)  # the seeds differ by 0.01: standard error 0.005
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((0.05, 0.05 - half, 0.05 + half))
    assert (found["verdict"], "2 seeds" in found["why"]) == ("undecided", True)
    assert "-0.17 [" in found["why"]  # of the shares -0.02 / 0.15 and -0.03 / 0.15


def test_the_p_value_over_seeds_is_that_of_the_interval_that_ends_at_0():
    """Three seeds, a loss: undecided just above the level, does not hold just below it."""
    half = math.hypot(scipy.stats.t.ppf(0.975, 2) * 0.005 / math.sqrt(3), 0.002)
    for middle, verdict in ((0.9999 * half, "undecided"), (1.0001 * half, "does not hold")):
        rows = []
        for seed, off in enumerate((-0.005, 0.0, 0.005)):
            rows += [
                row | {"seed": seed} for row in made.edge(-0.05 - middle + off, baselines={"random": 0.85}, half=0.002)
            ]
        assert c3(rows)["verdict"] == verdict


@pytest.mark.parametrize(
    ("seeds", "needed"),
    [
        # half 0.005, value 0.002: (5 / 2)^2 times as many
        ((0,), "about 625 documents"),
        ((0, 1), "about 625 documents and 13 seeds"),
    ],
)
def test_what_would_decide(seeds: tuple[int, ...], needed: str):
    found = c3(made.edge(-0.048, baselines={"random": 0.85}, seeds=seeds))
    (task,) = found["tasks"]
    assert (task["verdict"], task["needed"]) == ("undecided", needed)
    assert task["why"].endswith(f"Cannot be decided here: {needed} would be needed.")


def test_an_interval_that_ends_at_0_is_open_and_needs_no_number():
    shared = {"experiment": "edge", "probe_task": "pos", "task": "mnli", "seed": 0}
    found = c3(made.kept("f1", 1.0, 0.875, {"lexical": 0.5}, half=0.125, n=100, **shared))
    assert (found["verdict"], found["low"]) == ("undecided", 0.0)
    assert "needed" not in found["tasks"][0]


def test_seeds_that_agree_leave_the_degrees_of_freedom_of_the_documents():
    """Two tests: p must be below 0.025, at t of 4 degrees of freedom."""
    t = scipy.stats.t.ppf([0.9875, 0.975], 4)
    for factor, verdict in ((0.999, "undecided"), (1.001, "does not hold")):
        effect = factor * 0.002 * t[0] / t[1]
        rows = []
        for seed in (0, 1, 2):
            for probe, value in (("pos", -effect), ("srl", 1e-9)):
                own = made.edge(value - 0.05, probe=probe, baselines={"random": 0.85}, half=0.002, n=5)
                rows += [row | {"seed": seed} for row in own]
        assert c3(rows)["verdict"] == verdict


def test_nothing_is_needed_where_only_the_adjustment_is_in_the_way():
    rows = made.edge(-0.0551, baselines={"random": 0.85}) + made.edge(-0.05, probe="pos", baselines={"random": 0.85})
    assert c3(rows)["verdict"] == "undecided"
    assert "needed" not in c3(rows)["tasks"][0]


def test_rows_of_an_earlier_version_are_not_tested():
    """They have differences, and no comparison with a baseline on the same documents."""
    rows = [row for row in made.edge(-0.02) if row["metric"] == "f1"]
    found = c3(rows)
    assert (found["verdict"], found["effect"]) == ("not tested", None)
    assert "run their cells again" in found["why"]


MISSING: dict[str, Callable[[made.Row], bool]] = {
    "context": lambda row: "context" in row["metric"],
    "margin": lambda row: "margin" in row["metric"],
}


@pytest.mark.parametrize("part", MISSING)
def test_a_comparison_needs_context_and_margin(part: str):
    found = c3([row for row in made.edge(-0.02) if not MISSING[part](row)])
    assert found["verdict"] == "not tested"


def test_without_the_share_the_rest_is_judged():
    found = c3([row for row in made.edge(-0.02) if "share" not in row["metric"]])
    assert found["verdict"] == "holds"
    assert "of what context adds" not in found["why"]


@pytest.mark.parametrize(("low", "high", "counted"), [(0.0, 0.0499, False), (-0.01, 0.05, True), (0.001, 0.01, True)])
def test_a_probe_is_not_counted_if_context_may_be_nothing_and_is_surely_little(low: float, high: float, counted: bool):
    """The ends of the interval of what context adds, at 0 and at five points."""
    rows = [
        row | {"low": low, "high": high} if "context" in row["metric"] else row
        for row in made.edge(-0.02, baselines={"lexical": 0.8})
    ]
    assert (c3(rows)["effect"] is not None) == counted
