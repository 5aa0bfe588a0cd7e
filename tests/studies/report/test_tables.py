"""Tables of a study: the cells people read, the records programs read, and the files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pyrepsim.studies.report.rows import StudyFiles
from pyrepsim.studies.report.sections import FIGURES
from pyrepsim.studies.report.tables import TABLES, Cell, Table, claims_table, latex, numbers, write_table
from pyrepsim.studies.report.text import effect_in_words, interval, number, spread
from tests.studies.study_rows import COLUMNS, claims, study_rows


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    return study_rows(layers=4)


def text(table: Table) -> list[list[str]]:
    return [[f"{cell.text} {cell.aside} {cell.mark}".strip() for cell in row] for row in table.rows]


def test_edge_probes_have_baselines_and_marks_of_significant_changes(rows):
    table = TABLES["edge"](rows)
    assert table is not None
    assert table.header == ("F1 (%)", "lexical baseline", "before fine-tuning", "tuned on MNLI", "tuned on SQuAD",
                            "tuned on parsing", "random-encoder baseline")  # fmt: skip
    first = table.rows[0]
    assert (first[0].text, first[1].text) == ("Part of speech", "88.4")
    assert [cell.mark for cell in first] == ["", "", "", "lost", "lost", "gained", ""]
    assert [cell.mark for cell in table.rows[1]] == ["", "", "", "lost", "unchanged", "gained", ""]
    assert first[2].aside == "±0.3"
    assert "the mix of layers 0 to 4" in table.note
    assert "normal approximation (n = 25,049)" in table.note


def test_structural_probes_have_their_best_layer_and_the_top(rows):
    table = TABLES["structural"](rows)
    assert table is not None
    assert [name for name, _ in table.groups] == ["", "UUAS", "DSpr.", "root accuracy", "NSpr."]
    base = {
        (r["metric"], r["layer"]): r["value"] for r in rows if r["variant"] == "base" and r["probe"] == "structural"
    }
    best = max(range(5), key=lambda layer: base["uuas", layer])
    assert table.rows[0][1] == Cell(f"{100 * base['uuas', best]:.1f}", f"±1.0 at {best}")
    assert table.rows[0][2].text == f"{100 * base['uuas', 4]:.1f}"
    only = [r for r in rows if r["member"] != "best"]
    assert TABLES["structural"](only).rows[0][:3] == table.rows[0][:3]


def test_scores_have_their_mean_and_every_seed(rows):
    table = TABLES["scores"](rows)
    assert table is not None
    assert table.header == ("task", "score (%)", "mean", "seed 0", "seed 1")
    assert [row[1].text for row in table.rows] == ["accuracy", "F1", "exact match", "LAS", "UAS"]
    assert len(table.records) == 5 * 3
    assert table.note == "Bands: 95 % t intervals over 2 seeds."


def test_statistics_of_curves_have_a_table(rows):
    shared = {"experiment": "similarity", "variant": "tuned", "task": "mnli", "seed": 0, "corpus": "mnli-dev", "n": 32,
            "form": "sentences", "band": "jackknife of documents", "kind": "value"}  # fmt: skip
    one = dict.fromkeys(COLUMNS) | shared | {"metric": "centre of change: RSA", "value": 8.1, "low": 7.9, "high": 8.3}
    assert TABLES["depth"](rows) is None
    table = TABLES["depth"]([*rows, one])
    assert table is not None
    assert text(table) == [["centre of change (RSA)", "mnli-dev, sentences", "8.10 ±0.20"]]


def test_no_rows_no_tables():
    assert [name for name, lay_out in TABLES.items() if lay_out([]) is not None] == []
    assert claims_table(StudyFiles({}, [], [], "")) is None


def test_the_numbers_of_a_figure_are_those_drawn(rows):
    plot = FIGURES["similarity_by_layer"](rows)
    assert plot is not None
    table = numbers(plot)
    assert [row[0].text for row in table.rows] == ["0", "1", "2", "3", "4"]
    assert sum(span for _, span in table.groups) == len(table.header)
    assert [r["value"] for r in table.records] == [point.value for point in plot.points()]
    assert all(len(cell.text) == 5 for row in table.rows for cell in row[1:]), "a column has one number of digits"


@pytest.mark.parametrize(
    ("value", "words"), [(84.3567, "84.4"), (2.345, "2.35"), (0.9996, "1.000"), (-0.05, "−0.0500"), (12345.6, "12,346"),
                         (0.0, "0.00000"), (0.002, "0.00200")],
)  # fmt: skip
def test_digits_suit_the_number(value: float, words: str):
    assert number(value) in (words, f"{value:.2f}")


def test_a_symmetric_interval_is_written_with_plus_minus():
    assert spread(96.5, 96.2, 96.8) == "±0.3"
    assert spread(96.5, 90.0, 97.0) == "[90.0, 97.0]"
    assert spread(96.5, None, 97.0) == interval(None, 1.0) == ""
    assert interval(-0.1, 0.25, 2, signed=True) == "[−0.10, +0.25]"


def test_files_hold_what_the_table_holds(rows, tmp_path: Path):
    table = claims_table(StudyFiles({}, [], claims(), ""))
    assert table is not None
    with write_table(table, tmp_path / "claims.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert [(row["claim"], row["verdict"]) for row in read] == [(c["claim"], c["verdict"]) for c in claims()]
    assert float(read[1]["effect"]) == 0.312
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    edge = TABLES["edge"](rows)
    assert edge is not None
    frame = pd.read_parquet(write_table(edge, tmp_path / "edge.parquet"))
    assert len(frame) == len(edge.records)
    assert set(frame.verdict) == {"", "gained", "lost", "unchanged"}


def test_score_differences_of_claims_are_shown_in_points_whatever_their_unit_is_called():
    effect = {"effect": 0.0042, "low": -0.001, "high": 0.01}
    points = effect_in_words(effect, {"unit": "score lost", "in_points": True})
    assert points == ("+0.42", "[−0.10, +1.00]", "score lost (points)")
    assert effect_in_words(effect, {"unit": "share, as a fraction"})[2] == "share, as a fraction"


def test_latex_needs_booktabs_alone_and_escapes_the_rest(rows):
    table = TABLES["structural"](rows)
    assert table is not None
    tex = latex(table)
    assert r"\multicolumn{2}{c}{UUAS}" in tex
    assert r"\cmidrule(lr){2-3}" in tex
    assert tex.count(r"\\") == 2 + len(table.rows)
    lines = [line for line in tex.splitlines() if line.endswith(r"\\") and "multicolumn" not in line]
    assert {line.count("&") for line in lines} == {len(table.header) - 1}
    hostile = Table("t", "100 %", ("a_b", "c"), ((Cell(r"\input{x} & #1 $y$ ~^"), Cell("−1", "±2", "lost")),), [])
    tex = latex(hostile)
    assert r"\textbackslash{}input\{x\} \& \#1 \$y\$ \textasciitilde{}\textasciicircum{}" in tex
    assert r"$-$1 $\downarrow$ $\pm$2 \\" in tex
    assert r"% 100 \%" in tex
