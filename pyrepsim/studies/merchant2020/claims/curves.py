"""Curves of similarity over layers: where a model changed, as numbers with intervals, and over seeds.

A curve s_0, ..., s_L holds the similarity of each layer before and after fine-tuning, 1 if nothing changed: s_0 that of
the embeddings, s_l that of the output of block l.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ....core.errors import OptionError
from ....inference.resampling import jackknife_interval
from ....results import Scores
from ...runner import select
from .estimates import Estimate, mean, over_seeds, ratio
from .rows import Row, by_seed, estimate_of, tasks_of

__all__ = [
    "CENTRE",
    "LEAST_CHANGE",
    "MIDDLE",
    "SHARE",
    "STATISTICS",
    "CurveStatistic",
    "Curves",
    "centre_of_change",
    "curve_statistics",
    "drops",
    "first_change",
    "middle_similarity",
    "thirds",
    "top_share",
]

LEAST_CHANGE = 1e-6
"""Smaller drops count as no change: float32 passes of one model in other batches differ by 2e-7 of an activation."""

Curve = Sequence[float] | np.ndarray


class Thirds(NamedTuple):
    """Numbers of blocks, 1 to L."""

    bottom: range
    middle: range
    top: range


class CurveStatistic(NamedTuple):
    """One number of a curve of one measure, with its interval."""

    measure: str
    statistic: str
    value: float
    low: float
    high: float
    blocks: int


def thirds(depth: int) -> Thirds:
    """The blocks 1..L, cut after block L/3 and block 2L/3, rounded: 1-4, 5-8 and 9-12 of 12."""
    first, second = round(depth / 3), round(2 * depth / 3)
    return Thirds(range(1, first + 1), range(first + 1, second + 1), range(second + 1, depth + 1))


def drops(similarity: Curve) -> np.ndarray:
    """Drop at each layer: delta_0 = 1 - s_0 and delta_l = s_{l-1} - s_l, ndarray of shape (L + 1,).

    The drops add up to 1 - s_L. A drop is negative where the similarity increases again.
    """
    return -np.diff(np.concatenate([[1.0], _checked(similarity)]))


def centre_of_change(similarity: Curve) -> float:
    """The mean layer of change, sum_l l delta_l / sum_l delta_l; negative drops are kept.

    From 0 (all change in the embeddings) to L (all in the last block) for a curve that only falls. NaN if the whole
    drop 1 - s_L is below `LEAST_CHANGE`. Like the expected layer of Tenney et al. (2019, section 3.2), with drops
    instead of gains.
    """
    delta = drops(similarity)
    return float(np.arange(len(delta)) @ delta) / total if (total := _total(delta)) else math.nan


def top_share(similarity: Curve) -> float:
    """The fraction of the whole drop 1 - s_L in the top third of the blocks; NaN as for `centre_of_change`.

    1/3 for a drop spread evenly over the blocks; above 1 if the similarity increases below the top third.
    """
    delta = drops(similarity)
    top = thirds(len(delta) - 1).top
    return float(delta[top.start : top.stop].sum()) / total if (total := _total(delta)) else math.nan


def middle_similarity(similarity: Curve) -> float:
    """Mean similarity of the middle third of the blocks; NaN with fewer than three blocks."""
    values = _checked(similarity)
    middle = thirds(len(values) - 1).middle
    return float(values[middle.start : middle.stop].mean()) if middle else math.nan


def first_change(similarity: Curve, *, noise: float = LEAST_CHANGE) -> int | None:
    """The lowest layer whose similarity is below 1 - noise; None if there is none.

    If a single block was changed, it is that block: all layers below are computed from the same weights.
    """
    changed = np.flatnonzero(_checked(similarity) < 1 - noise)
    return int(changed[0]) if len(changed) else None


STATISTICS: dict[str, Callable[[Curve], float]] = {
    "centre of change": centre_of_change,
    "share of change in the top third": top_share,
    "similarity of the middle third": middle_similarity,
}
CENTRE, SHARE, MIDDLE = STATISTICS


def curve_statistics(scores: Scores) -> list[CurveStatistic]:
    """Each of `STATISTICS` for each measure, with a jackknife interval over blocks of documents.

    Parameters
    ----------
    scores : Scores
        Scores of the same layers of two stores, from `compare` with ``interval=``. All layers leave out the same block
        at a time, so that the interval accounts for the correlation between layers.

    Returns
    -------
    list of CurveStatistic
        Without statistics that are not defined for the curve, or for the curve without one of the blocks.

    Raises
    ------
    OptionError
        If the scores have no such intervals.
    """
    statistics = []
    for measure in scores.measures:
        curve = [score for score in scores if score.measure == measure]
        left_out = [_without_block(score.details, measure) for score in curve]
        for name, statistic in STATISTICS.items():
            value = statistic([score.value for score in curve])
            without = np.array([statistic(one) for one in zip(*left_out, strict=True)])
            if math.isfinite(value) and np.isfinite(without).all():
                low, high = jackknife_interval(value, without)
                statistics.append(CurveStatistic(measure, name, value, low, high, len(without)))
    return statistics


def _without_block(details: Any, measure: str) -> np.ndarray:
    interval = details.get("interval", {})
    if "without_block" not in interval:
        raise OptionError(
            "Statistics of curves need the values without each block of documents: the scores of "
            f"{measure} have none. Compare with interval=rs.Jackknife() or rs.Bootstrap()."
        )
    return np.asarray(interval["without_block"], dtype=np.float64)


def _total(delta: np.ndarray) -> float:
    """The sum of the drops; 0 if it is too small, or negative, to locate a change."""
    total = float(delta.sum())
    return total if total >= LEAST_CHANGE else 0.0


def _checked(similarity: Curve) -> np.ndarray:
    values = np.asarray(similarity, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise OptionError(
            f"A curve holds the similarity of the embeddings and of each block, finite numbers: got shape "
            f"{values.shape}. Give every layer."
        )
    return values


@dataclass(frozen=True)
class Curves:
    """The rows of similarity to the base encoder, by layer, in one measure on one text."""

    rows: tuple[Row, ...]
    measure: str
    corpus: Any
    form: Any

    @classmethod
    def on_shared_text(cls, rows: Sequence[Row], measure: str) -> Curves | None:
        """The curves on the text that most tasks share; of several, one of single sentences, then the first."""
        mine = [row for row in select(rows, experiment="similarity", kind="value") if row.get("metric") == measure]
        tuned = [row for row in select(mine, variant="tuned") if row.get("layer") is not None]
        texts = dict.fromkeys((row.get("corpus"), row.get("form")) for row in tuned)
        if not texts:
            return None

        def rank(text: tuple[Any, Any]) -> tuple[int, int]:
            corpus, form = text
            return len(tasks_of(select(tuned, corpus=corpus, form=form))), form == "sentences"

        corpus, form = max(texts, key=rank)
        similarity = select(rows, experiment="similarity", kind="value", corpus=corpus, form=form)
        return cls(tuple(similarity), measure, corpus, form)

    @property
    def text(self) -> str:
        """The name of the text."""
        return f"{self.corpus or 'the text'}{f' ({self.form})' if self.form else ''}"

    @cached_property
    def tasks(self) -> list[str]:
        return tasks_of(select(self.rows, variant="tuned", metric=self.measure))

    def of_task(self, task: str, variant: str = "tuned") -> dict[Any, list[Estimate]]:
        """The whole curve of each seed, embeddings first; seeds with a missing layer are left out."""
        groups = by_seed(row for row in self._layer_rows(variant) if row.get("task") == task)
        curves = {seed: {row["layer"]: estimate_of(row) for row in rows} for seed, rows in groups.items()}
        return {
            seed: [curve[layer] for layer in sorted(curve)]
            for seed, curve in curves.items()
            if len(curve) > 1 and sorted(curve) == list(range(len(curve)))
        }

    def baseline(self) -> tuple[str, list[Estimate]] | None:
        """The curve of an unrelated model or else of random weights, with the name of the variant."""
        for variant in ("unrelated", "random"):
            rows = self._layer_rows(variant)
            layers = sorted({row["layer"] for row in rows})
            if layers and layers == list(range(len(layers))):
                draws = [[estimate_of(row) for row in rows if row["layer"] == layer] for layer in layers]
                return variant, [mean(of_layer) for of_layer in draws]
        return None

    def _layer_rows(self, variant: str) -> list[Row]:
        rows = select(self.rows, variant=variant, metric=self.measure)
        return [row for row in rows if row.get("layer") is not None]

    def statistic(self, task: str, name: str) -> Estimate | None:
        """One of `STATISTICS` over the seeds: as measured with the curves, or else from the intervals of the layers."""
        measured = by_seed(select(self.rows, variant="tuned", task=task, metric=f"{name}: {self.measure}"))
        seeds = []
        for seed, curve in self.of_task(task).items():
            if seed in measured:
                seeds.append(estimate_of(measured[seed][0]))
            elif (from_layers := _FROM_LAYERS[name](curve)) is not None:
                seeds.append(from_layers)
        return over_seeds(seeds) if seeds else None


def _share_of_layers(curve: Sequence[Estimate]) -> Estimate | None:
    """`top_share` from estimates of layers: 1 - (change below the top third) / (change at the top)."""
    top = thirds(len(curve) - 1).top
    changes = [one.complement() for one in curve]
    if not top or changes[-1].value < LEAST_CHANGE:
        return None
    return ratio(changes[top.start - 1], changes[-1]).complement()


def _centre_of_layers(curve: Sequence[Estimate]) -> Estimate | None:
    """`centre_of_change` from estimates of layers: L (1 - (mean change below the top) / (change at the top))."""
    changes = [one.complement() for one in curve]
    if changes[-1].value < LEAST_CHANGE:
        return None
    return ratio(mean(changes[:-1]), changes[-1]).complement().times(len(curve) - 1)


def _middle_of_layers(curve: Sequence[Estimate]) -> Estimate | None:
    middle = thirds(len(curve) - 1).middle
    return mean(curve[middle.start : middle.stop]) if middle else None


_FROM_LAYERS: dict[str, Callable[[Sequence[Estimate]], Estimate | None]] = {
    CENTRE: _centre_of_layers,
    SHARE: _share_of_layers,
    MIDDLE: _middle_of_layers,
}
