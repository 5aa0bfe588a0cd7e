"""Measures that read rows: layers gathered once, the same rows of all, and handed to the pairwise engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np

from ..core.blas import one_blas_thread
from ..core.memory import total_memory
from ..core.progress import progress_bar
from ..measures import Measure
from ..pairwise import METRICS, PairwiseEngine
from ..results import Score
from ..version import __version__
from .options import Engine
from .sources import ArraySource, LayerGroup, Source

__all__ = ["Gathered", "GatheredLayers", "announce", "score_rows"]

_KEPT_SHARE = 1 / 8
"""Of this machine's memory, for gathered rows that another pair or measure may want again."""


def score_rows(
    source: Source,
    groups: Sequence[LayerGroup],
    measures: Sequence[Measure],
    engine: Engine,
    progress: bool | None,
    *,
    counted: np.ndarray | None = None,
) -> list[Score]:
    """Every measure, from its rows, on every pair of every group.

    counted : mask of the rows that count; the others are left out, of samples too. None: all.
    """
    pairwise = engine.pairwise(progress)
    about = {
        **source.provenance,
        "backend": pairwise.backend.name,
        "n_threads": pairwise.n_threads,
        "version": __version__,
    }
    samples = {
        measure: [
            _counted(chosen, counted) for chosen in measure.chosen_rows(source.n_rows, source.documents) or [None]
        ]
        for measure in measures
    }
    work = len(groups) * sum(map(len, samples.values()))
    scores = []
    with progress_bar(work, progress, desc="pairs of rows", unit=" groups of layers") as bar:
        for group in groups:
            kept = Gathered(source, group)
            for measure in measures:
                n_rows = source.n_rows if samples[measure][0] is None else len(samples[measure][0])
                announce(bar, measure, n_rows, source.widths(group), pairwise)
                drawn = []
                for chosen in samples[measure]:
                    # One thread: the same bits whatever the number of cores, and no BLAS thread spins beside ours.
                    with one_blas_thread():
                        layers = GatheredLayers(kept, chosen, measure)
                        drawn.append(measure.evaluate(layers, group.index_pairs, pairwise.naming_rows(chosen)))
                    bar.update(1)
                for k, (layer_x, layer_y) in enumerate(group.pairs):
                    score = measure.scored(measure.pooled([results[k] for results in drawn]), n_rows)
                    used = {"precision": score.details.get("precision", pairwise.precision)}
                    scores.append(replace(score, layer_x=layer_x, layer_y=layer_y, provenance=about | used))
    return scores


def _counted(chosen: np.ndarray | None, counted: np.ndarray | None) -> np.ndarray | None:
    if counted is None:
        return chosen
    return np.flatnonzero(counted) if chosen is None else chosen[counted[chosen]]


def announce(bar: Any, measure: Measure, n_rows: int, widths: Sequence[int], pairwise: PairwiseEngine) -> None:
    """Refuse what does not fit into memory; say on the bar what a sweep will take."""
    metric = getattr(measure, "metric", "sqeuclidean")
    metric = metric if metric in METRICS else "sqeuclidean"
    pairwise.refuse_what_does_not_fit(
        pairwise.packed_bytes(n_rows, widths),
        f"{measure}: the packed rows of {len(widths)} layers",
        "Compare fewer layers at once, or a sample of the rows.",
    )
    if not bar.disable:
        estimate = pairwise.estimate(n_rows, widths, metric)
        bar.set_description(f"{measure}: a sweep of {n_rows:,} rows x {len(widths)} layers takes {estimate}")


class Gathered:
    """Rows of the layers of a group, kept while there is room."""

    def __init__(self, source: Source, group: LayerGroup) -> None:
        self._source = source
        self.places = [*((0, name) for name in group.layers_x), *((1, name) for name in group.layers_y)]
        self._kept: dict[tuple[int, bytes | None], np.ndarray] = {}
        self._room = _KEPT_SHARE * total_memory()

    @property
    def labels(self) -> list[str]:
        if isinstance(self._source, ArraySource):
            return ["X", "Y"]
        return [f"{name} of {'XY'[side]}" for side, name in self.places]

    def get(self, index: int, chosen: np.ndarray | None) -> np.ndarray:
        key = (index, None if chosen is None else chosen.tobytes())
        if key in self._kept:
            return self._kept[key]
        rows = self._source.gather(*self.places[index], chosen)
        if rows.nbytes <= self._room:
            self._kept[key] = rows
            self._room -= rows.nbytes
        return rows


class GatheredLayers(Sequence[np.ndarray]):
    """The layers of a group as a measure sees them, each read when it is asked for."""

    def __init__(self, kept: Gathered, chosen: np.ndarray | None, measure: Measure) -> None:
        self._kept, self._chosen, self._measure = kept, chosen, measure
        self._checked: set[int] = set()
        self.labels = kept.labels

    def __len__(self) -> int:
        return len(self._kept.places)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        rows = self._kept.get(index, self._chosen)
        if index not in self._checked:
            label = self.labels[index] if self._chosen is None else f"the sample of {self.labels[index]}"
            self._measure.check_side(len(rows), _is_constant(rows), label)
            self._checked.add(index)
        return rows


def _is_constant(rows: np.ndarray) -> bool:
    first = rows[:1]
    return bool((rows[:64] == first).all()) and bool((rows == first).all())
