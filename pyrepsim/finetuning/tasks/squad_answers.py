"""From start and end scores to the n best answers of a question, over all windows of its context."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ...core.errors import NonFiniteError
from .squad_windows import Window

__all__ = ["Answer", "Span", "best_spans", "join_spans", "window_spans"]


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a context, and their score."""

    score: float
    start: int
    end: int


class Answer(NamedTuple):
    """An answer as it stands in the context, and its score: start score + end score."""

    text: str
    score: float


def best_spans(
    start: np.ndarray, end: np.ndarray, owned: np.ndarray, *, n_best: int, max_answer: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `n_best` spans (i, j) of highest start[i] + end[j] with i <= j < i + `max_answer` and owned[i].

    The search is over all such spans, where BERT's own looks at the `n_best` starts and ends only.

    Parameters
    ----------
    start, end : ndarray of shape (n_tokens,)
        Finite scores.
    owned : ndarray of shape (n_tokens,)
        Where a span may start.

    Returns
    -------
    scores, i, j : ndarrays of shape (n,), n <= n_best
        Best first; of equal scores the earlier start first, then the earlier end.
    """
    starts = np.flatnonzero(owned)
    if not len(starts):
        return np.empty(0), starts, starts
    width = min(max_answer, len(end))
    ends = np.concatenate([end.astype(np.float64), np.full(width - 1, -np.inf)])
    sums = np.lib.stride_tricks.sliding_window_view(ends, width)[starts] + start[starts, None].astype(np.float64)
    flat = sums.ravel()
    n = min(n_best, int(np.count_nonzero(flat > -np.inf)))
    threshold = np.partition(flat, len(flat) - n)[len(flat) - n]
    found = np.flatnonzero(flat >= threshold)
    found = found[np.argsort(-flat[found], kind="stable")[:n]]
    first = starts[found // width]
    return flat[found], first, first + found % width


def window_spans(window: Window, start: np.ndarray, end: np.ndarray, *, n_best: int, max_answer: int) -> list[Span]:
    """The best spans of one window, from the scores of its whole sequence, of shape (n_positions,).

    A span may start only at a token that the window owns, so that it counts where it has most context.
    """
    inside = slice(window.position, window.position + len(window))
    start, end = np.asarray(start)[inside], np.asarray(end)[inside]
    if not (np.isfinite(start).all() and np.isfinite(end).all()):
        raise NonFiniteError(
            "Span scores must be finite: those of a window are not. The model has diverged: train it with a lower "
            "learning rate."
        )
    scores, first, last = best_spans(start, end, window.owned, n_best=n_best, max_answer=max_answer)
    characters = zip(scores, window.offsets[first, 0], window.offsets[last, 1], strict=True)
    return [Span(float(score), int(begin), int(stop)) for score, begin, stop in characters]


def join_spans(context: str, spans: Iterable[Span], *, n_best: int) -> tuple[Answer, ...]:
    """The `n_best` different texts among the spans of all windows, cut from the context, best first."""
    answers: dict[str, float] = {}
    for score, start, end in sorted(spans, key=lambda span: (-span.score, span.start, span.end)):
        text = context[start:end].strip()
        if text and len(answers) < n_best:
            answers.setdefault(text, score)
    return tuple(Answer(text, score) for text, score in answers.items())
