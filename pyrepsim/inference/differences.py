"""Differences between the scores of two comparisons, and the spread of scores over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import OptionError
from ..results import Score, Scores
from .p_values import holm, two_sided_p, value_rounding
from .resampling import degrees_of_freedom, jackknife_standard_error, spread_interval, t_quantile

__all__ = ["differences", "error_of_difference", "over_seeds", "satterthwaite"]

Key = tuple[str, str | None, str | None]


def differences(first: Scores, second: Scores, *, paired: bool, confidence: float = 0.95) -> Scores:
    """Differences first - second with intervals and p-values, for each measure and pair of layers that both have.

    Both must come from comparisons with ``interval=``: the values without each block of documents, which such scores
    hold, give jackknife standard errors.

    Parameters
    ----------
    first, second : Scores
        Results of two comparisons.
    paired : bool
        True if both were computed on the same documents, cut into the same blocks (for example two fine-tuned models,
        each against the same base). Each block is then left out of both at once. False if the documents are
        independent (for example in-domain and out-of-domain text); the squared standard errors then add.
    confidence : float, default 0.95
        Of the intervals, value -+ t SE. The degrees of freedom are those of `Jackknife` for paired differences, and
        from them those of Welch & Satterthwaite otherwise.

    Returns
    -------
    Scores
        One score for each measure and pair of layers in both. ``details`` has ``first``, ``second``,
        ``standard_error``, ``degrees_of_freedom``, ``paired``, ``confidence``, ``p`` (two-sided, of no difference) and
        ``p_holm`` (p adjusted for all pairs of layers of the measure by Holm's method).

    Raises
    ------
    OptionError
        If the scores have no such intervals, if ``paired`` scores are of different blocks, or if they have no measure
        and layer in common.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> base = rng.standard_normal((400, 8))
    >>> little, much = (base + noise * rng.standard_normal((400, 8)) for noise in (0.5, 1.0))
    >>> scores = [
    ...     rs.compare(base, tuned, rs.LinearCKA(debiased=True), interval=rs.Jackknife()) for tuned in (little, much)
    ... ]
    >>> difference = rs.differences(rs.Scores([scores[0]]), rs.Scores([scores[1]]), paired=True)[0]
    >>> round(difference.value, 4), tuple(round(end, 4) for end in difference.interval)
    (0.3043, (0.2733, 0.3352))
    """
    if not 0 < confidence < 1:
        raise OptionError(f"confidence must be a fraction between 0 and 1, such as 0.95: got {confidence!r}.")
    of_first, of_second = _by_key(first), _by_key(second)
    shared = [key for key in of_first if key in of_second]
    if not shared:
        raise OptionError(
            "differences need measures and layers that both results have: "
            f"{', '.join(first.measures) or 'none'} and {', '.join(second.measures) or 'none'} share none. "
            "Compare both by the same measures."
        )
    results = [_difference(of_first[key], of_second[key], paired, confidence) for key in shared]
    for measure in dict.fromkeys(score.measure for score in results):
        places = [place for place, score in enumerate(results) if score.measure == measure]
        for place, p in zip(places, holm([results[place].details["p"] for place in places]), strict=True):
            results[place] = replace(results[place], details={**results[place].details, "p_holm": float(p)})
    return Scores(results)


def over_seeds(runs: Sequence[Scores], *, band: str = "t", confidence: float = 0.95) -> Scores:
    """The mean of each score over runs that differ in their seed, with a band that shows how much seeds differ.

    Parameters
    ----------
    runs : sequence of Scores
        The scores of each seed, all of the same measures and layers; at least two.
    band : {"t", "sd", "range"}, default "t"
        ``"t"``: an interval for the mean of all possible seeds, by Student's t; ``"sd"``: the mean -+ one standard
        deviation; ``"range"``: from the smallest to the largest value.
    confidence : float, default 0.95
        Of the band ``"t"``.

    Returns
    -------
    Scores
        One score for each measure and pair of layers. ``details`` has ``values`` (one for each run),
        ``standard_deviation`` and ``interval`` = {kind, runs, confidence}. ``n_samples`` is that of the first run.
        Provenance holds what all runs have in common, and the kind of band.

    Raises
    ------
    OptionError
        For fewer than two runs, or for runs of different measures or layers.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((400, 8))
    >>> runs = [rs.Scores([rs.compare(X, X + rng.standard_normal((400, 8)), rs.LinearCKA())]) for _ in range(3)]
    >>> mean = rs.over_seeds(runs, band="range")[0]
    >>> round(mean.value, 4), tuple(round(end, 4) for end in mean.interval)
    (0.5172, (0.5072, 0.5358))
    """
    keyed = [_by_key(run) for run in runs]
    if len(keyed) < 2 or any(set(one) != set(keyed[0]) for one in keyed):
        raise OptionError(
            f"runs must be the scores of at least two seeds, of the same measures and layers: got {len(keyed)} with "
            f"{[len(one) for one in keyed]} scores. Select the measures and layers that all runs have."
        )
    results = []
    for key, score in keyed[0].items():
        values = np.array([one[key].value for one in keyed])
        interval_details: dict[str, Any] = {"kind": f"{band} of seeds", "runs": len(values)}
        if band == "t":
            interval_details["confidence"] = confidence
        provenance = _shared([one[key].provenance for one in keyed]) | {"interval": interval_details}
        details = {
            "values": values,
            "standard_deviation": float(np.std(values, ddof=1)),
            "interval": interval_details,
        }
        interval = spread_interval(values, band=band, confidence=confidence)
        results.append(
            replace(score, value=float(np.mean(values)), interval=interval, details=details, provenance=provenance)
        )
    return Scores(results)


def _difference(first: Score, second: Score, paired: bool, confidence: float) -> Score:
    resampling = [_resampling_of(score) for score in (first, second)]
    without_block = [np.asarray(one["without_block"], dtype=np.float64) for one in resampling]
    if not paired:
        error, dof = error_of_difference(*without_block)
    elif resampling[0]["digest"] == resampling[1]["digest"]:
        change = without_block[0] - without_block[1]
        error, dof = jackknife_standard_error(change), degrees_of_freedom(change)
    else:
        raise OptionError(
            f"paired differences need scores on the same blocks of documents: those of {first.measure} at "
            f"{first.layer_x} differ. Use equal blocks= and the same texts, or paired=False."
        )
    value = first.value - second.value
    half = t_quantile(confidence, dof) * error
    # a difference of rounding says nothing, however small its standard error came out
    precisions = {score.provenance.get("precision") for score in (first, second)}
    rounding = value_rounding(*(precisions if len(precisions) == 1 else {None}), first.value, second.value)
    p = two_sided_p(value, error, dof, rounding)
    kind = "jackknife of paired differences" if paired else "jackknife of differences"
    details = {"first": first.value, "second": second.value, "standard_error": error, "p": p}
    details |= {"degrees_of_freedom": dof, "paired": paired, "confidence": confidence}
    provenance = _shared([first.provenance, second.provenance])
    return replace(
        first,
        value=value,
        interval=(value - half, value + half),
        details=details,
        provenance=provenance | {"interval": {"kind": kind, "confidence": confidence}},
    )


def _resampling_of(score: Score) -> Mapping[str, Any]:
    details = score.details.get("interval")
    if not isinstance(details, Mapping) or "without_block" not in details:
        raise OptionError(
            f"differences need the values of {score.measure} without each block of documents, which this score lacks. "
            "Compare with interval=rs.Jackknife() or rs.Bootstrap()."
        )
    return details


def error_of_difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Jackknife standard error of the difference of two independent values, and its degrees of freedom.

    `first` and `second` are the values without each block.
    """
    errors = [jackknife_standard_error(values) for values in (first, second)]
    dofs = [degrees_of_freedom(values) for values in (first, second)]
    return math.hypot(*errors), satterthwaite([error**2 for error in errors], dofs)


def satterthwaite(variances: Sequence[float], dofs: Sequence[float]) -> float:
    """Degrees of freedom of a sum of variances (Welch & Satterthwaite)."""
    spread = sum(variance**2 / dof for variance, dof in zip(variances, dofs, strict=True))
    return sum(variances) ** 2 / spread if spread > 0 else min(dofs)


def _by_key(scores: Scores) -> dict[Key, Score]:
    by_key = {(score.measure, score.layer_x, score.layer_y): score for score in scores}
    if len(by_key) != len(scores):
        raise OptionError("each measure and pair of layers must have one score: got several. Select first.")
    return by_key


def _shared(provenances: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries that all provenances have in common."""
    first, *others = provenances
    return {key: item for key, item in first.items() if all(other.get(key) == item for other in others)}
