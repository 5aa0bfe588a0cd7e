"""Windows over long documents, compared with the definition applied token by token."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.extraction.sequences import choose_windows, window_starts

SHAPES = [(11, 10), (20, 10), (21, 10), (97, 10), (1021, 62), (510, 510), (511, 510), (5000, 510), (7, 1), (9, 2)]


def by_definition(first: int, last: int, starts: np.ndarray, capacity: int) -> int:
    """The window in which the nearer edge is farthest; the earliest of equals; -1 if none holds the run."""
    distances = [
        min(first - start, start + capacity - 1 - last) if start <= first and last < start + capacity else -1
        for start in starts
    ]
    return int(np.argmax(distances)) if max(distances) >= 0 else -1


@pytest.mark.parametrize(("length", "capacity"), SHAPES)
def test_windows_cover_the_document_and_share_half(length: int, capacity: int):
    starts = window_starts(length, capacity)
    assert starts[0] == 0
    assert starts[-1] == max(length - capacity, 0)
    steps = np.diff(starts)
    assert (steps >= 1).all()
    assert (steps <= capacity - capacity // 2 + (capacity > 1)).all()  # rounding may take one token


@pytest.mark.parametrize(("length", "capacity"), SHAPES)
def test_each_token_comes_from_the_window_of_the_definition(length: int, capacity: int):
    starts = window_starts(length, capacity)
    token = np.arange(length)
    chosen = choose_windows(token, token, starts, capacity)
    assert chosen.tolist() == [by_definition(t, t, starts, capacity) for t in range(length)]
    assert (chosen >= 0).all()
    distance = np.minimum(token - starts[chosen], starts[chosen] + capacity - 1 - token)
    inner = (token >= capacity // 4) & (token < length - capacity // 4)
    assert (distance[inner] >= capacity // 4 - 1).all()


@pytest.mark.parametrize(("length", "capacity"), SHAPES)
def test_a_run_of_tokens_comes_from_one_window(length: int, capacity: int):
    rng = np.random.default_rng(length)
    first = np.sort(rng.integers(0, length, 50))
    last = np.minimum(first + rng.integers(0, 8, 50), length - 1)
    starts = window_starts(length, capacity)
    chosen = choose_windows(first, last, starts, capacity)
    runs = zip(first, last, strict=True)
    assert chosen.tolist() == [by_definition(a, b, starts, capacity) for a, b in runs]


def test_no_tokens():
    empty = np.zeros(0, np.int64)
    assert choose_windows(empty, empty, np.zeros(1, np.int64), 5).shape == (0,)
