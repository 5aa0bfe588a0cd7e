"""The best match of each layer: of all pairs, for each layer of X the layer of Y that is most similar to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..core.errors import OptionError
from ..measures import Measure
from ..results import Score
from .undefined import is_defined

__all__ = ["best_matches", "best_with_null", "check_direction"]


def best_matches(scores: Sequence[Score], measures: Sequence[Measure]) -> list[Score]:
    """Return the best score of each measure and layer of X: the highest, of a distance the lowest.

    Of equal scores, the first. Scores that are not defined are left out, unless a layer has no other. The number of
    layers of Y that the best one was chosen from is ``details["best_of"]``.
    """
    return [_best([scores[i] for i in group], sign) for group, sign in _groups(scores, measures)]


def best_with_null(
    scores: Sequence[Score], null: np.ndarray, measures: Sequence[Measure]
) -> tuple[list[Score], np.ndarray]:
    """Return the best scores and their null: in each permutation, the best value over the same layers of Y.

    So the null takes the choice into account. Layers of Y that are not defined in some permutation are left out.

    Parameters
    ----------
    scores : sequence of Score
        Of all pairs.
    null : ndarray of shape (n_resamples, n_scores)
        Their values in each permutation.
    measures : sequence of Measure

    Returns
    -------
    list of Score, ndarray of shape (n_resamples, n_best)
    """
    best, columns = [], []
    for group, sign in _groups(scores, measures):
        usable = [i for i in group if is_defined(scores[i]) and np.isfinite(null[:, i]).all()]
        chosen = usable or group
        best.append(_best([scores[i] for i in chosen], sign))
        columns.append(sign * (sign * null[:, chosen]).max(axis=1))
    return best, np.stack(columns, axis=1)


def check_direction(measures: Sequence[Measure], alternative: str) -> None:
    """Refuse to test the best match, the lowest value of a distance, against the other direction."""
    for measure in measures:
        if (alternative == "less") != measure.is_distance:
            best, right = ("lowest", "less") if measure.is_distance else ("highest", "greater")
            raise OptionError(
                f"layers='best' tests the {best} value of {measure}: got alternative={alternative!r}. Use "
                f"alternative={right!r}, and test distances apart from similarities."
            )


def _groups(scores: Sequence[Score], measures: Sequence[Measure]) -> list[tuple[list[int], float]]:
    """Return the numbers of the scores of each layer of X and measure, and 1.0, or -1.0 for distances."""
    signs = {str(measure): -1.0 if measure.is_distance else 1.0 for measure in measures}
    groups: dict[tuple[str | None, str], list[int]] = {}
    for index, score in enumerate(scores):
        groups.setdefault((score.layer_x, score.measure), []).append(index)
    return [(group, signs[measure]) for (_, measure), group in groups.items()]


def _best(scores: Sequence[Score], sign: float) -> Score:
    defined = [score for score in scores if is_defined(score)]
    best = max(defined or scores[:1], key=lambda score: sign * score.value)
    return replace(best, details={**best.details, "best_of": len(defined)})
