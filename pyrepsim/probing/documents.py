"""Scores of probes with the jackknife over documents: differences, combinations and ratios on the same documents.

The sentences of a document depend on each other, and documents do not. So one document at a time is left out, of all
scores that are combined at once (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 11).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..inference.p_values import two_sided_p
from ..inference.resampling import degrees_of_freedom, jackknife_standard_error, t_quantile

__all__ = ["ROUNDING", "Jackknifed", "fieller_interval", "jackknifed_f1"]

ROUNDING = 2.0**-48
"""Bound of the rounding in sums and means of a few scores of at most 1."""


@dataclass(frozen=True, eq=False)
class Jackknifed:
    """A score, and its value without each document. Sums and differences are of scores on the same documents.

    Attributes
    ----------
    value : float
    without : ndarray of shape (n_documents,)
        The value when one document is left out.
    effective : float
        The effective number of documents, (sum_d w_d)^2 / sum_d w_d^2 of their numbers of items w_d: large ones count
        most. The number of documents if all have one size.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.probing.documents import Jackknifed
    >>> before, after = Jackknifed(0.8, np.array([0.7, 0.8, 0.9])), Jackknifed(0.6, np.array([0.5, 0.6, 0.7]))
    >>> change = after - before
    >>> round(change.value, 4), round(change.standard_error, 4)
    (-0.2, 0.0)
    """

    value: float
    without: np.ndarray
    effective: float = math.inf

    def __sub__(self, other: Jackknifed) -> Jackknifed:
        return self + other.times(-1.0)

    def __add__(self, other: Jackknifed) -> Jackknifed:
        effective = min(self.effective, other.effective)
        return Jackknifed(self.value + other.value, self.without + other.without, effective)

    def times(self, factor: float) -> Jackknifed:
        """Return factor * self."""
        return Jackknifed(factor * self.value, factor * self.without, self.effective)

    @property
    def n_documents(self) -> int:
        return len(self.without)

    @cached_property
    def standard_error(self) -> float:
        """sqrt((D - 1) / D sum_d (t_d - mean t)^2) of the values t_d without document d of D; NaN for one document."""
        return jackknife_standard_error(self.without) if self.n_documents > 1 else math.nan

    @cached_property
    def degrees_of_freedom(self) -> float:
        """Those of `pyrepsim.Jackknife`, and at most `effective` - 1, but at least 1.

        Few large documents, and few that deviate, leave a standard error uncertain: Carter, Schnepel & Steigerwald
        (2017), Review of Economics and Statistics 99(4), for the sizes.
        """
        return min(degrees_of_freedom(self.without), max(self.effective - 1, 1.0))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return value -+ t SE, with `degrees_of_freedom`; both ends NaN for one document."""
        if self.n_documents < 2:
            return math.nan, math.nan
        half = t_quantile(confidence, self.degrees_of_freedom) * self.standard_error
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """Two-sided p-value of the score 0, by the same t; 1 for a value of rounding, NaN for one document."""
        if self.n_documents < 2:
            return math.nan
        return two_sided_p(self.value, self.standard_error, self.degrees_of_freedom, ROUNDING)


def jackknifed_f1(counts: np.ndarray, documents: np.ndarray) -> Jackknifed:
    """Return micro-averaged F1, the mean over runs, with its values without each document.

    F1 = 2 TP / (predicted + gold) of the sums over sentences; 0 where nothing is predicted or gold. A proportion, such
    as UUAS, is F1 with as many predictions as gold edges.

    Parameters
    ----------
    counts : ndarray of shape (n_runs, n_sentences, 3)
        True positives, predictions and gold pairs of each sentence.
    documents : ndarray of shape (n_sentences,)
        The number of the document of each sentence.

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.probing.documents import jackknifed_f1
    >>> f1 = jackknifed_f1(np.array([[[1, 1, 1], [1, 2, 2], [0, 1, 1]]]), np.array([0, 0, 1]))
    >>> round(f1.value, 4), f1.without.round(4)
    (0.5, array([0.    , 0.6667]))
    """
    order = np.argsort(documents, kind="stable")
    starts = np.flatnonzero(np.diff(documents[order], prepend=-1))  # of each document
    sums = np.add.reduceat(np.asarray(counts, np.float64)[:, order], starts, axis=1)
    totals = sums.sum(axis=1, keepdims=True)
    items = sums[..., 1:].sum(axis=(0, 2))  # of each document, of all runs: predictions and gold pairs
    effective = float(items.sum() ** 2 / np.square(items).sum()) if items.any() else 1.0
    return Jackknifed(float(_f1(totals).mean()), _f1(totals - sums).mean(axis=0), effective)


def _f1(counts: np.ndarray) -> np.ndarray:
    true_positives, predicted, gold = np.moveaxis(counts, -1, 0)
    return 2 * true_positives / np.maximum(predicted + gold, 1)


def fieller_interval(numerator: Jackknifed, denominator: Jackknifed, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval of numerator / denominator of scores on the same documents, by Fieller's method.

    It holds the ratios r for which numerator - r denominator differs from 0 by at most t SE, with the degrees of
    freedom at the estimated ratio. Both ends are NaN where the denominator itself does not differ from 0: such an
    interval has no end.

    References
    ----------
    Fieller (1954), Journal of the Royal Statistical Society B 16(2).

    Examples
    --------
    >>> import numpy as np
    >>> from pyrepsim.probing.documents import Jackknifed, fieller_interval
    >>> half = Jackknifed(1.0, np.array([0.9, 1.0, 1.1]))
    >>> [round(end, 6) for end in fieller_interval(half, half.times(2.0))]
    [0.5, 0.5]
    """
    n = numerator.n_documents
    if n < 2 or abs(denominator.value) <= ROUNDING:
        return math.nan, math.nan
    covariance = ((n - 1) ** 2 / n * np.cov(numerator.without, denominator.without)).tolist()
    residual = numerator - denominator.times(numerator.value / denominator.value)
    square = t_quantile(confidence, residual.degrees_of_freedom) ** 2
    a = denominator.value**2 - square * covariance[1][1]
    if a <= 0:
        return math.nan, math.nan
    b = numerator.value * denominator.value - square * covariance[0][1]
    c = numerator.value**2 - square * covariance[0][0]
    root = math.sqrt(max(b**2 - a * c, 0.0))
    return (b - root) / a, (b + root) / a
