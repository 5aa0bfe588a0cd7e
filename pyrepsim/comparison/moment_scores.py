"""Scores of measures of moments: one pass over the rows, then arithmetic on d x d matrices."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from ..backends import get_backend
from ..backends.checks import checked_threads
from ..core.blas import one_blas_thread
from ..core.errors import OptionError
from ..core.memory import keep_freed_memory, memory_budget
from ..core.progress import progress_bar
from ..measures import MomentMeasure
from ..moments import MomentsSet, Pair
from ..moments.centred import Centred
from ..moments.in_memory import ArrayMoments, whitened_moments
from ..moments.readback import evaluated_together
from ..results import Score
from .checkpoint import Checkpoint
from .executors import Executor, add_parts, part_rows
from .layers import LayerGroup
from .options import ExecutionOptions, diagonals_suffice, provenance, transforms_of
from .sources import ArraySource, Source, StoreSource, widths_of
from .undefined import in_parts, score_or_undefined

__all__ = ["Rereadable", "moment_scores", "score_group"]

_PRODUCTS_PER_STEP = 1 << 37
"""Products of an update, some seconds of work: a progress bar moves after each."""
_ENTRIES_TOGETHER = 1 << 28
"""Entries of the d x d matrices, one for each pair, of pairs that are finished together on a GPU: 2 GiB. A pair that
waits for numbers keeps up to three matrices."""
_LEAST_STEP = 256
"""Rows of an update, at least."""


class Rereadable(Protocol):
    """A source whose rows can be read a second time."""

    def chunks(self, group: LayerGroup, /, start: int = 0) -> Any:
        """Yield the rows from `start` on, in chunks."""
        ...


def moment_scores(
    source: Source,
    pairs: Sequence[tuple[str, str]],
    measures: Sequence[MomentMeasure],
    options: ExecutionOptions,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> list[Score]:
    """Return the scores of all measures and pairs: for each group of layers one pass over its rows, then its scores.

    Groups whose sums do not fit into half of the memory are cut into parts of their layers, with one pass for each.
    """
    if isinstance(source, ArraySource) and checkpoint is None:
        return _array_scores(source, measures, options, progress)
    saved = None
    if checkpoint is not None:
        if not isinstance(source, StoreSource):
            raise OptionError(
                "checkpoint is for stores: arrays are gone when the process ends. Write them with rs.write_store first."
            )
        rows = None if executor is None else part_rows(source.n_rows)
        saved = Checkpoint(checkpoint, source, options, measures, pairs, part_rows=rows)
    kept = checkpoint is not None or executor is not None
    share = 1 if kept else 2  # sums that are kept are cut where they would be refused otherwise
    groups = [
        part
        for group in source.groups(pairs)
        for part in _passes(source, group, len(transforms_of(measures)), memory_budget(options.memory) // share)
    ]
    scores: list[Score] = []
    with progress_bar(len(groups) * source.n_rows, progress, desc="compare") as bar:

        def of_group(index: int, group: LayerGroup, measures: Sequence[MomentMeasure]) -> list[Score]:
            moments = options.moments(group, widths_of(source, group), measures, saved=kept)
            if saved is not None:
                saved.restore(index, group, moments)
            bar.update(int(moments.n_samples))
            for n_rows in _add_rows(moments, source, group, executor):
                bar.update(n_rows)
                if saved is not None:
                    saved.save(index, group, moments)
            if saved is not None:
                saved.save(index, group, moments, finished=True)
            return score_group(group, moments, measures, options, source.provenance, source)

        for index, group in enumerate(groups):
            if kept:  # sums of other groups than those of the plan could not be kept
                scores += of_group(index, group, measures)
            else:
                scores += in_parts(partial(of_group, index), source.groups, group, measures, source.n_rows)
    return scores


def _add_rows(moments: MomentsSet, source: Source, group: LayerGroup, executor: Executor | None) -> Iterator[int]:
    """Add the rows that `moments` does not have yet, here or by an executor; yield the number of rows of each step."""
    if executor is not None and isinstance(source, StoreSource):
        yield from add_parts(moments, source, group, executor)
        return
    step = max(_LEAST_STEP, _PRODUCTS_PER_STEP // (_entries(source, group) * len(moments.transforms)))
    for chunk in source.chunks(group, start=int(moments.n_samples)):
        for start in range(0, len(chunk[0]), step):
            part = [rows[start : start + step] for rows in chunk]
            moments.update(part)
            yield len(part[0])


def _passes(source: Source, group: LayerGroup, n_transforms: int, most_bytes: int) -> list[LayerGroup]:
    """Return the group, or the parts of it whose sums fit into memory one after the other; each is one pass."""
    if _entries(source, group) * 8 * n_transforms <= most_bytes:
        return [group]
    parts = [group]
    for n_parts in range(2, 1 + max(len(group.layers_x), len(group.layers_y))):
        parts = group.in_parts(n_parts)
        if max(_entries(source, part) for part in parts) * 8 * n_transforms <= most_bytes:
            break
    return parts


def _entries(source: Source, group: LayerGroup) -> int:
    """The number of entries of the d x d sums of a group."""
    widths = widths_of(source, group)
    return sum(d * d for d in widths) + sum(widths[i] * widths[j] for i, j in group.crossed)


@dataclass(frozen=True)
class _LayerPair:
    """The moments of one pair of layers; each row transform is centred once for all measures."""

    moments: MomentsSet
    i: int
    j: int
    group: LayerGroup
    options: ExecutionOptions
    source: Rereadable | None
    mirror: _LayerPair | None = None
    """The same two layers with X and Y exchanged."""
    on_device: Mapping[str, Centred] = field(default_factory=dict)
    """Moments by row transform that are where a GPU made them."""
    _pairs: dict[str, Pair] = field(default_factory=dict)

    def pair(self, transform: str = "raw") -> Pair:
        if transform not in self._pairs:
            self._pairs[transform] = self._whitened() if transform == "whitened" else self._of(transform)
        return self._pairs[transform]

    def _of(self, transform: str) -> Pair:
        if self.mirror is not None:
            return self.mirror.pair(transform).swapped()
        if transform in self.on_device:
            return self.on_device[transform].between(self.i, self.j)
        return self.moments.between(self.i, self.j, transform)

    def _whitened(self) -> Pair:
        """Return the moments of a second pass over the rows, centred and whitened by the moments of the first."""
        if self.source is None:
            raise OptionError(
                "whitened rows need a second pass, which a stream does not have: extract to stores first."
            )
        chunks = ((chunk[self.i], chunk[self.j]) for chunk in self.source.chunks(self.group))
        raw = self.moments.between(self.i, self.j, "raw")  # on the host, where the rows are whitened
        return whitened_moments(raw, chunks, **self.options.of_moments)


def _array_scores(
    source: ArraySource, measures: Sequence[MomentMeasure], options: ExecutionOptions, progress: bool | None
) -> list[Score]:
    """Return the scores of all measures of two arrays."""
    backend, n_threads = get_backend(options.backend), checked_threads(options.n_threads)
    precision, transforms = options.moments_precision, transforms_of(measures)
    recorded = provenance(source.provenance, backend=backend.name, n_threads=n_threads, precision=precision)
    work = len(transforms) * source.n_rows
    keep_freed_memory()
    with progress_bar(work, progress, desc="compare") as bar, one_blas_thread():
        moments = ArrayMoments(
            source.arrays,
            ("X", "Y"),
            transforms=transforms,
            backend=backend,
            precision=precision,
            n_threads=n_threads,
            memory=options.memory,
            diagonals=diagonals_suffice(measures, backend),
            advance=None if bar.disable else bar.update,
        )
        return [score_or_undefined(m, moments, source.n_rows).named("X", "Y", recorded) for m in measures]


def score_group(
    group: LayerGroup,
    moments: MomentsSet,
    measures: Sequence[MomentMeasure],
    options: ExecutionOptions,
    sides: Mapping[str, Any],
    source: Rereadable | None,
) -> list[Score]:
    """Return the scores of all measures and all pairs of a group; the same bits for any number of threads.

    `sides` is recorded in the provenance of each score. `source` is needed by measures with a second pass.
    """
    recorded = provenance(
        sides, backend=moments.backend, n_threads=moments.n_threads, precision=options.moments_precision
    )
    mirrored: dict[tuple[int, int], list[int]] = {}  # (1, 0) goes with (0, 1), which shares its decompositions
    index_pairs = group.index_pairs
    for k, (i, j) in enumerate(index_pairs):
        mirrored.setdefault((min(i, j), max(i, j)), []).append(k)
    readback, on_device = moments.on_device() or (None, {})
    if readback is None:
        for transform in moments.transforms:  # centred here once, before threads read them
            for side in range(len(moments.widths)):
                moments.side(side, transform)

    def calls_of(indices: Sequence[int]) -> list[Callable[[], Score]]:
        """A function for each pair and measure; they share what was computed for the pair."""
        calls = []
        first = None
        for k in indices:
            pair = _LayerPair(moments, *index_pairs[k], group, options, source, mirror=first, on_device=on_device)
            first = first or pair
            calls += [partial(one_score, measure, pair, *group.pairs[k]) for measure in measures]
        return calls

    def one_score(measure: MomentMeasure, pair: _LayerPair, layer_x: str, layer_y: str) -> Score:
        return score_or_undefined(measure, pair, moments.n_samples).named(layer_x, layer_y, recorded)

    def score_pairs(indices: Sequence[int]) -> list[Score]:
        return [call() for call in calls_of(indices)]

    keep_freed_memory()
    # One BLAS thread for each pair: its matrices are too small for more, and the bits are then always the same.
    with one_blas_thread():
        second_pass = any(measure.needs_second_pass for measure in measures)  # its sums use the threads
        if readback is not None:
            pairs, step = list(mirrored.values()), max(1, _ENTRIES_TOGETHER // max(moments.widths) ** 2)
            parts = [pairs[start : start + step] for start in range(0, len(pairs), step)]
            waiting = ([call for indices in part for call in calls_of(indices)] for part in parts)
            return [score for calls in waiting for score in evaluated_together(readback, calls)]
        if second_pass or moments.n_threads == 1 or len(mirrored) == 1:
            scored = [score_pairs(indices) for indices in mirrored.values()]
        else:
            with ThreadPoolExecutor(moments.n_threads, thread_name_prefix="pyrepsim-finish") as pool:
                scored = list(pool.map(score_pairs, mirrored.values()))
    return [score for scores in scored for score in scores]
