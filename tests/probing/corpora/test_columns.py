from __future__ import annotations

import pytest

from pyrepsim.core.errors import TextError
from pyrepsim.probing.corpora import read

from .conftest import File, columns

PROPBANK = "# sent_id = p1\n" + columns(
    "doc 0 0 She PRP (TOP(S(NP-SBJ*) - - (ARG0*) (ARG0*)",
    "doc 0 1 tried VBD (VP* try try.01 (V*) *",
    "doc 0 2 to TO (S(VP* - - (ARG1* *",
    "doc 0 3 flip VB (VP* - - * (V*",
    "doc 0 4 flop VB *)))))) flop flop.01 *) *)",
)
CONLL_2012 = (
    "#begin document (bc/x); part 003\n"
    + columns(
        "bc/x 3 0 Ann NNP (TOP(S(NP* - - - A (PERSON* (ARG0* (12|(5",
        "bc/x 3 1 Lee NNP *) - - - A *) *) 5)",
        "bc/x 3 2 left VBD (VP* leave 01 1 A * (V*) -",
        "bc/x 3 3 Rome NNP (NP*) - - - A (GPE) (ARG1*) (7)",
        "bc/x 3 4 her PRP *))) - - - A * (R-ARG1*) (5)|12)",
        tab="   ",
    )
    + "#end document\n"
)


def spans(targets: list) -> list:
    return [(*one["span1"], *one.get("span2", ()), one["label"]) for one in targets]


def test_frames_of_propbank(file: File) -> None:
    path = file("dev.gold_conll", PROPBANK)
    records = read(path, "srl")
    first, second = records
    assert first["text"] == second["text"] == "She tried to flip flop"
    assert spans(first["targets"]) == [(1, 2, 0, 1, "ARG0"), (1, 2, 2, 5, "ARG1")]
    assert spans(second["targets"]) == [(3, 5, 0, 1, "ARG0")]
    origin = {"source": "PropBank", "where": f"{path}:2", "sentence": "p1", "document": "doc"}
    assert first["info"] == {**origin, "lemma": "try", "roleset": "try.01"}
    assert second["info"] == {**origin, "lemma": "flop", "roleset": "flop.01"}
    assert records.counts == {"sentences": 1, "frames": 2, "records": 2, "tokens": 10, "targets": 3}


def test_frames_without_arguments_are_counted(file: File) -> None:
    lonely = columns("doc 0 0 Go VB (TOP(VP*)) go go.01 (V*)")
    records = read(file("dev.gold_conll", PROPBANK + lonely), "srl")
    assert len(list(records)) == 2
    assert records.counts["without targets"] == 1


def test_constituents_and_tags_of_parse_bits(file: File) -> None:
    path = file("dev.gold_conll", PROPBANK)
    (record,) = read(path, "constituents")
    result = [(*one["span1"], one["label"], one["info"]["height"]) for one in record["targets"]]
    assert result == [
        (0, 5, "TOP", 7),
        (0, 5, "S", 6),
        (0, 1, "NP", 2),
        (1, 5, "VP", 5),
        (2, 5, "S", 4),
        (2, 5, "VP", 3),
        (3, 5, "VP", 2),
    ]
    assert record["targets"][2]["info"]["functions"] == ["SBJ"]
    (record,) = read(path, "pos")
    assert [one["label"] for one in record["targets"]] == ["PRP", "VBD", "TO", "VB", "VB"]


def test_conll_2012(file: File) -> None:
    path = file("x.v4_gold_conll", CONLL_2012)
    (record,) = read(path, "entities")
    assert spans(record["targets"]) == [(0, 2, "PERSON"), (3, 4, "GPE")]
    assert record["info"] == {"source": "CoNLL-2012", "where": f"{path}:2", "sentence": "bc/x/3/0", "document": "bc/x"}
    (record,) = read(path, "srl")
    assert spans(record["targets"]) == [(2, 3, 0, 2, "ARG0"), (2, 3, 3, 4, "ARG1"), (2, 3, 4, 5, "R-ARG1")]
    assert record["info"]["lemma"] == "leave"
    (record,) = read(path, "coref")
    assert [(*one["span1"], *one["span2"]) for one in record["targets"] if one["label"] == "1"] == [(0, 2, 4, 5)]
    assert len(record["targets"]) == 6  # of four mentions
    (record,) = read(path, "constituents")
    assert spans(record["targets"]) == [(0, 5, "TOP"), (0, 5, "S"), (0, 2, "NP"), (2, 5, "VP"), (3, 4, "NP")]
    assert len(next(read(path, "pos"))["targets"]) == 5


def test_one_word_may_open_and_close_other_mentions(file: File) -> None:
    text = CONLL_2012.replace("(12|(5", "(5").replace(")   5)\n", ")   (12|5)\n")
    (record,) = read(file("x.conll", text), "coref")
    assert (0, 2, 1, 5, "0") in spans(record["targets"])


@pytest.mark.parametrize(
    ("task", "old", "new", "line", "message"),
    [
        ("srl", "try.01\t(V*)\t*", "try.01\t(V*)", 3, "same number of columns: got 9 after 10"),
        ("srl", "try\ttry.01", "try\t-", 2, "got 10 with 1 rolesets"),
        ("srl", "doc\t0\t2", "doc\t0\t3", 4, "numbered 0, 1, 2"),
        ("srl", "(ARG1*", "(ARG1(ARG2*", 4, "must not overlap"),
        ("srl", "-\t*\t(V*\n", "-\t(ARG2*)\t(V*\n", 5, "opens inside .ARG1"),
        ("srl", "*)\t*)", "*\t*)", 4, "is not. Add its"),
        ("srl", "(ARG0*)\t(ARG0*)", "*)\t(ARG0*)", 2, "with none open"),
        ("srl", "(V*)", "*", 2, "column 9 has only arguments"),
        ("constituents", "*))))))", "*)))))))", 6, "closes one that is not open"),
        ("constituents", "*))))))", "*)))))", 2, "TOP is not closed"),
        ("constituents", "(VP*", "VP", 3, "parse bit"),
    ],
)
def test_invalid_propbank(file: File, task: str, old: str, new: str, line: int, message: str) -> None:
    assert old in PROPBANK
    path = file("dev.gold_conll", PROPBANK.replace(old, new, 1))
    with pytest.raises(TextError, match=rf"dev\.gold_conll:{line}: .*{message}"):
        list(read(path, task))


def test_withheld_words(file: File) -> None:
    text = PROPBANK
    for word in ("She", "tried", "to", "flip", "flop"):
        text = text.replace(f"\t{word}\t", "\t[WORD]\t", 1)
    with pytest.raises(TextError, match="withholds them"):
        list(read(file("dev.gold_conll", text), "pos"))


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [("(7)", "(7", 5, "is not"), ("   5)\n", "   6)\n", 3, "6. was not"), ("(7)", "(7))", 5, "got '.7..'")],
)
def test_invalid_coreference(file: File, old: str, new: str, line: int, message: str) -> None:
    with pytest.raises(TextError, match=rf"x\.conll:{line}: .*{message}"):
        list(read(file("x.conll", CONLL_2012.replace(old, new, 1)), "coref"))


def test_too_few_columns(file: File) -> None:
    path = file("x.conll", "#begin document (a); part 000\na 0 0 w NN * - -\n")
    with pytest.raises(TextError, match=r"x\.conll:2: CoNLL-2012 must have 11 columns.*got 8"):
        list(read(path, "pos"))
