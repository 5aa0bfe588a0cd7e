"""Random choices that depend on the seed alone, not on the Python version or the platform."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from ...core.errors import OptionError

__all__ = ["RandomChoices", "check_count", "distinct"]

T = TypeVar("T")


class _HasText(Protocol):
    @property
    def text(self) -> str: ...


Item = TypeVar("Item", bound=_HasText)


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


def check_count(n: int, noun: str) -> None:
    """Raise OptionError if fewer than one item is to be generated."""
    if n < 1:
        raise OptionError(f"The number of {noun} must be at least 1: got {n}.")


def distinct(n: int, make: Callable[[], Item], noun: str) -> list[Item]:
    """Call `make` until there are `n` items with different texts, and return these in order."""
    check_count(n, noun)
    items: dict[str, Item] = {}
    while len(items) < n:
        item = make()
        items.setdefault(item.text, item)
    return list(items.values())
