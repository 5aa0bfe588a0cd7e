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
from ....results import Scores
from ...runner import select
from .estimates import Estimate, mean, over_seeds, ratio, with_seeds
from .replicates import Replicates
from .rows import Row, by_seed, estimate_of, tasks_of

__all__ = [
    "CENTRE",
    "LEAST_CHANGE",
    "MEAN",
    "MIDDLE",
    "SHARE",
    "STATISTICS",
    "CurveStatistic",
    "Curves",
    "centre_of_change",
    "curve_statistics",
    "drops",
    "first_change",
    "mean_similarity",
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
    return _drops(_checked(similarity))


def centre_of_change(similarity: Curve) -> float:
    """The mean layer of change, sum_l l delta_l / sum_l delta_l; negative drops are kept.

    From 0 (all change in the embeddings) to L (all in the last block) for a curve that only falls. NaN if the whole
    drop 1 - s_L is below `LEAST_CHANGE`. Like the expected layer of Tenney et al. (2019, section 3.2), with drops
    instead of gains.
    """
    return float(_centre(_checked(similarity)))


def top_share(similarity: Curve) -> float:
    """The fraction of the whole drop 1 - s_L in the top third of the blocks; NaN as for `centre_of_change`.

    1/3 for a drop spread evenly over the blocks; above 1 if the similarity increases below the top third.
    """
    return float(_top_share(_checked(similarity)))


def middle_similarity(similarity: Curve) -> float:
    """Mean similarity of the middle third of the blocks; NaN with fewer than three blocks."""
    return float(_middle(_checked(similarity)))


def mean_similarity(similarity: Curve) -> float:
    """Mean similarity of the blocks, without the embeddings."""
    return float(_mean(_checked(similarity)))


def first_change(similarity: Curve, *, noise: float = LEAST_CHANGE) -> int | None:
    """The lowest layer whose similarity is below 1 - noise; None if there is none.

    If a single block was changed, it is that block: all layers below are computed from the same weights.
    """
    changed = np.flatnonzero(_checked(similarity) < 1 - noise)
    return int(changed[0]) if len(changed) else None


def _drops(curves: np.ndarray) -> np.ndarray:
    """`drops` of each of the curves, (..., L + 1)."""
    return -np.diff(curves, axis=-1, prepend=1.0)


def _centre(curves: np.ndarray) -> np.ndarray:
    delta = _drops(curves)
    return delta @ np.arange(delta.shape[-1]) / _total(delta)


def _top_share(curves: np.ndarray) -> np.ndarray:
    delta = _drops(curves)
    top = thirds(delta.shape[-1] - 1).top
    return delta[..., top.start : top.stop].sum(axis=-1) / _total(delta)


def _middle(curves: np.ndarray) -> np.ndarray:
    middle = thirds(curves.shape[-1] - 1).middle
    return curves[..., middle.start : middle.stop].mean(axis=-1) if middle else np.full(curves.shape[:-1], math.nan)


def _mean(curves: np.ndarray) -> np.ndarray:
    return curves[..., 1:].mean(axis=-1)


STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "centre of change": _centre,
    "share of change in the top third": _top_share,
    "similarity of the middle third": _middle,
    "mean similarity of the blocks": _mean,
}
"""One number of each of some curves, (..., L + 1)."""
CENTRE, SHARE, MIDDLE, MEAN = STATISTICS


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
    found = []
    for measure in scores.measures:
        curve = Replicates.of_scores(scores, measure)
        for name, statistic in STATISTICS.items():
            number = curve.map(statistic)
            if number.finite:
                one = number.estimate()
                low, high = one.ends or (one.value, one.value)
                found.append(CurveStatistic(measure, name, one.value, low, high, len(number.without)))
    return found


def _total(delta: np.ndarray) -> np.ndarray:
    """The sum of the drops; NaN if it is too small, or negative, to locate a change."""
    total = delta.sum(axis=-1)
    return np.where(total >= LEAST_CHANGE, total, math.nan)


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
    """The rows of similarity to the base encoder in one measure on one text: by layer, and of whole curves."""

    rows: tuple[Row, ...]
    measure: str
    corpus: Any
    form: Any

    @classmethod
    def on_shared_text(cls, rows: Sequence[Row], measure: str) -> Curves | None:
        """The curves on the text that is outside the domains of most tasks; of several, single sentences."""
        mine = select(rows, experiment="similarity", kind=("value", "difference"))
        tuned = [row for row in select(mine, variant="tuned", metric=measure) if row.get("layer") is not None]
        texts = dict.fromkeys((row.get("corpus"), row.get("form")) for row in tuned)
        if not texts:
            return None

        def rank(text: tuple[Any, Any]) -> tuple[int, int, bool]:
            on_text = select(tuned, corpus=text[0], form=text[1])
            outside = [row for row in on_text if row.get("domain") == "out"]
            return len(tasks_of(outside)), len(tasks_of(on_text)), text[1] == "sentences"

        corpus, form = max(texts, key=rank)
        return cls(tuple(select(mine, corpus=corpus, form=form)), measure, corpus, form)

    @property
    def text(self) -> str:
        """The name of the text."""
        return f"{self.corpus or 'the text'}{f' ({self.form})' if self.form else ''}"

    @cached_property
    def tasks(self) -> list[str]:
        return tasks_of(self._layer_rows("tuned"))

    @cached_property
    def depth(self) -> int:
        """The number of blocks of the encoder."""
        return max(row["layer"] for row in self._layer_rows("tuned"))

    def of_task(self, task: str, variant: str = "tuned") -> dict[Any, list[Estimate]]:
        """The whole curve of each seed, embeddings first; seeds with a missing layer are left out."""
        groups = by_seed(row for row in self._layer_rows(variant) if row.get("task") == task)
        curves = {seed: {row["layer"]: estimate_of(row) for row in rows} for seed, rows in groups.items()}
        whole = range(self.depth + 1)
        return {seed: [curve[layer] for layer in whole] for seed, curve in curves.items() if sorted(curve) == [*whole]}

    def baseline(self) -> tuple[str, list[Estimate]] | None:
        """The curve of an unrelated model or else of random weights, with the name of the variant."""
        for variant in ("unrelated", "random"):
            rows = self._layer_rows(variant)
            draws = [[estimate_of(row) for row in rows if row["layer"] == layer] for layer in range(self.depth + 1)]
            if all(draws):
                return variant, [mean(of_layer) for of_layer in draws]
        return None

    @cached_property
    def _groups(self) -> dict[tuple[Any, ...], list[Row]]:
        """The rows by kind, variant and metric."""
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.get("kind") or "value", row.get("variant"), row.get("metric")), []).append(row)
        return groups

    def _layer_rows(self, variant: str) -> list[Row]:
        return [row for row in self._groups.get(("value", variant, self.measure), ()) if row.get("layer") is not None]

    def of_seeds(self, task: str, name: str, variant: str = "tuned") -> list[Estimate]:
        """One of `STATISTICS` for each seed: as measured with the curve, or else from the intervals of its layers."""
        measured = by_seed(select(self._groups.get(("value", variant, f"{name}: {self.measure}"), ()), task=task))
        seeds = []
        for seed, curve in self.of_task(task, variant).items():
            if seed in measured:
                seeds.append(estimate_of(measured[seed][0]))
            elif (from_layers := _FROM_LAYERS[name](curve)) is not None:
                seeds.append(from_layers)
        return seeds

    def statistic(self, task: str, name: str, variant: str = "tuned") -> Estimate | None:
        """One of `STATISTICS` over the seeds."""
        seeds = self.of_seeds(task, name, variant)
        return over_seeds(seeds) if seeds else None

    def compared(self, task: str, name: str, other: str, variant: str = "tuned") -> Estimate | None:
        """One of `STATISTICS` after a task minus that after another, or that of a baseline; None if not measured.

        The interval is that of documents, left out of both at once, and of the seeds.
        """
        of_metric = self._groups.get(("difference", variant, f"{name}: {self.measure}"), ())
        rows = select(of_metric, kind="difference", task=task, member=other)
        if not rows:
            return None
        groups = [[one.value for one in self.of_seeds(of, name, variant)] for of in (task, other)]
        return with_seeds(estimate_of(rows[0]), [(1.0, group) for group in groups if group])

    def n_documents(self, task: str) -> int | None:
        """The number of documents of the text, from the rows of differences and of whole curves."""
        rows = [row for row in self.rows if row.get("layer") is None and row.get("task") == task]
        return min((row["n"] for row in rows if row.get("n")), default=None)


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


def _mean_of_layers(curve: Sequence[Estimate]) -> Estimate:
    return mean(curve[1:])


_FROM_LAYERS: dict[str, Callable[[Sequence[Estimate]], Estimate | None]] = {
    CENTRE: _centre_of_layers,
    SHARE: _share_of_layers,
    MIDDLE: _middle_of_layers,
    MEAN: _mean_of_layers,
}
