"""Estimates: a value with its interval, the arithmetic of such values, and verdicts from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ....inference.differences import satterthwaite
from ....inference.resampling import spread_interval, t_quantile

__all__ = [
    "DOES_NOT_HOLD",
    "HOLDS",
    "LEAST_DOCUMENTS",
    "NOT_TESTED",
    "UNDECIDED",
    "WIDER_OF_ONE_SEED",
    "Estimate",
    "above",
    "agreed_verdict",
    "below",
    "difference",
    "for_verdict",
    "joint_verdict",
    "mean",
    "needed",
    "over_seeds",
    "ratio",
    "units_needed",
    "with_enough_documents",
    "with_seeds",
]

WIDER_OF_ONE_SEED = 1.1
"""How much wider the interval of a single seed is made for a verdict on it. Of very skewed documents, or items in very
unequal groups, intervals at 95 % leave the truth to one side in up to 7.5 % of planted studies. With several seeds the
interval over seeds, which is added, makes up for it: benchmarks/planted-studies.md."""

LEAST_DOCUMENTS = 20
"""With fewer documents, jackknife intervals are too narrow where documents are skewed: nothing is decided."""

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
    """q = a / b of two independent estimates, b > 0, by linearisation.

    low = q - sqrt((a - a_low)^2 + (q (b_high - b))^2) / b, high likewise; for q < 0 with the other end of b. For
    positively correlated estimates with q > 0 the interval is wider than necessary. None if b's contains 0.
    """
    if a.ends is None or b.ends is None or b.ends[0] <= 0:
        return Estimate(a.value / b.value if b.value > 0 else math.nan)
    q = a.value / b.value
    above, below = b.ends[1] - b.value, b.value - b.ends[0]
    if q < 0:
        above, below = below, above
    low = q - math.hypot(a.value - a.ends[0], q * above) / b.value
    return Estimate(q, low, q + math.hypot(a.ends[1] - a.value, q * below) / b.value)


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


def with_seeds(models: Estimate, groups: Sequence[tuple[float, Sequence[float]]]) -> Estimate:
    """The effect of training from that of the models at hand.

    Parameters
    ----------
    models : the effect sum_g c_g (mean of group g) for these models, with its interval over texts.
    groups : the factor c_g and the values of the seeds of each group; what has no seeds is left out.

    Returns
    -------
    Estimate
        The half width of the t interval over seeds, t sqrt(sum_g c_g^2 s_g^2 / n_g) with the degrees of freedom of
        Welch & Satterthwaite, and that over texts are added in squares. With a single seed in a group nothing is known
        about other seeds: the effect is then that of these models, as given.
    """
    if models.ends is None or not groups or any(len(values) < 2 for _, values in groups):
        return models
    variances = [factor**2 * float(np.var(values, ddof=1)) / len(values) for factor, values in groups]
    dof = satterthwaite(variances, [len(values) - 1 for _, values in groups])
    half = t_quantile(0.95, dof) * math.sqrt(sum(variances))
    low, high = (math.hypot(end - models.value, half) for end in models.ends)
    return Estimate(models.value, models.value - low, models.value + high)


def for_verdict(estimate: Estimate, n_seeds: int) -> Estimate:
    """What is compared with a threshold: of one seed, the estimate with a wider interval, see `WIDER_OF_ONE_SEED`."""
    if n_seeds > 1 or estimate.ends is None:
        return estimate
    low, high = (estimate.value + WIDER_OF_ONE_SEED * (end - estimate.value) for end in estimate.ends)
    return Estimate(estimate.value, low, high)


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


def with_enough_documents(verdict: str, n: int | None) -> str:
    """The verdict; undecided with fewer than `LEAST_DOCUMENTS` documents. Old rows do not have their number."""
    return UNDECIDED if n is not None and n < LEAST_DOCUMENTS else verdict


def units_needed(verdict: str, estimate: Estimate, threshold: float, *, documents: int | None, seeds: int) -> str:
    """How many documents and seeds would decide an undecided verdict; empty if it is decided or nothing is known."""
    counts = [(documents, "documents"), *([(seeds, "seeds")] if seeds > 1 else [])]
    found = [(needed(estimate, threshold, n), unit) for n, unit in counts if n]
    if verdict != UNDECIDED or not found or found[0][0] is None:
        return ""
    least = {"documents": LEAST_DOCUMENTS, "seeds": 2}
    return "about " + " and ".join(f"{max(n or 0, least[unit]):,} {unit}" for n, unit in found)


def agreed_verdict(verdicts: Iterable[str]) -> str:
    """The verdict that all share; undecided if they differ, or if one was not tested."""
    found = set(verdicts)
    return found.pop() if len(found) == 1 and NOT_TESTED not in found else UNDECIDED


def joint_verdict(verdicts: Iterable[str]) -> str:
    """The verdict of several conditions that must all hold; conditions that were not tested are ignored."""
    tested = {verdict for verdict in verdicts if verdict != NOT_TESTED}
    return next((one for one in (DOES_NOT_HOLD, UNDECIDED, HOLDS) if one in tested), NOT_TESTED)
