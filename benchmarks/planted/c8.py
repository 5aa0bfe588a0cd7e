"""C8 with planted differences of depth between MNLI and parsing: of the centre of change, of early exits, or of both.

A document of skewed change drops by a fraction at block 1 and by the rest at block 3, the last; an item of skewed
difficulty is right from the exit at block 1 on, from that at block 3 on, or never. Fractions vary over documents,
models and seeds. What is not planted is far on the side of the claim.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pyrepsim.studies.merchant2020.claims.exits import EXIT_DEPTH, depth_over_groups
from pyrepsim.studies.merchant2020.claims.location import PARSING
from pyrepsim.studies.merchant2020.claims.replicates import Replicates

from .design import Planted
from .documents import skewed, tuned_rows

_LOW, _HIGH, _FAR = 1, 3, 0.75
_FOUR = np.concatenate([np.zeros(_LOW), np.ones(_HIGH + 1 - _LOW)])
_TWELVE = np.concatenate([np.zeros(_HIGH), np.ones(1)])
_SPREAD, _OF_MODEL, _OF_SEED = 0.10, 0.03, 0.02
_GROUPS, _ITEMS = 200, 5


def rows(
    rng: np.random.Generator, effect: float, *, documents: int, seeds: tuple[int, int], planted: str
) -> list[dict[str, Any]]:
    """`planted`: "centre" (after full training), "exit" or "all" (of both trainings, and exits), in layers."""
    several = min(seeds) > 1
    n_seeds = dict(zip(("mnli", PARSING), seeds, strict=True))
    found = []

    def fraction(difference: float) -> dict[str, float]:
        """What comes with the lower block, so that the depths differ by `difference`."""
        return {PARSING: 0.6, "mnli": 0.6 - difference / (_HIGH - _LOW)}

    for variant in ("tuned", "equal"):
        here = planted == "all" or (planted == "centre" and variant == "tuned")
        shared, curves = skewed(rng, documents), {}
        for task, low in fraction(effect if here else _FAR).items():
            of_task = _SPREAD * skewed(rng, documents)
            curves[task] = []
            for _ in range(n_seeds[task]):
                change = 0.3 * (1 + 0.4 * shared + _OF_MODEL * skewed(rng, documents))
                at_low = low + of_task + _OF_MODEL * skewed(rng, documents) + several * _OF_SEED * rng.standard_normal()
                curve = 1 - change[:, None] * (np.outer(at_low, _FOUR) + np.outer(1 - at_low, _TWELVE))
                curves[task].append(Replicates.of_documents(curve))
        found += tuned_rows(curves, documents, variant)
    for task, low in fraction(effect if planted in ("exit", "all") else _FAR).items():
        for seed in range(n_seeds[task]):
            here = low + several * _OF_SEED * rng.standard_normal()
            found.append(_exit_row(rng, task, seed, here))
    return found


def _exit_row(rng: np.random.Generator, task: str, seed: int, low: float) -> dict[str, Any]:
    """Scores from 0.3 at the embeddings to 0.8 at the last block; groups of items differ in difficulty."""
    difficulty = 0.05 * skewed(rng, _GROUPS)[:, None] + rng.uniform(size=(_GROUPS, _ITEMS))
    limits = [0.3, 0.3 + 0.5 * low, 0.8]
    right = {
        k: (difficulty < limit).sum(axis=1).astype(float) for k, limit in zip((0, _LOW, _HIGH), limits, strict=True)
    }
    depth = depth_over_groups(right, np.full(_GROUPS, float(_ITEMS)))
    row = {"experiment": "exit", "variant": "tuned", "task": task, "seed": seed, "metric": f"{EXIT_DEPTH}: accuracy"}
    if depth is None:
        return row
    return row | {"value": depth.value, "low": depth.low, "high": depth.high, "n": _GROUPS}


def _design(documents: int, seeds: tuple[int, int], planted: str, effects: tuple[float, ...]) -> Planted:
    name = f"{planted}, {seeds[0]} and {seeds[1]} seeds, {documents} documents"
    made = partial(rows, documents=documents, seeds=seeds, planted=planted)
    return Planted("C8", name, "layers", 0.0, "above", made, effects)


DESIGNS = (
    _design(12, (3, 3), "centre", (0.0,)),
    _design(40, (1, 1), "centre", (0.0, 0.12, 0.25)),
    _design(40, (3, 3), "centre", (0.0, 0.12, 0.3)),
    _design(84, (6, 3), "centre", (0.0, 0.12, 0.25)),
    _design(40, (1, 1), "exit", (0.0, 0.12, 0.25)),
    _design(40, (3, 3), "exit", (0.0, 0.12, 0.3)),
    _design(84, (6, 3), "all", (-0.4, 0.0, 0.12, 0.4)),
)
