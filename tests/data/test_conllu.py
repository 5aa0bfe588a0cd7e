"""CoNLL-U: words, ranges, empty nodes, and invalid sentences named with file, line and sentence."""

from __future__ import annotations

import pytest

from pyrepsim.core.errors import TextError
from pyrepsim.data.conllu import parse_conllu, read_conllu, with_tree
from tests.helpers.treebank import TREEBANK, conllu, write_treebank


def test_words_trees_and_locations(tmp_path):
    path = write_treebank(tmp_path)
    first, second, third = read_conllu(path)
    assert first.words == ("The", "river", "flows", ".")
    assert first.heads == (2, 3, 0, 3)
    assert first.relations == ("det", "nsubj", "root", "punct")
    assert first.upos == ("DET", "NOUN", "VERB", "PUNCT")
    assert first.xpos == ("_", "_", "_", ".")
    assert (first.sent_id, first.text, first.where) == ("s1", "The river flows.", f"{path}:3")
    assert third.sent_id == ""
    assert third.where == f"{path}:17"
    assert TREEBANK.splitlines()[16].startswith("1\tunplayable")
    assert second.words == ("Keys", "do", "n't", "run")


def test_ranges_and_empty_nodes_are_counted_apart_from_words(tmp_path):
    first, second, _ = read_conllu(write_treebank(tmp_path))
    assert (first.ranges, first.empty_nodes) == ((), 0)
    assert (second.ranges, second.empty_nodes) == (((2, 3, "don't"),), 1)
    assert second.heads == (4, 4, 4, 0)


def test_line_ends_and_a_missing_last_line(tmp_path):
    expected = [sentence.words for sentence in read_conllu(write_treebank(tmp_path))]
    path = tmp_path / "windows.conllu"
    path.write_bytes(
        b"\xef\xbb\xbf" + TREEBANK.rstrip("\n").replace("\n", "\r\n").replace("\r\n\r\n", "\r\n\r\n\r\n").encode()
    )
    assert [sentence.words for sentence in read_conllu(path)] == expected


def test_lines_with_another_tree(tmp_path):
    _, second, _ = read_conllu(write_treebank(tmp_path))
    lines = with_tree(second, [0, 1, 1, 1], ["root", "a", "b", "c"])
    assert lines[:2] == ["# sent_id = s2", "# text = Keys don't run"]
    assert "2-3\tdon't\tdon't\t_\t_\t_\t_\t_\t_\t_" in lines
    assert not any(line.startswith("4.1") for line in lines)
    (again,) = parse_conllu(enumerate(lines, start=1), "again")
    assert (again.heads, again.relations) == ((0, 1, 1, 1), ("root", "a", "b", "c"))
    assert (again.words, again.upos, again.ranges) == (second.words, second.upos, second.ranges)


ROWS = ["1 a X 2 det", "2 b X 0 root", "3 c X 2 obj"]


@pytest.mark.parametrize(
    ("rows", "line", "rule"),
    [
        (["1 a X 2 det", "2 b X 3 obj", "3 c X 2 obj"], 4, "no cycle: word 2"),
        (["1 a X 1 det", *ROWS[1:]], 3, "no cycle: word 1"),
        ([ROWS[0], ROWS[1], "3 c X 0 root"], 5, "one root: words 2, 3"),
        (["1 a X 4 det", *ROWS[1:]], 3, "word 1 has 4"),
        (["1 a X -1 det", *ROWS[1:]], 3, "word 1 has -1"),
        ([ROWS[0], "2 b X _ root", ROWS[2]], 4, "word 2 has '_'"),
        ([ROWS[0], "2 b X x root", ROWS[2]], 4, "Ids and heads must be numbers"),
        ([ROWS[0], "x b X 0 root", ROWS[2]], 4, "Ids and heads must be numbers"),
        ([ROWS[0], "_ b X 0 root", ROWS[2]], 4, "must have an id"),
        ([ROWS[0], ROWS[2]], 4, "got 3 after 1"),
        (["1-2 ab _ _ _"], 3, "at least one word"),
        ([*ROWS, "4-5 cd _ _ _"], 6, "got (4, 5)"),
        ([*ROWS[:2], "2-3 bc _ _ _", ROWS[2]], 5, "got 2-3"),
        (["1-3 abc _ _ _", ROWS[0], "2-3 bc _ _ _", *ROWS[1:]], 5, "got 2-3"),
        (["2-1 ba _ _ _", *ROWS], 3, "Ids and heads must be numbers"),
    ],
)
def test_an_invalid_sentence_is_named_with_its_line(tmp_path, rows, line, rule):
    path = write_treebank(tmp_path, "\n" + conllu(*rows, comments=("sent_id = here",)))
    with pytest.raises(TextError) as caught:
        read_conllu(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ")
    assert rule in message
    assert message.endswith("Sentence: here.")


def test_the_number_of_columns(tmp_path):
    path = write_treebank(tmp_path, conllu(*ROWS) + "1\ta\t_\n\n")
    with pytest.raises(
        TextError,
        match=r"dev.conllu:5: A line of CoNLL-U must have 10 columns, .* got 3. Sentence: number 2 of",
    ):
        read_conllu(path)


def test_files_that_are_not_a_treebank(tmp_path):
    with pytest.raises(TextError, match="absent"):
        read_conllu(tmp_path / "absent.conllu")
    with pytest.raises(TextError, match="at least one sentence"):
        read_conllu(write_treebank(tmp_path, "\n\n"))
    path = tmp_path / "latin.conllu"
    path.write_bytes(conllu("1 caf\xe9 X 0 root").encode("latin-1"))
    with pytest.raises(TextError, match="latin.conllu:1"):
        read_conllu(path)


def test_a_data_set_of_the_hub(monkeypatch):
    record = {
        "sent_id": "s2",
        "text": "Keys don't run",
        "tokens": ["Keys", "don't", "do", "n't", "run"],
        "upos": ["NOUN", "_", "AUX", "PART", "VERB"],
        "xpos": [None, None, "VBP", "RB", "VB"],
        "feats": ["{'Number': 'Plur'}", "None", "None", "None", "None"],
        "head": ["4", "None", "4", "4", "0"],
        "deprel": ["nsubj", "_", "aux", "advmod", "root"],
    }
    broken = {**record, "head": ["4", "None", "4", "4", "9"]}
    data = {"good": [record], "broken": [broken], "other": [{"sentence": "Keys"}]}
    monkeypatch.setattr(
        "pyrepsim.data.conllu.hub_records",
        lambda source: ((f"{source}:{i}", row) for i, row in enumerate(data[source.removeprefix("hub:")])),
    )
    (sentence,) = read_conllu("hub:good")
    assert (sentence.words, sentence.heads) == (("Keys", "do", "n't", "run"), (4, 4, 4, 0))
    assert (sentence.xpos, sentence.where, sentence.sent_id) == (("_", "VBP", "RB", "VB"), "hub:good:0", "s2")
    assert next(iter(parse_conllu(enumerate(sentence.lines, 1), "again"))).upos == sentence.upos
    with pytest.raises(TextError, match=r"hub:broken:0.*word 4 has 9.*s2"):
        read_conllu("hub:broken")
    with pytest.raises(TextError, match="hub:other:0.*'tokens'"):
        read_conllu("hub:other")


def test_the_english_web_treebank(shared_data):
    sentences = read_conllu(shared_data / "ud_ewt" / "en_ewt-ud-dev.conllu")
    assert (len(sentences), sum(len(sentence.words) for sentence in sentences)) == (2001, 25147)
    assert (sum(len(s.ranges) for s in sentences), sum(s.empty_nodes for s in sentences)) == (359, 4)
