"""Scores of each item: from predictions of every task, in the folder of a run, and paired differences of two runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrepsim.core.errors import CorruptStoreError, ModelError, OptionError, RowMismatchError
from pyrepsim.data.conllu import Sentence
from pyrepsim.data.squad import GoldAnswer, SquadExample
from pyrepsim.data.tagged import TaggedSentence
from pyrepsim.finetuning.evaluation import evaluate
from pyrepsim.finetuning.items import ItemScores, mean_items, paired_difference, read_items
from pyrepsim.finetuning.tasks import get_task
from pyrepsim.finetuning.tasks.dependency import Parse
from pyrepsim.finetuning.tasks.sequence import SequenceExample
from pyrepsim.finetuning.tasks.squad import Answer

T_1 = 12.706204736174698
T_2 = 4.302652729749464  # of 2 degrees of freedom, two-sided 95 %


def items(scores: list[float], groups: list[int], sizes: list[float] | None = None) -> ItemScores:
    each = np.ones(len(scores)) if sizes is None else np.array(sizes)
    return ItemScores({"las": np.array(scores, dtype=float)}, each, np.array(groups))


def test_a_paired_difference_is_a_ratio_of_sums_with_the_jackknife_over_groups():
    """By hand: groups lose 2 of 4, 0 of 2 and 1 of 3 words; without each of them 1/5, 3/7 and 2/6 are lost."""
    first = items([3, 1, 2, 2], [0, 0, 1, 2], [3, 1, 2, 3])
    second = items([1, 1, 2, 1], [0, 0, 1, 2], [3, 1, 2, 3])
    found = paired_difference(first, second, "las")
    left = [1 / 5, 3 / 7, 2 / 6]
    mean = sum(left) / 3
    half = T_2 * math.sqrt(2 / 3 * sum((one - mean) ** 2 for one in left))
    assert found.value == pytest.approx(3 / 9, abs=1e-15)
    assert (found.low, found.high) == pytest.approx((3 / 9 - half, 3 / 9 + half), abs=1e-12)
    assert (found.n_items, found.n_groups) == (4, 3)
    turned = paired_difference(second, first, "las")
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low), abs=1e-12)


def test_groups_of_one_item_give_the_standard_error_of_the_mean():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 400))
    found = paired_difference(items(list(a), list(range(400))), items(list(b), list(range(400))), "las")
    error = np.std(a - b, ddof=1) / math.sqrt(400)
    assert found.high - found.value == pytest.approx(1.9659272959735 * error, rel=1e-9)


def test_an_interval_needs_two_groups():
    found = paired_difference(items([1, 1], [0, 0]), items([0, 1], [0, 0]), "las")
    assert found[:3] == (0.5, None, None)
    two = paired_difference(items([1, 1], [0, 1]), items([0, 1], [0, 1]), "las")
    half = T_1 * 0.5  # SE^2 = 1 / 2 (0.25 + 0.25) of the values 0 and 1
    assert two[:3] == pytest.approx((0.5, 0.5 - half, 0.5 + half), abs=1e-9)
    empty = paired_difference(items([1, 0], [0, 1], [2, 0]), items([0, 0], [0, 1], [2, 0]), "las")
    assert empty[:3] == (0.5, None, None)  # without the first group no word remains


@pytest.mark.parametrize("other", [items([1.0], [0]), items([1, 1], [0, 0]), items([1, 1], [0, 1], [1, 2])])
def test_other_items_are_refused(other: ItemScores):
    with pytest.raises(RowMismatchError, match="same items"):
        paired_difference(items([1, 0], [0, 1]), other, "las")


def test_means_over_runs():
    found = mean_items([items([1, 0, 2], [0, 0, 1], [1, 1, 2]), items([1, 1, 0], [0, 0, 1], [1, 1, 2])])
    assert (found.scores["las"].tolist(), found.sizes.tolist(), found.groups.tolist()) == (
        [1, 0.5, 1],
        [1, 1, 2],
        [0, 0, 1],
    )
    assert found.score("las") == 2.5 / 4
    with pytest.raises(RowMismatchError, match="same items"):
        mean_items([items([1, 0], [0, 1]), items([1, 0], [0, 0])])


def test_an_unknown_metric_is_refused():
    with pytest.raises(OptionError, match="one of las: got 'f1'"):
        items([1], [0]).score("f1")


# --- the tasks ------------------------------------------------------------------------------------------------------


def test_pairs_with_one_premise_are_a_group():
    task = get_task("mnli")
    pairs = [("p", "h", "neutral"), ("q", "h", "neutral"), ("p", "g", "entailment")]
    examples = [SequenceExample(first, second, label, "x:1") for first, second, label in pairs]
    found = task.items(examples, ["neutral", "entailment", "entailment"])
    assert found is not None
    assert found.scores["accuracy"].tolist() == [1, 0, 1]
    assert (found.groups.tolist(), found.sizes.tolist()) == ([0, 1, 0], [1, 1, 1])
    assert found.score("accuracy") == task.score(examples, ["neutral", "entailment", "entailment"])["accuracy"]


def test_questions_about_one_article_are_a_group():
    task = get_task("squad")
    examples = [
        SquadExample(f"q{n}", "Where?", "Far in the north.", (GoldAnswer("the north", 7), GoldAnswer("far", 0)), "x", a)
        for n, a in enumerate(["data[0]", "data[1]", "data[0]"])
    ]
    answers = [(Answer(text, 0.0),) if text else () for text in ("north", "in north", "")]
    found = task.items(examples, answers)
    assert found is not None
    assert found.scores["f1"].tolist() == pytest.approx([1, 2 / 3, 0])
    assert found.scores["exact_match"].tolist() == [1, 0, 0]
    assert found.groups.tolist() == [0, 1, 0]
    assert {name: found.score(name) for name in found.scores} == pytest.approx(task.score(examples, answers))
    plain = [SquadExample(e.id, e.question, e.context, e.answers, e.where) for e in examples]
    assert task.items(plain, answers).groups.tolist() == [0, 0, 0]  # type: ignore[union-attr] - by context


def sentence(words: int, document: str = "", upos: str = "NOUN") -> Sentence:
    heads, relations = (0,) + (1,) * (words - 1), ("root",) + ("nmod:poss",) * (words - 1)
    return Sentence(("w",) * words, heads, relations, (upos,) * words, ("_",) * words, "", "x:1", document=document)


def test_correct_arcs_of_the_sentences_of_documents():
    task = get_task("dependency(relations='full', punctuation=False)")
    trees = [sentence(2, "a"), sentence(3, "a"), sentence(1, "b"), sentence(2, "b", upos="PUNCT")]
    parses = [
        Parse((0, 1), ("root", "nmod")),  # the second relation is right up to its subtype
        Parse((0, 1, 2), ("root", "nmod:poss", "nmod:poss")),  # the third head is wrong
        Parse((0,), ("dep",)),
        Parse((0, 1), ("root", "nmod:poss")),
    ]
    found = task.items(trees, parses)
    assert found is not None
    assert {name: values.tolist() for name, values in found.scores.items()} == {
        "uas": [2, 2, 1, 0],
        "las": [2, 2, 0, 0],
        "las_full": [1, 2, 0, 0],
    }
    assert (found.sizes.tolist(), found.groups.tolist()) == ([2, 3, 1, 0], [0, 0, 1, 1])
    alone = task.items([sentence(1), sentence(1)], [Parse((0,), ("root",))] * 2)
    assert alone is not None
    assert alone.groups.tolist() == [0, 1]  # no documents
    assert task.score(trees, parses) == {"uas": 5 / 6, "las": 4 / 6, "las_full": 3 / 6}


def test_words_with_the_correct_tag():
    examples = [TaggedSentence(("a", "b"), ("X", "Y"), "x:1"), TaggedSentence(("c",), ("X",), "x:4")]
    found = get_task("pos").items(examples, [("X", "X"), ("X",)])
    assert found is not None
    assert (found.scores["accuracy"].tolist(), found.sizes.tolist()) == ([1, 1], [2, 1])
    assert found.groups.tolist() == [0, 1]


def test_scores_that_are_no_means_have_no_items():
    assert get_task("stsb").items([], []) is None
    assert get_task("ner").items([], []) is None


# --- files ----------------------------------------------------------------------------------------------------------


def test_items_are_written_beside_the_predictions(tmp_path: Path):
    task = get_task("mnli")
    examples = [SequenceExample("p", "h", "neutral", "x:1"), SequenceExample("q", "h", "neutral", "x:2")]
    scores, _ = evaluate(task, examples, ["neutral", "entailment"], folder=tmp_path, data="dev")
    assert scores["accuracy"] == 0.5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["items-dev.npz", "predictions-dev.jsonl"]
    found = read_items(tmp_path)
    assert found.scores["accuracy"].tolist() == [1, 0]
    assert (found.sizes.dtype, found.groups.dtype) == (np.float64, np.int64)
    first = (tmp_path / "items-dev.npz").read_bytes()
    evaluate(task, examples, ["neutral", "entailment"], folder=tmp_path, data="dev")
    assert (tmp_path / "items-dev.npz").read_bytes() == first


def test_absent_and_damaged_files_are_named(tmp_path: Path):
    with pytest.raises(ModelError, match=r"items-test\.npz: .* has none"):
        read_items(tmp_path, "test")
    task: Any = get_task("mnli")
    evaluate(task, [SequenceExample("p", "h", "neutral", "x:1")], ["neutral"], folder=tmp_path, data="dev")
    whole = (tmp_path / "items-dev.npz").read_bytes()
    for damaged in (b"", b"not a zip file", whole[: len(whole) // 2]):
        (tmp_path / "items-dev.npz").write_bytes(damaged)
        with pytest.raises(CorruptStoreError, match="must be readable"):
            read_items(tmp_path)
