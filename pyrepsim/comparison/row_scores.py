"""Scores of measures of rows: each layer is read once, the same rows of all layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any, overload

import numpy as np

from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError
from ..core.memory import memory_budget
from ..core.progress import progress_bar
from ..measures import Measure, RowMeasure
from ..measures.base import Result
from ..pairwise import METRICS, PairwiseEngine
from ..results import Score
from .layers import LayerGroup
from .options import ExecutionOptions, provenance
from .sources import ArraySource, Source, widths_of
from .sparse_source import SparseSource
from .undefined import each_defined, undefined_score

__all__ = ["Gathered", "GatheredLayers", "check_memory", "row_score", "row_scores"]

_ROUND_OFF = {"fp64": 2.0**-53, "fp32": 2.0**-24, "bf16": 2.0**-8, "fast": 2.0**-11}
"""Unit round-off of the products of each precision."""
_LEAST_RANGE = 16 * 2.0**-53
"""Range of a constant feature, relative to its size: twice the largest standard deviation of `Side.varying`."""
_KEPT_SHARE = 1 / 8
"""Fraction of the memory for rows that another pair or measure may need again."""


def row_scores(
    source: Source,
    groups: Sequence[LayerGroup],
    measures: Sequence[RowMeasure],
    options: ExecutionOptions,
    progress: bool | None,
    *,
    counted: np.ndarray | None = None,
) -> list[Score]:
    """Return the scores of all measures and all pairs of all groups.

    counted : ndarray of shape (n_rows,), bool, optional
        Rows that count; the others are left out, also of samples. By default all rows.
    """
    pairwise = options.pairwise(progress)
    samples = {
        measure: [_counted(rows, counted) for rows in measure.chosen_rows(source.n_rows, source.documents) or [None]]
        for measure in measures
    }
    work = len(groups) * sum(map(len, samples.values()))
    scores = []
    with progress_bar(work, progress, desc="pairs of rows", unit=" groups of layers") as bar:
        for group in groups:
            gathered = Gathered(source, group, options.memory)
            for measure in measures:
                n_rows = source.n_rows if samples[measure][0] is None else len(samples[measure][0])
                check_memory(measure, n_rows, widths_of(source, group), pairwise, bar)
                results = []
                for rows in samples[measure]:
                    # One thread, so that the bits do not depend on the number of cores.
                    with one_blas_thread():
                        layers, engine = GatheredLayers(gathered, rows, measure), pairwise.naming_rows(rows)
                        evaluate = partial(measure.evaluate, engine=engine)
                        results.append(each_defined(evaluate, layers, group.index_pairs))
                    bar.update(1)
                for pair, *of_pair in zip(group.pairs, *results, strict=True):
                    error = next((result for result in of_pair if isinstance(result, DegenerateError)), None)
                    pooled = error or measure.pooled(of_pair)
                    scores.append(row_score(measure, pooled, n_rows, pair, source, pairwise))
    return scores


def row_score(
    measure: RowMeasure,
    result: Result | DegenerateError,
    n_rows: int,
    pair: tuple[str, str],
    source: Source,
    pairwise: PairwiseEngine,
) -> Score:
    """Return a result, or the reason why there is none, as a score with its layers and provenance."""
    precision = pairwise.precision
    try:
        if isinstance(result, DegenerateError):
            raise result
        precision = result[1].get("precision", precision)
        widest = max(source.width(side, layer) for side, layer in enumerate(pair))
        score = measure.scored(result, n_rows, _ROUND_OFF[precision], widest)
    except DegenerateError as error:
        score = undefined_score(measure, n_rows, error)
    recorded = provenance(
        source.provenance,
        backend=pairwise.backend.name,
        n_threads=pairwise.n_threads,
        precision=precision,
    )
    return score.named(*pair, recorded)


def _counted(chosen: np.ndarray | None, counted: np.ndarray | None) -> np.ndarray | None:
    """Return the chosen rows that count; None for all rows."""
    if counted is None:
        return chosen
    return np.flatnonzero(counted) if chosen is None else chosen[counted[chosen]]


def check_memory(measure: Measure, n_rows: int, widths: Sequence[int], pairwise: PairwiseEngine, bar: Any) -> None:
    """Raise an error if the packed rows do not fit into memory; write the expected time on the progress bar."""
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
    """Rows of the layers of a group; those that were read stay in memory up to a limit."""

    def __init__(self, source: Source, group: LayerGroup, memory: int | str | None = None) -> None:
        self._source, self._memory = source, memory
        self._of_arrays = isinstance(source, ArraySource | SparseSource)
        self.members = group.members
        self._kept: dict[tuple[int, bytes | None], np.ndarray] = {}

    @cached_property
    def _free_bytes(self) -> float:
        return _KEPT_SHARE * memory_budget(self._memory)

    @property
    def documents(self) -> np.ndarray | None:
        """The document of each row of the source; None if unknown."""
        return self._source.documents

    @property
    def labels(self) -> list[str]:
        if self._of_arrays:
            return ["X", "Y"]
        if hasattr(self._source, "names"):
            return [name for _, name in self.members]
        return [f"{name} of {'XY'[side]}" for side, name in self.members]

    def get(self, index: int, chosen: np.ndarray | None) -> np.ndarray:
        if chosen is None and self._of_arrays:
            return self._source.gather(*self.members[index], None)
        key = (index, None if chosen is None else chosen.tobytes())
        if key in self._kept:
            return self._kept[key]
        rows = self._source.gather(*self.members[index], chosen)
        if rows.nbytes <= self._free_bytes:
            self._kept[key] = rows
            self._free_bytes -= rows.nbytes
        return rows


class GatheredLayers(Sequence[np.ndarray]):
    """Layers of a group as a sequence; each layer is read, and checked for the measure, when it is indexed.

    By default all layers of the group, else those at the places `members` of it.
    """

    def __init__(
        self, gathered: Gathered, chosen: np.ndarray | None, measure: Measure, members: Sequence[int] | None = None
    ) -> None:
        self._gathered, self._chosen, self._measure = gathered, chosen, measure
        self._members = range(len(gathered.members)) if members is None else members
        self._checked: set[int] = set()
        labels = gathered.labels
        self.labels = [labels[member] for member in self._members]

    @property
    def documents(self) -> np.ndarray | None:
        """The document of each row, (n_rows,); None if unknown."""
        documents = self._gathered.documents
        return documents if documents is None or self._chosen is None else documents[self._chosen]

    def only(self, places: Sequence[int]) -> GatheredLayers:
        """Return some of these layers."""
        return GatheredLayers(self._gathered, self._chosen, self._measure, [self._members[k] for k in places])

    def undefined(self) -> dict[int, DegenerateError]:
        """Return the error of each layer on which the measure is not defined: one that is constant."""
        errors = {}
        for place in range(len(self)):
            try:
                self[place]
            except DegenerateError as error:
                errors[place] = error
        return errors

    def __len__(self) -> int:
        return len(self._members)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        index = range(len(self))[index]
        rows = self._gathered.get(self._members[index], self._chosen)
        if index not in self._checked:
            label = self.labels[index] if self._chosen is None else f"the sample of {self.labels[index]}"
            self._measure.check_side(len(rows), _is_constant(rows), label)
            self._checked.add(index)
        return rows


def _is_constant(rows: np.ndarray) -> bool:
    """Whether no feature varies by more than the rounding of its mean, by the bound of `Side.varying`."""
    if len(rows) > 1:  # the first feature of the first two rows tells most layers
        one, other = float(rows[0, 0]), float(rows[1, 0])
        if math.isfinite(one - other) and abs(one - other) > _LEAST_RANGE * max(abs(one), abs(other)):
            return False
    low = high = np.asarray(rows[0], dtype=np.float64)
    begin, step = 0, 64
    with np.errstate(over="ignore", invalid="ignore"):  # NaN, infinity and huge rows are no constants
        while begin < len(rows):
            part = rows[begin : begin + step]
            low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
            if not (high - low <= _LEAST_RANGE * np.maximum(np.abs(low), np.abs(high))).all():
                return False
            begin, step = begin + step, 4096
    return True
