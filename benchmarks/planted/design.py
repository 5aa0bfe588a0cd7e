"""A planted study: how its rows are drawn for a true effect, and the verdicts of a claim's rule on many of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyrepsim.studies.merchant2020.claims import judge

__all__ = ["VERDICTS", "Planted", "false_rate", "verdicts"]

VERDICTS = ("holds", "does not hold", "undecided", "not tested")


@dataclass(frozen=True)
class Planted:
    """Studies of one design, as data of one claim.

    Attributes
    ----------
    claim : "C3" to "C8".
    name : the design in words, with its numbers of seeds, documents and items.
    unit : of the effects.
    threshold : the effect at which the claim neither holds nor fails.
    holds : "above" or "below" the threshold.
    rows : from a random generator and the true effect, the rows of one study, in the schema of a study's table.
    effects : true effects to plant, the threshold among them.
    """

    claim: str
    name: str
    unit: str
    threshold: float
    holds: str
    rows: Callable[[np.random.Generator, float], list[dict[str, Any]]]
    effects: tuple[float, ...]

    def truth(self, effect: float) -> str:
        """The right verdict; "undecided" at the threshold, where each decision is false."""
        if effect == self.threshold:
            return "undecided"
        return "holds" if (effect > self.threshold) == (self.holds == "above") else "does not hold"


def verdicts(planted: Planted, effect: float, draws: range) -> Counter[str]:
    """How often the rule gives each verdict; draw k has a seed of its own."""
    return Counter(_verdict(planted, effect, k) for k in draws)


def _verdict(planted: Planted, effect: float, k: int) -> str:
    place = planted.effects.index(effect)
    rows = planted.rows(np.random.default_rng([ord(planted.claim[1]), place, k]), effect)
    return next(one["verdict"] for one in judge(rows) if one["claim"] == planted.claim)


def false_rate(planted: Planted, effect: float, counts: Mapping[str, int]) -> float:
    """The fraction of verdicts that are false: "holds" where it does not, "does not hold" where it holds."""
    decided = {name: counts.get(name, 0) for name in VERDICTS[:2]}
    decided.pop(planted.truth(effect), None)
    return sum(decided.values()) / sum(counts.values())
