"""When a member's learning rate is halved and when its training ends, by its own validations alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .recipe import Recipe


@dataclass
class Schedule:
    """Counts of one member; all values are "higher is better"."""

    learning_rate: float
    best: float = -math.inf
    best_step: int = 0
    reference: float = -math.inf
    """The value that the next one must beat by the threshold."""
    stale: int = 0
    """Validations since the last improvement."""
    stale_at_rate: int = 0
    """The same, counted anew since the last halving."""
    validations: int = 0
    why_done: str = ""
    """Empty while training goes on."""

    def update(self, value: float, step: int, recipe: Recipe) -> bool:
        """Take in one validation; True if it is the best so far (by any margin), whose parameters are to be kept."""
        self.validations += 1
        is_best = value > self.best
        if is_best:
            self.best, self.best_step = value, step
        if value > self.reference + recipe.threshold:
            self.reference, self.stale, self.stale_at_rate = value, 0, 0
        else:
            self.stale += 1
            self.stale_at_rate += 1
        if self.stale_at_rate >= recipe.halve_after:
            self.learning_rate /= 2
            self.stale_at_rate = 0
        if self.stale >= recipe.stop_after:
            self.why_done = "no improvement"
        elif self.learning_rate < recipe.min_learning_rate:
            self.why_done = "learning rate"
        elif self.validations >= recipe.max_validations:
            self.why_done = "last validation"
        return is_best

    def record(self) -> dict[str, Any]:
        return dict(vars(self))
