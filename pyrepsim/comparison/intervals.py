"""Scores with intervals, from values of resampled blocks of documents.

Moments and block sums are resampled without reading rows again; other measures are evaluated once without each block.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from threading import Event
from typing import Any

import numpy as np

from ..core.blas import one_blas_thread
from ..core.calls import build_called
from ..core.errors import DegenerateError, OptionError
from ..core.progress import progress_bar
from ..inference import Bootstrap, Jackknife
from ..inference.resampling import bootstrap_weights, interval_of, jackknife_weights
from ..measures import BlockSumMeasure, Measure, MomentMeasure, RowMeasure
from ..moments import BlockMoments, Pair, RowBlocks, row_blocks
from ..moments.block_moments import AT_ONCE, Replicate
from ..results import Score
from .layers import LayerGroup, layer_groups
from .options import ExecutionOptions, ordered, provenance
from .row_scores import Gathered, GatheredLayers, check_memory, row_score, row_scores
from .sources import Source, widths_of
from .undefined import each_defined, in_parts, is_defined, score_or_undefined, without_interval

__all__ = ["as_interval", "scores_with_intervals"]

log = logging.getLogger("pyrepsim.comparison")

_LONG_SECONDS = 60.0
FEW_DOCUMENTS = 20
COVERAGE_OF_FEW = "93 to 99 %"
"""Of 8, 12 and 16 documents with heavy-tailed rows, by five measures: benchmarks/error-rates.md."""

Plan = Bootstrap | Jackknife
Value = float | DegenerateError
_PLANS: dict[str, type[Plan]] = {plan.__name__: plan for plan in (Bootstrap, Jackknife)}


def as_interval(plan: Plan | str) -> Plan:
    """Return the plan that the argument `interval` of `compare` describes."""
    if isinstance(plan, str):
        plan = build_called(plan, _PLANS, "way to an interval", "Bootstrap(blocks=16)")
    if not isinstance(plan, Bootstrap | Jackknife):
        raise OptionError(f"interval must be rs.Bootstrap(...), rs.Jackknife(...) or None: got {plan!r}.")
    return plan


def scores_with_intervals(
    source: Source,
    pairs: Sequence[tuple[str, str]],
    measures: Sequence[Measure],
    options: ExecutionOptions,
    plan: Plan | str,
    *,
    progress: bool | None = None,
) -> list[Score]:
    """Return the score of every measure for every pair, with the interval that `plan` describes.

    All measures and layers share the blocks and the resamples of blocks.
    """
    plan = as_interval(plan)
    weights = _BlockWeights.of(plan, row_blocks(source.n_rows, plan.blocks, source.documents))
    _warn_of_few_documents(weights.blocks, source.documents)
    groups = layer_groups(pairs)
    from_moments = [m for m in measures if isinstance(m, MomentMeasure) and not m.needs_second_pass]
    from_sums = [m for m in measures if isinstance(m, BlockSumMeasure)]
    from_rows = [m for m in measures if isinstance(m, RowMeasure) and m not in from_sums]
    from_rows += [m.row_form for m in measures if isinstance(m, MomentMeasure) and m.needs_second_pass and m.row_form]
    scores: list[Score] = []
    if from_moments:
        n_resamples = len(groups) * max(map(weights.n_needed, from_moments))
        with progress_bar(n_resamples, progress, desc="interval", unit=" resamples") as bar:
            shared = partial(_from_moments, source, options=options, weights=weights, bar=bar, progress=progress)
            for group in groups:
                of_part = partial(shared, n_announced=len(groups) if group is groups[0] else 0)
                scores += in_parts(of_part, layer_groups, group, from_moments, source.n_rows)
    for group in groups:
        for measure in from_sums:
            scores += _from_block_sums(source, group, measure, options, weights, progress)
    if from_rows:
        scores += _from_rows(source, groups, from_rows, options, weights, progress)
    return ordered(scores, pairs, measures)


def _warn_of_few_documents(blocks: RowBlocks, documents: np.ndarray | None) -> None:
    if blocks.unit == "documents" and documents is not None:
        n = len(np.unique(documents))
        if n < FEW_DOCUMENTS:
            log.warning(
                "an interval needs documents to vary: there are %d. Of simulated intervals at 95 %% from fewer than %d "
                "documents, %s contained the truth, and they are wide. Use more documents.",
                n,
                FEW_DOCUMENTS,
                COVERAGE_OF_FEW,
            )


@dataclass(frozen=True)
class _BlockWeights:
    """Weights of the blocks, (n, n_blocks): ones for the value, then those of the jackknife and of the bootstrap."""

    plan: Plan
    blocks: RowBlocks
    weights: np.ndarray

    @classmethod
    def of(cls, plan: Plan, blocks: RowBlocks) -> _BlockWeights:
        n_blocks = blocks.n_blocks
        parts = [np.ones((1, n_blocks)), jackknife_weights(n_blocks)]
        if isinstance(plan, Bootstrap):
            parts.append(bootstrap_weights(n_blocks, plan.n_resamples, plan.seed))
        return cls(plan, blocks, np.concatenate(parts))

    def n_needed(self, measure: Measure) -> int:
        """Return with how many of the weights a measure is evaluated."""
        return 1 + self.blocks.n_blocks if measure.biased_by_copies else len(self.weights)

    def with_interval(self, score: Score, measure: Measure, values: Iterable[Value]) -> Score:
        """Return the score with an interval; `values` are those of the weights after the first."""
        if not is_defined(score):
            return score
        n_blocks = self.blocks.n_blocks
        try:
            resampled = np.array(_defined_values(measure, values))
            replicates = resampled[n_blocks:] if len(resampled) > n_blocks else None
            interval, details = interval_of(
                self.plan, score.value, resampled[:n_blocks], replicates, measure.range, fisher=measure.correlation_like
            )
        except DegenerateError as error:
            return without_interval(score, error)
        details = {**details, "unit": self.blocks.unit, "digest": self.blocks.digest}
        recorded = ("kind", "confidence", "blocks", "unit", "n_resamples", "seed")
        return replace(
            score,
            interval=interval,
            details={**score.details, "interval": details},
            provenance={
                **score.provenance,
                "interval": {key: details[key] for key in recorded if key in details},
            },
        )


def _from_moments(
    source: Source,
    group: LayerGroup,
    measures: Sequence[MomentMeasure],
    options: ExecutionOptions,
    weights: _BlockWeights,
    bar: Any,
    progress: bool | None,
    n_announced: int,
) -> list[Score]:
    """Return scores with intervals from one pass over the rows: moments of blocks are added with their weights.

    `bar` counts the resamples of all groups. A long bootstrap is announced, with the time of `n_announced` such groups.
    """
    moments = BlockMoments(
        widths_of(source, group),
        group.index_pairs,
        weights.blocks,
        transforms=tuple({measure.transform for measure in measures}),
        precision=options.moments_precision,
        backend=options.backend,
        n_threads=options.n_threads,
        labels=[*group.layers_x, *group.layers_y],
        memory=options.memory,
    )
    with progress_bar(source.n_rows, progress, desc="compare", transient=True) as of_rows:
        for chunk in source.chunks(group):
            moments.update(chunk)
            of_rows.update(len(chunk[0]))
    recorded = provenance(
        source.provenance,
        backend=moments.backend,
        n_threads=moments.n_threads,
        precision=options.moments_precision,
    )
    needed = weights.weights[: max(map(weights.n_needed, measures))]
    keys = [(k, measure) for k in range(len(group.pairs)) for measure in measures]
    stopped = Event()

    def values_of(r: int, replicate: Replicate) -> dict[int, Value]:
        """The values of one resample, by the places of `keys` that need one."""
        values: dict[int, Value] = {}
        for place, (k, measure) in enumerate(keys):
            if stopped.is_set():
                break
            if is_defined(observed[place]) and r < weights.n_needed(measure):
                values[place] = _value_of(score_or_undefined(measure, _ReplicatePair(replicate, k), source.n_rows))
        return values

    # BLAS on one thread, so that the bits do not depend on the number of cores; resamples on several.
    n_workers = moments.n_scored_at_once
    observed: list[Score] = []
    resampled: list[dict[int, Value]] = []
    with (
        one_blas_thread(),
        ThreadPoolExecutor(n_workers, thread_name_prefix="pyrepsim-interval") as pool,
    ):
        try:
            for start in range(0, len(needed), AT_ONCE):  # the sums of so many resamples are in memory at a time
                replicates = list(moments.replicates(needed[start : start + AT_ONCE]))
                if start == 0:
                    whole, began = replicates.pop(0), time.monotonic()
                    for k, measure in keys:
                        score = score_or_undefined(measure, _ReplicatePair(whole, k), source.n_rows)
                        observed.append(score.named(*group.pairs[k], recorded))
                    if n_announced:
                        seconds = n_announced * (time.monotonic() - began) / n_workers
                        _warn_of_long_bootstrap(weights, len(needed) - 1, seconds)
                    bar.update(1)
                for values in pool.map(values_of, count(max(start, 1)), replicates):
                    resampled.append(values)
                    bar.update(1)
        finally:
            stopped.set()
    return [
        weights.with_interval(score, measure, [values[place] for values in resampled if place in values])
        for place, (score, (_, measure)) in enumerate(zip(observed, keys, strict=True))
    ]


def _warn_of_long_bootstrap(weights: _BlockWeights, n_resamples: int, seconds: float) -> None:
    """Say how long a bootstrap will take, if that is more than a minute, and that the jackknife takes less."""
    left, n_blocks = n_resamples * seconds, weights.blocks.n_blocks
    if isinstance(weights.plan, Bootstrap) and left > _LONG_SECONDS:
        log.warning(
            "the bootstrap takes about %.0f min: %d resamples; interval=Jackknife() takes about %.0f s, for %d blocks",
            left / 60, n_resamples, n_blocks * seconds, n_blocks,
        )  # fmt: skip


def _from_block_sums(
    source: Source,
    group: LayerGroup,
    measure: BlockSumMeasure,
    options: ExecutionOptions,
    weights: _BlockWeights,
    progress: bool | None,
) -> list[Score]:
    """Return scores with intervals from one pass over all pairs of rows: sums of pairs of blocks are weighted."""
    pairwise = options.pairwise(progress, blocks=weights.blocks.bounds)
    order = weights.blocks.order
    with progress_bar(1, progress, desc="pairs of rows", unit=" groups of layers") as bar:
        check_memory(measure, source.n_rows, widths_of(source, group), pairwise, bar)
        gathered = GatheredLayers(Gathered(source, group, options.memory), None, measure)
        layers = gathered if order is None else _InBlockOrder(gathered, order)
        with one_blas_thread():
            block_sums = partial(measure.block_sums, engine=pairwise.naming_rows(order))
            sums = each_defined(block_sums, layers, group.index_pairs)
        bar.update(1)
    scores = []
    for of_pair, pair in zip(sums, group.pairs, strict=True):
        try:
            if isinstance(of_pair, DegenerateError):
                raise of_pair
            result = measure.from_block_sums(of_pair, pairwise)
        except DegenerateError as error:
            scores.append(row_score(measure, error, source.n_rows, pair, source, pairwise))
            continue
        values = (
            measure.from_block_sums(of_pair.resampled(weight), pairwise)[0]
            for weight in weights.weights[1 : weights.n_needed(measure)]
        )
        score = row_score(measure, result, source.n_rows, pair, source, pairwise)
        scores.append(weights.with_interval(score, measure, values))
    return scores


def _from_rows(
    source: Source,
    groups: Sequence[LayerGroup],
    measures: Sequence[RowMeasure],
    options: ExecutionOptions,
    weights: _BlockWeights,
    progress: bool | None,
) -> list[Score]:
    """Return scores with jackknife intervals, from one evaluation with all rows and one without each block."""
    blocks = weights.blocks
    with progress_bar(1 + blocks.n_blocks, progress, desc="interval by second passes", unit=" passes") as bar:
        scores = row_scores(source, groups, measures, options, False)
        bar.update(1)
        values: list[list[Value]] = [[] for _ in scores]
        for block in range(blocks.n_blocks):
            others = row_scores(source, groups, measures, options, False, counted=blocks.of_row != block)
            for own, score in zip(values, others, strict=True):
                own.append(_value_of(score))
            bar.update(1)
    by_name = {str(measure): measure for measure in measures}
    return [
        weights.with_interval(score, by_name[score.measure], own) for score, own in zip(scores, values, strict=True)
    ]


def _value_of(score: Score) -> Value:
    return score.value if is_defined(score) else DegenerateError(score.details["undefined"])


def _defined_values(measure: Measure, values: Iterable[Value]) -> list[float]:
    """Return the values; raise errors on resampled rows as errors of the interval."""
    defined: list[float] = []
    try:
        for value in values:
            if isinstance(value, DegenerateError):
                raise value
            defined.append(value)
        return defined
    except DegenerateError as error:
        raise DegenerateError(
            f"{measure} must be defined on the rows of every resample, and is not on some: {error} "
            "Use interval=rs.Jackknife(), more rows, or no interval."
        ) from error


@dataclass(frozen=True)
class _ReplicatePair:
    """The moments of one pair of layers in a resample."""

    replicate: Replicate
    k: int

    def pair(self, transform: str = "raw") -> Pair:
        return self.replicate.pair_at(self.k, transform)


class _InBlockOrder(Sequence[np.ndarray]):
    """Layers whose rows are ordered by block."""

    def __init__(self, layers: GatheredLayers, order: np.ndarray) -> None:
        self._layers, self._order, self.labels = layers, order, layers.labels

    @property
    def documents(self) -> np.ndarray | None:
        documents = self._layers.documents
        return None if documents is None else documents[self._order]

    def only(self, places: Sequence[int]) -> _InBlockOrder:
        return _InBlockOrder(self._layers.only(places), self._order)

    def undefined(self) -> dict[int, DegenerateError]:
        return self._layers.undefined()

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        return self._layers[index][self._order]
