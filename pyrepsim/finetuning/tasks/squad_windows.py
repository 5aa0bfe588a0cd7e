"""Windows of a context, each with its question, and the best answers over all windows.

As in BERT's run_squad.py (Devlin et al. 2019), except that the search for answers is exhaustive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ...core.errors import NonFiniteError, TextError
from ...data.squad import SquadExample
from ...data.tokenizing import check_fast, encode, pair_template

__all__ = ["Answer", "ContextWindows", "Span", "Window", "best_spans", "context_windows", "join_spans", "window_spans"]

_BATCH = 256  # questions tokenized at once, because the tokenizer returns far more than is kept


@dataclass(frozen=True)
class Window:
    """The part of a context that is in one sequence.

    Attributes
    ----------
    position : int
        Position of its first token in the sequence.
    begin : int
        Index of its first token in the context.
    offsets : ndarray of shape (n_tokens, 2)
        First character of each token in the context, and the character after its last.
    owned : ndarray of shape (n_tokens,)
        Whether this window gives the token the most context. Each token of a context is owned by one window.
    """

    position: int
    begin: int
    offsets: np.ndarray
    owned: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets)

    def target(self, first: int, last: int) -> tuple[int, int]:
        """Return the positions of the context's tokens `first` and `last`; (0, 0), [CLS], if not all are inside."""
        if first < self.begin or last >= self.begin + len(self):
            return 0, 0
        shift = self.position - self.begin
        return first + shift, last + shift


@dataclass(frozen=True)
class ContextWindows:
    """The token ids of the sequences of one question, their windows, and the offsets of the whole context."""

    inputs: list[dict[str, list[int]]]
    windows: list[Window]
    offsets: np.ndarray

    def tokens_of(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first and last token that overlap the characters `start` to `end` (exclusive), or None."""
        touched = np.flatnonzero((self.offsets[:, 1] > start) & (self.offsets[:, 0] < end))
        return (int(touched[0]), int(touched[-1])) if len(touched) else None


def context_windows(
    examples: Sequence[SquadExample], tokenizer: Any, *, max_length: int, doc_stride: int, max_query: int
) -> list[ContextWindows]:
    """Make sequences of at most `max_length` tokens, each with the question and a window of its context.

    If r context tokens fit, the windows hold tokens 0..r-1, s..s+r-1, 2s..2s+r-1, ... until the end of the context,
    where s = min(`doc_stride`, r). As in BERT, `doc_stride` is the step between windows, not their overlap. A question
    is cut to `max_query` tokens. A context without tokens has one window without tokens.

    Raises
    ------
    ModelError
        If the tokenizer is not a fast one: answers are located in the text by its offsets.
    TextError
        If no token of the context fits into `max_length`, or the tokenizer's offsets do not fit the context.
    """
    check_fast(tokenizer, "Locating answers in a text")
    template = pair_template(tokenizer)
    windows: list[ContextWindows] = []
    for start in range(0, len(examples), _BATCH):
        some = examples[start : start + _BATCH]
        different = {example.context: example for example in some}  # many questions have one context
        where = [example.where for example in different.values()]
        encoded = encode(list(different), tokenizer, where, special_tokens=False)
        contexts = {
            text: (list(encoding.ids), _offsets(encoding, different[text]))
            for text, encoding in zip(different, encoded, strict=True)
        }
        for example, question in zip(some, _questions(some, tokenizer, max_query), strict=True):
            ids, offsets = contexts[example.context]
            capacity = max_length - template.n_special - len(question)  # in tokens of the context
            if capacity < 1:
                raise TextError(
                    f"max_length must be greater than the question's {len(question)} tokens and {template.n_special} "
                    f"special tokens: it is {max_length} at {example.where}. Raise max_length or lower max_query."
                )
            begins = _begins(len(ids), capacity, doc_stride)
            lengths = np.minimum(len(ids) - begins, capacity)
            owners = _owners(begins, lengths, len(ids))
            position = len(template.before) + len(question) + len(template.between)
            parts = [slice(int(begin), int(begin + length)) for begin, length in zip(begins, lengths, strict=True)]
            windows.append(
                ContextWindows(
                    [template.join(question, ids[part], where=example.where) for part in parts],
                    [Window(position, part.start, offsets[part], owners[part] == k) for k, part in enumerate(parts)],
                    offsets,
                )
            )
    return windows


def _offsets(encoding: Any, example: SquadExample) -> np.ndarray:
    """The characters of the tokens of a context, (n_tokens, 2); TextError if they do not follow the text."""
    offsets = np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)
    bad = (offsets[:, 0] < 0) | (offsets[:, 1] < offsets[:, 0]) | (offsets[:, 1] > len(example.context))
    bad[1:] |= np.diff(offsets[:, 0]) < 0
    if bad.any():
        raise TextError(
            "A tokenizer's offsets must lie inside the text and increase: those of the context of "
            f"{example.where} do not. Use another version of the tokenizer."
        )
    return offsets


def _begins(n_tokens: int, capacity: int, doc_stride: int) -> np.ndarray:
    """First token of each window: steps of min(`doc_stride`, `capacity`), until a window reaches the last token."""
    step = min(doc_stride, capacity)
    return step * np.arange(1 + max(0, -(-(n_tokens - capacity) // step)))


def _questions(examples: Sequence[SquadExample], tokenizer: Any, max_query: int) -> list[list[int]]:
    """The token ids of each question, cut to `max_query` tokens."""
    texts = [example.question.strip() for example in examples]
    where = [example.where for example in examples]
    encodings = encode(texts, tokenizer, where, special_tokens=False)
    questions = []
    for location, text, encoding in zip(where, texts, encodings, strict=True):
        while len(encoding.ids) > max_query:  # repeated because a cut word may have more pieces than the whole one
            (_, end), (after, _) = encoding.offsets[max_query - 1 : max_query + 1]
            text = text[: min(end, after, len(text) - 1)]  # a character may have several tokens
            (encoding,) = encode([text], tokenizer, [location], special_tokens=False)
        questions.append(list(encoding.ids))
    return questions


def _owners(begins: np.ndarray, lengths: np.ndarray, n_tokens: int) -> np.ndarray:
    """Return the window in which each token has the most context: the largest min(left, right) + 0.01 length.

    Left and right are the window's tokens before and after the token, as in BERT's run_squad.py; of equal windows, the
    first is taken.
    """
    tokens = np.arange(n_tokens)
    left = tokens - begins[:, None]
    right = lengths[:, None] - 1 - left
    context = np.minimum(left, right).astype(np.float64)
    return np.where(context >= 0, context + 0.01 * lengths[:, None], -np.inf).argmax(axis=0)


class Span(NamedTuple):
    """Characters `start` to `end` (exclusive) of a context, and their score."""

    score: float
    start: int
    end: int


class Answer(NamedTuple):
    """An answer as written in the context, and its score: start score + end score."""

    text: str
    score: float


def best_spans(
    start: np.ndarray, end: np.ndarray, owned: np.ndarray, *, n_best: int, max_answer: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the `n_best` spans (i, j) with the highest start[i] + end[j] with i <= j < i + `max_answer` and owned[i].

    All such spans are compared; BERT's run_squad.py compares only the `n_best` starts and ends.

    Parameters
    ----------
    start, end : ndarray of shape (n_tokens,)
        Finite scores.
    owned : ndarray of shape (n_tokens,)
        Whether a span may start at the token.

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
    best = np.flatnonzero(flat >= threshold)
    best = best[np.argsort(-flat[best], kind="stable")[:n]]
    first = starts[best // width]
    return flat[best], first, first + best % width


def window_spans(window: Window, start: np.ndarray, end: np.ndarray, *, n_best: int, max_answer: int) -> list[Span]:
    """Return the best spans of one window, from the scores of its whole sequence, of shape (n_positions,).

    A span may start only at a token that the window owns, so it is scored where it has the most context.
    """
    inside = slice(window.position, window.position + len(window))
    start, end = np.asarray(start)[inside], np.asarray(end)[inside]
    if not (np.isfinite(start).all() and np.isfinite(end).all()):
        raise NonFiniteError(
            "Span scores must be finite: those of a window are not. The training has diverged; use a lower "
            "learning rate."
        )
    scores, first, last = best_spans(start, end, window.owned, n_best=n_best, max_answer=max_answer)
    characters = zip(scores, window.offsets[first, 0], window.offsets[last, 1], strict=True)
    return [Span(float(score), int(begin), int(stop)) for score, begin, stop in characters]


def join_spans(context: str, spans: Iterable[Span], *, n_best: int) -> tuple[Answer, ...]:
    """Return the `n_best` different texts among the spans of all windows, best first."""
    answers: dict[str, float] = {}
    for score, start, end in sorted(spans, key=lambda span: (-span.score, span.start, span.end)):
        text = context[start:end].strip()
        if text and len(answers) < n_best:
            answers.setdefault(text, score)
    return tuple(Answer(text, score) for text, score in answers.items())
