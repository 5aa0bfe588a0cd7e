"""Scores of several comparisons together: their differences with intervals, and their spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import OptionError
from ..results import Score, Scores
from .resampling import jackknife_standard_error, spread_interval
from .student import t_central, t_quantile

__all__ = ["differences", "over_seeds"]

Key = tuple[str, str | None, str | None]


def differences(first: Scores, second: Scores, *, paired: bool, level: float = 0.95) -> Scores:
    """first - second for each measure and pair of layers that both have, with an interval and a p-value.

    Both come from comparisons with ``interval=``, whose values without each block of documents give jackknife
    standard errors.

    paired : whether both were computed on the same documents, cut into the same blocks (two fine-tuned models against
        one base, say). Blocks are then left out of both at once. Otherwise (in and out of domain) the documents of the
        one tell nothing of the other's, and squared standard errors add.
    level : of the intervals, value -+ t SE, with S - 1 degrees of freedom, or those of Welch & Satterthwaite.

    ``details``: first, second, standard_error, p (two-sided, of no difference), p_holm (the same over all pairs of
    layers of the measure at once: Holm 1979), degrees_of_freedom, paired.

    Raises OptionError for scores without such intervals, for ``paired`` scores of other blocks, or when nothing is
    shared.
    """
    if not 0 < level < 1:
        raise OptionError(f"level must be a fraction between 0 and 1, such as 0.95: got {level!r}.")
    ours, theirs = _by_key(first), _by_key(second)
    shared = [key for key in ours if key in theirs]
    if not shared:
        raise OptionError(
            f"differences are of measures and layers that both have: {', '.join(first.measures) or 'none'} and "
            f"{', '.join(second.measures) or 'none'} share none. Compare both by the same measures."
        )
    found = [_difference(ours[key], theirs[key], paired, level) for key in shared]
    for measure in dict.fromkeys(score.measure for score in found):
        mine = [index for index, score in enumerate(found) if score.measure == measure]
        adjusted = _holm(np.array([found[index].details["p"] for index in mine]))
        for index, p in zip(mine, adjusted, strict=True):
            found[index] = replace(found[index], details={**found[index].details, "p_holm": float(p)})
    return Scores(found)


def over_seeds(runs: Sequence[Scores], *, band: str = "t", level: float = 0.95) -> Scores:
    """The mean of each score over runs that differ by their seed, with a band for how far seeds spread.

    runs : `Scores` of each seed, all of the same measures and layers. band, level : ``"t"``: an interval for the mean
        over all seeds there could be; ``"sd"``: one standard deviation; ``"range"``: the lowest to the highest.

    ``details``: values (one for each run), standard_deviation, interval = {kind, runs, level}. ``n_samples`` is the
    first run's. Provenance is what all runs agree in, and the kind of band.

    Raises OptionError for fewer than two runs, or for runs of other measures or layers.
    """
    keyed = [_by_key(run) for run in runs]
    if len(keyed) < 2 or any(set(one) != set(keyed[0]) for one in keyed):
        raise OptionError(
            f"runs must be the scores of at least two seeds, of the same measures and layers: got {len(keyed)} of "
            f"{[len(one) for one in keyed]} scores. Select first what all have."
        )
    found = []
    for key, score in keyed[0].items():
        values = np.array([one[key].value for one in keyed])
        details: dict[str, Any] = {"values": values, "standard_deviation": float(np.std(values, ddof=1))}
        said: dict[str, Any] = {"kind": f"{band} of seeds", "runs": len(values)}
        if band == "t":
            said["level"] = level
        details["interval"] = said
        shared = _shared([one[key].provenance for one in keyed]) | {"interval": said}
        interval = spread_interval(values, band=band, level=level)
        found.append(
            replace(score, value=float(np.mean(values)), interval=interval, details=details, provenance=shared)
        )
    return Scores(found)


def _difference(ours: Score, theirs: Score, paired: bool, level: float) -> Score:
    sides = [_resampling_of(score) for score in (ours, theirs)]
    left = [np.asarray(side["without_block"], dtype=np.float64) for side in sides]
    if not paired:
        variances = [jackknife_standard_error(values) ** 2 for values in left]
        error, dof = math.sqrt(sum(variances)), _satterthwaite(variances, [len(values) - 1 for values in left])
    elif sides[0]["digest"] == sides[1]["digest"]:
        error, dof = jackknife_standard_error(left[0] - left[1]), len(left[0]) - 1
    else:
        raise OptionError(
            f"paired differences are of scores on the same blocks of documents: those of {ours.measure} at "
            f"{ours.layer_x} are of others. Use equal blocks= and the same texts, or paired=False."
        )
    value = ours.value - theirs.value
    half = t_quantile(level, dof) * error
    if error > 0:
        p = 1 - t_central(abs(value) / error, dof)
    else:
        p = float(value == 0)
    kind = "jackknife of paired differences" if paired else "jackknife of differences"
    details = {"first": ours.value, "second": theirs.value, "standard_error": error, "p": p}
    details |= {"degrees_of_freedom": dof, "paired": paired, "level": level}
    return replace(
        ours,
        value=value,
        interval=(value - half, value + half),
        details=details,
        provenance=_shared([ours.provenance, theirs.provenance]) | {"interval": {"kind": kind, "level": level}},
    )


def _resampling_of(score: Score) -> Mapping[str, Any]:
    found = score.details.get("interval")
    if not isinstance(found, Mapping) or "without_block" not in found:
        raise OptionError(
            f"differences need the values of {score.measure} without each block of documents, which this score lacks. "
            "Compare with interval=rs.Jackknife() or rs.Bootstrap()."
        )
    return found


def _satterthwaite(variances: Sequence[float], dofs: Sequence[int]) -> int:
    """Degrees of freedom of a sum of variances, rounded down: the wider interval."""
    spread = sum(variance**2 / dof for variance, dof in zip(variances, dofs, strict=True))
    return max(1, int(sum(variances) ** 2 / spread)) if spread > 0 else min(dofs)


def _holm(p: np.ndarray) -> np.ndarray:
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def _by_key(scores: Scores) -> dict[Key, Score]:
    found = {(score.measure, score.layer_x, score.layer_y): score for score in scores}
    if len(found) != len(scores):
        raise OptionError("each measure and pair of layers must have one score: got several. Select first.")
    return found


def _shared(provenances: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, *others = provenances
    return {key: item for key, item in first.items() if all(other.get(key) == item for other in others)}
