"""What a study's figures show: which rows become which points, bands, floors and colours."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

pytest.importorskip("matplotlib")

from pyrepsim.results.figures import save, themed_svg
from pyrepsim.results.style import COLOURS, INK, QUIET
from pyrepsim.studies.report import FIGURES, figure
from pyrepsim.studies.report.drawing import draw_panel, is_cut
from pyrepsim.studies.report.plots import Plot, looks_of
from pyrepsim.studies.report.selecting import points
from pyrepsim.studies.report.words import bands_in_words
from tests.studies.study_rows import COLUMNS, study_rows


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return study_rows(layers=4)


def row(**columns) -> dict:
    return dict.fromkeys(COLUMNS) | {"kind": "value", "layer": 1, "value": 1.0} | columns


def plot(name: str, rows) -> Plot:
    found = FIGURES[name](rows)
    assert found is not None
    assert found.name == name
    return found


def test_every_figure_is_described_and_none_without_rows(rows):
    assert all(FIGURES[name](rows) is not None for name in FIGURES)
    assert [name for name in FIGURES if FIGURES[name]([]) is not None] == []
    assert [name for name in FIGURES if FIGURES[name]([row(experiment="unheard", metric="m")]) is not None] == []


def test_an_aggregate_stands_for_its_seeds():
    single = [row(seed=seed, value=value) for seed, value in enumerate((1.0, 2.0))]
    whole = row(kind="aggregate", value=1.5, low=0.5, high=2.5, band="t of seeds", confidence=0.95, n=2)
    (point,) = points([*single, whole])
    assert (point.value, point.low, point.high, point.band, point.seeds) == (1.5, 0.5, 2.5, "t of seeds", (1.0, 2.0))
    (point,) = points(single)
    assert (point.value, point.low, point.high, point.band, point.n) == (1.5, 1.0, 2.0, "range of seeds", 2)
    (point,) = points(single[:1])
    assert (point.value, point.low, point.band) == (1.0, None, None)


def test_differences_of_several_seeds_keep_their_widest_reach():
    told = {"kind": "difference", "band": "bootstrap of sentences", "confidence": 0.95, "n": 9}
    both = [row(seed=0, value=1.0, low=0.5, high=1.5, p_holm=0.01, **told),
            row(seed=1, value=2.0, low=-0.5, high=2.5, p=0.3, **told)]  # fmt: skip
    (point,) = points(both, kinds=("difference",))
    assert (point.value, point.low, point.high, point.p) == (1.5, -0.5, 2.5, 0.3)
    assert "widest over seeds" in bands_in_words([point])
    assert points(both) == ()


def test_the_caption_says_what_a_band_is_and_what_was_counted(rows):
    said = bands_in_words(plot("similarity_by_layer", rows).points())
    assert "95 % t intervals over 2 seeds" in said
    assert "bootstrap intervals over documents (n = 24,310)" in said
    assert bands_in_words(plot("weights_by_layer", rows).points()) == "Bands: lowest to highest of 2 seeds."
    assert "No bands" in bands_in_words(plot("profiles_by_layer", rows).points())


def test_a_task_has_one_colour_in_every_figure(rows):
    expected = dict(zip(("MNLI", "SQuAD", "Parsing"), COLOURS, strict=False))
    for name in FIGURES:
        for panel in plot(name, rows).panels:
            for line in (line for line in panel.lines if line.look.colour != QUIET):
                task = line.look.label.removeprefix("tuned on ").replace("parsing", "Parsing")
                assert line.look.colour == expected.get(task if task in expected else panel.title, line.look.colour)
    assert looks_of(study_rows(("dependency",), layers=1))["dependency"].colour == COLOURS[2]
    others = looks_of([row(task=task) for task in ("mnli", *"abcdef")])
    assert len({(look.colour, look.dash) for look in others.values()}) == 7
    assert COLOURS[1] not in {look.colour for look in others.values()}


def test_similarity_has_a_panel_a_task_with_floors_in_dotted_grey(rows):
    found = plot("similarity_by_layer", rows)
    assert [panel.title for panel in found.panels] == ["MNLI", "SQuAD", "Parsing"]
    (panel, *_) = found.panels
    drawn = {line.look.label: line for line in panel.lines}
    assert list(drawn) == ["own domain", "own domain, as trained", "other text", "seed against seed", "random weights",
                           "another encoder"]  # fmt: skip
    assert drawn["random weights"].look.colour == QUIET
    assert drawn["random weights"].look.dash == ":"
    assert [point.x for point in drawn["own domain"].points] == [0, 1, 2, 3, 4]
    last = {label: line.points[-1].value for label, line in drawn.items()}
    assert last["other text"] > last["own domain"] > last["random weights"]
    means = [r["value"] for r in rows if r["kind"] == "aggregate" and r["task"] == "mnli" and r["metric"] == "RSA"
             and r["form"] == "sentences" and r["domain"] == "in" and r["experiment"] == "similarity"]  # fmt: skip
    assert [point.value for point in drawn["own domain"].points] == means


def test_numbers_of_whole_curves_are_no_measure(rows):
    more = [
        *rows,
        row(experiment="similarity", variant="tuned", task="mnli", metric="centre of change: RSA", layer=None),
    ]
    for name in ("similarity_by_layer", "similarity_measures"):
        assert plot(name, more) == plot(name, rows)


def test_gaps_that_are_not_significant_are_hollow(rows):
    (panel,) = plot("domains_by_layer", rows).panels
    assert all(line.tested for line in panel.lines)
    assert [point.p for point in panel.lines[0].points] == [0.4, 0.4, 0.4, 0.01, 0.01]
    drawn = figure("domains_by_layer", rows)
    hollow = [line for line in drawn.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata().tolist() for line in hollow] == [[0, 1, 2]] * 3


def test_ablations_have_their_own_scale_and_the_whole_model_beside_them(rows):
    found = plot("freezing", rows)
    assert [panel.ylabel for panel in found.panels] == ["accuracy (%)", "F1 (%)", "LAS (%)"]
    assert [point.x for point in found.panels[0].lines[0].points] == [0, 1, 2, 3, 4]
    (mark,) = found.panels[0].marks
    whole = [r["value"] for r in rows if r["experiment"] == "finetuning" and r["metric"] == "accuracy"]
    assert mark.at == whole[-1]


def test_edge_probes_show_base_tuned_random_and_the_lexical_floor(rows):
    panel = plot("edge_by_layer", rows).panels[0]
    assert [line.look.label for line in panel.lines] == [
        "before fine-tuning", "tuned on MNLI", "tuned on SQuAD", "tuned on parsing", "random weights",
    ]  # fmt: skip
    assert [mark.at for mark in panel.marks] == [88.4]
    mixed = [dict(r, k=None) for r in rows]  # the member's name says it too
    assert plot("edge_cumulative", mixed).panels == plot("edge_cumulative", rows).panels


def test_the_edge_figure_is_of_the_widest_mix(rows):
    found = plot("edge_table", rows)
    assert "the mix of layers 0 to 4" in found.caption
    (panel,) = found.panels
    assert panel.categories[:2] == ("Part of speech", "Dependencies")
    assert [line.points[0].value for line in panel.lines] == [-0.8, -0.3, 0.6]


def test_a_wide_band_does_not_flatten_the_line():
    wide = [row(experiment="weights", metric="weight_distance", task="mnli", layer=layer, value=0.1 * layer,
                low=-50.0, high=50.0, band="t of seeds") for layer in range(3)]  # fmt: skip
    (ax,) = figure("weights_by_layer", wide).axes
    low, high = ax.get_ylim()
    assert high - low < 1


def test_an_interval_far_wider_than_its_seeds_is_cut_and_said_so():
    told = {"experiment": "finetuning", "metric": "accuracy", "task": "mnli"}
    seeds = [row(**told, seed=seed, value=value) for seed, value in enumerate((80.0, 81.0))]
    wide = row(**told, kind="aggregate", value=80.5, low=74.1, high=86.9, band="t of seeds", confidence=0.95, n=2)
    found = plot("scores_by_task", [*seeds, wide])
    low, high = figure("scores_by_task", [*seeds, wide]).axes[0].get_xlim()
    assert 77 < low < 80
    assert 81 < high < 84
    assert is_cut(found)
    assert not is_cut(plot("scores_by_task", [*seeds, wide | {"low": 80.0, "high": 81.0}]))


def test_a_legend_is_black_where_colours_stand_for_panels(rows):
    looks = {look.label: look.colour for look in plot("similarity_by_layer", rows).looks()}
    assert (looks["own domain"], looks["random weights"]) == (INK, QUIET)
    assert [look.colour for look in plot("weights_by_layer", rows).looks()] == list(COLOURS[:3])


def test_what_is_written_keeps_its_digits_on_the_page():
    near = [row(experiment="weights", metric="weight_distance", task="mnli", layer=layer, value=0.985 + 0.0004 * layer)
            for layer in range(4)]  # fmt: skip
    found = plot("weights_by_layer", near)
    svg = themed_svg(draw_panel(found, 0), salt="a", alt="weights")
    assert {"0.985", "0.9855", "0.986"} <= set(re.findall(r">([\d.]+)</text>", svg))
    assert not re.search(r'\bd="[^"]*\d\.\d{3}', svg)


@pytest.mark.parametrize("name", ["scores_by_task", "layer_by_layer", "edge_table"])
def test_a_figure_file_names_its_rows_and_repeats_itself(rows, tmp_path: Path, name: str):
    drawn = figure(name, rows)
    paths = [save(drawn, tmp_path / f"{n}.svg", source="rows.jsonl SHA-256 abc") for n in (1, 2)]
    text = paths[0].read_text()
    again = save(figure(name, rows), tmp_path / "3.svg", source="rows.jsonl SHA-256 abc")
    assert text == again.read_text()
    assert "rows.jsonl SHA-256 abc" in text
    assert "MNLI" in "".join(ET.fromstring(text).itertext())


def test_attention_is_drawn_by_block_and_by_head(rows):
    (panel,) = plot("attention_by_layer", rows).panels
    assert [point.x for point in panel.lines[0].points] == [1, 2, 3, 4]
    single = [r for r in rows if r["experiment"] == "attention" and r["member"] is None and r["task"] == "mnli"]
    assert [point.value for point in panel.lines[0].points] == [r["value"] for r in single]
    floor = [*rows, row(experiment="attention", metric="attention_js", variant="random", value=0.7)]
    assert plot("attention_by_layer", floor).panels[0].lines[-1].look.label == "random weights"
    grid = plot("attention_heads", rows).panels[0].grid
    assert grid is not None
    assert (grid.rows, grid.columns) == ((1, 2, 3, 4), (0, 1, 2, 3))


def test_a_trajectory_keeps_its_first_and_last_checkpoint():
    told = {"experiment": "trajectories", "metric": "SVCCA", "task": "mnli"}
    many = [row(**told, k=step, layer=layer) for step in range(0, 101, 5) for layer in (0, 1)]
    (panel,) = plot("trajectories", many).panels
    assert [line.look.label for line in panel.lines][:: len(panel.lines) - 1] == ["after 0", "after 100"]
    assert len(panel.lines) == 6
    assert [line.look.opacity for line in panel.lines] == sorted(line.look.opacity for line in panel.lines)
    (panel,) = plot("trajectories", many[:2]).panels
    assert [line.look.label for line in panel.lines] == ["after 0"]
    assert FIGURES["trajectories_measures"](many) is None


def test_one_layer_and_one_point_are_drawn(tmp_path: Path):
    single = [r for r in study_rows(("mnli",), layers=1, seeds=1) if r["layer"] in (0, None)]
    for name in ("similarity_by_layer", "weights_by_layer", "structural_by_layer"):
        assert figure(name, single).axes
