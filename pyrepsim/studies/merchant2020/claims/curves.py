"""The curves of similarity that claims are judged by, with what they come to over the seeds of a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from . import depth
from .estimates import Estimate, mean, over_seeds, ratio
from .table import Row, by_seed, estimate_of, pick, tasks_of

__all__ = ["CENTRE", "MIDDLE", "SHARE", "Curves"]

CENTRE, SHARE, MIDDLE = depth.STATISTICS


@dataclass(frozen=True)
class Curves:
    """Similarity to the base encoder, by layer, in one measure on one text."""

    rows: tuple[Row, ...]
    measure: str
    corpus: Any
    form: Any

    @classmethod
    def shared_text(cls, rows: Sequence[Row], measure: str) -> Curves | None:
        """On the text that most tasks were read on; of several, on single sentences, then the first of the table."""
        mine = [row for row in pick(rows, experiment="similarity", kind="value") if row.get("metric") == measure]
        tuned = [row for row in pick(mine, variant="tuned") if row.get("layer") is not None]
        texts = dict.fromkeys((row.get("corpus"), row.get("form")) for row in tuned)
        if not texts:
            return None

        def rank(text: tuple[Any, Any]) -> tuple[int, int]:
            corpus, form = text
            return len(tasks_of(pick(tuned, corpus=corpus, form=form))), form == "sentences"

        corpus, form = max(texts, key=rank)
        similarity = pick(rows, experiment="similarity", kind="value", corpus=corpus, form=form)
        return cls(tuple(similarity), measure, corpus, form)

    @property
    def text(self) -> str:
        return f"{self.corpus or 'the text'}{f' ({self.form})' if self.form else ''}"

    @cached_property
    def tasks(self) -> list[str]:
        return tasks_of(pick(self.rows, variant="tuned", metric=self.measure))

    def of_task(self, task: str, variant: str = "tuned") -> dict[Any, list[Estimate]]:
        """The whole curve of each seed, embeddings first; seeds that lack a layer are left out."""
        found = by_seed(
            row
            for row in pick(self.rows, variant=variant, task=task, metric=self.measure)
            if row.get("layer") is not None
        )
        curves = {seed: {row["layer"]: estimate_of(row) for row in seed_rows} for seed, seed_rows in found.items()}
        return {
            seed: [curve[layer] for layer in sorted(curve)]
            for seed, curve in curves.items()
            if len(curve) > 1 and sorted(curve) == list(range(len(curve)))
        }

    def floor(self) -> tuple[str, list[Estimate]] | None:
        """What an unrelated model shares with the base, or else one with all weights redrawn: its curve."""
        for variant in ("unrelated", "random"):
            rows = [
                row for row in pick(self.rows, variant=variant, metric=self.measure) if row.get("layer") is not None
            ]
            layers = sorted({row["layer"] for row in rows})
            if layers and layers == list(range(len(layers))):
                draws = [[estimate_of(row) for row in rows if row["layer"] == layer] for layer in layers]
                return variant, [mean(of_layer) for of_layer in draws]
        return None

    def statistic(self, task: str, name: str) -> Estimate | None:
        """One of `depth.STATISTICS` over the seeds: as measured with the curves, or else from their intervals."""
        measured = by_seed(pick(self.rows, variant="tuned", task=task, metric=f"{name}: {self.measure}"))
        found = []
        for seed, curve in self.of_task(task).items():
            if seed in measured:
                found.append(estimate_of(measured[seed][0]))
            elif (of_curve := _FROM_CURVE[name](curve)) is not None:
                found.append(of_curve)
        return over_seeds(found) if found else None


def _share(curve: Sequence[Estimate]) -> Estimate | None:
    """1 - (change below the top third) / (change at the top), which its sum over drops comes to."""
    top = depth.thirds(len(curve) - 1).top
    changes = [one.complement() for one in curve]
    if not top or changes[-1].value < depth.LEAST_CHANGE:
        return None
    return ratio(changes[top.start - 1], changes[-1]).complement()


def _centre(curve: Sequence[Estimate]) -> Estimate | None:
    """L (1 - (mean change below the top) / (change at the top)), which the quotient of its sums comes to."""
    changes = [one.complement() for one in curve]
    if changes[-1].value < depth.LEAST_CHANGE:
        return None
    return ratio(mean(changes[:-1]), changes[-1]).complement().times(len(curve) - 1)


def _middle(curve: Sequence[Estimate]) -> Estimate | None:
    middle = depth.thirds(len(curve) - 1).middle
    return mean(curve[middle.start : middle.stop]) if middle else None


_FROM_CURVE: dict[str, Callable[[Sequence[Estimate]], Estimate | None]] = dict(
    zip(depth.STATISTICS, (_centre, _share, _middle), strict=True)
)
