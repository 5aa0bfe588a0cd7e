"""Scores of every shape that tables and figures must show."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyrepsim.results import Score, Scores

MEASURES = ("LinearCKA(debiased=True)", "SVCCA", "RSA")


@pytest.fixture
def make_scores() -> Callable[..., Scores]:
    """Make scores of n layers: one-to-one, or every layer with every layer."""

    def make(n: int = 4, *, every: bool = False, measures=MEASURES, interval: bool = False, **provenance) -> Scores:
        layers = ["embeddings", *(f"layer.{i}" for i in range(n - 1))]
        provenance = {"model_x": "bert-base-uncased", "model_y": "runs/mnli/seed0"} | provenance
        found = []
        for i, x in enumerate(layers):
            for j, y in enumerate(layers):
                for k, measure in enumerate(measures):
                    value = 0.99 - 0.01 * i - 0.05 * abs(i - j) - 0.02 * k
                    ends = (value - 0.01, value + 0.01) if interval else None
                    if every or i == j:
                        details = {"rank": 10 + i, "spectrum": [1.0, 0.5]}
                        found.append(Score(value, measure, 1234, ends, details, x, y, provenance))
        return Scores(found)

    return make
