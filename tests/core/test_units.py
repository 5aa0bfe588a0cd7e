"""Sizes in words."""

from __future__ import annotations

import pytest

from pyrepsim.core.units import bytes_in_words


@pytest.mark.parametrize(
    ("n_bytes", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (81_400_000, "81.4 MB"),
        (153_600_000, "154 MB"),
        (999_999, "1 MB"),
        (3.05e9, "3.05 GB"),
        (2e15, "2 PB"),
        (2e18, "2,000 PB"),
    ],
)
def test_sizes_have_three_digits(n_bytes: float, words: str):
    assert bytes_in_words(n_bytes) == words
