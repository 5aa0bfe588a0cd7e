"""Simple, slow implementations of SQuAD: spans by a double loop, windows and their owners, scores word by word."""

from __future__ import annotations

import string
from collections.abc import Sequence


def spans_by_loops(
    start: Sequence[float], end: Sequence[float], owned: Sequence[bool], *, n_best: int, max_answer: int
) -> list[tuple[float, int, int]]:
    candidates = []
    for i in range(len(start)):
        for j in range(i, len(end)):
            if owned[i] and j - i + 1 <= max_answer:
                candidates.append((float(start[i]) + float(end[j]), i, j))
    return sorted(candidates, key=lambda span: (-span[0], span[1], span[2]))[:n_best]


def window_ranges(n_tokens: int, capacity: int, stride: int) -> list[range]:
    """Windows of a context of `n_tokens` tokens; each has at most `capacity` tokens, and starts `stride` later."""
    ranges, begin = [], 0
    while True:
        end = min(begin + capacity, n_tokens)
        ranges.append(range(begin, end))
        if end == n_tokens:
            return ranges
        begin += min(capacity, stride)


def owner(token: int, windows: Sequence[range]) -> int:
    """Index of the window in which the shorter context of a token is longest; of equal ones, a longer window."""
    best, owner_of_best = -1.0, -1
    for k, window in enumerate(windows):
        if token in window:
            context = min(token - window[0], window[-1] - token) + 0.01 * len(window)
            if context > best:
                best, owner_of_best = context, k
    return owner_of_best


def plain_words(text: str) -> list[str]:
    kept = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    words, word = [], ""
    for letter in kept + " ":
        if letter.isalnum() or letter == "_":
            word += letter
        else:
            words.append(word)
            words.append(letter)
            word = ""
    return "".join(" " if word in ("a", "an", "the") else word for word in words).split()


def f1_by_hand(prediction: str, gold: str) -> float:
    predicted, left = plain_words(prediction), plain_words(gold)
    n_gold, common = len(left), 0
    for word in predicted:
        if word in left:
            left.remove(word)
            common += 1
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / n_gold
    return 2 * precision * recall / (precision + recall)
