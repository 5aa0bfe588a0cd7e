"""The rules of the claims on made-up studies whose truth is known: they seldom err, and large effects are decided."""

from __future__ import annotations

import pytest

from benchmarks import planted_studies
from benchmarks.planted.design import VERDICTS, Planted, false_rate, verdicts
from benchmarks.planted_studies import bar, designs
from benchmarks.table import replace_table

DRAWS, FEW = 150, 30
"""Studies at the threshold of a rule, and elsewhere, where false verdicts hardly occur."""
NAMES = [f"{design.claim}-{design.name}" for design in designs()]


@pytest.mark.parametrize("design", designs(), ids=NAMES)
def test_at_the_threshold_few_studies_are_decided(design):
    counts = verdicts(design, design.threshold, range(DRAWS))
    assert counts["not tested"] == 0
    assert false_rate(design, design.threshold, counts) <= bar(DRAWS)


@pytest.mark.parametrize("design", designs(), ids=NAMES)
def test_false_verdicts_are_rare_and_the_largest_effects_are_decided(design):
    for effect in design.effects:
        if effect != design.threshold:
            counts = verdicts(design, effect, range(FEW))
            assert counts["not tested"] == 0
            assert false_rate(design, effect, counts) <= bar(FEW)
            if effect in (min(design.effects), max(design.effects)):
                assert counts[design.truth(effect)] >= FEW / 2


def test_the_page_shows_the_committed_results():
    text = planted_studies.PAGE.read_text(encoding="utf-8")
    shown = replace_table(text, planted_studies.page(planted_studies.read_summaries()))
    assert shown == text, "run python -m benchmarks.planted_studies"


def test_committed_results_are_of_the_designs_as_they_are():
    names = {planted_studies._path(design, effect) for design in designs() for effect in design.effects}
    assert set(planted_studies.FOLDER.glob("*.json")) <= names


def test_a_verdict_is_false_on_the_other_side_and_at_the_threshold():
    def no_rows(_rng, _effect):
        return []

    design = Planted("C3", "none", "points", 0.5, "above", no_rows, (0.0, 0.5, 1.0))
    counts = dict(zip(VERDICTS, (10, 20, 70, 0), strict=True))
    assert [false_rate(design, effect, counts) for effect in design.effects] == [0.1, 0.3, 0.2]
