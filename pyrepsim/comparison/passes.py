"""From a source, pairs of layers and measures to scores: one pass for moments, gathered rows for the others.

FOLDED: From moments to scores: the d x d algebra of every measure, pairs of layers side by side.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..backends import get_backend
from ..core.blas import one_blas_thread
from ..core.errors import OptionError
from ..core.lazy import lazy
from ..core.progress import progress_bar
from ..measures import Measure, MomentMeasure, RowMeasure
from ..moments import MomentsSet, Pair
from ..results import Score
from ..store import ActivationStore, Representation
from .options import Engine, ordered
from .parts import Checkpoint, Executor, add_parts, check_executor, part_rows
from .rows import score_rows
from .sources import ArraySource, LayerGroup, Layers, Source, StoreSource, layer_groups, layer_pairs

__all__ = ["Rereadable", "kind_of", "open_sides", "score_group", "scores_of"]

_LARGEST = (32 << 20) - (1 << 16)
"""Bytes of the largest block, its header left out, that glibc takes into account when it is freed."""


class Rereadable(Protocol):
    """A source whose rows can be read a second time."""

    def chunks(self, group: LayerGroup, /, start: int = 0) -> Any: ...


@dataclass(frozen=True)
class _LayerPair:
    """The moments of one pair of layers; each row transform is centred once for all measures."""

    moments: MomentsSet
    i: int
    j: int
    group: LayerGroup
    engine: Engine
    source: Rereadable | None
    mirror: _LayerPair | None = None
    """The same two layers the other way round."""

    def pair(self, transform: str = "raw") -> Pair:
        return getattr(self, f"_{transform}")

    @lazy
    def _raw(self) -> Pair:
        return self._of("raw")

    @lazy
    def _unit(self) -> Pair:
        return self._of("unit")

    @lazy
    def _unit_centred(self) -> Pair:
        return self._of("unit_centred")

    def _of(self, transform: str) -> Pair:
        return (
            self.moments.between(self.i, self.j, transform)
            if self.mirror is None
            else self.mirror.pair(transform).swapped()
        )

    @lazy
    def _whitened(self) -> Pair:
        """The second pass: rows centred and whitened by the moments of the first, through the same sums again."""
        if self.source is None:
            raise OptionError(
                "whitened rows need a second pass, which a stream does not have: extract to stores first."
            )
        raw = self._raw
        maps = [(side.mean, side.whitening) for side in (raw.x, raw.y)]
        moments = self.engine.whitened(raw)
        for chunk in self.source.chunks(self.group):
            moments.update(
                [
                    (np.asarray(chunk[s], np.float64) - mean) @ white
                    for s, (mean, white) in zip((self.i, self.j), maps, strict=True)
                ]
            )
        return moments.pair_at(0)


def score_group(
    group: LayerGroup,
    moments: MomentsSet,
    measures: Sequence[Measure],
    engine: Engine,
    provenance: Mapping[str, Any],
    source: Rereadable | None,
) -> list[Score]:
    """Every measure on every pair of a group. The same bits for any number of threads."""
    about = {**provenance, **engine.describe(moments)}
    together: dict[tuple[int, int], list[int]] = {}  # (1, 0) with (0, 1), whose decompositions serve both
    for k, (i, j) in enumerate(group.index_pairs):
        together.setdefault((min(i, j), max(i, j)), []).append(k)
    for transform in moments.transforms:  # centred once, before threads read them
        for side in range(len(moments.widths)):
            moments.side(side, transform)

    def score(places: Sequence[int]) -> list[list[Score]]:
        found: list[list[Score]] = []
        first = None
        for k in places:
            pair = _LayerPair(moments, *group.index_pairs[k], group, engine, source, mirror=first)
            layer_x, layer_y = group.pairs[k]
            scores = (measure.score(pair) for measure in measures)
            found.append([replace(one, layer_x=layer_x, layer_y=layer_y, provenance=about) for one in scores])
            first = first or pair
        return found

    # glibc keeps as much free memory at the end of a heap as twice the largest block it has seen freed: having seen
    # this one, it keeps what the algebra of one pair takes for the next, and no page of that is made anew.
    np.empty(_LARGEST, np.uint8)

    # One BLAS thread a pair: d x d algebra is too small for more, its bits are always the same, and none spins.
    with one_blas_thread():
        passes_again = any(measure.needs_second_pass for measure in measures)  # whose sums have the threads then
        if passes_again or moments.n_threads == 1 or len(together) == 1:
            scored = [score(places) for places in together.values()]
        else:
            with ThreadPoolExecutor(moments.n_threads, thread_name_prefix="pyrepsim-finish") as pool:
                scored = list(pool.map(score, together.values()))
    return [one for found in scored for scores in found for one in scores]


Pairs = Sequence[tuple[str, str]]


def open_sides(X: Any, Y: Any, *, layers: Layers, tokens: str, backend: str) -> tuple[Source, list[tuple[str, str]]]:
    """What `compare` was given, as a source of rows and the pairs of layers that are asked for."""
    kinds = {kind_of(side) for side in (X, Y)}
    if kinds == {"array"} and (layers, tokens) != ("same", "content"):
        raise OptionError("layers and tokens choose from stores: two arrays are compared as they are. Leave both out.")
    if kinds == {"layer"} and layers != "same":
        raise OptionError("layers chooses from stores: two layers are compared with each other. Leave it out.")
    if kinds == {"store"}:
        source = StoreSource(X, Y, tokens=tokens)
        return source, layer_pairs(source.layers_x, source.layers_y, layers)
    if kinds == {"layer"}:
        return StoreSource(X.store, Y.store, tokens=tokens), [(X.name, Y.name)]
    if kinds == {"array"}:
        return ArraySource(X, Y, get_backend(backend).rows_view), [("X", "Y")]
    raise OptionError(
        f"compare takes two arrays, two layers of stores or two stores: got {' and '.join(sorted(kinds))}. "
        "For the rows of one layer as an array pass np.asarray(store['layer.3'])."
    )


def kind_of(side: Any) -> str:
    if isinstance(side, ActivationStore):
        return "store"
    return "layer" if isinstance(side, Representation) else "array"


def scores_of(
    source: Source,
    pairs: Pairs,
    measures: Sequence[Measure],
    engine: Engine,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> list[Score]:
    """Every measure on every pair, in the order that they were asked for."""
    from_moments = [measure for measure in measures if isinstance(measure, MomentMeasure)]
    from_rows = [measure for measure in measures if isinstance(measure, RowMeasure)]
    if checkpoint is not None and not from_moments:
        raise OptionError(
            f"checkpoint keeps sums of moments: {', '.join(map(str, from_rows))} reads rows. Leave it out."
        )
    if executor is not None:
        check_executor(executor, source)
    scores = _stream(source, pairs, from_moments, engine, checkpoint, executor, progress) if from_moments else []
    if from_rows:
        scores += score_rows(source, _groups(source, pairs), from_rows, engine, progress)
    return ordered(scores, pairs, measures)


def _groups(source: Source, pairs: Pairs) -> list[LayerGroup]:
    """Each layer once, if the store is compared with itself."""
    groups = layer_groups(pairs)
    if isinstance(source, StoreSource) and source.one_store:
        return [group.of_one_store() for group in groups]
    return groups


def _stream(
    source: Source,
    pairs: Pairs,
    measures: Sequence[Measure],
    engine: Engine,
    checkpoint: str | os.PathLike[str] | None,
    executor: Executor | None,
    progress: bool | None,
) -> list[Score]:
    """One pass over the rows of each group of connected layers, then its scores; sums kept on disk if asked for."""
    saved = None
    if checkpoint is not None:
        if not isinstance(source, StoreSource):
            raise OptionError(
                "checkpoint is for stores: arrays are gone when the process is. Write them with rs.write_store first."
            )
        rows = None if executor is None else part_rows(source.n_rows)
        saved = Checkpoint(checkpoint, source, engine, measures, pairs, part_rows=rows)
    groups = _groups(source, pairs)
    scores: list[Score] = []
    with progress_bar(len(groups) * source.n_rows, progress, desc="compare") as bar:
        for index, group in enumerate(groups):
            moments = engine.moments(group, source.widths(group), measures)
            if saved is not None:
                saved.restore(index, moments)
            bar.update(int(moments.n_samples))
            for n_rows in _added(moments, source, group, executor):
                bar.update(n_rows)
                if saved is not None:
                    saved.save(index, moments)
            if saved is not None:
                saved.save(index, moments, finished=True)
            scores += score_group(group, moments, measures, engine, source.provenance, source)
    return scores


def _added(moments: MomentsSet, source: Source, group: LayerGroup, executor: Executor | None) -> Iterator[int]:
    """Add the rows after those that ``moments`` has, here or by an executor; gives how many at a time."""
    if executor is not None and isinstance(source, StoreSource):
        yield from add_parts(moments, source, group, executor)
        return
    for chunk in source.chunks(group, start=int(moments.n_samples)):
        moments.update(chunk)
        yield len(chunk[0])
