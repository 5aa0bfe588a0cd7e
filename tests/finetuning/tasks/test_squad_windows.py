"""Windows of a context as in BERT's code, each token owned once; the best answers against a double loop."""

from __future__ import annotations

import types

import numpy as np
import pytest

from pyrepsim.core.errors import ModelError, NonFiniteError, TextError
from pyrepsim.data.squad import GoldAnswer
from pyrepsim.data.tokenizing import pair_template
from pyrepsim.finetuning.tasks.squad import Squad, SquadExample
from pyrepsim.finetuning.tasks.squad_windows import (
    Answer,
    Span,
    Window,
    best_spans,
    context_windows,
    join_spans,
    window_spans,
)
from tests.helpers.references_squad import owner, spans_by_loops, window_ranges
from tests.helpers.squad_files import BRIDGE, NILE, pair_tokenizer
from tests.helpers.tiny_models import byte_level

LONG = " ".join([NILE, BRIDGE, NILE])


def example(context=LONG, question="How long is it?", answer="Egypt", start=None):
    start = context.index(answer) if start is None else start
    return SquadExample("q", question, context, (GoldAnswer(answer, start),), "made.json: data[0]")


def windows_of(item, tokenizer, *, max_length=40, doc_stride=7, max_query=64):
    return context_windows([item], tokenizer, max_length=max_length, doc_stride=doc_stride, max_query=max_query)[0]


@pytest.mark.parametrize("make", [pair_tokenizer, byte_level])
@pytest.mark.parametrize(
    ("max_length", "doc_stride"), [(40, 7), (40, 20), (40, 500), (64, 1), (33, 16), (300, 128), (999, 128)]
)
def test_windows_equal_the_definition(make, max_length, doc_stride):
    tokenizer, item = make(), example(" ".join([LONG] * (1 + max_length // 100)))
    result = windows_of(item, tokenizer, max_length=max_length, doc_stride=doc_stride)
    alone = tokenizer(item.context, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    n_question = len(tokenizer(item.question, add_special_tokens=False)["input_ids"])
    room = max_length - n_question - pair_template(tokenizer).n_special
    ranges = window_ranges(len(alone["input_ids"]), room, doc_stride)
    assert result.offsets.tolist() == [list(pair) for pair in alone["offset_mapping"]]
    assert [range(window.begin, window.begin + len(window)) for window in result.windows] == ranges
    for inputs, window, tokens in zip(result.inputs, result.windows, ranges, strict=True):
        assert len(inputs["input_ids"]) <= max_length
        inside = inputs["input_ids"][window.position : window.position + len(window)]
        assert inside == [alone["input_ids"][token] for token in tokens]
        assert window.offsets.tolist() == [list(alone["offset_mapping"][token]) for token in tokens]
        assert [int(token) for token in np.array(tokens)[window.owned]] == [
            token for token in tokens if ranges[owner(token, ranges)] == tokens
        ]


def test_a_much_longer_window_owns_a_token_that_has_a_little_less_context_in_it():
    result = windows_of(example("the " * 300, "keys?", "the"), pair_tokenizer(), max_length=285, doc_stride=128)
    ranges = window_ranges(300, 280, 128)
    assert [len(window) for window in result.windows] == [len(tokens) for tokens in ranges] == [280, 172]
    assert result.windows[0].owned.sum() == sum(owner(token, ranges) == 0 for token in range(300)) == 128 + 77


def test_the_question_comes_first_and_has_its_own_token_type():
    tokenizer = pair_tokenizer()
    item = example(question="  the keys ")
    result = windows_of(item, tokenizer)
    for inputs, window in zip(result.inputs, result.windows, strict=True):
        words = tokenizer.convert_ids_to_tokens(inputs["input_ids"])
        assert words[:4] == ["[CLS]", "the", "keys", "[SEP]"]
        assert words[-1] == "[SEP]"
        assert window.position == 4
        assert inputs["token_type_ids"] == [0] * 4 + [1] * (len(words) - 4)


def test_examples_of_several_lengths_keep_their_order():
    tokenizer = pair_tokenizer()
    items = [example(question="Why " * n + "?") for n in (5, 1, 3, 1, 5, 2)]
    result = context_windows(items, tokenizer, max_length=48, doc_stride=9, max_query=64)
    for item, windows in zip(items, result, strict=True):
        alone = windows_of(item, tokenizer, max_length=48, doc_stride=9)
        assert windows.inputs == alone.inputs
        assert windows.windows[-1].position == alone.windows[-1].position


@pytest.mark.parametrize("max_query", [1, 2, 5, 8])
def test_a_long_question_is_cut(max_query):
    tokenizer = pair_tokenizer()
    question = "the unplayable river bank flows unplayed"
    full = tokenizer.tokenize(question)
    result = windows_of(example(question=question), tokenizer, max_query=max_query)
    kept = tokenizer.convert_ids_to_tokens(result.inputs[0]["input_ids"])[1 : result.windows[0].position - 1]
    assert 1 <= len(kept) <= max_query
    assert "".join(full).startswith("".join(kept)[: len(kept[0])])


def test_a_question_cut_inside_a_word_is_cut_again_if_its_rest_has_more_pieces():
    tokenizer = pair_tokenizer()
    question = "keys unplayning"  # keys un ##p ##l ##a ##y ##ning: the first two characters make one piece
    assert len(tokenizer.tokenize(question)) == 7
    for max_query in range(1, 8):
        result = windows_of(example(question=question), tokenizer, max_query=max_query)
        assert result.windows[0].position - 2 <= max_query


def test_a_question_is_not_cut_inside_a_character():
    tokenizer = byte_level()
    question = "\N{GREEK SMALL LETTER OMEGA}" * 3  # two tokens each, with the same offsets
    positions = [
        windows_of(example(question=question), tokenizer, max_query=max_query).windows[0].position
        for max_query in range(1, 7)
    ]
    assert positions == [1, 3, 3, 5, 5, 7]  # with the separator


def test_max_length_must_allow_one_token_of_the_context():
    item = example(question="the keys to the cabinet are here")
    features = Squad().encode(
        [item], pair_tokenizer(), max_length=11
    )  # 7 tokens, 3 special ones, and one of the context
    assert len(features) == len(pair_tokenizer().tokenize(item.context))
    with pytest.raises(TextError, match=r"max_length must be greater .* 7 tokens and 3 .*: it is 10 at made\.json"):
        Squad().encode([item], pair_tokenizer(), max_length=10)


def test_questions_whose_answer_has_no_tokens_are_left_out(caplog):
    tokenizer, task = pair_tokenizer(), Squad()
    bad = example(context="red \x01 blue", answer="\x01"), example(context="\x00\x01", answer="\x00")
    items = [bad[0], example(), bad[1]]
    features = task.encode(items, tokenizer, max_length=200)
    assert {feature.example for feature in features} == {1}
    assert "left out 2 of 3 questions" in caplog.text
    assert "first: made.json: data[0]" in caplog.text
    assert task.predict(items, features, [[] for _ in features]) == [(), (), ()]
    with pytest.raises(TextError, match=r"Some answers must have tokens: .*made\.json"):
        task.encode(bad, tokenizer, max_length=200)


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ModelError, match="fast tokenizer"):
        windows_of(example(), types.SimpleNamespace(is_fast=False))


def test_targets_are_the_answers_tokens_or_cls():
    tokenizer, item = pair_tokenizer(), example(answer="Café Ünal", question="Who?")
    features = Squad(doc_stride=1).encode([item], tokenizer, max_length=40)
    held = 0
    for feature in features:
        start, end = feature.inputs["start"], feature.inputs["end"]
        first, last = feature.extra.offsets[0, 0], feature.extra.offsets[-1, 1]
        if item.answers[0].start >= first and item.answers[0].start + len("Café Ünal") <= last:
            held += 1
            words = tokenizer.convert_ids_to_tokens(feature.inputs["input_ids"][start : end + 1])
            assert "".join(words).replace("##", "") == "cafeunal"
        else:
            assert (start, end) == (0, 0)
    assert 10 < held < len(features)


def test_an_answer_inside_a_word_takes_the_whole_word():
    item = example(context="in 1848-49 or so, unplayable", answer="play", question="Who?")
    (feature,) = Squad().encode([item], pair_tokenizer(), max_length=64)
    window = feature.extra
    start = window.offsets[feature.inputs["start"] - window.position]
    end = window.offsets[feature.inputs["end"] - window.position]
    assert item.context[start[0] : end[1]] == "play"
    item = example(context="the rivers bank", answer="s", question="Who?")
    (feature,) = Squad().encode([item], pair_tokenizer(), max_length=64)
    assert feature.inputs["start"] == feature.inputs["end"]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("n_tokens", "n_best", "max_answer"), [(1, 20, 30), (2, 1, 1), (7, 3, 4), (30, 20, 30), (40, 20, 5), (25, 400, 30)]
)
def test_n_best_equals_a_double_loop(rng, n_tokens, n_best, max_answer, ties):
    for _ in range(20):
        start, end = rng.normal(size=(2, n_tokens)).astype(np.float32)
        if ties:
            start, end = np.round(start), np.round(end)
        owned = rng.random(n_tokens) < 0.6
        scores, first, last = best_spans(start, end, owned, n_best=n_best, max_answer=max_answer)
        expected = spans_by_loops(start, end, owned, n_best=n_best, max_answer=max_answer)
        assert list(zip(scores, first, last, strict=True)) == expected


def _window(n_tokens=4, position=3):
    offsets = np.array([[5 * i, 5 * i + 4] for i in range(n_tokens)], dtype=np.int32)
    return Window(position, 0, offsets, np.ones(n_tokens, dtype=bool))


def test_only_scores_of_the_context_count(rng):
    start, end = rng.normal(size=(2, 12)).astype(np.float32)
    for outside in (0, 2, 7, 8):
        start[outside] = end[outside] = 100.0
    start[9:] = end[9:] = -np.inf  # padding
    spans = window_spans(_window(), start, end, n_best=3, max_answer=30)
    expected = spans_by_loops(start[3:7], end[3:7], [True] * 4, n_best=3, max_answer=30)
    assert spans == [Span(score, 5 * i, 5 * j + 4) for score, i, j in expected]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_scores_must_be_finite(broken):
    start = np.zeros(8, dtype=np.float32)
    start[4] = broken
    with pytest.raises(NonFiniteError, match="diverged"):
        window_spans(_window(), start, np.zeros(8), n_best=3, max_answer=30)


def test_equal_answers_of_several_windows_are_joined():
    context = "red blue red  blue"
    spans = [Span(1.0, 0, 3), Span(3.0, 9, 12), Span(2.0, 4, 8), Span(2.0, 12, 18), Span(9.0, 12, 14)]
    assert join_spans(context, spans, n_best=20) == (Answer("red", 3.0), Answer("blue", 2.0))
    assert join_spans(context, spans, n_best=1) == (Answer("red", 3.0),)
    assert join_spans(context, [], n_best=1) == ()
