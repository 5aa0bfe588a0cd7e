"""C4 with a planted share of change in the top third, or a planted distance from half-way to the baseline.

A document of skewed change c has the similarity 1 - c w_l at layer l, where w_l rises by 1 - a in the middle third and
by the share a in the top third; a varies over documents and seeds. What is not planted is far on the side of the claim.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pyrepsim.studies.merchant2020.claims.location import MOST_OF_THE_CHANGE
from pyrepsim.studies.merchant2020.claims.replicates import Replicates

from .design import Planted
from .documents import curve_rows, skewed, tuned_rows

_MIDDLE, _TOP = np.array([0.0, 0, 1, 1]), np.array([0.0, 0, 0, 1])
"""How much of the change of the middle and of the top third has come at each layer, of three blocks."""
_SPREAD, _OF_SEED, _OF_MODEL, _UNRELATED = 0.10, 0.015, 0.03, 0.5


def rows(
    rng: np.random.Generator, effect: float, *, documents: int, seeds: int, halfway: bool = False
) -> list[dict[str, Any]]:
    """One task; the effect is the share, or with `halfway` the mean similarity minus the value half-way."""
    share = 0.8 if halfway else effect
    rise = float((_MIDDLE * (1 - share) + _TOP * share)[1:].mean())
    change = ((1 - _UNRELATED) / 2 - effect) / rise if halfway else 0.3
    shared, of_share = skewed(rng, documents), skewed(rng, documents)
    baseline = np.ones((documents, len(_TOP))) * (_UNRELATED + _SPREAD * skewed(rng, documents))[:, None]
    curves = []
    for _ in range(seeds):
        c = change * (1 + 0.4 * shared + _OF_MODEL * skewed(rng, documents))
        a = share + _SPREAD * of_share + _OF_MODEL * skewed(rng, documents)
        if seeds > 1:
            a = a + _OF_SEED * rng.standard_normal()
            c = c * (1 + 0.05 * rng.standard_normal())
        curves.append(1 - c[:, None] * ((1 - a)[:, None] * _MIDDLE + a[:, None] * _TOP))
    unrelated = Replicates.of_documents(baseline)
    found = tuned_rows({"mnli": [Replicates.of_documents(curve) for curve in curves]}, documents, baseline=unrelated)
    return [*found, *curve_rows("unrelated", None, None, unrelated, documents)]


def _design(documents: int, seeds: int, effects: tuple[float, ...], *, halfway: bool = False) -> Planted:
    name = f"{'half-way' if halfway else 'share'}, {seeds} seeds, {documents} documents"
    made = partial(rows, documents=documents, seeds=seeds, halfway=halfway)
    return Planted(
        "C4", name, "similarity" if halfway else "share", 0.0 if halfway else MOST_OF_THE_CHANGE, "above", made, effects
    )


DESIGNS = (
    _design(12, 3, (0.5,)),
    _design(48, 1, (0.35, 0.5, 0.55, 0.65)),
    _design(84, 1, (0.4, 0.5, 0.55, 0.6)),
    _design(40, 3, (0.35, 0.5, 0.55, 0.65)),
    _design(84, 6, (0.4, 0.5, 0.55, 0.6)),
    _design(40, 3, (-0.15, 0.0, 0.05, 0.15), halfway=True),
    _design(84, 6, (-0.1, 0.0, 0.05, 0.1), halfway=True),
)
