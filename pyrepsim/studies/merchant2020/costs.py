"""Expected time and disk space of cells, from a few timed repetitions on the machine at hand and from sizes."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ..runner import Cost
from .plan import DATA, Plan
from .scales import EdgeProbe, StructuralProbes
from .timings import Line, time_comparison, time_edge_updates, time_structural_sentences

__all__ = ["CostEstimator"]

_TOKENS_PER_WORD = 1.3
_TIMED_TEXTS = 64


class CostEstimator:
    """Estimates for the cells of one plan. Each timing is made once, when it is first needed."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._timings: dict[str, Any] = {}
        self._sizes: dict[str, tuple[list[int], list[int]]] = {}

    @cached_property
    def _data(self) -> Mapping[str, Path]:
        """The folder of generated data, written again because their cell may not have been run."""
        if self._plan.scale.synthetic is None:
            return {}
        from ..synthetic import write_synthetic

        folder = tempfile.mkdtemp(prefix="pyrepsim-plan-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        write_synthetic(folder, **self._plan.scale.synthetic)
        return {DATA: Path(folder)}

    def _timing(self, task: str) -> Any:
        if task not in self._timings:
            import pyrepsim as rs

            plan = self._plan
            data = plan.training_data(task, self._data)
            recipe, name = plan.recipe(task, 0), plan.scale.tasks[task].task
            self._timings[task] = rs.plan_finetuning(plan.model, name, recipe=recipe, device=plan.device, **data)
        return self._timings[task]

    @cached_property
    def _seconds_per_token(self) -> float:
        """Time of a forward pass over texts of usual length, from one timed batch."""
        import pyrepsim as rs

        words = " ".join(["the", "word", "of", "a", "text"] * 5)
        texts = [f"{words} {i}" for i in range(_TIMED_TEXTS)]
        timed: Any = rs.plan_extraction(self._plan.model, texts, device=self._plan.device)
        return timed.estimated_seconds / max(timed.n_tokens, 1)

    @cached_property
    def _edge_updates(self) -> Line:
        return time_edge_updates(self._plan.width, self._plan.depth + 1, self._plan.device)

    @cached_property
    def _comparison(self) -> Line:
        return time_comparison(self._plan.width, self._plan.scale.similarity)

    def _structural_sentence(self, rank: int) -> float:
        key = f"structural {rank}"
        if key not in self._timings:
            plan = self._plan
            self._timings[key] = time_structural_sentences(plan.width, plan.depth + 1, rank, plan.device)
        return self._timings[key]

    def training(self, task: str, share: float = 1.0, updates: int | None = None) -> Cost:
        """A fine-tuning with this share of the work of a full one, or with this number of updates."""
        timing = self._timing(task)
        share = share if updates is None else updates / timing.n_updates
        scoring = timing.n_scorings * timing.scoring_seconds
        return Cost(1.1 * share * timing.training_seconds + scoring + 3, timing.n_bytes)

    def scoring(self, task: str, times: int) -> Cost:
        """Passes over the dev data."""
        return Cost(3 + times * self._timing(task).scoring_seconds)

    def extraction(self, corpus: str) -> Cost:
        """All layers of a corpus in float16."""
        return self._extraction(self._words(corpus))

    def _words(self, corpus: str) -> int:
        corpora = self._plan.scale.corpora
        like = corpora[corpus].like
        return corpora[corpus if like is None else like].words

    def _extraction(self, words: int) -> Cost:
        tokens = int(_TOKENS_PER_WORD * words)
        return Cost(2 + tokens * self._seconds_per_token, 2 * tokens * (self._plan.depth + 1) * self._plan.width)

    def comparison(self, corpus: str) -> Cost:
        """All measures of all layers with their intervals, and the pass over the rows."""
        return Cost(1 + (self._plan.depth + 1) * self._comparison.at(_TOKENS_PER_WORD * self._words(corpus)))

    def probe_extraction(self, probes: Sequence[EdgeProbe]) -> Cost:
        """The activations that several probes of one corpus share, about those of the one with the most words."""
        return self._extraction(max(sum(self._sentences(one.task, one.files, one.reading)[1]) for one in probes))

    def edge(self, probe: EdgeProbe, *, extracted: bool = False) -> Cost:
        """All probes of all layers and mixes up to the last validation; most stop earlier."""
        from ...probing.edge import EdgeProbeRecipe

        recipe = EdgeProbeRecipe.for_task(probe.task).but(**probe.recipe)
        members = [None] if probe.members is None else probe.members
        n_layers = self._plan.depth + 1
        several = {None: 2 * n_layers + 1, "layers": n_layers, "mixes": n_layers}
        n_probes = sum(several.get(name, 1) for name in members)
        seeds = self._plan.scale.edge.probe_seeds if probe.seeds is None else probe.seeds
        updates = recipe.validate_every * recipe.max_validations
        _, words = self._sentences(probe.task, probe.files, probe.reading)
        extraction = Cost(0.0) if extracted else self._extraction(sum(words))
        training = updates * self._edge_updates.at(n_probes * len(seeds))
        return Cost(extraction.seconds + training, extraction.n_bytes, temporary=extraction.n_bytes)

    def structural(self, probes: StructuralProbes) -> Cost:
        """Distance and depth probes of all layers up to the last epoch; most stop earlier."""
        sentences, words = self._sentences("structural", probes.files, {})
        epochs, seeds = probes.options.get("epochs", 40), len(probes.options.get("seeds", (0,)))
        ranks = probes.options.get("ranks", (128,))
        training = epochs * seeds * sentences[0] * sum(map(self._structural_sentence, ranks))
        extraction = self._extraction(sum(words))
        return Cost(extraction.seconds + training, extraction.n_bytes, temporary=extraction.n_bytes)

    def _sentences(
        self, task: str, files: Mapping[str, str], reading: Mapping[str, Any]
    ) -> tuple[list[int], list[int]]:
        """The number of sentences and of words in each part of annotated data."""
        key = f"{task} {sorted(files.items())}"
        if key not in self._sizes:
            from ...probing.annotations import read_splits

            paths = {part: self._plan.locate(source, self._data) for part, source in files.items()}
            splits = list(read_splits(task, **paths, reading=reading).values())
            words = [sum(len(t.split()) if isinstance(t, str) else len(t) for t in split.texts) for split in splits]
            self._sizes[key] = ([len(split.texts) for split in splits], words)
        return self._sizes[key]
