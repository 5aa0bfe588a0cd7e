"""A question beside each window of its context, as BERT reads SQuAD (Devlin et al. 2019; its run_squad.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.errors import ModelError, TextError
from .squad_data import SquadExample

__all__ = ["ContextWindows", "Window", "context_windows"]

_BATCH = 256  # questions tokenized at once: what the tokenizer returns is far larger than what is kept


@dataclass(frozen=True)
class Window:
    """The tokens of a context that one sequence holds.

    Attributes
    ----------
    position
        Where in the sequence the first of them stands.
    begin
        Which token of the context that is.
    offsets : ndarray of shape (n_tokens, 2)
        First character of each token in the context, and the one after its last.
    owned : ndarray of shape (n_tokens,)
        Which of them have no better surroundings in another window: each token of a context is owned once.
    """

    position: int
    begin: int
    offsets: np.ndarray
    owned: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets)

    def target(self, first: int, last: int) -> tuple[int, int]:
        """Where the context's tokens `first` to `last` stand in the sequence; (0, 0), [CLS], if not all are in it."""
        if first < self.begin or last >= self.begin + len(self):
            return 0, 0
        shift = self.position - self.begin
        return first + shift, last + shift


@dataclass(frozen=True)
class ContextWindows:
    """One question: the token ids of its sequences, the windows in them, and the offsets of the whole context."""

    inputs: list[dict[str, list[int]]]
    windows: list[Window]
    offsets: np.ndarray

    def tokens_of(self, start: int, end: int) -> tuple[int, int] | None:
        """First and last token of the context that touch the characters `start` to `end` (exclusive), if any do."""
        touched = np.flatnonzero((self.offsets[:, 1] > start) & (self.offsets[:, 0] < end))
        return (int(touched[0]), int(touched[-1])) if len(touched) else None


def context_windows(
    examples: Sequence[SquadExample], tokenizer: Any, *, max_length: int, doc_stride: int, max_query: int
) -> list[ContextWindows]:
    """Sequences of at most `max_length` tokens: the question, and a window of the context.

    With room for r context tokens, windows hold tokens 0..r-1, s..s+r-1, 2s..2s+r-1, ... of the context until one
    reaches its end, where s = min(`doc_stride`, r): as in BERT, `doc_stride` is the step from window to window, not
    their overlap. A question longer than `max_query` tokens is cut.

    Raises
    ------
    ModelError
        If the tokenizer is not a fast one: windows are found again in the text by its offsets.
    TextError
        If `max_length` leaves no room for a token of the context, or the context has no tokens.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            "SQuAD finds answers in the text by the offsets of a fast tokenizer: "
            f"{type(tokenizer).__name__} has none. Save it in fast form (tokenizer.json) beside the model."
        )
    questions = _shortened([example.question.strip() for example in examples], tokenizer, max_query)
    n_specials = tokenizer.num_special_tokens_to_add(pair=True)
    by_room: dict[int, list[int]] = {}
    for i, (_, n_tokens) in enumerate(questions):
        room = max_length - n_specials - n_tokens
        if room < 1:
            raise TextError(
                f"max_length must leave room for the context: {max_length} does not beside the question of {n_tokens} "
                f"tokens and {n_specials} special ones at {examples[i].where}. Raise max_length or lower max_query."
            )
        by_room.setdefault(room, []).append(i)
    found: dict[int, ContextWindows] = {}
    for room, members in by_room.items():
        overlap = max(0, room - doc_stride)
        for at in range(0, len(members), _BATCH):
            some = members[at : at + _BATCH]
            pairs = [(questions[i][0], examples[i].context) for i in some]
            made = _tokenized(pairs, tokenizer, max_length=max_length, overlap=overlap)
            for i, windows in zip(some, made, strict=True):
                if not len(windows.offsets):
                    raise TextError(
                        f"A context must have tokens: that of {examples[i].where} has none. Remove its questions."
                    )
                found[i] = windows
    return [found[i] for i in range(len(examples))]


def _shortened(questions: list[str], tokenizer: Any, max_query: int) -> list[tuple[str, int]]:
    """Each question, cut to `max_query` tokens, with their number."""
    short = []
    for at in range(0, len(questions), _BATCH):
        some = questions[at : at + _BATCH]
        encoded = tokenizer(some, add_special_tokens=False, verbose=False)
        for text, encoding in zip(some, encoded.encodings, strict=True):
            while len(encoding.ids) > max_query:  # again if what is left of a word has more pieces than the word had
                (_, end), (start, _) = encoding.offsets[max_query - 1 : max_query + 1]
                text = text[: min(end, start, len(text) - 1)]  # a character may have several tokens
                encoding = tokenizer([text], add_special_tokens=False, verbose=False).encodings[0]
            short.append((text, len(encoding.ids)))
    return short


def _tokenized(
    pairs: list[tuple[str, str]], tokenizer: Any, *, max_length: int, overlap: int
) -> Iterator[ContextWindows]:
    encoded = tokenizer(
        [question for question, _ in pairs],
        [context for _, context in pairs],
        truncation="only_second",
        max_length=max_length,
        stride=overlap,
        return_overflowing_tokens=True,
        return_attention_mask=False,
        verbose=False,
    )
    keys = [key for key in ("input_ids", "token_type_ids") if key in encoded]
    rows: list[list[int]] = [[] for _ in pairs]
    for row, pair in enumerate(encoded["overflow_to_sample_mapping"]):
        rows[pair].append(row)
    for members in rows:
        inputs = [{key: encoded[key][row] for key in keys} for row in members]
        yield _stitched(inputs, [encoded.encodings[row] for row in members], overlap)


def _stitched(inputs: list[dict[str, list[int]]], encodings: list[Any], overlap: int) -> ContextWindows:
    """Put the windows of one context side by side: all but the last are full, and each overlaps the next."""
    parts = []
    for encoding in encodings:
        places = np.flatnonzero([sequence == 1 for sequence in encoding.sequence_ids])
        parts.append((places, np.array(encoding.offsets, dtype=np.int32).reshape(-1, 2)[places]))
    step = len(parts[0][0]) - overlap
    begins = [k * step for k in range(len(parts))]
    new = [offsets if k == 0 else offsets[overlap:] for k, (_, offsets) in enumerate(parts)]
    whole = np.concatenate(new)
    owners = _owners(np.array(begins), np.array([len(places) for places, _ in parts]), len(whole))
    windows = []
    for k, (begin, (places, _)) in enumerate(zip(begins, parts, strict=True)):
        inside = slice(begin, begin + len(places))
        windows.append(Window(int(places[0]) if len(places) else 0, begin, whole[inside], owners[inside] == k))
    return ContextWindows(inputs, windows, whole)


def _owners(begins: np.ndarray, lengths: np.ndarray, n_tokens: int) -> np.ndarray:
    """The window in which each token has most context: max of min(left, right) + 0.01 length; the first of equals.

    left and right count the window's tokens before and after the token (run_squad.py of BERT).
    """
    tokens = np.arange(n_tokens)
    left = tokens - begins[:, None]
    right = lengths[:, None] - 1 - left
    context = np.minimum(left, right).astype(np.float64)
    return np.where(context >= 0, context + 0.01 * lengths[:, None], -np.inf).argmax(axis=0)
