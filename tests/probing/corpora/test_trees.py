from __future__ import annotations

import pytest

from pyrepsim.core.errors import TextError
from pyrepsim.probing.corpora import read

from .conftest import File

TREES = """(ROOT (NP (NN Introduction)))

( (S
    (NP-SBJ-1 (DT The) (NN cat))
    (VP (VBD sat)
      (S (NP-SBJ (-NONE- *-1))
        (VP (PRP$ its) (-LRB- -LRB-)))
      (ADVP|PRT=2 (RP and\\/or)))
    (. .)))
"""


def test_constituents(file: File) -> None:
    first, second = read(file("a.ptb", TREES), "constituents")
    assert first["text"] == "Introduction"
    result = [(*one["span1"], one["label"], one["info"]["height"]) for one in first["targets"]]
    assert result == [(0, 1, "ROOT", 3), (0, 1, "NP", 2)]
    assert second["text"] == "The cat sat its ( and/or ."
    result = [(*one["span1"], one["label"], one["info"]["height"]) for one in second["targets"]]
    assert result == [
        (0, 7, "S", 5),
        (0, 2, "NP", 2),
        (2, 6, "VP", 4),
        (3, 5, "S", 3),
        (3, 5, "VP", 2),
        (5, 6, "ADVP", 2),
    ]
    assert [one["info"]["functions"] for one in second["targets"]][1:] == [["SBJ"], [], [], [], ["PRT"]]
    assert second["info"]["where"].endswith("a.ptb:3")


def test_tags(file: File) -> None:
    records = list(read(file("a.mrg", TREES), "pos"))
    assert [one["label"] for one in records[1]["targets"]] == ["DT", "NN", "VBD", "PRP$", "-LRB-", "RP", "."]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("(S (NN a))\n)", 2, "closes none"),
        ("(S (NN a)\n", 1, "open at the end"),
        ("(S\n (NN a b))", 2, r"got \(NN a b\)"),
        ("(S (NN a) b)", 1, "got 'b' alone"),
        ("(S x (NN a))", 1, "one label: got 'S x'"),
        ("(S ())", 1, r"got \(\)"),
    ],
)
def test_invalid_trees(file: File, text: str, line: int, message: str) -> None:
    with pytest.raises(TextError, match=rf"a\.ptb:{line}: .*{message}"):
        list(read(file("a.ptb", text), "constituents"))
