"""Names with control characters or formulas: tables, pages, figures and files are safe to open."""

from __future__ import annotations

import csv
import io
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from pyrepsim.core.errors import OptionError
from pyrepsim.core.progress import progress_bar
from pyrepsim.core.text import printable
from pyrepsim.results import Score, Scores
from pyrepsim.results.page import page
from pyrepsim.results.tables import Table, TextTable, write_csv

# C0, C1, ends of lines, marks of direction, halves of surrogate pairs, and what XML forbids
CONTROLS = [*map(chr, range(32)), "\x7f", "\x85", "\x9b", *"\u2028\u2029\u202a\u202b\u202c\u202d\u202e"]
CONTROLS += [*"\u2066\u2067\u2068\u2069\u200e\u200f\u061c\ufeff\ufffe\uffff", "\ud83d", "\udc80"]
SHORT = "a\x1b\x08\u202e\ud83d\uffff<b>"
NAME = "bert" + "".join(CONTROLS) + "<b>&amp;"


def scores(name: str = NAME) -> Scores:
    layers = [f"layer.{i}{name}" for i in range(3)]
    models = {"model_x": name, "model_y": f"runs/{name}", "note": name}
    return Scores(
        Score(0.5 + i / 10, "CKA", 10, layer_x=layer, layer_y=layer, details={name: name}, provenance=models)
        for i, layer in enumerate(layers)
    )


def is_plain(text: str, *, allowed: str = "\n") -> bool:
    return not any(letter in text for letter in CONTROLS if letter not in allowed)


@pytest.mark.parametrize("control", CONTROLS)
def test_each_control_character_is_written_as_python_writes_it(control: str):
    escaped = printable(f"a{control}b")
    assert is_plain(escaped, allowed="")
    assert escaped == "a" + control.encode("unicode_escape").decode() + "b"
    assert printable(f"a{control}b", keep=control) == f"a{control}b"


def test_other_letters_stay():
    text = "größe 模型 \u00a0 \U0001f469\u200d\U0001f52c \\x1b ~"
    assert printable(text) == text


def test_messages_are_escaped():
    error = OptionError(f"No layer {NAME}.\nChoose another.")
    assert is_plain(str(error))
    assert "\\x1b" in str(error)


def test_tables_and_reprs_are_escaped():
    ours = scores()
    for text in (ours.table(), repr(ours[0]), repr(ours), Table([{NAME: NAME}]).table(), repr(Table([{NAME: 1}]))):
        assert is_plain(text)
        assert "\\x1b" in text or text == repr(ours)
    lines = TextTable(("layer", "CKA"), (("a\nb", "1"), ("c", "2")), "x\ny").text().split("\n")
    assert lines == ["x\\ny", "layer  CKA", "-----  ---", "a\\nb     1", "c        2"]


def test_progress_bars_are_escaped():
    with progress_bar(1, True, desc="read \x1b[2J") as bar:
        assert bar.desc == "read \\x1b[2J"


def test_pages_are_escaped():
    pytest.importorskip("jinja2")
    for text in (
        page(scores(SHORT), title=NAME),
        scores()[0]._repr_html_(),
        TextTable((NAME,), ((NAME,),), NAME).html(),
    ):
        assert is_plain(text, allowed="\n\t")
        HTMLParser().feed(text)


def test_figures_are_well_formed(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "layers.svg"
    scores(SHORT).plot(path)
    text = path.read_text(encoding="utf-8")
    assert is_plain(text, allowed="\n\t")
    assert "\\x1b" in text
    ET.fromstring(text)
    assert scores(SHORT).plot(tmp_path / "layers.png") is not None


FORMULAS = ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "=cmd|' /C calc'!A0", "\uff1d1", "-"]


def test_csv_cells_are_no_formulas(tmp_path):
    records = [{"name": text, text: 0.5, "value": -1.5, "n": -3, "none": None} for text in FORMULAS]
    path = Table(records).to_csv(tmp_path / "a.csv")
    header, *rows = csv.reader(io.StringIO(path.read_bytes().decode()))
    start = "=+-@\t\r\n\uff1d"
    for row in (header, *rows):
        assert not [cell for cell in row if cell.startswith(tuple(start)) and not cell.startswith(("-1.5", "-3"))]
    assert [row[0].removeprefix("'") for row in rows] == FORMULAS
    assert {row[header.index("value")] for row in rows} == {"-1.5"}
    assert {row[header.index("n")] for row in rows} == {"-3"}
    assert {row[header.index("none")] for row in rows} == {""}
    assert {name.removeprefix("'") for name in header} == {"name", "value", "n", "none", *FORMULAS}


def test_csv_of_other_tables(tmp_path):
    path = write_csv(tmp_path / "a.csv", ["where"], [{"where": "=A1", "more": 1}])
    assert path.read_text() == "where\n'=A1\n"
