"""Scores that are not defined, such as those of the embeddings of [CLS], whose rows are all equal.

The rule of every comparison: where a measure is not defined for some pairs of layers, these scores are NaN with the
reason in ``details["undefined"]``. A measure that is defined for no pair raises its error.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ..core.errors import DegenerateError
from ..measures import Measure, MomentMeasure
from ..measures.base import MomentsSource
from ..results import Score
from .layers import LayerGroup

__all__ = [
    "check_defined",
    "each_defined",
    "in_parts",
    "is_defined",
    "score_or_undefined",
    "undefined_score",
    "without_interval",
]

log = logging.getLogger("pyrepsim.comparison")

T = TypeVar("T")


def undefined_score(measure: Measure, n_samples: float, error: DegenerateError) -> Score:
    """Return the score of a measure that is not defined for a pair of layers."""
    return Score(math.nan, str(measure), int(n_samples), details={"undefined": str(error)})


def is_defined(score: Score) -> bool:
    """Whether the value of a score, and its interval if it has one, are defined."""
    return "undefined" not in score.details


def without_interval(score: Score, error: DegenerateError) -> Score:
    """Return a score whose interval is not defined."""
    return replace(score, interval=(math.nan, math.nan), details={**score.details, "undefined": str(error)})


def score_or_undefined(measure: MomentMeasure, moments: MomentsSource, n_samples: float) -> Score:
    """Return the score of one pair of layers from its moments."""
    try:
        return measure.score(moments)
    except DegenerateError as error:
        return undefined_score(measure, n_samples, error)


def in_parts(
    scores_of_part: Callable[[LayerGroup, Sequence[MomentMeasure]], list[Score]],
    groups_of: Callable[[Sequence[tuple[str, str]]], list[LayerGroup]],
    group: LayerGroup,
    measures: Sequence[MomentMeasure],
    n_samples: int,
) -> list[Score]:
    """Return the scores of a group of layers; if its rows cannot be summed (a row of zeros), those of its parts."""
    try:
        return scores_of_part(group, measures)
    except DegenerateError as error:
        transforms = list(dict.fromkeys(measure.transform for measure in measures))
        pairs, half = group.pairs, len(group.pairs) // 2
        if len(transforms) == 1 and not half:
            return [undefined_score(measure, n_samples, error).named(*pairs[0]) for measure in measures]
    parts: list[tuple[Sequence[tuple[str, str]], list[MomentMeasure]]]
    if len(transforms) > 1:
        parts = [(pairs, [measure for measure in measures if measure.transform == kind]) for kind in transforms]
    else:
        parts = [(pairs[:half], list(measures)), (pairs[half:], list(measures))]
    return [
        score
        for of_part, chosen in parts
        for part in groups_of(of_part)
        for score in in_parts(scores_of_part, groups_of, part, chosen, n_samples)
    ]


def each_defined(
    evaluate: Callable[[Any, list[tuple[int, int]]], Sequence[T]], layers: Any, pairs: Sequence[tuple[int, int]]
) -> list[T | DegenerateError]:
    """Return the result for each pair of layers, or the error of those for which the measure is not defined.

    If all pairs together raise an error, the pairs of constant layers are left out, then the others halved.
    """
    try:
        return list(evaluate(layers, list(pairs)))
    except DegenerateError as error:
        if len(pairs) == 1:
            return [error]
    wrong = layers.undefined()
    results: dict[tuple[int, int], Any] = {(i, j): wrong.get(i) or wrong.get(j) for i, j in pairs}
    rest = [pair for pair in pairs if results[pair] is None]
    half = len(rest) // 2 if len(rest) == len(pairs) else 0
    for part in filter(None, (rest[:half], rest[half:])):
        used = sorted({index for pair in part for index in pair})
        place = {index: k for k, index in enumerate(used)}
        found = each_defined(evaluate, layers.only(used), [(place[i], place[j]) for i, j in part])
        results.update(zip(part, found, strict=True))
    return [results[pair] for pair in pairs]


def check_defined(scores: Sequence[Score]) -> None:
    """Raise the error of a measure that is defined for no pair; log one warning for pairs without a defined score."""
    missing = [score for score in scores if not is_defined(score)]
    if not missing:
        return
    defined = {score.measure for score in scores if is_defined(score)}
    for score in missing:
        if score.measure not in defined:
            raise DegenerateError(score.details["undefined"])
    log.warning(
        "%d of %d scores are not defined, see details['undefined'] (first: layers %s and %s). %s",
        len(missing),
        len(scores),
        missing[0].layer_x,
        missing[0].layer_y,
        missing[0].details["undefined"],
    )
