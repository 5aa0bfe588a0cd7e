"""Random choices made from `random.Random.random` alone, the one method Python promises never to change."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

__all__ = ["Dice"]

T = TypeVar("T")


class Dice:
    """A source of choices named by its seed: the same ones on every Python."""

    def __init__(self, *seed: object) -> None:
        # A string is seeded by its SHA-512, not by its hash, which differs from run to run.
        self._random = random.Random(":".join(map(str, seed))).random

    def chance(self, probability: float) -> bool:
        return self._random() < probability

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self._random() * len(choices))]

    def weighted(self, weights: Mapping[T, float]) -> T:
        """One key, with a probability proportional to its weight."""
        rest = self._random() * sum(weights.values())
        for key, weight in weights.items():
            rest -= weight
            if rest < 0:
                return key
        return next(reversed(list(weights)))

    def sample(self, choices: Sequence[T], k: int) -> list[T]:
        """`k` different ones, in random order."""
        left = list(choices)
        return [left.pop(int(self._random() * len(left))) for _ in range(k)]
