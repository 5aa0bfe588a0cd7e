"""Scores of measures of moments from n x n matrices, where they take fewer products than d x d matrices.

Measures that read sums of products only (`MomentMeasure.reads`) get them from tiles of the matrices of all layers of a
group: moments/gram_tiles.py. The others need the matrices of a pair of layers whole: moments/gram.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends import get_backend
from ..backends.checks import checked_threads
from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError
from ..core.progress import progress_bar
from ..core.sparse import is_sparse
from ..measures import MomentMeasure
from ..moments import Pair
from ..moments.gram import GramMoments, GramPair
from ..moments.gram_tiles import BlockRows, DenseRows, TilePair, n_tiles, sums_over_tiles, tiles_are_less
from ..moments.sparse_rows import SparseRows
from ..results import Score
from .layers import LayerGroup
from .options import ExecutionOptions, provenance, transforms_of
from .row_scores import Gathered
from .sources import Source, widths_of
from .sparse_source import SparseSource
from .undefined import score_or_undefined

__all__ = ["gram_pairs", "gram_scores", "tile_pairs", "tile_scores"]


def gram_pairs(source: Source, pairs: Sequence[tuple[str, str]], options: ExecutionOptions) -> list[tuple[str, str]]:
    """Return the pairs of layers for which the n x n route takes fewer operations: n below the mean number of features.

    Two Gram matrices take n^2 (d_x + d_y) products, the sums of moments about n (d_x + d_y)^2 / 2 of them. The rule
    knows shapes and arguments only. On a GPU the sums are always d x d.
    """
    few = [(x, y) for x, y in pairs if 2 * source.n_rows < source.width(0, x) + source.width(1, y)]
    return few if few and not _on_gpu(options) else []


def tile_pairs(source: Source, pairs: Sequence[tuple[str, str]], options: ExecutionOptions) -> list[tuple[str, str]]:
    """Return the pairs of the groups of layers for which tiles take fewer products: see `tiles_are_less`."""
    chosen = [
        pair
        for group in source.groups(pairs)
        if tiles_are_less(widths_of(source, group), group.index_pairs, source.n_rows)
        for pair in group.pairs
    ]
    return chosen if chosen and not _on_gpu(options) else []


def _on_gpu(options: ExecutionOptions) -> bool:
    return get_backend(options.backend).name.startswith("cuda")


def tile_scores(
    source: Source,
    pairs: Sequence[tuple[str, str]],
    measures: Sequence[MomentMeasure],
    options: ExecutionOptions,
    progress: bool | None,
) -> list[Score]:
    """Return the scores of all measures and pairs of groups that `tile_pairs` chose."""
    cpu = isinstance(source, SparseSource)
    backend, n_threads = get_backend("cpu" if cpu else options.backend), checked_threads(options.n_threads)
    recorded = _recorded(source, backend.name, n_threads, options)
    groups, kinds = source.groups(pairs), transforms_of(measures)

    def rows_of(member: tuple[int, str], kind: str, label: str) -> BlockRows:
        if isinstance(source, SparseSource) and is_sparse(source.arrays[member[0]]):
            return SparseRows(source.arrays[member[0]], kind, label)
        return DenseRows(
            source.reader(*member),
            (source.n_rows, source.width(*member)),
            transform=kind,
            label=label,
            precision=options.moments_precision,
            backend=backend,
        )

    layers = [
        {kind: [rows_of(member, kind, label) for member, label in _labelled(source, group)] for kind in kinds}
        for group in groups
    ]
    work = sum(n_tiles(rows, options.memory) for of_group in layers for rows in of_group.values())
    scores = []
    with progress_bar(work, progress, desc="compare", unit=" tiles") as bar, one_blas_thread():
        for group, of_group in zip(groups, layers, strict=True):
            summed = {
                kind: sums_over_tiles(
                    rows, group.index_pairs, n_threads=n_threads, memory=options.memory, advance=bar.update
                )
                for kind, rows in of_group.items()
            }
            for k, named in enumerate(group.pairs):
                pair = _TilePairs({kind: of_kind[k] for kind, of_kind in summed.items()})
                scores += [score_or_undefined(m, pair, source.n_rows).named(*named, recorded) for m in measures]
    return scores


def _labelled(source: Source, group: LayerGroup) -> list[tuple[tuple[int, str], str]]:
    return list(zip(group.members, Gathered(source, group).labels, strict=True))


@dataclass(frozen=True)
class _TilePairs:
    """The sums of one pair of layers for each row transform, or the error of one of its layers."""

    pairs: dict[str, TilePair | DegenerateError]

    def pair(self, transform: str = "raw") -> Pair:
        pair = self.pairs[transform]
        if isinstance(pair, DegenerateError):
            raise pair
        return pair


def _recorded(source: Source, backend: str, n_threads: int, options: ExecutionOptions) -> Mapping[str, Any]:
    sides = {**source.provenance, "products": "n x n"}
    return provenance(sides, backend=backend, n_threads=n_threads, precision=options.moments_precision)


def gram_scores(
    source: Source,
    pairs: Sequence[tuple[str, str]],
    measures: Sequence[MomentMeasure],
    options: ExecutionOptions,
    progress: bool | None,
) -> list[Score]:
    """Return the scores of all measures and pairs; each layer of a group is read once or twice."""
    backend, n_threads = get_backend(options.backend), checked_threads(options.n_threads)
    recorded = _recorded(source, backend.name, n_threads, options)
    scores = []
    with progress_bar(len(pairs), progress, desc="compare", unit=" pairs of layers") as bar, one_blas_thread():
        for group in source.groups(pairs):
            moments = GramMoments(
                _Layers(Gathered(source, group, options.memory)),
                [*group.layers_x, *group.layers_y],
                precision=options.moments_precision,
                backend=backend,
                n_threads=n_threads,
                memory=options.memory,
            )
            for (i, j), named in zip(group.index_pairs, group.pairs, strict=True):
                pair = _LayerPair(moments, i, j, {})
                scores += [score_or_undefined(m, pair, source.n_rows).named(*named, recorded) for m in measures]
                bar.update(1)
    return scores


class _Layers(Sequence[np.ndarray]):
    """The layers of a group, read when they are indexed."""

    def __init__(self, gathered: Gathered) -> None:
        self._gathered = gathered

    def __len__(self) -> int:
        return len(self._gathered.members)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        return self._gathered.get(index, None)


@dataclass(frozen=True)
class _LayerPair:
    """The moments of one pair of layers; what measures compute for it serves all of them."""

    moments: GramMoments
    i: int
    j: int
    pairs: dict[str, GramPair]

    def pair(self, transform: str = "raw") -> Pair:
        if transform not in self.pairs:
            self.pairs[transform] = self.moments.between(self.i, self.j, transform)
        return self.pairs[transform]
