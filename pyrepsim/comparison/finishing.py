"""From moments to scores: the d x d algebra of every measure, pairs of layers side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..blas import one_blas_thread
from ..errors import OptionError
from ..measures import Measure
from ..results import Score
from ..stats import MomentsSet, Pair
from ..stats.lazy import lazy
from .pairing import LayerGroup
from .scoring import Engine

__all__ = ["Rereadable", "score_group"]

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

    def pair(self, rows: str = "raw") -> Pair:
        return getattr(self, f"_{rows}")

    @lazy
    def _raw(self) -> Pair:
        return self._of("raw")

    @lazy
    def _unit(self) -> Pair:
        return self._of("unit")

    @lazy
    def _unit_centred(self) -> Pair:
        return self._of("unit_centred")

    def _of(self, rows: str) -> Pair:
        return self.moments.between(self.i, self.j, rows) if self.mirror is None else self.mirror.pair(rows).swapped()

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
    for rows in moments.rows:  # centred once, before threads read them
        for side in range(len(moments.widths)):
            moments.side(side, rows)

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
