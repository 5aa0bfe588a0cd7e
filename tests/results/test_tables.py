"""Tables: the right layout for each shape of scores, aligned, escaped."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyrepsim.results import Score, Scores
from pyrepsim.results.score_tables import format_value, names, score_table


def test_layers_down_measures_across(make_scores):
    assert make_scores(2).table().splitlines() == [
        "bert-base-uncased ~ mnli/seed0, n = 1,234",
        "layer       LinearCKA(debiased=True)   SVCCA     RSA",
        "----------  ------------------------  ------  ------",
        "embeddings                    0.9900  0.9700  0.9500",
        "layer.0                       0.9800  0.9600  0.9400",
    ]


def test_a_missing_score_is_an_empty_cell(make_scores):
    assert Scores(list(make_scores(2))[:-1]).table().splitlines()[-1].split() == [
        "layer.0",
        "0.9800",
        "0.9600",
    ]


def test_pairs_of_other_layers_are_named(make_scores):
    crossed = Scores(replace(score, layer_y=f"h.{score.layer_x}") for score in make_scores(2))
    assert crossed.table().splitlines()[-1].startswith("layer.0 ~ h.layer.0 ")


def test_every_layer_pair_is_a_row_measure_by_measure(make_scores):
    lines = make_scores(2, every=True, measures=("A", "B")).table().splitlines()
    assert lines[1].split() == ["measure", "layer_x", "layer_y", "value"]
    assert [line.split()[0] for line in lines[3:]] == ["A"] * 4 + ["B"] * 4


def test_arrays_have_no_layers():
    table = Scores([Score(0.5, "CCA", 10), Score(1234.5, "GULP", 10)]).table()
    assert table.splitlines()[0] == "X ~ Y, n = 10"
    assert [line.split() for line in table.splitlines()[3:]] == [["CCA", "0.5000"], ["GULP", "1234"]]


def test_two_model_pairs_have_separate_rows(make_scores):
    both = Scores([*make_scores(2), *make_scores(2, model_y="runs/squad/seed0")])
    lines = both.table().splitlines()
    assert lines[1].split() == ["measure", "layer_x", "model_y", "layer_y", "value"]
    assert sum("squad/seed0" in line for line in lines) == 6
    assert names(both) == ("bert-base-uncased", "Y")


def test_intervals_and_row_counts_are_shown(make_scores):
    scores = make_scores(2, interval=True, measures=("A",))
    assert scores.table().splitlines()[-1] == "layer.0     0.9800 [0.9700, 0.9900]"
    uneven = Scores([replace(scores[0], n_samples=5, layer_x=None, layer_y=None), scores[1]])
    assert "n = 5 to 1,234" in uneven.table()


def test_no_scores():
    assert Scores().table() == "no scores"
    assert "no scores" in Scores()._repr_html_()


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.5000"), (-0.00001, "-0.0000"), (1e5, "1e+05"), (99.5, "99.5000")])
def test_values_are_short(value: float, text: str):
    assert format_value(value) == text


def test_html_escapes_what_it_is_given(make_scores):
    evil = Scores([replace(make_scores(1)[0], measure="<script>", layer_x="<b>", layer_y="<b>")])
    for table in (evil._repr_html_(), score_table(evil).html(bare=True)):
        assert "<script>" not in table
        assert "<b>" not in table
        assert "&lt;script&gt;" in table
