"""`RevisionScores`: scores of revisions by name, their table, frame and figure."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from pyrepsim.core.errors import OptionError
from pyrepsim.results import RevisionScores, Score, Scores

MEASURES = ("CCA", "SVCCA(variance=0.9)")


def scores_of(name: str, offset: float, *, layers: int = 2, interval: bool = False, pairs: bool = False) -> Scores:
    entries = []
    for layer in range(layers):
        for measure in MEASURES:
            value = offset + 0.1 * layer
            entries.append(
                Score(
                    value,
                    measure,
                    50,
                    interval=(value - 0.05, value + 0.05) if interval else None,
                    layer_x=f"layer.{layer}",
                    layer_y=f"layer.{layer + 1 if pairs else layer}",
                    provenance={"model_x": "m@main", "model_y": f"m@{name}", "revision": name},
                )
            )
    return Scores(entries)


def result(**options: object) -> RevisionScores:
    names = {"step1": 0.1, "step10": 0.5, "step100": 0.5}
    scores = {name: scores_of(name, offset, **options) for name, offset in names.items()}  # type: ignore[arg-type]
    return RevisionScores(scores, "main", [["step10", "step100"]])


def test_it_is_a_mapping_from_revision_to_scores():
    found = result()
    assert list(found) == ["step1", "step10", "step100"]
    assert (len(found), "step1" in found, found.get("step2")) == (3, True, None)
    with pytest.raises(KeyError):
        found["step2"]
    assert found["step10"] == scores_of("step10", 0.5)
    assert list(found.scores) == [score for scores in found.values() for score in scores]
    assert repr(found) == "RevisionScores(3 revisions against main; CCA, SVCCA(variance=0.9))"
    again = pickle.loads(pickle.dumps(found))
    assert (again.scores, again.reference, again.equal_weights) == (found.scores, "main", (("step10", "step100"),))


def test_the_table_has_a_row_for_each_revision_and_layer():
    lines = result().table().splitlines()
    assert lines[0] == "main ~ each revision, n = 50"
    assert lines[1].split("  ")[0] == "revision"
    assert [line.split() for line in lines[3:]] == [
        ["step1", "layer.0", "0.1000", "0.1000"],
        ["step1", "layer.1", "0.2000", "0.2000"],
        ["step10", "layer.0", "0.5000", "0.5000"],
        ["step10", "layer.1", "0.6000", "0.6000"],
        ["step100", "layer.0", "step10", "0.5000", "0.5000"],
        ["step100", "layer.1", "step10", "0.6000", "0.6000"],
    ]
    assert "same weights as" not in RevisionScores(dict(result()), "main").table()
    assert "layer.0 ~ layer.1" in result(pairs=True).table()
    assert "0.1000 [0.0500, 0.1500]" in result(interval=True).table()
    assert "<caption>main ~ each revision" in result()._repr_html_()
    assert str(result()) == result().table()


def test_records_frame_and_files(tmp_path: Path):
    found = result()
    record = found.to_records()[-1]
    assert list(record)[:2] == ["revision", "same_weights_as"]
    assert (record["revision"], record["same_weights_as"], record["model_y"]) == ("step100", "step10", "m@step100")
    assert found.to_csv(tmp_path / "a.csv").read_text().startswith("revision,same_weights_as,measure,")
    pytest.importorskip("pandas")
    frame = found.to_frame()
    assert list(frame.columns)[:4] == ["revision", "same_weights_as", "measure", "model_x"]
    assert frame["value"].dtype == np.float64
    assert frame["same_weights_as"].isna().tolist() == [True] * 8 + [False] * 4
    assert frame.pivot_table(index="revision", columns="layer_x", values="value").shape == (3, 2)


def test_a_figure_has_a_line_for_each_layer_and_a_panel_for_each_measure(tmp_path: Path):
    pytest.importorskip("matplotlib")
    found = result(interval=True)
    figure = found.plot(tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 1000
    assert [ax.get_ylabel() for ax in figure.axes] == ["CCA", "SVCCA"]
    assert [line.get_label() for line in figure.axes[0].get_lines()] == ["layer.0", "layer.1"]
    np.testing.assert_allclose(figure.axes[0].get_lines()[1].get_ydata(), [0.2, 0.6, 0.6])
    assert [text.get_text() for text in figure.axes[-1].get_xticklabels()] == list(found)
    assert figure.axes[0].get_title(loc="left") == "main ~ each revision, n = 50"
    assert [ax.get_legend() is not None for ax in figure.axes] == [True, False]
    assert found.plot(title="").axes[0].get_title(loc="left") == ""


def test_a_figure_in_axes_of_the_caller():
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert result().plot(measure="SVCCA", ax=ax, title="mine") is ax.figure
    assert ax.get_title(loc="left") == "mine"
    with pytest.raises(OptionError, match="2 measures"):
        result().plot(ax=ax)
    with pytest.raises(OptionError, match="A measure must be one of"):
        result().plot(measure="RSA")


def test_a_figure_of_many_layers_goes_from_dark_to_light():
    pytest.importorskip("matplotlib")
    figure = result(layers=33).plot(measure="CCA")
    lines = figure.axes[0].get_lines()
    assert len({line.get_color() for line in lines}) == 33
    named = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert (len(named), named[:2]) == (11, ["layer.0", "layer.3"])


def test_layers_with_several_partners_have_no_figure():
    pytest.importorskip("matplotlib")
    crossed = Scores(
        Score(0.5, "CCA", 50, layer_x=x, layer_y=y) for x in ("layer.0", "layer.1") for y in ("layer.0", "layer.1")
    )
    with pytest.raises(OptionError, match=r"result\[name\].plot"):
        RevisionScores({"a": crossed, "b": crossed}, "b").plot()


def test_a_layer_that_one_revision_lacks_leaves_a_gap():
    pytest.importorskip("matplotlib")
    found = RevisionScores({"a": scores_of("a", 0.1, layers=3), "b": scores_of("b", 0.2)}, "b")
    lines = found.plot(measure="CCA").axes[0].get_lines()
    assert [list(line.get_xdata()) for line in lines] == [[0, 1], [0, 1], [0]]


def test_a_layer_whose_best_partner_changes_has_one_line():
    pytest.importorskip("matplotlib")
    scores = {name: Scores([Score(0.5, "CCA", 9, layer_x="a", layer_y=y)]) for name, y in (("r", "b"), ("s", "c"))}
    (line,) = RevisionScores(scores, "s").plot().axes[0].get_lines()
    assert line.get_label() == "a"
    assert list(line.get_xdata()) == [0, 1]
