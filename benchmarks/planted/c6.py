"""C6 with a planted difference of differences: skewed documents, shared by all models of a text, and seeds.

The similarity of the top third on a text is a mean over documents of: an effect of the document that all models share,
one for each task, and one for each model. In-domain text has half the spread of out-of-domain text, so that skewness
does not cancel. The gap of the task's models is the planted effect above that of the other tasks. With one seed the
planted effect is that of these models.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from pyrepsim.studies.merchant2020.claims.replicates import Replicates
from pyrepsim.studies.merchant2020.contrasts import gap_rows
from pyrepsim.studies.merchant2020.plan import StudyModel

from .design import Planted
from .documents import MEASURE, skewed

_TASKS = ("mnli", "squad", "dependency")
_SHARED, _OF_TASK, _OF_MODEL, _OF_SEED = 0.10, 0.08, 0.02, 0.012


def rows(
    rng: np.random.Generator, effect: float, *, documents: tuple[int, int], seeds: tuple[int, int]
) -> list[dict[str, Any]]:
    """`documents` out of domain and in domain; `seeds` of the task and of each other task."""
    texts = []
    models = [
        StudyModel("tuned", task, seed) for task in _TASKS for seed in range(seeds[0] if task == "mnli" else seeds[1])
    ]
    of_seed = {model: _OF_SEED * rng.standard_normal() * (min(seeds) > 1) for model in models}
    for n, size, outside in ((documents[0], 1.0, True), (documents[1], 0.5, False)):
        shared = _SHARED * skewed(rng, n)
        of_task = dict(zip(_TASKS, _OF_TASK * skewed(rng, 3, n), strict=True))
        curves = {}
        for model in models:
            values = 0.6 + size * (shared + of_task[str(model.task)] + _OF_MODEL * skewed(rng, n))
            values += outside * (of_seed[model] + (effect if model.task == "mnli" else 0.0))
            curve = np.stack([np.ones(n), np.ones(n), np.ones(n), values], axis=1)
            curves[model] = Replicates.of_documents(curve)
        texts.append(curves)
    row = {"experiment": "domains", "kind": "difference", "variant": "tuned", "task": "mnli", "corpus": "gum"}
    row |= {"form": "sentences", "domain": "out", "n": min(documents)}
    pairs = {model: (texts[0][model], texts[1][model]) for model in models}
    return [row | columns for columns in gap_rows(MEASURE, "mnli", pairs)]


def _design(documents: tuple[int, int], seeds: tuple[int, int], effects: tuple[float, ...]) -> Planted:
    name = f"{seeds[0]} and {seeds[1]} seeds, {documents[0]} and {documents[1]} documents"
    return Planted("C6", name, "similarity", 0.0, "above", partial(rows, documents=documents, seeds=seeds), effects)


DESIGNS = (
    _design((12, 12), (3, 3), (0.0,)),
    _design((40, 40), (1, 1), (-0.08, 0.0, 0.04, 0.08)),
    _design((40, 40), (3, 3), (-0.1, 0.0, 0.05, 0.1)),
    _design((48, 400), (6, 3), (-0.1, 0.0, 0.05, 0.1)),
    _design((84, 84), (6, 3), (-0.08, 0.0, 0.04, 0.08)),
)
