"""What a study's figures show: which rows become which points, bands, baselines and colours."""

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
from pyrepsim.studies.report.plots import Plot, styles_of
from pyrepsim.studies.report.rows import points
from pyrepsim.studies.report.text import bands_in_words
from tests.studies.study_rows import COLUMNS, study_rows


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return study_rows(layers=4)


def row(**columns) -> dict:
    return dict.fromkeys(COLUMNS) | {"kind": "value", "layer": 1, "value": 1.0} | columns


def plot(name: str, rows) -> Plot:
    described = FIGURES[name](rows)
    assert described is not None
    assert described.name == name
    return described


def test_every_figure_is_described_and_none_without_rows(rows):
    assert all(FIGURES[name](rows) is not None for name in FIGURES)
    assert [name for name in FIGURES if FIGURES[name]([]) is not None] == []
    assert [name for name in FIGURES if FIGURES[name]([row(experiment="unheard", metric="m")]) is not None] == []


def test_an_aggregate_stands_for_its_seeds():
    single = [row(seed=seed, value=value) for seed, value in enumerate((1.0, 2.0))]
    aggregate = row(kind="aggregate", value=1.5, low=0.5, high=2.5, band="t of seeds", confidence=0.95, n=2)
    (point,) = points([*single, aggregate])
    assert (point.value, point.low, point.high, point.band, point.seeds) == (1.5, 0.5, 2.5, "t of seeds", (1.0, 2.0))
    (point,) = points(single)
    assert (point.value, point.low, point.high, point.band, point.n) == (1.5, 1.0, 2.0, "range of seeds", 2)
    (point,) = points(single[:1])
    assert (point.value, point.low, point.band) == (1.0, None, None)


def test_differences_of_several_seeds_keep_their_widest_reach():
    shared = {"kind": "difference", "band": "bootstrap of sentences", "confidence": 0.95, "n": 9}
    both = [row(seed=0, value=1.0, low=0.5, high=1.5, p_holm=0.01, **shared),
            row(seed=1, value=2.0, low=-0.5, high=2.5, p=0.3, **shared)]  # fmt: skip
    (point,) = points(both, kinds=("difference",))
    assert (point.value, point.low, point.high, point.p) == (1.5, -0.5, 2.5, 0.3)
    assert "widest over seeds" in bands_in_words([point])
    assert points(both) == ()


def test_the_caption_describes_the_bands_and_their_sample_sizes(rows):
    text = bands_in_words(plot("similarity_by_layer", rows).points())
    assert "95 % t intervals over 2 seeds" in text
    assert "bootstrap intervals over documents (n = 24,310)" in text
    assert bands_in_words(plot("weights_by_layer", rows).points()) == "Bands: lowest to highest of 2 seeds."
    assert "No bands" in bands_in_words(plot("profiles_by_layer", rows).points())


def test_a_task_has_one_colour_in_every_figure(rows):
    expected = dict(zip(("MNLI", "SQuAD", "Parsing"), COLOURS, strict=False))
    for name in FIGURES:
        for panel in plot(name, rows).panels:
            for line in (line for line in panel.series if line.style.colour != QUIET):
                task = line.style.label.removeprefix("tuned on ").replace("parsing", "Parsing")
                assert line.style.colour == expected.get(task if task in expected else panel.title, line.style.colour)
    assert styles_of(study_rows(("dependency",), layers=1))["dependency"].colour == COLOURS[2]
    others = styles_of([row(task=task) for task in ("mnli", *"abcdef")])
    assert len({(style.colour, style.dash) for style in others.values()}) == 7
    assert COLOURS[1] not in {style.colour for style in others.values()}


def test_similarity_has_one_panel_per_task_with_baselines_in_dotted_grey(rows):
    described = plot("similarity_by_layer", rows)
    assert [panel.title for panel in described.panels] == ["MNLI", "SQuAD", "Parsing"]
    (panel, *_) = described.panels
    drawn = {line.style.label: line for line in panel.series}
    assert list(drawn) == ["own domain", "own domain, as trained", "other text", "seed against seed", "random weights",
                           "another encoder"]  # fmt: skip
    assert drawn["random weights"].style.colour == QUIET
    assert drawn["random weights"].style.dash == ":"
    assert [point.x for point in drawn["own domain"].points] == [0, 1, 2, 3, 4]
    last = {label: line.points[-1].value for label, line in drawn.items()}
    assert last["other text"] > last["own domain"] > last["random weights"]
    means = [r["value"] for r in rows if r["kind"] == "aggregate" and r["task"] == "mnli" and r["metric"] == "RSA"
             and r["form"] == "sentences" and r["domain"] == "in" and r["experiment"] == "similarity"]  # fmt: skip
    assert [point.value for point in drawn["own domain"].points] == means


def test_statistics_of_curves_are_not_drawn_as_a_measure(rows):
    more = [
        *rows,
        row(experiment="similarity", variant="tuned", task="mnli", metric="centre of change: RSA", layer=None),
    ]
    for name in ("similarity_by_layer", "similarity_measures"):
        assert plot(name, more) == plot(name, rows)


def test_differences_that_are_not_significant_are_hollow(rows):
    (panel,) = plot("domains_by_layer", rows).panels
    assert all(line.tested for line in panel.series)
    assert [point.p for point in panel.series[0].points] == [0.4, 0.4, 0.4, 0.01, 0.01]
    drawn = figure("domains_by_layer", rows)
    hollow = [line for line in drawn.axes[0].lines if line.get_markerfacecolor() == "white"]
    assert [line.get_xdata().tolist() for line in hollow] == [[0, 1, 2]] * 3


def test_ablations_have_their_own_scale_and_the_score_of_the_full_model(rows):
    described = plot("freezing", rows)
    assert [panel.ylabel for panel in described.panels] == ["accuracy (%)", "F1 (%)", "LAS (%)"]
    assert [point.x for point in described.panels[0].series[0].points] == [0, 1, 2, 3, 4]
    (mark,) = described.panels[0].marks
    scores = [r["value"] for r in rows if r["experiment"] == "finetuning" and r["metric"] == "accuracy"]
    assert mark.at == scores[-1]


def test_freezing_shows_the_models_that_were_trained_longer(rows):
    more = [r | {"experiment": "longer", "value": r["value"] + 0.01} for r in rows if r["experiment"] == "freezing"]
    panel = plot("freezing", rows + [r for r in more if r["task"] == "mnli" and r["k"] in (0, 2)]).panels[0]
    first, longer = panel.series
    assert longer.style.label == "trained longer"
    assert [point.x for point in longer.points] == [0, 2]
    assert longer.points[0].value == pytest.approx(first.points[0].value + 0.01)
    assert [len(one.series) for one in plot("freezing", rows).panels] == [1, 1, 1]


def test_edge_probes_show_base_tuned_and_both_baselines(rows):
    panel = plot("edge_by_layer", rows).panels[0]
    assert [line.style.label for line in panel.series] == [
        "before fine-tuning", "tuned on MNLI", "tuned on SQuAD", "tuned on parsing", "random-encoder baseline",
    ]  # fmt: skip
    assert [mark.at for mark in panel.marks] == [pytest.approx(0.884)]
    assert [mark.at for mark in panel.displayed().marks] == [pytest.approx(88.4)]
    mixed = [dict(r, k=None) for r in rows]  # k is also in the name of the member
    assert plot("edge_cumulative", mixed).panels == plot("edge_cumulative", rows).panels


def test_the_edge_figure_is_of_the_widest_mix(rows):
    described = plot("edge_table", rows)
    assert "the mix of layers 0 to 4" in described.caption
    (panel,) = described.panels
    assert panel.categories[:2] == ("Part of speech", "Dependencies")
    changes = pytest.approx([-0.008, -0.003, 0.006])
    assert [line.points[0].value for line in panel.series] == changes


def test_a_wide_band_does_not_flatten_the_line():
    wide = [row(experiment="weights", metric="weight_distance", task="mnli", layer=layer, value=0.1 * layer,
                low=-50.0, high=50.0, band="t of seeds") for layer in range(3)]  # fmt: skip
    (ax,) = figure("weights_by_layer", wide).axes
    low, high = ax.get_ylim()
    assert high - low < 1


def test_an_interval_much_wider_than_its_seeds_is_cut_and_detected():
    shared = {"experiment": "finetuning", "metric": "accuracy", "task": "mnli"}
    seeds = [row(**shared, seed=seed, value=value) for seed, value in enumerate((0.8, 0.81))]
    wide = row(**shared, kind="aggregate", value=0.805, low=0.741, high=0.869, band="t of seeds", confidence=0.95, n=2)
    described = plot("scores_by_task", [*seeds, wide])
    low, high = figure("scores_by_task", [*seeds, wide]).axes[0].get_xlim()
    assert 77 < low < 80, "the axis shows percent"
    assert 81 < high < 84
    assert is_cut(described)
    assert not is_cut(plot("scores_by_task", [*seeds, wide | {"low": 0.8, "high": 0.81}]))


def test_a_legend_is_black_if_each_panel_has_its_own_colour(rows):
    colours = {style.label: style.colour for style in plot("similarity_by_layer", rows).legend()}
    assert (colours["own domain"], colours["random weights"]) == (INK, QUIET)
    assert [style.colour for style in plot("weights_by_layer", rows).legend()] == list(COLOURS[:3])


def test_numbers_on_an_axis_keep_their_digits_on_the_page():
    near = [row(experiment="weights", metric="weight_distance", task="mnli", layer=layer, value=0.985 + 0.0004 * layer)
            for layer in range(4)]  # fmt: skip
    described = plot("weights_by_layer", near)
    svg = themed_svg(draw_panel(described, 0), salt="a", alt="weights")
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
    assert [point.x for point in panel.series[0].points] == [1, 2, 3, 4]
    single = [r for r in rows if r["experiment"] == "attention" and r["member"] is None and r["task"] == "mnli"]
    assert [point.value for point in panel.series[0].points] == [r["value"] for r in single]
    baseline = [*rows, row(experiment="attention", metric="attention_js", variant="random", value=0.7)]
    assert plot("attention_by_layer", baseline).panels[0].series[-1].style.label == "random weights"
    heat_map = plot("attention_heads", rows).panels[0].heat_map
    assert heat_map is not None
    assert (heat_map.rows, heat_map.columns) == ((1, 2, 3, 4), (0, 1, 2, 3))


def test_a_trajectory_keeps_its_first_and_last_checkpoint():
    shared = {"experiment": "trajectories", "metric": "SVCCA", "task": "mnli"}
    many = [row(**shared, k=step, layer=layer) for step in range(0, 101, 5) for layer in (0, 1)]
    (panel,) = plot("trajectories", many).panels
    assert [line.style.label for line in panel.series][:: len(panel.series) - 1] == ["after 0", "after 100"]
    assert len(panel.series) == 6
    assert [line.style.opacity for line in panel.series] == sorted(line.style.opacity for line in panel.series)
    (panel,) = plot("trajectories", many[:2]).panels
    assert [line.style.label for line in panel.series] == ["after 0"]
    assert FIGURES["trajectories_measures"](many) is None


def test_one_layer_and_one_point_are_drawn(tmp_path: Path):
    single = [r for r in study_rows(("mnli",), layers=1, seeds=1) if r["layer"] in (0, None)]
    for name in ("similarity_by_layer", "weights_by_layer", "structural_by_layer"):
        assert figure(name, single).axes
