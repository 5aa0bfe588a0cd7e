"""Figures: what is drawn, how it is labelled, and that equal scores draw equal bytes."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("matplotlib")

from matplotlib.text import Text

from pyrepsim.core.errors import OptionError, StoreError
from pyrepsim.measures import SVCCA
from pyrepsim.results import Score, Scores
from pyrepsim.results.figures import save, to_svg


def texts(figure) -> str:
    return " | ".join(ET.fromstring(to_svg(figure)).itertext())


def test_each_measure_has_a_line_labelled_at_its_end(make_scores):
    scores = make_scores(4)
    figure = scores.plot()
    (ax,) = figure.axes
    assert len(ax.lines) == 3
    assert ax.lines[0].get_ydata() == pytest.approx([0.99, 0.98, 0.97, 0.96])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == list(scores.layers_x)
    assert ax.get_xlabel() == "layer of bert-base-uncased and of mnli/seed0"
    assert {text.get_text() for text in ax.texts} == set(scores.measures)
    assert len({line.get_color() for line in ax.lines}) == len({line.get_marker() for line in ax.lines}) == 3


def test_names_at_the_ends_do_not_touch(make_scores):
    scores = make_scores(3, measures=tuple("ABCDE"))
    equal = Scores(replace(score, value=0.5 + 0.1 * (score.layer_x == "layer.0")) for score in scores)
    figure = equal.plot()
    figure.draw_without_rendering()
    # An annotation's own extent would count its line too.
    boxes = sorted((Text.get_window_extent(text) for text in figure.axes[0].texts), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))


def test_bands_where_there_are_intervals(make_scores):
    assert len(make_scores(3).plot().axes[0].collections) == 0
    assert len(make_scores(3, interval=True).plot().axes[0].collections) == 3


def test_a_measure_of_another_scale_has_its_own_panel(make_scores):
    scores = make_scores(3, measures=("CKA", "GULP", "RSA"))
    scaled = Scores(replace(s, value=100 * s.value) if s.measure == "GULP" else s for s in scores)
    similarities, distances = scaled.plot().axes
    assert len(similarities.lines) == 2
    assert distances.get_ylabel() == "GULP"
    assert distances.lines[0].get_color() != similarities.lines[1].get_color()


def test_more_measures_than_colours_have_different_lines(make_scores):
    lines = make_scores(3, measures=tuple("ABCDEFGHI")).plot().axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 9


def test_every_layer_pair_is_a_heat_map(make_scores):
    scores = make_scores(4, every=True)
    figure = scores.plot()
    maps = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title(loc="left") for ax in maps] == list(scores.measures)
    assert maps[0].images[0].get_array().tolist() == scores.matrix("LinearCKA")[2].tolist()
    assert maps[0].get_ylabel() == "layer of bert-base-uncased"
    assert maps[0].get_xlabel() == "layer of mnli/seed0"
    assert len(maps[0].texts) == 16


def test_one_measure_can_be_chosen(make_scores):
    assert len(make_scores(3).plot(measure="SVCCA").axes[0].lines) == 1


def test_a_heat_map_with_holes_and_signs(make_scores):
    some = Scores(replace(s, value=s.value - 0.9) for s in list(make_scores(3, every=True, measures=("A",)))[:-1])
    (ax, _) = some.plot().axes
    low, high = ax.images[0].get_clim()
    assert low == -high, "white is zero where signs differ"
    assert len(ax.texts) == 8


@pytest.mark.parametrize("name", ["f.svg", "f.png", "sub/f.pdf"])
def test_files_are_the_same_each_time(make_scores, tmp_path: Path, name: str):
    first, second = tmp_path / "1" / name, tmp_path / "2" / name
    make_scores(3).plot(first)
    make_scores(3).plot(second)
    assert first.read_bytes() == second.read_bytes()
    assert not re.search(rb"dc:date|CreationDate", first.read_bytes()), "two files may be of one second"


def test_svg_keeps_text_and_dollar_signs(make_scores):
    scores = Scores(replace(s, layer_x="a$_b$ <c>", layer_y="a$_b$ <c>") for s in make_scores(1))
    assert "a$_b$ <c>" in texts(scores.plot())


def test_errors_for_scores_that_cannot_be_drawn(make_scores, tmp_path: Path):
    with pytest.raises(OptionError, match="A figure shows layers"):
        Scores([Score(0.5, "CCA", 10)]).plot()
    with pytest.raises(OptionError, match="A figure shows layers"):
        Scores().plot()
    with pytest.raises(OptionError, match=r"must end in one of .*svg.* got 'figure\.doc'"):
        make_scores(2).plot(tmp_path / "figure.doc")
    with pytest.raises(OptionError, match="must be one of"):
        make_scores(2).plot(measure="CCA")


def test_a_line_needs_one_score_for_each_layer_pair(make_scores):
    twice = make_scores(3) + make_scores(3, model_y="runs/mnli/seed1")
    with pytest.raises(
        OptionError, match=r"LinearCKA.* has several for \('embeddings', 'embeddings'\)\. Select the scores"
    ):
        twice.plot()


def test_a_measure_itself_can_be_chosen(make_scores):
    assert len(make_scores(3).plot(measure=SVCCA()).axes[0].lines) == 1


def test_many_layers_make_no_wider_figure(make_scores):
    few, many = make_scores(16).plot(), make_scores(100).plot()
    assert many.get_size_inches()[0] == few.get_size_inches()[0]
    names = [tick.get_text() for tick in many.axes[0].get_xticklabels()]
    assert 8 <= len(names) <= 16
    assert names[:2] == ["embeddings", "layer.6"], "a name stays at its place"
    assert many.axes[0].get_xticks()[:2].tolist() == [0, 7]


def test_many_layers_make_no_larger_map(make_scores):
    few, many = (make_scores(n, every=True, measures=("A",)).plot() for n in (24, 60))
    assert many.get_size_inches().tolist() == few.get_size_inches().tolist()
    assert len(many.axes[0].get_xticks()) == len(many.axes[0].get_yticks()) == 20


def test_a_label_points_to_the_last_point_of_its_line(make_scores):
    def spoil(s: Score) -> Score:
        if (s.measure, s.layer_x) == ("RSA", "layer.2"):
            return replace(s, value=float("nan"))
        if (s.measure, s.layer_x) == ("SVCCA", "embeddings"):
            return replace(s, value=float("-inf"), interval=(float("-inf"), 0.0))
        return s

    scores = make_scores(4, interval=True)
    kept = Scores(spoil(s) for s in scores if (s.measure, s.layer_x) != ("SVCCA", "layer.2"))
    (ax,) = kept.plot().axes
    ends = {text.get_text(): text.xy for text in ax.texts}
    assert ends["LinearCKA(debiased=True)"] == (3, pytest.approx(0.96))
    assert ends["SVCCA"] == (2, pytest.approx(0.95))
    assert ends["RSA"] == (2, pytest.approx(0.93))
    assert all(-2 < limit < 2 for limit in ax.get_ylim())


def test_a_measure_without_a_value_is_named(make_scores):
    scores = Scores(replace(s, value=float("nan")) if s.measure == "RSA" else s for s in make_scores(3))
    assert "RSA: no value" in texts(scores.plot())
    nothing = Scores(replace(s, value=float("nan")) for s in make_scores(3, every=True, measures=("A",)))
    assert "A" in texts(nothing.plot())


@pytest.mark.parametrize("name", ["f.svg", "f.png"])
def test_letters_missing_from_the_font_give_no_warning(make_scores, tmp_path: Path, name: str):
    scores = make_scores(2, model_x="模型", model_y="模型二")
    assert scores.plot(tmp_path / name).axes
    assert "模型二" in texts(scores.plot())


def test_missing_letters_use_installed_fonts(make_scores, tmp_path: Path, monkeypatch, caplog):
    """No East Asian font is sure to be on a machine: one of matplotlib's own plays its part, for letters it has."""
    scores = make_scores(2, model_x="模型", model_y="\N{MATHEMATICAL DOUBLE-STRUCK SMALL A}")
    monkeypatch.setattr("pyrepsim.results.style._EAST_ASIAN", ())
    scores.plot(tmp_path / "lacking.png")
    assert "SVG files use the reader's fonts" in caplog.text
    caplog.clear()
    scores.plot(tmp_path / "lacking.svg")
    assert not caplog.text
    monkeypatch.setattr("pyrepsim.results.style._EAST_ASIAN", ("STIXGeneral", "no such font"))
    figure = scores.plot(tmp_path / "plain.svg")
    save(figure, tmp_path / "with.png")
    assert (tmp_path / "with.png").read_bytes() != (tmp_path / "lacking.png").read_bytes()
    assert (tmp_path / "plain.svg").read_bytes() == (tmp_path / "lacking.svg").read_bytes()
    assert all(text.get_fontfamily() == ["sans-serif"] for text in figure.findobj(Text))


def test_error_when_a_figure_cannot_be_written(make_scores, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"f\.svg was not .* choose another path"):
        make_scores(2).plot(tmp_path / "file" / "f.svg")
    with pytest.raises(StoreError, match=r"f\.html was not .* choose another path"):
        make_scores(2).html(tmp_path / "file" / "f.html")


def test_axes_and_title_of_the_caller(make_scores):
    from matplotlib.figure import Figure

    left, right = Figure().subplots(1, 2)
    scores = make_scores(3)
    assert scores.plot(ax=left, title="mine").axes[0] is left
    assert left.get_title("left") == "mine"
    make_scores(3, every=True).plot(ax=right, measure=scores.measures[0], title="a heat map")
    assert right.get_title("left") == "a heat map"
    assert scores.plot(title="").axes[0].get_title("left") == ""
    scaled = Scores(replace(s, value=100 * s.value) if s.measure == scores.measures[1] else s for s in scores)
    with pytest.raises(OptionError, match="these scores need 2"):
        scaled.plot(ax=left)


def test_one_pair_of_layers_has_a_point_for_each_measure(make_scores):
    (ax,) = make_scores(1, interval=True).plot().axes
    assert [label.get_text() for label in ax.get_yticklabels()] == list(make_scores(1).measures)
    assert len(ax.lines) == 6


def test_long_names_are_not_cut(make_scores):
    long = {"model_x": "organisation/" + "a-long-name-" * 6, "model_y": "organisation/" + "another-name-" * 6}
    for count in (1, 8):
        figure = Scores(replace(score, provenance=long) for score in make_scores(count)).plot()
        figure.draw_without_rendering()
        for text in (figure.axes[0]._left_title, figure.axes[0].xaxis.label):
            box = text.get_window_extent()
            assert box.x0 >= 0
            assert box.x1 <= figure.bbox.width


def test_one_model_and_differences_are_called_so(make_scores):
    one = Scores(replace(score, provenance={"model_x": "a/b", "model_y": "a/b"}) for score in make_scores(3))
    assert one.plot().axes[0].get_title("left").startswith("a/b, n = ")
    marked = {"first": 1.0, "second": 0.5, "paired": True}
    difference = Scores(replace(score, details=marked) for score in make_scores(3))
    assert difference.plot().axes[0].get_ylabel() == "difference"
    one = difference.measures[0]
    label = f"difference of {one.partition('(')[0]}"
    assert difference.plot(measure=one).axes[0].get_ylabel() == label
    assert difference.table().startswith("difference of two comparisons, n = ")
