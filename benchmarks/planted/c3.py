"""Planted studies for C3: right predictions of probes by document, of the base, a baseline and the tuned models.

A probe is right about an item with a probability that varies between documents: p_b for the base, p_f for a baseline,
and (p_b + p_f) / 2 + effect for a tuned model, plus deviations of the document, and of the training, with mean 0. So
the true margin is the effect, in documents drawn anew and, with several seeds, in trainings drawn anew. With one seed
no training deviates: the verdict is about these two models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pyrepsim.probing.documents import Jackknifed, jackknifed_f1
from pyrepsim.studies.merchant2020.probe_baselines import LEXICAL_BASELINE, RANDOM_BASELINE, kept_columns

from .design import Planted

__all__ = ["DESIGNS"]

_BASE, _BASELINE = 0.85, 0.65
_FAR_ABOVE = 0.1
_ITEMS = 300  # of a document of usual size


@dataclass(frozen=True)
class _Design:
    """Numbers of documents, seeds, probes and tasks; `at` counts the probes with the planted effect."""

    documents: int
    seeds: int = 1
    probes: int = 9
    at: int = 1
    tasks: tuple[str, ...] = ("mnli",)
    spread: float = 0.4
    """Of the logarithms of the documents' sizes."""
    skew: int = 0
    """1: few documents deviate far upwards, -1: downwards; 0: normal deviations."""
    training: float = 0.01
    """Standard deviation of what the seeds share by chance."""

    @property
    def name(self) -> str:
        probes = f"{self.at} of {self.probes} probes at the effect"
        seeds = f"{self.seeds} seed{'s' * (self.seeds > 1)}"
        tails = {0: "", 1: ", skewed up", -1: ", skewed down"}[self.skew]
        return (
            f"{self.documents} documents{tails}, {seeds}, {probes}, {len(self.tasks)} task{'s' * (len(self.tasks) > 1)}"
        )

    def rows(self, rng: np.random.Generator, effect: float) -> list[dict[str, Any]]:
        return [row for place in range(self.probes) for row in self._probe(rng, place, effect)]

    def _probe(self, rng: np.random.Generator, place: int, effect: float) -> Iterator[dict[str, Any]]:
        margin = effect if place < self.at else max(effect, _FAR_ABOVE)
        sizes = np.maximum(1, np.round(_ITEMS * np.exp(rng.normal(0, self.spread, self.documents)))).astype(int)
        base = _BASE + self._deviations(rng, 0.05)
        baseline = _BASELINE + self._deviations(rng, 0.05)
        before = self._score(rng, sizes, base)
        baselines = {name: self._score(rng, sizes, baseline) for name in (LEXICAL_BASELINE, RANDOM_BASELINE)}
        middle = (base + baseline) / 2 + margin + self._deviations(rng, 0.03)
        for task in self.tasks:
            for seed in range(self.seeds):
                training = rng.normal(0, self.training) if self.seeds > 1 else 0.0
                after = self._score(rng, sizes, middle + training)
                shared = {"experiment": "edge", "variant": "tuned", "task": task, "seed": seed, "member": "mix.12"}
                for columns in kept_columns("f1", before, after, baselines):
                    yield {**shared, "probe_task": f"probe {place}", **columns}

    def _deviations(self, rng: np.random.Generator, size: float) -> np.ndarray:
        """Deviations of the documents, with mean 0, of at most three sizes: probabilities stay between 0 and 1."""
        if not self.skew:
            return size * np.clip(rng.normal(0, 1, self.documents), -3, 3)
        drawn = np.minimum(rng.exponential(1.0, self.documents), 4.0)
        return size * self.skew * (drawn - (1 - np.exp(-4.0)))  # the mean of what was cut at 4

    @staticmethod
    def _score(rng: np.random.Generator, sizes: np.ndarray, p: np.ndarray) -> Jackknifed:
        right = rng.binomial(sizes, np.clip(p, 0.0, 1.0))
        return jackknifed_f1(np.stack([right, sizes, sizes], axis=-1)[None], np.arange(len(sizes)))


def _planted(design: _Design) -> Planted:
    return Planted("C3", design.name, "score", 0.0, "above", design.rows, (-0.06, -0.03, 0.0, 0.03, 0.06))


DESIGNS = tuple(
    map(
        _planted,
        (
            _Design(12),
            _Design(12, probes=3, at=3),
            _Design(12, probes=3, skew=-1, spread=1.0),
            _Design(84, probes=3, skew=1, spread=1.0),
            _Design(24, seeds=3, probes=3, at=3, tasks=("mnli", "squad"), training=0.004),
        ),
    )
)
