"""What cells are expected to take: training by the clock of a few updates, the rest from that and from sizes."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ..runner import Cost
from .plan import DATA, Plan
from .scales import Probe, Structural

__all__ = ["Clock"]

# Of two cores at 384 features, by the smoke scale: seconds for a layer and replicate of all measures, for an update of
# one edge probe, for a sentence and epoch of a structural probe. They say hours from minutes, no more.
_REPLICATE = 0.04
_PROBE_UPDATE = 0.008
_TREE = 0.003
_TOKENS_A_WORD = 1.3


class Clock:
    """Of one plan; what is timed is timed once, when first asked for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._timed: dict[str, Any] = {}

    @cached_property
    def _data(self) -> Mapping[str, Path]:
        """Where data are: generated ones are written once more, since their cell may not have been run."""
        if self._plan.scale.synthetic is None:
            return {}
        from ..synthetic import write_synthetic

        folder = tempfile.mkdtemp(prefix="pyrepsim-plan-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        write_synthetic(folder, **self._plan.scale.synthetic)
        return {DATA: Path(folder)}

    def _task(self, task: str) -> Any:
        if task not in self._timed:
            import pyrepsim as rs

            plan = self._plan
            data = plan.training(task, self._data)
            recipe, name = plan.recipe(task, 0), plan.scale.tasks[task].task
            self._timed[task] = rs.plan_finetuning(plan.model, name, recipe=recipe, device=plan.device, **data)
        return self._timed[task]

    @property
    def _seconds_a_token(self) -> float:
        """Of a forward pass: a third of an update's."""
        timed = self._task(next(iter(self._plan.scale.tasks)))
        read = (timed.n_tokens + timed.n_padded) * self._epochs(next(iter(self._plan.scale.tasks)))
        return timed.training_seconds / max(read, 1) / 3

    def _epochs(self, task: str) -> float:
        return self._plan.recipe(task, 0).epochs

    @property
    def _cube(self) -> float:
        """Of decompositions, against 384 features."""
        return (self._plan.width / 384) ** 3

    def training(self, task: str, share: float = 1.0) -> Cost:
        """A fine-tuning, of which some share of the products is done."""
        timed = self._task(task)
        scoring = timed.n_scorings * timed.scoring_seconds
        return Cost(1.1 * share * timed.training_seconds + scoring + 3, timed.n_bytes)

    def scoring(self, task: str, times: int) -> Cost:
        """Runs over the dev data."""
        return Cost(3 + times * self._task(task).scoring_seconds)

    def extraction(self, name: str) -> Cost:
        """All layers of a corpus in float16."""
        return self._extraction(self._words(name))

    def _words(self, name: str) -> int:
        corpus = self._plan.scale.corpora[name]
        return corpus.words if corpus.like is None else self._plan.scale.corpora[corpus.like].words

    def _extraction(self, words: int) -> Cost:
        tokens = int(_TOKENS_A_WORD * words)
        return Cost(2 + tokens * self._seconds_a_token, 2 * tokens * (self._plan.depth + 1) * self._plan.width)

    def comparison(self, name: str) -> Cost:
        """All measures of all layers with their replicates, and the pass over the rows."""
        words = self._words(name)
        layers, chosen = self._plan.depth + 1, self._plan.scale.similarity
        replicates = 1 + chosen.blocks * (len(chosen.measures) - len(chosen.values_only)) / len(chosen.measures)
        reading = 1e-11 * words * layers * self._plan.width**2 * len(chosen.measures)
        return Cost(1 + _REPLICATE * layers * replicates * self._cube + reading)

    def edge(self, probe: Probe) -> Cost:
        """All probes of all layers and mixes to the last validation; most stop before."""
        from ...probing.edge import Recipe

        recipe = Recipe.for_task(probe.task).but(**probe.recipe)
        members = 2 * (self._plan.depth + 1) + 1 if probe.members is None else len(probe.members)
        updates = recipe.validate_every * recipe.max_validations * len(self._plan.scale.edge.probe_seeds)
        seconds, n_bytes, _ = self._extraction(sum(self._sentences(probe.task, probe.files, probe.reading)[1]))
        return Cost(seconds + _PROBE_UPDATE * updates * members * self._plan.width / 384, n_bytes, passing=n_bytes)

    def structural(self, chosen: Structural) -> Cost:
        """Distance and depth probes of all layers to the last epoch; most stop before."""
        sizes, words = self._sentences("structural", chosen.files, {})
        epochs, seeds = chosen.options.get("epochs", 40), len(chosen.options.get("seeds", (0,)))
        training = _TREE * epochs * seeds * sizes[0] * (self._plan.depth + 1) / 7 * self._plan.width / 384
        seconds, n_bytes, _ = self._extraction(sum(words))
        return Cost(seconds + training, n_bytes, passing=n_bytes)

    def _sentences(
        self, task: str, files: Mapping[str, str], reading: Mapping[str, Any]
    ) -> tuple[list[int], list[int]]:
        """Of each part of annotated data the sentences and the words."""
        key = f"{task} {sorted(files.items())}"
        if key not in self._timed:
            from ...probing.runs.corpora import read_parts

            placed = {part: self._plan.place(source, self._data) for part, source in files.items()}
            parts = list(read_parts(task, **placed, reading=reading).values())
            words = [sum(len(t.split()) if isinstance(t, str) else len(t) for t in part.texts) for part in parts]
            self._timed[key] = ([len(part.texts) for part in parts], words)
        return self._timed[key]
