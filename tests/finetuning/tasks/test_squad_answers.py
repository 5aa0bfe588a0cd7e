"""The n best answers: against all spans one by one, over windows, from their text."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.core.errors import NonFiniteError
from pyrepsim.finetuning.tasks.squad_windows import Answer, Span, Window, best_spans, join_spans, window_spans
from tests.helpers.references_squad import spans_by_loops


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("n_tokens", "n_best", "max_answer"), [(1, 20, 30), (2, 1, 1), (7, 3, 4), (30, 20, 30), (40, 20, 5), (25, 400, 30)]
)
def test_n_best_is_that_of_a_double_loop(rng, n_tokens, n_best, max_answer, ties):
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


def test_only_the_context_of_a_window_is_looked_at(rng):
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


def test_answers_of_all_windows_are_joined_once_a_text():
    context = "red blue red  blue"
    spans = [Span(1.0, 0, 3), Span(3.0, 9, 12), Span(2.0, 4, 8), Span(2.0, 12, 18), Span(9.0, 12, 14)]
    assert join_spans(context, spans, n_best=20) == (Answer("red", 3.0), Answer("blue", 2.0))
    assert join_spans(context, spans, n_best=1) == (Answer("red", 3.0),)
    assert join_spans(context, [], n_best=1) == ()
