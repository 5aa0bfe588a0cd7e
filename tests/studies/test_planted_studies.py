"""The rules of the claims on made-up studies whose truth is known: they seldom err, and large effects are decided."""

from __future__ import annotations

import pytest

from benchmarks.planted.design import VERDICTS, Planted, false_rate, verdicts
from benchmarks.planted_studies import bar, designs

DRAWS = 200
CELLS = [
    pytest.param(design, effect, id=f"{design.claim}-{design.name}-{effect:g}")
    for design in designs()
    for effect in design.effects
]


@pytest.mark.parametrize(("design", "effect"), CELLS)
def test_false_verdicts_are_rare(design, effect):
    counts = verdicts(design, effect, range(DRAWS))
    assert counts["not tested"] == 0
    assert false_rate(design, effect, counts) <= bar(DRAWS)


@pytest.mark.parametrize("design", designs(), ids=lambda design: f"{design.claim}-{design.name}")
def test_the_largest_effects_are_decided(design):
    for effect in (min(design.effects), max(design.effects)):
        if effect != design.threshold:
            assert verdicts(design, effect, range(50))[design.truth(effect)] >= 25


def test_a_verdict_is_false_on_the_other_side_and_at_the_threshold():
    def no_rows(_rng, _effect):
        return []

    design = Planted("C3", "none", "points", 0.5, "above", no_rows, (0.0, 0.5, 1.0))
    counts = dict(zip(VERDICTS, (10, 20, 70, 0), strict=True))
    assert [false_rate(design, effect, counts) for effect in design.effects] == [0.1, 0.3, 0.2]
