"""Which of two representations is closer to a third."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..core.errors import OptionError
from ..inference import Bootstrap, Jackknife, differences
from ..measures import Measure
from ..results import Score, Scores
from .comparing import compare
from .options import as_measures
from .undefined import is_defined

__all__ = ["closer_to"]


def closer_to(
    reference: Any,
    X: Any,
    Y: Any,
    measures: Measure | str | Sequence[Measure | str],
    *,
    interval: Bootstrap | Jackknife | str = "Jackknife",
    **options: Any,
) -> Scores:
    """Test which of X and Y is closer to a reference, such as two fine-tuned models to their base.

    value = measure(reference, X) - measure(reference, Y), for each measure and layer, with a paired interval: each
    block of documents is left out of both at once.

    Parameters
    ----------
    reference, X, Y : array-like, ActivationStore, or a layer of one
        Three representations of the same rows.
    measures
        As in `compare`.
    interval : Jackknife, Bootstrap or str, default "Jackknife"
        The blocks of documents and the confidence. Intervals and p-values are those of the jackknife.
    **options
        Of `compare`, such as ``documents=``, ``layers=`` and ``tokens=``.

    Returns
    -------
    Scores
        As of `differences`. ``details["closer"]`` is "X", "Y", or None where the interval contains 0, that is, where
        these documents do not decide. ``details["p"]`` is two-sided, ``details["p_holm"]`` is adjusted for all layers.
        Layers for which a measure is not defined come last, as NaN.

    Raises
    ------
    OptionError
        If a measure is not symmetric, or an option does not apply.
    PyrepsimError
        As in `compare`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> base = rng.standard_normal((400, 8))
    >>> little, much = (base + noise * rng.standard_normal((400, 8)) for noise in (0.5, 1.0))
    >>> (score,) = rs.closer_to(base, little, much, "LinearCKA(debiased=True)")
    >>> round(score.value, 4), score.details["closer"]
    (0.3043, 'X')
    """
    parsed = as_measures(measures)
    for measure in parsed:
        if not measure.symmetric:
            raise OptionError(
                f"closer_to needs symmetric measures: {measure} has another value with the two sides exchanged. Use "
                "rs.differences of two comparisons."
            )
    first, second = (list(compare(reference, side, parsed, interval=interval, **options)) for side in (X, Y))
    with_interval = [[score for score in scores if _has_interval(score)] for scores in (first, second)]
    confidence = {score.details["interval"]["confidence"] for score in with_interval[0]} or {0.95}
    decided = differences(*map(Scores, with_interval), paired=True, confidence=confidence.pop())
    distances = {str(measure) for measure in parsed if measure.is_distance}
    closer = [
        replace(score, details={**score.details, "closer": _closer(score.interval, score.measure in distances)})
        for score in decided
    ]
    undefined = {
        (score.measure, score.layer_x, score.layer_y): replace(score, value=math.nan, interval=None)
        for score in (*first, *second)
        if not _has_interval(score)
    }
    return Scores([*closer, *undefined.values()])


def _has_interval(score: Score) -> bool:
    """Whether a score and its interval are defined."""
    return is_defined(score) and "interval" in score.details


def _closer(interval: tuple[float, float] | None, is_distance: bool) -> str | None:
    low, high = interval or (0.0, 0.0)
    if low <= 0 <= high:
        return None
    return "X" if (low > 0) != is_distance else "Y"
