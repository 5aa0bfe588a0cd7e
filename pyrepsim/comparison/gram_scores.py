"""Scores of measures of moments where there are fewer rows than features: from n x n matrices, see moments/gram.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..backends import get_backend
from ..backends.checks import checked_threads
from ..core.blas import one_blas_thread
from ..core.progress import progress_bar
from ..measures import MomentMeasure
from ..moments import Pair
from ..moments.gram import GramMoments, GramPair
from ..results import Score
from .options import ExecutionOptions, provenance
from .row_scores import Gathered
from .sources import Source
from .undefined import score_or_undefined

__all__ = ["gram_pairs", "gram_scores"]


def gram_pairs(source: Source, pairs: Sequence[tuple[str, str]], options: ExecutionOptions) -> list[tuple[str, str]]:
    """Return the pairs of layers for which the n x n route takes fewer operations: n below the mean number of features.

    Two Gram matrices take n^2 (d_x + d_y) products, the sums of moments about n (d_x + d_y)^2 / 2 of them. The rule
    knows shapes and arguments only. On a GPU the sums are always d x d.
    """
    few = [(x, y) for x, y in pairs if 2 * source.n_rows < source.width(0, x) + source.width(1, y)]
    return few if few and not get_backend(options.backend).name.startswith("cuda") else []


def gram_scores(
    source: Source,
    pairs: Sequence[tuple[str, str]],
    measures: Sequence[MomentMeasure],
    options: ExecutionOptions,
    progress: bool | None,
) -> list[Score]:
    """Return the scores of all measures and pairs; each layer of a group is read once or twice."""
    backend, n_threads = get_backend(options.backend), checked_threads(options.n_threads)
    recorded = provenance(
        source.provenance, backend=backend.name, n_threads=n_threads, precision=options.moments_precision
    )
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
