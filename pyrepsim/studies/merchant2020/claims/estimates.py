"""Estimates: a value with its interval, the arithmetic of such values, and verdicts from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ....inference.resampling import spread_interval

__all__ = [
    "DOES_NOT_HOLD",
    "HOLDS",
    "NOT_TESTED",
    "UNDECIDED",
    "Estimate",
    "above",
    "below",
    "difference",
    "joint_verdict",
    "mean",
    "needed",
    "over_seeds",
    "ratio",
]

HOLDS, DOES_NOT_HOLD = "holds", "does not hold"
UNDECIDED, NOT_TESTED = "undecided", "not tested"


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its interval; both ends are None if no interval is known."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    def __sub__(self, other: Estimate) -> Estimate:
        return difference(self, other)

    def complement(self, of: float = 1.0) -> Estimate:
        """of - self."""
        ends = (None, None) if self.ends is None else (of - self.ends[1], of - self.ends[0])
        return Estimate(of - self.value, *ends)

    def times(self, factor: float) -> Estimate:
        """factor * self, for a factor above 0."""
        ends = (None, None) if self.ends is None else (factor * self.ends[0], factor * self.ends[1])
        return Estimate(factor * self.value, *ends)

    def text(self, digits: int = 2) -> str:
        """``0.52 [0.47, 0.58]``."""
        ends = "" if self.ends is None else f" [{self.ends[0]:.{digits}f}, {self.ends[1]:.{digits}f}]"
        return f"{self.value:.{digits}f}{ends}"

    def percent(self, digits: int = 2) -> str:
        """A fraction in percent (points), without the sign: ``52.00 [47.00, 58.00]``."""
        return self.times(100.0).text(digits)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b of two independent estimates, from their intervals.

    low = (a - b) - sqrt((a - a_low)^2 + (b_high - b)^2), high likewise: the square-and-add method of Zou & Donner
    (2008), Statistics in Medicine 27(10):1693. For estimates on the same texts, which are positively correlated, the
    interval is wider than necessary.
    """
    value = a.value - b.value
    if a.ends is None or b.ends is None:
        return Estimate(value)
    low = value - math.hypot(a.value - a.ends[0], b.ends[1] - b.value)
    return Estimate(value, low, value + math.hypot(a.ends[1] - a.value, b.value - b.ends[0]))


def ratio(a: Estimate, b: Estimate) -> Estimate:
    """a / b for b > 0, with the lowest and highest quotient of values in both intervals.

    From two 95 % intervals the result covers the true ratio in at least 90 % of cases. No interval if b's contains 0.
    """
    if a.ends is None or b.ends is None or b.ends[0] <= 0:
        return Estimate(a.value / b.value if b.value > 0 else math.nan)
    corners = [x / y for x in a.ends for y in b.ends]
    return Estimate(a.value / b.value, min(corners), max(corners))


def mean(parts: Sequence[Estimate]) -> Estimate:
    """Mean of estimates on the same texts, with the means of their ends: exact if all are fully correlated."""
    value = float(np.mean([part.value for part in parts]))
    ends = [part.ends for part in parts]
    known = [pair for pair in ends if pair is not None]
    if len(known) < len(ends):
        return Estimate(value)
    low, high = np.mean(known, axis=0)
    return Estimate(value, float(low), float(high))


def over_seeds(seeds: Sequence[Estimate]) -> Estimate:
    """One estimate from those of several fine-tuning seeds; a single seed's own estimate.

    The half width of the t interval over seeds (95 %) and that of the mean interval over texts are added in squares:
    the seeds read the same texts, so that the spread of the seeds does not include the variation between texts.
    """
    if len(seeds) == 1:
        return seeds[0]
    centre = mean(seeds)
    low, high = spread_interval(np.array([seed.value for seed in seeds]))
    below, above = centre.value - low, high - centre.value
    if centre.ends is not None:
        below = math.hypot(below, centre.value - centre.ends[0])
        above = math.hypot(above, centre.ends[1] - centre.value)
    return Estimate(centre.value, centre.value - below, centre.value + above)


def above(estimate: Estimate, threshold: float) -> str:
    """Whether the whole interval lies above the threshold; undecided if it contains it, or there is no interval."""
    if estimate.ends is None:
        return UNDECIDED
    low, high = estimate.ends
    return HOLDS if low > threshold else DOES_NOT_HOLD if high < threshold else UNDECIDED


def below(estimate: Estimate, threshold: float) -> str:
    """Whether the whole interval lies below the threshold, as in `above`."""
    opposite = {HOLDS: DOES_NOT_HOLD, DOES_NOT_HOLD: HOLDS}
    verdict = above(estimate, threshold)
    return opposite.get(verdict, verdict)


def needed(estimate: Estimate, threshold: float, n: int) -> int | None:
    """How many units (documents, seeds, items) would decide, if n units gave this estimate and the value stayed.

    n (half / distance)^2, rounded up, with the half width of the interval towards the threshold and the distance of the
    value from it: the half width falls as 1 / sqrt(n). None without an interval, or if the value is the threshold.
    """
    distance = threshold - estimate.value
    if estimate.ends is None or distance == 0:
        return None
    end = estimate.ends[1] if distance > 0 else estimate.ends[0]
    return math.ceil(n * ((end - estimate.value) / distance) ** 2)


def joint_verdict(verdicts: Iterable[str]) -> str:
    """The verdict of several conditions that must all hold; conditions that were not tested are ignored."""
    tested = {verdict for verdict in verdicts if verdict != NOT_TESTED}
    return next((one for one in (DOES_NOT_HOLD, UNDECIDED, HOLDS) if one in tested), NOT_TESTED)
