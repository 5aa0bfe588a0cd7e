"""Spans and mentions written as brackets in columns."""

from __future__ import annotations

from pyrepsim.core.errors import TextError
from pyrepsim.data.brackets import flat_spans, mentions


def fail(message: str, word: int) -> TextError:
    return TextError(f"{word}: {message}")


def test_the_innermost_mention_of_an_entity_closes_first() -> None:
    assert mentions(["(3", "(3", "_", "3)", "3)"], fail) == [(1, 4, "3"), (0, 5, "3")]


def test_mentions_may_cross() -> None:
    assert mentions(["(1", "(2-x-y", "1)", "2)"], fail) == [(0, 3, "1"), (1, 4, "2-x-y")]


def test_several_brackets_of_a_word() -> None:
    assert mentions(["(1|(2|(3)", "-", "2)1)(4)"], fail) == [(0, 1, "3"), (0, 3, "2"), (0, 3, "1"), (2, 3, "4")]


def test_flat_spans() -> None:
    assert flat_spans(["(A*", "*", "*)", "(B)", "(C*)", "*"], fail) == [("A", 0, 3), ("B", 3, 4), ("C", 4, 5)]
