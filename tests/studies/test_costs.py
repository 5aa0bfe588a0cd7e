"""The expected cost of cells: exact sums of timings, and timings that are made on this machine."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from pyrepsim.studies.merchant2020.costs import CostEstimator
from pyrepsim.studies.merchant2020.scales import Similarity
from pyrepsim.studies.merchant2020.study import make_plan
from pyrepsim.studies.merchant2020.timings import (
    Line,
    time_comparison,
    time_edge_updates,
    time_structural_sentences,
)
from tests.studies.mini_study import mini_scale


@pytest.fixture
def costs(model: Path) -> CostEstimator:
    """Timings that are given: 0.01 s for a token; 1 s for an update and 0.5 s for each of its probes; and so on."""
    found = CostEstimator(make_plan(model, mini_scale(), device="cpu"))
    vars(found).update(_seconds_per_token=0.01, _edge_updates=Line(1.0, 0.5), _comparison=Line(2.0, 0.001))
    found._timings["structural 4"] = 0.25
    return found


def test_a_line_goes_through_both_points_and_nothing_is_below_0():
    assert Line.through((1, 3.0), (3, 7.0)) == Line(1.0, 2.0)
    assert Line(1.0, 2.0).at(10) == 21.0
    assert Line.through((2, 3.0), (4, 2.0)) == Line(3.0, 0.0)
    assert Line.through((2, 1.0), (3, 4.0)) == Line(0.0, 3.0)


@pytest.mark.parametrize(
    ("members", "seeds", "probes"),
    [(None, None, 7), (("mixes", "lex"), None, 4), (("layers",), None, 3), (("mix", "top", "lex"), (0, 1), 6)],
)
def test_an_edge_probe_costs_its_updates_and_its_extraction(costs: CostEstimator, members, seeds, probes):
    """Two blocks, so three layers; five updates of all probes at once."""
    probe = replace(costs._plan.scale.edge.probes["dependencies"], members=members, seeds=seeds)
    training = 5 * (1.0 + 0.5 * probes)
    assert costs.edge(probe, extracted=True).seconds == pytest.approx(training)
    words = sum(costs._sentences(probe.task, probe.files, probe.reading)[1])
    extraction = 2 + int(1.3 * words) * 0.01
    alone = costs.edge(probe)
    assert alone.seconds == pytest.approx(training + extraction)
    assert alone.n_bytes == alone.temporary == 2 * int(1.3 * words) * 3 * 16
    assert costs.probe_extraction([probe, probe]).seconds == pytest.approx(extraction)


def test_structural_probes_and_comparisons(costs: CostEstimator):
    probes = costs._plan.scale.structural
    assert probes is not None
    sentences, words = costs._sentences("structural", probes.files, {})
    training = 1 * sentences[0] * 0.25
    assert costs.structural(probes).seconds == pytest.approx(2 + int(1.3 * sum(words)) * 0.01 + training)
    assert costs.comparison("laboratory").seconds == pytest.approx(1 + 3 * (2.0 + 0.001 * 1.3 * 150))


def test_timings_are_made_on_this_machine():
    edge, comparison = time_edge_updates(16, 3, "cpu"), time_comparison(16, Similarity(blocks=4))
    values = [edge.start, edge.each, comparison.start, comparison.each, time_structural_sentences(16, 3, 4, "cpu")]
    assert all(math.isfinite(value) and value >= 0 for value in values)
    assert edge.at(7) > 0
    assert comparison.at(1000) > 0
