from __future__ import annotations

import random
from itertools import pairwise

import pytest

from pyrepsim.core.errors import ShapeError, TextError
from pyrepsim.probing.corpora import align, project
from tests.helpers.tiny_models import byte_level, wordpiece

TEXT = "the keys don't \N{ZERO WIDTH SPACE} fit naïve riverbank plays"
WORDS = TEXT.split(" ")


def by_characters(text: str, offsets: list[tuple[int, int]], span: tuple[int, int]) -> tuple[int, int] | None:
    """Marks each character with its words, each piece with its characters; first and last piece in common."""
    owner = [text[:i].count(" ") if text[i] != " " else -1 for i in range(len(text))]
    inside = {i for i, word in enumerate(owner) if span[0] <= word < span[1]}
    between = set(range(min(inside), max(inside) + 1)) if inside else set()
    pieces = [i for i, (start, end) in enumerate(offsets) if between & set(range(start, end))]
    return (min(pieces), max(pieces) + 1) if pieces else None


@pytest.mark.parametrize("make", [wordpiece, byte_level])
def test_every_span_by_characters(make) -> None:
    encoding = make()(TEXT).encodings[0]
    every = [(i, j) for i in range(len(WORDS)) for j in range(i + 1, len(WORDS) + 1)]
    assert align(TEXT, encoding, every) == [by_characters(TEXT, encoding.offsets, span) for span in every]
    assert align(TEXT, encoding.offsets, every) == align(TEXT, encoding, every)


def test_random_pieces() -> None:
    draw = random.Random(0)
    for _ in range(50):
        text = " ".join("ab" * draw.randint(1, 3) for _ in range(draw.randint(1, 6)))
        cuts = sorted(draw.sample(range(len(text) + 1), draw.randint(0, len(text))))
        offsets = [(0, 0), *((a, b) for a, b in pairwise(cuts) if draw.random() < 0.8), (0, 0)]
        n_words = text.count(" ") + 1
        every = [(i, j) for i in range(n_words) for j in range(i + 1, n_words + 1)]
        assert align(text, offsets, every) == [by_characters(text, offsets, span) for span in every]


def test_known_pieces() -> None:
    encoding = wordpiece()("the keys to unplayable").encodings[0]
    assert encoding.tokens == ["[CLS]", "the", "keys", "to", "un", "##p", "##l", "##a", "##y", "##able", "[SEP]"]
    assert align("the keys to unplayable", encoding, [(0, 1), (1, 3), (3, 4)]) == [(1, 2), (2, 4), (4, 10)]


def record(*spans: tuple[int, int]) -> dict:
    return {
        "text": TEXT,
        "targets": [{"span1": list(span), "label": "X", "info": {"n": i}} for i, span in enumerate(spans)],
        "info": {"where": "a.jsonl:3"},
    }


def test_words_without_pieces_are_listed() -> None:
    encoding = wordpiece()(TEXT).encodings[0]  # drops the zero-width space
    moved = project(record((0, 1), (3, 4), (2, 5)), encoding)
    assert [one["info"]["n"] for one in moved.targets] == [0, 2]
    assert moved.targets[0]["span1"] == [1, 2]
    (missing,) = moved.unaligned
    assert (missing.where, missing.target, missing.name, missing.span) == ("a.jsonl:3", 1, "span1", (3, 4))
    assert str(missing) == "a.jsonl:3: span1 of target 1, '\\u200b': no piece overlaps it"


def test_a_truncated_text() -> None:
    encoding = wordpiece()(TEXT, truncation=True, max_length=7).encodings[0]
    assert encoding.tokens[-2:] == ["t", "[SEP]"]  # cut after "don't"
    moved = project(record((0, 2), (2, 3), (2, 5), (6, 7)), encoding)
    assert [one["info"]["n"] for one in moved.targets] == [0, 1]
    assert [(one.target, one.reason) for one in moved.unaligned] == [(i, "beyond the model's limit") for i in (2, 3)]


def test_a_window_of_a_text() -> None:
    offsets = [(4, 8), (9, 10)]
    assert align("one nine x", offsets, [(0, 1), (1, 2)], covered=(4, 8)) == [None, (0, 1)]


def test_two_spans_need_both() -> None:
    both = record((0, 1))
    both["targets"][0]["span2"] = [3, 4]
    moved = project(both, wordpiece()(TEXT).encodings[0])
    assert moved.targets == ()
    assert [one.name for one in moved.unaligned] == ["span2"]


def test_invalid_spans_and_offsets() -> None:
    with pytest.raises(TextError, match=r"end <= 2: got \[1, 3\]"):
        align("a b", [(0, 1), (2, 3)], [(1, 3)])
    with pytest.raises(ShapeError, match="in ascending order"):
        align("a b", [(0, 1), (2, 3), (0, 1)], [])
    with pytest.raises(ShapeError, match="go to 5, and it has 3"):
        align("a b", [(0, 1), (2, 5)], [])
