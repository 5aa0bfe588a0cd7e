"""Where along the layers a model changed: a curve of similarities as drops, a centre, a share, a first layer.

A curve s_0, ..., s_L holds the similarity of a layer before and after, 1 where nothing changed: s_0 that of the
embeddings, s_l that of the output of the l-th block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ....core.errors import OptionError
from ....inference.resampling import jackknife_interval
from ....results import Scores

__all__ = [
    "LEAST_CHANGE",
    "STATISTICS",
    "CurveStatistic",
    "centre_of_change",
    "curve_statistics",
    "drops",
    "first_change",
    "middle_similarity",
    "thirds",
    "top_share",
]

LEAST_CHANGE = 1e-6
"""A smaller drop is none: float32 passes of one model in other batches differ by 2e-7 of an activation."""

Curve = Sequence[float] | np.ndarray


class Thirds(NamedTuple):
    """Numbers of blocks, 1 to L."""

    bottom: range
    middle: range
    top: range


class CurveStatistic(NamedTuple):
    """One number of a curve of one measure, with its interval."""

    measure: str
    statistic: str
    value: float
    low: float
    high: float
    blocks: int


def thirds(depth: int) -> Thirds:
    """The blocks 1..L cut after the L/3-th and the 2L/3-th, rounded: 1-4, 5-8 and 9-12 of 12."""
    first, second = round(depth / 3), round(2 * depth / 3)
    return Thirds(range(1, first + 1), range(first + 1, second + 1), range(second + 1, depth + 1))


def drops(similarity: Curve) -> np.ndarray:
    """delta_0 = 1 - s_0 and delta_l = s_{l-1} - s_l, (L + 1,): what each layer adds to the change, 1 - s_L in all.

    Negative where a layer comes back towards what it was.
    """
    return -np.diff(np.concatenate([[1.0], _checked(similarity)]))


def centre_of_change(similarity: Curve) -> float:
    """sum_l l delta_l / sum_l delta_l: the layer about which the change is spread, negative drops kept.

    From 0 (all in the embeddings) to L (all in the last block) for a curve that only falls. NaN where the whole drop
    1 - s_L is below `LEAST_CHANGE`. As the expected layer of Tenney et al. (2019, section 3.2), of drops for gains.
    """
    found = drops(similarity)
    return float(np.arange(len(found)) @ found) / whole if (whole := _whole(found)) else math.nan


def top_share(similarity: Curve) -> float:
    """The part of the whole drop 1 - s_L that falls in the top third of the blocks; NaN as for `centre_of_change`.

    1/3 for a drop spread evenly over the blocks; above 1 where the layers below came back.
    """
    found = drops(similarity)
    top = thirds(len(found) - 1).top
    return float(found[top.start : top.stop].sum()) / whole if (whole := _whole(found)) else math.nan


def middle_similarity(similarity: Curve) -> float:
    """Mean similarity of the middle third of the blocks; NaN where there is none, below three blocks."""
    values = _checked(similarity)
    middle = thirds(len(values) - 1).middle
    return float(values[middle.start : middle.stop].mean()) if middle else math.nan


def first_change(similarity: Curve, *, noise: float = LEAST_CHANGE) -> int | None:
    """The lowest layer whose similarity is below 1 - noise; None where there is none.

    Of one changed block it is that block: all below is computed from the same weights.
    """
    changed = np.flatnonzero(_checked(similarity) < 1 - noise)
    return int(changed[0]) if len(changed) else None


STATISTICS: dict[str, Callable[[Curve], float]] = {
    "centre of change": centre_of_change,
    "share of change in the top third": top_share,
    "similarity of the middle third": middle_similarity,
}


def curve_statistics(scores: Scores) -> list[CurveStatistic]:
    """Each of `STATISTICS` for each measure, with a jackknife interval over blocks of documents.

    scores : of the same layers of two stores, by `compare` with ``interval=``. All layers leave out the same block at
        once, so that the interval knows how they vary together, which intervals layer by layer do not.

    A statistic that is not defined for the curve, or for it without some block, is left out.

    Raises OptionError for scores without such intervals.
    """
    found = []
    for measure in scores.measures:
        curve = [score for score in scores if score.measure == measure]
        left = [_without_block(score.details, measure) for score in curve]
        for name, statistic in STATISTICS.items():
            value = statistic([score.value for score in curve])
            without = np.array([statistic(one) for one in zip(*left, strict=True)])
            if math.isfinite(value) and np.isfinite(without).all():
                low, high = jackknife_interval(value, without)
                found.append(CurveStatistic(measure, name, value, low, high, len(without)))
    return found


def _without_block(details: Any, measure: str) -> np.ndarray:
    interval = details.get("interval", {})
    if "without_block" not in interval:
        raise OptionError(
            f"Statistics of curves need the values without each block of documents, which scores of {measure} lack. "
            "Compare with interval=rs.Jackknife() or rs.Bootstrap()."
        )
    return np.asarray(interval["without_block"], dtype=np.float64)


def _whole(found: np.ndarray) -> float:
    """The sum of the drops, 0 for none to speak of: what a model gained cannot be placed either."""
    whole = float(found.sum())
    return whole if whole >= LEAST_CHANGE else 0.0


def _checked(similarity: Curve) -> np.ndarray:
    values = np.asarray(similarity, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise OptionError(
            f"A curve holds the similarity of the embeddings and of each block, finite numbers: got shape "
            f"{values.shape}. Leave out no layer."
        )
    return values
