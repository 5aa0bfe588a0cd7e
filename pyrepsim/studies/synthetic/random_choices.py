"""Random choices that depend on the seed alone, not on the Python version or the platform."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

__all__ = ["RandomChoices"]

T = TypeVar("T")


class RandomChoices:
    """Random choices from a seed: the same sequence on every Python version.

    Only `random.Random.random` is used, the one method whose sequence Python promises never to change.
    """

    def __init__(self, *seed: object) -> None:
        # random.Random seeds a string by its SHA-512, not by hash(), which differs between processes.
        self._random = random.Random(":".join(map(str, seed))).random

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self._random() < probability

    def pick(self, choices: Sequence[T]) -> T:
        """Return one element, all equally likely."""
        return choices[int(self._random() * len(choices))]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """Return one key, with a probability proportional to its weight."""
        rest = self._random() * sum(weights.values())
        for key, weight in weights.items():
            rest -= weight
            if rest < 0:
                return key
        return next(reversed(list(weights)))

    def sample(self, choices: Sequence[T], k: int) -> list[T]:
        """Return `k` elements at different positions, in random order."""
        remaining = list(choices)
        return [remaining.pop(int(self._random() * len(remaining))) for _ in range(k)]
