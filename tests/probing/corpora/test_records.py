"""Pairs of mentions as targets."""

from __future__ import annotations

from pyrepsim.probing.corpora.records import coref_pairs


def test_pairs_go_by_position() -> None:
    result = coref_pairs([(4, 5, "a"), (0, 3, "b"), (0, 1, "a")])
    assert [(*one["span1"], *one["span2"], one["label"]) for one in result] == [
        (0, 1, 0, 3, "0"),
        (0, 1, 4, 5, "1"),
        (0, 3, 4, 5, "0"),
    ]


def test_two_entities_over_the_same_words_are_no_pair() -> None:
    result = coref_pairs([(0, 2, "a"), (0, 2, "b"), (3, 4, "a")])
    assert [(*one["span1"], *one["span2"], one["label"]) for one in result] == [(0, 2, 3, 4, "1"), (0, 2, 3, 4, "0")]
