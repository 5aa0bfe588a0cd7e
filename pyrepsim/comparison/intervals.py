"""Scores with intervals: each measure by the cheapest way there is to its values of resampled blocks of documents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from ..core.blas import one_blas_thread
from ..core.calls import build_called
from ..core.errors import DegenerateError, OptionError
from ..core.progress import progress_bar
from ..inference import Bootstrap, Jackknife
from ..inference.resampling import bootstrap_weights, interval_of, jackknife_weights
from ..measures import BlockSumMeasure, Measure, MomentMeasure, RowMeasure
from ..moments import BlockMoments, Pair, RowBlocks, row_blocks
from ..moments.block_moments import Replicate
from ..pairwise import PairwiseEngine
from ..results import Score
from ..version import __version__
from .options import Engine, ordered
from .rows import Gathered, GatheredLayers, announce, score_rows
from .sources import LayerGroup, Source, layer_groups

__all__ = ["scores_with_intervals"]

Plan = Bootstrap | Jackknife
_PLANS: dict[str, type[Plan]] = {plan.__name__: plan for plan in (Bootstrap, Jackknife)}


def scores_with_intervals(
    source: Source,
    pairs: Sequence[tuple[str, str]],
    measures: Sequence[Measure],
    engine: Engine,
    plan: Plan | str,
    *,
    progress: bool | None = None,
) -> list[Score]:
    """Every measure on every pair, with the interval that ``plan`` describes.

    All measures and layers share the blocks and the draws of blocks, so that their replicates are joint.
    """
    if isinstance(plan, str):
        plan = build_called(plan, _PLANS, "way to an interval", "Bootstrap(blocks=16)")
    if not isinstance(plan, Bootstrap | Jackknife):
        raise OptionError(f"interval must be rs.Bootstrap(...), rs.Jackknife(...) or None: got {plan!r}.")
    draws = _Draws.of(plan, row_blocks(source.n_rows, plan.blocks, source.documents))
    groups = layer_groups(pairs)
    from_moments = [m for m in measures if isinstance(m, MomentMeasure) and not m.needs_second_pass]
    from_sums = [m for m in measures if isinstance(m, BlockSumMeasure)]
    again = [m for m in measures if isinstance(m, RowMeasure) and m not in from_sums]
    again += [m.row_form for m in measures if isinstance(m, MomentMeasure) and m.needs_second_pass]
    scores: list[Score] = []
    for group in groups:
        if from_moments:
            scores += _from_moments(source, group, from_moments, engine, draws, progress)
        for measure in from_sums:
            scores += _from_block_sums(source, group, measure, engine, draws, progress)
    if again:
        scores += _evaluated_again(source, groups, again, engine, draws, progress)
    return ordered(scores, pairs, measures)


@dataclass(frozen=True)
class _Draws:
    """How often each block counts: once for the value, all but one for the jackknife, then bootstrap replicates."""

    plan: Plan
    blocks: RowBlocks
    weights: np.ndarray

    @classmethod
    def of(cls, plan: Plan, blocks: RowBlocks) -> _Draws:
        n_blocks = blocks.n_blocks
        parts = [np.ones((1, n_blocks)), jackknife_weights(n_blocks)]
        if isinstance(plan, Bootstrap):
            parts.append(bootstrap_weights(n_blocks, plan.n_resamples, plan.seed))
        return cls(plan, blocks, np.concatenate(parts))

    def wanted(self, measure: Measure) -> int:
        """How many of the weights a measure is evaluated with."""
        return 1 + self.blocks.n_blocks if measure.biased_by_copies else len(self.weights)

    def with_interval(self, score: Score, measure: Measure, values: Iterable[float]) -> Score:
        """A score with the interval from values under the weights after the first."""
        others, n_blocks = np.array(list(values)), self.blocks.n_blocks
        replicates = others[n_blocks:] if len(others) > n_blocks else None
        interval, about = interval_of(self.plan, score.value, others[:n_blocks], replicates, measure.range)
        about = {**about, "unit": self.blocks.unit, "digest": self.blocks.digest}
        recorded = ("kind", "confidence", "blocks", "unit", "n_resamples", "seed")
        provenance = {key: about[key] for key in recorded if key in about}
        return replace(
            score,
            interval=interval,
            details={**score.details, "interval": about},
            provenance={**score.provenance, "interval": provenance},
        )


def _from_moments(
    source: Source, group: LayerGroup, measures: Sequence[Measure], engine: Engine, draws: _Draws, progress: bool | None
) -> list[Score]:
    """One pass over the rows, then arithmetic on sums of blocks."""
    transforms = tuple({measure.transform for measure in measures})
    moments = BlockMoments(
        source.widths(group),
        group.index_pairs,
        draws.blocks,
        transforms=transforms,
        precision=engine.moments_precision,
        backend=engine.backend,
        n_threads=engine.n_threads,
        labels=[*group.layers_x, *group.layers_y],
    )
    with progress_bar(source.n_rows, progress, desc="compare") as bar:
        for chunk in source.chunks(group):
            moments.update(chunk)
            bar.update(len(chunk[0]))
    about = {
        **source.provenance,
        "backend": moments.backend,
        "precision": engine.moments_precision,
        "n_threads": moments.n_threads,
        "version": __version__,
    }
    weights = draws.weights[: max(map(draws.wanted, measures))]
    first: dict[tuple[int, Measure], Score] = {}
    values: dict[tuple[int, Measure], list[float]] = {}
    # One thread: the same bits whatever the number of cores, and no BLAS thread spins beside ours.
    with one_blas_thread(), progress_bar(len(weights), progress, desc="interval") as bar:
        for r, replicate in enumerate(moments.replicates(weights)):
            for k, (layer_x, layer_y) in enumerate(group.pairs):
                for measure in measures:
                    if r == 0:
                        score = measure.score(_PairOf(replicate, k))
                        first[k, measure] = replace(score, layer_x=layer_x, layer_y=layer_y, provenance=about)
                        values[k, measure] = []
                    elif r < draws.wanted(measure):
                        with _named(measure):
                            values[k, measure].append(measure.score(_PairOf(replicate, k)).value)
            bar.update(1)
    return [draws.with_interval(score, key[1], values[key]) for key, score in first.items()]


def _from_block_sums(
    source: Source, group: LayerGroup, measure: Measure, engine: Engine, draws: _Draws, progress: bool | None
) -> list[Score]:
    """One sweep over the tiles, then arithmetic on sums of pairs of blocks."""
    pairwise = PairwiseEngine(
        backend=engine.backend,
        n_threads=engine.n_threads,
        precision=engine.precision,
        progress=progress,
        blocks=draws.blocks.bounds,
    )
    about = {**source.provenance, "backend": pairwise.backend.name, "n_threads": pairwise.n_threads}
    about |= {"version": __version__}
    scores = []
    with progress_bar(1, progress, desc="pairs of rows", unit=" groups of layers") as bar:
        announce(bar, measure, source.n_rows, source.widths(group), pairwise)
        gathered = GatheredLayers(Gathered(source, group), None, measure)
        layers = gathered if draws.blocks.order is None else _InBlockOrder(gathered, draws.blocks.order)
        with one_blas_thread():
            sums = measure.block_sums(layers, group.index_pairs, pairwise.naming_rows(draws.blocks.order))
        bar.update(1)
    for of_pair, (layer_x, layer_y) in zip(sums, group.pairs, strict=True):
        score = measure.scored(measure.from_block_sums(of_pair, pairwise), source.n_rows)
        used = {"precision": score.details.get("precision", pairwise.precision)}
        score = replace(score, layer_x=layer_x, layer_y=layer_y, provenance=about | used)
        with _named(measure):
            values = [
                measure.from_block_sums(of_pair.resampled(drawn), pairwise)[0]
                for drawn in draws.weights[1 : draws.wanted(measure)]
            ]
        scores.append(draws.with_interval(score, measure, values))
    return scores


def _evaluated_again(
    source: Source,
    groups: Sequence[LayerGroup],
    measures: Sequence[Measure],
    engine: Engine,
    draws: _Draws,
    progress: bool | None,
) -> list[Score]:
    """The value, and the value without each block, from the rows: S + 1 evaluations."""
    blocks = draws.blocks
    with progress_bar(1 + blocks.n_blocks, progress, desc="interval by second passes", unit=" passes") as bar:
        scores = score_rows(source, groups, measures, engine, False)
        bar.update(1)
        without: list[list[float]] = [[] for _ in scores]
        for block in range(blocks.n_blocks):
            counted = blocks.of_row != block
            left = score_rows(source, groups, measures, engine, False, counted=counted)
            for values, score in zip(without, left, strict=True):
                values.append(score.value)
            bar.update(1)
    by_name = {str(measure): measure for measure in measures}
    return [
        draws.with_interval(score, by_name[score.measure], values)
        for score, values in zip(scores, without, strict=True)
    ]


@contextmanager
def _named(measure: Measure) -> Iterator[None]:
    """Errors of resampled rows say that they are of those."""
    try:
        yield
    except DegenerateError as error:
        raise DegenerateError(
            f"{measure} must be defined on the rows of every replicate, and is not on some: {error} "
            "Use interval=rs.Jackknife(), more rows, or no interval."
        ) from error


@dataclass(frozen=True)
class _PairOf:
    """One pair of layers of a replicate, as measures read it."""

    replicate: Replicate
    k: int

    def pair(self, transform: str = "raw") -> Pair:
        return self.replicate.pair_at(self.k, transform)


class _InBlockOrder(Sequence[np.ndarray]):
    """Layers whose rows come block after block."""

    def __init__(self, layers: GatheredLayers, order: np.ndarray) -> None:
        self._layers, self._order, self.labels = layers, order, layers.labels

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        return self._layers[index][self._order]
