"""The page: whole, by itself, escaped, the same each time."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from pyrepsim.core.errors import OptionError
from pyrepsim.results import Score, Scores
from pyrepsim.results.page import page
from tests.helpers.html_reader import HTMLReader


def test_the_page_has_everything(make_scores, tmp_path: Path):
    path = make_scores(3).html(tmp_path / "deep" / "page.html")
    text = path.read_text(encoding="utf-8")
    reader = HTMLReader(text)
    assert len(reader.named("svg")) == 1
    assert len(reader.named("details")) == 3
    words = " ".join(reader.words)
    for needed in (
        "bert-base-uncased ~ mnli/seed0",
        "n = 1,234",
        "3 layer pairs, 3 measures",
        "0.9800",
        "rank",
        "11",
    ):
        assert needed in words


def test_the_page_loads_nothing_from_the_network(make_scores):
    text = page(make_scores(3))
    assert not re.search(r"<(script|link|img|iframe)\b|@import|url\((?!#)", text)
    assert not re.search(r'(?:src|href)="(?!#)', text)


def test_equal_scores_make_equal_pages(make_scores):
    assert page(make_scores(3)) == page(make_scores(3))


def test_everything_is_escaped(make_scores):
    evil = "<img src=x onerror=alert(1)>"
    scores = Scores(
        replace(
            s,
            measure=evil,
            layer_x=evil,
            layer_y=evil,
            details={evil: evil},
            provenance={"model_x": evil, evil: evil},
        )
        for s in make_scores(1, measures=("A",))
    )
    text = page(scores, title=evil)
    assert not HTMLReader(text).named("img")


def test_heat_maps_fold_their_long_table(make_scores):
    text = page(make_scores(5, every=True))
    assert "Every layer pair" in text
    assert "down" in text
    assert "Every layer pair" not in page(make_scores(5))


def test_arrays_have_a_page_without_a_figure():
    text = page(Scores([Score(0.5, "CCA", 10, details={"rank": 3})]))
    assert not HTMLReader(text).named("svg")
    assert "0.5000" in text


def test_provenance_that_differs_is_not_claimed_for_all(make_scores):
    one, two = make_scores(2, measures=("A",))
    mixed = Scores(
        [
            replace(one, provenance={"backend": "cpu", "seed": 1}),
            replace(two, provenance={"backend": "cpu", "seed": 2}),
        ]
    )
    text = page(mixed)
    assert "<dt>backend</dt>" in text
    assert "<dt>seed</dt>" not in text


def test_a_page_needs_scores():
    with pytest.raises(OptionError, match="A page shows scores"):
        page(Scores())


def test_the_page_names_the_two_sides_once(make_scores):
    words = page(make_scores(3))
    assert words.partition("<body>")[2].count("bert-base-uncased ~ mnli/seed0") == 1
    titled = page(make_scores(3), title="What changed").partition("<body>")[2]
    assert titled.count("bert-base-uncased ~ mnli/seed0, n = 1,234; 3 layer pairs") == 1


def test_the_page_notes_axes_that_do_not_start_at_zero(make_scores):
    scores = make_scores(3, measures=("CKA", "GULP"))
    assert "The vertical axis does not start at zero." in page(scores)
    to_zero = Scores(replace(s, value=0.0) if s.layer_x == "layer.1" else s for s in scores)
    assert "at zero" not in page(to_zero)
    large = Scores(replace(s, value=1000 * s.value) if s.measure == "GULP" else s for s in to_zero)
    assert "at zero" not in page(large)
    far = Scores(replace(s, value=90 + s.value) if s.measure == "GULP" else s for s in to_zero)
    assert "Some vertical axes do not start at zero." in page(far)


def test_shaded_intervals_are_explained(make_scores):
    assert "Shaded: intervals." in page(make_scores(interval=True))
    assert "Shaded: intervals." not in page(make_scores())
