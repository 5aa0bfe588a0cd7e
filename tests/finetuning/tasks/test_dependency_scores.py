"""Attachment scores of two files: counted by hand, and the alignment rules of the shared task."""

from __future__ import annotations

import pytest

from pyrepsim.core.errors import TextError
from pyrepsim.finetuning.tasks.dependency import evaluate
from tests.helpers.treebank import TREEBANK, conllu, write_treebank

GOLD = conllu("1 a X 2 nsubj:pass", "2 b X 0 root", "3 c X 2 obj", "4 d X 3 nmod:poss")


def scores(tmp_path, gold: str, system: str) -> dict[str, float]:
    return evaluate(write_treebank(tmp_path, gold, "gold.conllu"), write_treebank(tmp_path, system, "system.conllu"))


def percent(uas: float, las: float, las_full: float) -> dict[str, float]:
    return pytest.approx({"uas": 100 * uas, "las": 100 * las, "las_full": 100 * las_full})


def test_a_file_against_itself(tmp_path):
    assert scores(tmp_path, TREEBANK, TREEBANK) == percent(1, 1, 1)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("1 a X 2 nsubj", "2 b X 0 root", "3 c X 2 iobj", "4 d X 3 nmod:poss"), (1, 3 / 4, 2 / 4)),
        (("1 a X 2 nsubj:pass", "2 b X 0 root", "3 c X 4 obj", "4 d X 2 nmod:poss"), (2 / 4, 2 / 4, 2 / 4)),
        (("1 a X 0 root", "2 b X 1 obj", "3 c X 2 obj", "4 d X 3 nmod"), (2 / 4, 2 / 4, 1 / 4)),
    ],
)
def test_the_same_words(tmp_path, rows, expected):
    assert scores(tmp_path, GOLD, conllu(*rows)) == percent(*expected)


def test_a_word_in_two_pieces(tmp_path):
    # "c" hangs on half a word: of 4 gold and 4 system words, "a", "d" and the root "b" could be right.
    gold = conllu("1 a X 2 nsubj", "2 b X 0 root", "3 cc X 2 obj", "4 d X 3 nmod")
    system = conllu("1 a X 2 nsubj", "2 b X 0 root", "3 c X 4 dep", "4 c X 2 obj", "5 d X 4 nmod")
    assert scores(tmp_path, gold, system) == percent(*[2 * 2 / 9] * 3)


def test_other_sentence_boundaries(tmp_path):
    # The second half has a root of its own, which the gold file has not; "d" depends on "c" in both.
    system = conllu("1 a X 2 nsubj:pass", "2 b X 0 root") + conllu("1 c X 0 root", "2 d X 1 nmod:poss")
    assert scores(tmp_path, GOLD, system) == percent(3 / 4, 3 / 4, 3 / 4)


def test_words_of_a_range_are_aligned_by_their_forms(tmp_path):
    gold = conllu("1-2 du _ _ _", "1 de X 3 case", "2 le X 3 det", "3 pain X 0 root")
    # "le" and "pain" are found, whatever their case; "de" is not: 2 of 3.
    system = conllu("1-2 du _ _ _", "1 d' X 3 case", "2 LE X 3 det", "3 pain X 0 root")
    assert scores(tmp_path, gold, system) == percent(2 / 3, 2 / 3, 2 / 3)
    # As one word "du" it is neither of the two.
    system = conllu("1 du X 2 case", "2 pain X 0 root")
    assert scores(tmp_path, gold, system) == percent(2 / 5, 2 / 5, 2 / 5)


def test_overlapping_ranges_are_merged(tmp_path):
    gold = conllu("1-2 abab _ _ _", "1 p X 3 dep", "2 q X 3 dep", "3 c X 0 root")
    system = conllu("1 ab X 2 dep", "2-3 abc _ _ _", "2 q X 3 dep", "3 c X 0 root")
    # Stretch "ababc" holds all words; the longest common subsequence is "q c".
    assert scores(tmp_path, gold, system) == percent(2 / 3, 2 / 3, 2 / 3)


def test_words_partly_outside_a_range_are_not_aligned(tmp_path):
    gold = conllu("1 a X 2 dep", "2-3 bc _ _ _", "2 b X 0 root", "3 c X 2 dep", "4 d X 2 dep")
    system = conllu("1 ab X 2 dep", "2 c X 0 root", "3 d X 2 dep")
    # "c" is aligned (but is no root in gold), "d" depends on it (not so in gold), "ab" is not aligned.
    assert scores(tmp_path, gold, system) == percent(0, 0, 0)


def test_white_space_is_ignored(tmp_path):
    gold = GOLD.replace("c\tc\t", "c 1\tc\t")
    system = GOLD.replace("c\tc\t", "c\u00a01\tc\t")
    assert scores(tmp_path, gold, system) == percent(1, 1, 1)


@pytest.mark.parametrize(
    ("system", "fact"),
    [
        (GOLD.replace("d\td\t", "e\te\t"), "'d' of 'd' .*gold.conllu:1 where the second has 'e' of 'e'"),
        (conllu("1 a X 0 root"), "'b' of 'b' .* where the second has the end of the file"),
    ],
)
def test_another_text(tmp_path, system, fact):
    with pytest.raises(TextError, match=fact):
        scores(tmp_path, GOLD, system)


def test_invalid_trees(tmp_path):
    with pytest.raises(TextError, match="system.conllu:2: A tree must have one root"):
        scores(tmp_path, GOLD, conllu("1 a X 0 root", "2 b X 0 root", "3 c X 2 obj", "4 d X 3 nmod"))
