"""Reading SQuAD: questions, their locations, and errors."""

from __future__ import annotations

import copy
import json
import re

import pytest

from pyrepsim.core.errors import OptionError, TextError
from pyrepsim.finetuning.tasks.squad import Squad
from tests.helpers.squad_files import NILE, question, squad_json, two_paragraphs, written


def test_questions_come_in_order_with_their_locations(tmp_path):
    path = written(tmp_path, two_paragraphs())
    examples = Squad().read(path)
    assert [example.id for example in examples] == ["n1", "n2", "n3", "b1", "b2", "b3"]
    assert examples[1].where == f"{path}: data[0].paragraphs[0].qas[1] (id 'n2')"
    assert examples[4].where == f"{path}: data[0].paragraphs[1].qas[1] (id 'b2')"
    assert [answer.text for answer in examples[1].answers] == ["6,650 km", "about 4,130 miles", "6,650"]
    for example in examples:
        for answer in example.answers:
            assert example.context[answer.start :][: len(answer.text)] == answer.text


def test_a_byte_order_mark_is_ignored(tmp_path):
    path = tmp_path / "squad.json"
    path.write_text(json.dumps(two_paragraphs()), encoding="utf-8-sig")
    assert len(Squad().read(path)) == 6


def _content(change):
    content = copy.deepcopy(two_paragraphs())
    change(content["data"][0]["paragraphs"])
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[0].update(context="  "), r"context must not be empty: .*paragraphs\[0\]\.qas\[0\] \(id 'n1'\)"),
        (lambda p: p[1]["qas"][2].update(question=" \n"), r"question must not be empty: .*qas\[2\] \(id 'b3'\)"),
        (
            lambda p: p[1]["qas"][0].update(id="n2"),
            r"paragraphs\[1\]\.qas\[0\] \(id 'n2'\) has that of .*\[0\]\.qas\[1\]",
        ),
        (lambda p: p[0]["qas"][1].update(answers=[]), r"qas\[1\] \(id 'n2'\) has no answer, as in SQuAD 2\.0"),
        (lambda p: p[0]["qas"][1].update(is_impossible=True), r"qas\[1\] \(id 'n2'\) has no answer, as in SQuAD 2\.0"),
        (lambda p: p[0]["qas"][1].pop("answers"), r"'answers', of type list, in .*qas\[1\] \(id 'n2'\): there is none"),
        (lambda p: p[0]["qas"][0].update(id=7), r"'id', of type str, in .*paragraphs\[0\]\.qas\[0\]: 'id' is a int"),
        (lambda p: p[1].pop("qas"), r"'qas', of type list, in .*paragraphs\[1\]: there is none"),
        (lambda p: p[0]["qas"][0].update(answers=["Egypt"]), r"'text', of type str, in .*\(id 'n1'\): there is none"),
        (lambda p: p[0]["qas"][0]["answers"][0].update(text=" ", answer_start=3), r"answer must not be empty: .*'n1'"),
    ],
)
def test_an_invalid_question_is_named_with_its_location(tmp_path, change, message):
    with pytest.raises(TextError, match=message) as raised:
        Squad().read(written(tmp_path, _content(change)))
    assert "squad.json" in str(raised.value)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"data": [', "must be JSON: .*line 1"),
        (b"[1, 2]", "'data', of type list, in .*: there is none"),
        (b'{"data": {}}', "'data' is a dict"),
        (b'{"data": []}', "at least one article"),
        (b'{"data": "\xff"}', "must be UTF-8: byte 10"),
    ],
)
def test_files_that_are_not_squad(tmp_path, raw, message):
    path = tmp_path / "other.json"
    path.write_bytes(raw)
    with pytest.raises(TextError, match=message):
        Squad().read(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(TextError, match=r"nowhere\.json must be a readable file: No such file"):
        Squad().read(tmp_path / "nowhere.json")


TWICE = "red blue red blue red"


def _off(text, start):
    items = [question("a", "Which?", TWICE, "blue", start=4), question("b", "Which?", TWICE, text, start=start)]
    return squad_json((TWICE, items))


def test_a_misplaced_answer_is_an_error_unless_chosen_otherwise(tmp_path):
    message = r"qas\[1\] \(id 'b'\) has 'red' at 10, where the context has 'ed '; it is at 0\..*misplaced='nearest'"
    with pytest.raises(TextError, match=message):
        Squad().read(written(tmp_path, _off("red", 10)))
    with pytest.raises(TextError, match=r"has 'green' at 0.*nowhere in it\..*misplaced='drop'"):
        Squad().read(written(tmp_path, _off("green", 0)))


@pytest.mark.parametrize(("given", "true"), [(-1, 0), (3, 0), (5, 9), (10, 9), (13, 9), (14, 18), (99, 18)])
def test_nearest_moves_to_the_closest_occurrence(tmp_path, caplog, given, true):
    examples = Squad(misplaced="nearest").read(written(tmp_path, _off("red", given)))
    (record,) = caplog.records
    assert re.search(r"1 of 2 answers .* moved .*; 2 of 2 questions are kept", record.getMessage())
    assert [answer.start for example in examples for answer in example.answers] == [4, true]


def test_nearest_needs_an_occurrence(tmp_path):
    with pytest.raises(TextError, match=r"has 'green' at 0.*misplaced='drop'"):
        Squad(misplaced="nearest").read(written(tmp_path, _off("green", 0)))


def test_drop_leaves_out_answers_and_questions_without_any(tmp_path, caplog):
    content = _off("red", 10)
    content["data"][0]["paragraphs"][0]["qas"][0]["answers"].append({"text": "red", "answer_start": 1})
    examples = Squad(misplaced="drop").read(written(tmp_path, content))
    (record,) = caplog.records
    assert re.search(r"2 of 3 answers .* left out; 1 of 2 questions are kept", record.getMessage())
    assert [(example.id, [answer.start for answer in example.answers]) for example in examples] == [("a", [4])]


def test_records_of_the_hub_give_the_same_questions(tmp_path, monkeypatch):
    examples = Squad().read(written(tmp_path, two_paragraphs()))
    _serve(
        monkeypatch,
        [
            {
                "id": example.id,
                "title": "",
                "context": example.context,
                "question": example.question,
                "answers": {
                    "text": [answer.text for answer in example.answers],
                    "answer_start": [answer.start for answer in example.answers],
                },
            }
            for example in examples
        ],
    )
    result = Squad().read(Squad.hub["dev"])
    assert [(x.id, x.context, x.question, x.answers) for x in result] == [
        (x.id, x.context, x.question, x.answers) for x in examples
    ]
    assert result[2].where == "hub:rajpurkar/squad:plain_text:validation:2 (id 'n3')"


def test_the_hubs_impossible_questions_are_refused(monkeypatch):
    nothing = {"text": [], "answer_start": []}
    _serve(monkeypatch, [{"id": "x", "context": NILE, "question": "Why?", "answers": nothing}])
    with pytest.raises(TextError, match=r":0 \(id 'x'\) has no answer, as in SQuAD 2\.0"):
        Squad().read("hub:rajpurkar/squad_v2")


def _serve(monkeypatch, records):
    """A data set of the hub, without the hub."""
    from datasets import Dataset

    dataset = Dataset.from_list(records)
    monkeypatch.setattr("pyrepsim.data.hub.load_split", lambda *names, **remedies: dataset)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"doc_stride": 0}, "doc_stride must be at least 1: got 0"),
        ({"max_query": -1}, "max_query must be at least 1"),
        ({"n_best": 0}, "n_best must be at least 1"),
        ({"max_answer": 0}, "max_answer must be at least 1"),
        ({"misplaced": "move"}, "misplaced must be one of error, nearest, drop: got 'move'"),
    ],
)
def test_options_have_bounds(options, message):
    with pytest.raises(OptionError, match=message):
        Squad(**options)
