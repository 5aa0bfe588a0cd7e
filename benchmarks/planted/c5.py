"""C5 with a planted difference between the middle thirds after MNLI and parsing, or a planted similarity after parsing.

The similarity of the middle third is a mean over documents of skewed effects: one that all models share, one for each
task, and one for each model. What is not planted is far on the side of the claim: the models after equal numbers of
updates, and of the two conditions the other one.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pyrepsim.studies.merchant2020.claims.location import PARSING, RECONFIGURED
from pyrepsim.studies.merchant2020.claims.replicates import Replicates

from .design import Planted
from .documents import skewed, tuned_rows

_SHARED, _OF_TASK, _OF_MODEL, _OF_SEED = 0.10, 0.08, 0.02, 0.012
_FAR = 0.3
_BELOW = np.array([0.0, 0.5, 1.0, 1.5])
"""The change of each layer, relative to that of the middle third, of three blocks."""


def rows(
    rng: np.random.Generator, effect: float, *, documents: int, seeds: tuple[int, int], of_parsing: bool = False
) -> list[dict[str, Any]]:
    """`seeds` of MNLI and of parsing; the effect is the difference, or with `of_parsing` the similarity after it."""
    n_seeds = dict(zip(("mnli", PARSING), seeds, strict=True))
    found = []
    for variant in ("tuned", "equal"):
        planted = variant == "tuned"
        difference = effect if planted and not of_parsing else _FAR
        parsing = effect if planted and of_parsing else 0.6
        shared = _SHARED * skewed(rng, documents)
        curves = {}
        for task, middle in (("mnli", parsing + difference), (PARSING, parsing)):
            of_task = shared + _OF_TASK * skewed(rng, documents)
            of_seed = _OF_SEED * rng.standard_normal(n_seeds[task]) * (min(seeds) > 1)
            models = [middle + of_task + _OF_MODEL * skewed(rng, documents) + one for one in of_seed]
            curves[task] = [Replicates.of_documents(1 - np.outer(1 - model, _BELOW)) for model in models]
        found += tuned_rows(curves, documents, variant)
    return found


def _design(documents: int, seeds: tuple[int, int], effects: tuple[float, ...], *, of_parsing: bool = False) -> Planted:
    what = "similarity after parsing" if of_parsing else "difference"
    name = f"{what}, {seeds[0]} and {seeds[1]} seeds, {documents} documents"
    made = partial(rows, documents=documents, seeds=seeds, of_parsing=of_parsing)
    threshold, side = (RECONFIGURED, "below") if of_parsing else (0.0, "above")
    return Planted("C5", name, "similarity", threshold, side, made, effects)


DESIGNS = (
    _design(12, (3, 3), (0.0,)),
    _design(40, (1, 1), (-0.1, 0.0, 0.05, 0.1)),
    _design(40, (3, 3), (-0.12, 0.0, 0.06, 0.12)),
    _design(84, (6, 3), (-0.1, 0.0, 0.04, 0.1)),
    _design(40, (3, 3), (0.75, 0.85, 0.9, 1.05), of_parsing=True),
    _design(84, (6, 3), (0.8, 0.86, 0.9, 1.0), of_parsing=True),
)
