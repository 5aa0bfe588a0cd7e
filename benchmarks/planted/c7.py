"""Planted studies for C7: the score of each dev item for models with nothing, 8 and all of 12 blocks frozen.

A model is right about an item if a normal latent number is below the model's own threshold. The number is a sum of
parts of the group and of the item, which all models share, so that these err on the same items; of parts of the group
and of the item that all trainings with as many frozen blocks share, so that freezing helps some items and hurts others
in every training; and of a part of the model at the item. The threshold gives the model its expected score, over new
groups and items: that with nothing frozen minus that with 8 blocks frozen is the effect, plus, with several seeds,
deviations of the trainings with mean 0. With one seed no training deviates: the verdict is about these two models.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from pyrepsim.finetuning.items import ItemScores, mean_items, paired_difference

from .design import Planted

__all__ = ["DESIGNS", "draw_items"]

_SHARES = (0.08, 0.57, 0.05, 0.15, 0.15)  # of the variance: group, item, freezing in group and at item, model at item
_SCORE = 0.75
_PARTIAL = 0.4  # share of wrong answers with a part of the words; their F1 is 0.5 on average
_LAST = {"kind": "gain", "member": "last epoch", "value": 0.0}


@dataclass(frozen=True)
class _Design:
    """Numbers of items, groups and seeds; `kind` is accuracy, f1 (of questions) or las (right arcs of sentences)."""

    kind: str
    items: int
    groups: int
    seeds: int = 1
    spread: float = 0.5
    """Of the logarithms of the groups' sizes; as for the 48 articles of SQuAD's dev data."""
    training: float = 0.003
    """Standard deviation of the score of a training."""
    tasks: tuple[str, ...] = ("mnli",)
    longer: bool = False
    """Whether the first training is too short, and costs 4 points more with 8 blocks frozen."""
    effects: tuple[float, ...] = (-0.03, 0.0, 0.01, 0.02, 0.05)

    @property
    def name(self) -> str:
        n = f"{self.seeds} seed{'s' * (self.seeds > 1)}"
        more = f"{', 2 tasks' * (len(self.tasks) > 1)}{', first training too short' * self.longer}"
        groups = "very unequal groups" if self.spread > 0.5 else "groups"
        return f"{self.kind}, {self.items} items in {self.groups} {groups}, {n}{more}"

    def rows(self, rng: np.random.Generator, effect: float) -> list[dict[str, Any]]:
        return [row for task in self.tasks for row in self._task(rng, task, effect)]

    def _task(self, rng: np.random.Generator, task: str, effect: float) -> list[dict[str, Any]]:
        shares = np.exp(rng.normal(0, self.spread, self.groups))
        # Each group has an item, so that their number is that of the design.
        groups = np.concatenate(
            [
                np.arange(self.groups),
                rng.choice(self.groups, self.items - self.groups, p=shares / shares.sum()),
            ]
        )
        sizes = 1.0 + rng.geometric(1 / 15, self.items) if self.kind == "las" else np.ones(self.items)
        shared = self._parts(rng, groups, *_SHARES[:2])
        own = {k: shared + self._parts(rng, groups, *_SHARES[2:4]) for k in (0, 8)}

        def model(k: int, score: float) -> ItemScores:
            return draw_items(rng, self.kind, score, own[k], groups, sizes)

        rows: list[dict[str, Any]] = []
        pairs: list[tuple[ItemScores, ItemScores]] = []
        for seed in range(self.seeds):
            noise = rng.normal(0, self.training, 2) if self.seeds > 1 else np.zeros(2)
            full, frozen = model(0, _SCORE + noise[0]), model(8, _SCORE - effect + noise[1])
            pairs.append((full, frozen))
            last = "longer" if self.longer else "freezing"
            rows += self._rows(last, task, seed, full, frozen)
            if self.longer:
                short = model(8, _SCORE - effect - 0.04)
                rows += self._rows("freezing", task, seed, full, short)
                for k, after, before in ((0, full, full), (8, frozen, short)):
                    rows.append(
                        self._row("longer", task, seed, k, after, before) | _LAST | {"member": "longer training"}
                    )
                    rows[-1] |= self._ends(after, before)
        if self.seeds > 1:
            full, frozen = (mean_items(side) for side in zip(*pairs, strict=True))
            rows.append(self._row("freezing", task, None, 8, full, frozen))
        return rows

    def _parts(self, rng: np.random.Generator, groups: np.ndarray, group: float, item: float) -> np.ndarray:
        """Parts of the latent numbers with these variances."""
        return np.sqrt(group) * rng.normal(size=self.groups)[groups] + np.sqrt(item) * rng.normal(size=self.items)

    def _rows(
        self, experiment: str, task: str, seed: int, full: ItemScores, frozen: ItemScores
    ) -> list[dict[str, Any]]:
        rows = [self._row(experiment, task, seed, 8, full, frozen)]
        useless = ItemScores({self.kind: np.zeros(self.items)}, full.sizes, full.groups)
        rows.append(self._row(experiment, task, seed, 12, full, useless))
        return rows + [rows[0] | {"k": k, "low": None, "high": None} | _LAST for k in (0, 8)]

    def _row(
        self, experiment: str, task: str, seed: int | None, k: int, first: ItemScores, second: ItemScores
    ) -> dict[str, Any]:
        row = {"experiment": experiment, "task": task, "seed": seed, "k": k, "metric": self.kind, "kind": "difference"}
        return row | self._ends(first, second)

    def _ends(self, first: ItemScores, second: ItemScores) -> dict[str, Any]:
        found = paired_difference(first, second, self.kind)
        return {"value": found.value, "low": found.low, "high": found.high, "n": found.n_items}


def draw_items(
    rng: np.random.Generator, kind: str, score: float, shared: np.ndarray, groups: np.ndarray, sizes: np.ndarray
) -> ItemScores:
    """The scores of a model whose expected score is `score`, for items with these shared parts, groups and sizes."""
    right = (score - _PARTIAL / 2) / (1 - _PARTIAL / 2) if kind == "f1" else score
    threshold = NormalDist().inv_cdf(right)
    if kind == "las":
        # Given the shared parts, the arcs of a sentence are independent: the last part is drawn for each arc.
        place = (threshold - shared) / np.sqrt(_SHARES[4])
        return ItemScores({kind: rng.binomial(sizes.astype(int), _normal(place)).astype(float)}, sizes, groups)
    values = (shared + np.sqrt(_SHARES[4]) * rng.normal(size=len(groups)) < threshold).astype(float)
    if kind == "f1":
        partial = (rng.random(len(groups)) < _PARTIAL) * rng.beta(2, 2, len(groups))
        values = np.where(values > 0, values, partial)
    return ItemScores({kind: values}, sizes, groups)


def _normal(x: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return ndtr(x)


def _planted(design: _Design) -> Planted:
    return Planted("C7", design.name, "score", 0.01, "below", design.rows, design.effects)


_WIDE = (-0.08, 0.01, 0.1)

DESIGNS = tuple(
    map(
        _planted,
        (
            _Design("accuracy", 9815, 3334),
            _Design("accuracy", 2000, 2000, spread=0.0),
            _Design("accuracy", 2000, 700, tasks=("mnli", "squad")),
            _Design("accuracy", 2000, 700, spread=1.0),
            _Design("f1", 10000, 48),
            _Design("f1", 2000, 20, effects=(-0.08, 0.01, 0.12)),
            _Design("las", 2000, 300),
            _Design("accuracy", 4000, 1300, longer=True),
            _Design("accuracy", 4000, 1300, seeds=2, effects=_WIDE),
            _Design("accuracy", 4000, 1300, seeds=3),
            _Design("f1", 4000, 48, seeds=3, effects=_WIDE),
            _Design("accuracy", 4000, 1300, seeds=5),
            _Design("las", 2000, 300, seeds=5, effects=_WIDE),
            _Design("accuracy", 2000, 700, seeds=10, effects=(-0.03, 0.01, 0.05)),
        ),
    )
)
