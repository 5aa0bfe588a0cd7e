"""From moments to scores: what measures need of the engine, and the arithmetic once they have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from ..errors import OptionError
from ..measures import Measure, parse_measure
from ..pairwise import PairwiseEngine
from ..results import Score
from ..stats import MomentsSet, Pair
from ..version import __version__
from .pairing import LayerGroup

__all__ = ["Engine", "Rereadable", "as_measures", "ordered", "score_group"]


class Rereadable(Protocol):
    """A source whose rows can be read a second time."""

    def chunks(self, group: LayerGroup, /, start: int = 0) -> Any: ...


@dataclass(frozen=True)
class Engine:
    """How sums are made: the options of `MomentsSet` and `PairwiseEngine` that a caller chooses.

    ``precision="auto"``: float64 for moments, float32 for tiles of pairs of rows.
    """

    backend: str = "auto"
    n_threads: int | None = None
    precision: str = "auto"

    @property
    def moments_precision(self) -> str:
        return "fp64" if self.precision == "auto" else self.precision

    def pairwise(self, progress: bool | None) -> PairwiseEngine:
        """The engine for measures that read rows."""
        return PairwiseEngine(
            backend=self.backend, n_threads=self.n_threads, precision=self.precision, progress=progress
        )

    def moments(self, group: LayerGroup, widths: Sequence[int], measures: Sequence[Measure]) -> MomentsSet:
        """An empty accumulator for the layers of ``group`` with every row transform that ``measures`` read."""
        # whitened rows come in the second pass: the first one finds the whitening from raw rows
        rows = {"raw" if measure.rows == "whitened" else measure.rows for measure in measures}
        return self._set(widths, group.index_pairs, tuple(rows), [*group.layers_x, *group.layers_y])

    def whitened(self, pair: Pair) -> MomentsSet:
        """An empty accumulator for whitened rows of a pair."""
        return self._set(
            (pair.x.rank, pair.y.rank), ((0, 1),), ("raw",), [f"whitened {s.label}" for s in (pair.x, pair.y)]
        )

    def _set(self, widths: Any, pairs: Any, rows: Any, labels: Any) -> MomentsSet:
        return MomentsSet(
            widths,
            pairs,
            rows=rows,
            labels=labels,
            precision=self.moments_precision,
            backend=self.backend,
            n_threads=self.n_threads,
        )

    def describe(self, moments: MomentsSet) -> dict[str, Any]:
        return {
            "backend": moments.backend,
            "precision": self.moments_precision,
            "n_threads": moments.n_threads,
            "version": __version__,
        }


def as_measures(measures: Measure | str | Sequence[Measure | str]) -> list[Measure]:
    """One measure or several, given as objects or by name, as a list."""
    one = isinstance(measures, Measure | str | type) or not isinstance(measures, Sequence)
    several: list[Any] = [measures] if one else list(measures)
    parsed = [parse_measure(item) if isinstance(item, str) else item for item in several]
    for item in parsed:
        if not isinstance(item, Measure):
            raise OptionError(f"measures must be measures such as rs.LinearCKA(), with parentheses: got {item!r}.")
    if not parsed:
        raise OptionError("measures must name at least one measure: got none. Try [rs.LinearCKA()].")
    return list(dict.fromkeys(parsed))


@dataclass(frozen=True)
class _LayerPair:
    """The moments of one pair of layers; each row transform is centred once for all measures."""

    moments: MomentsSet
    k: int
    group: LayerGroup
    engine: Engine
    source: Rereadable | None

    def pair(self, rows: str = "raw") -> Pair:
        return getattr(self, f"_{rows}")

    @cached_property
    def _raw(self) -> Pair:
        return self.moments.pair_at(self.k, "raw")

    @cached_property
    def _unit(self) -> Pair:
        return self.moments.pair_at(self.k, "unit")

    @cached_property
    def _unit_centred(self) -> Pair:
        return self.moments.pair_at(self.k, "unit_centred")

    @cached_property
    def _whitened(self) -> Pair:
        """The second pass: rows centred and whitened by the moments of the first, through the same sums again."""
        if self.source is None:
            raise OptionError(
                "whitened rows need a second pass, which a stream does not have: extract to stores first."
            )
        raw = self._raw
        maps = [(side.mean, side.whitening) for side in (raw.x, raw.y)]
        moments = self.engine.whitened(raw)
        i, j = self.moments.pairs[self.k]
        for chunk in self.source.chunks(self.group):
            moments.update(
                [
                    (np.asarray(chunk[s], np.float64) - mean) @ white
                    for s, (mean, white) in zip((i, j), maps, strict=True)
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
    """Every measure on every pair of a group."""
    about = {**provenance, **engine.describe(moments)}
    scores = []
    # On one thread the d x d algebra is as fast, its bits are always the same, and no BLAS thread spins beside ours.
    with threadpool_limits(1, user_api="blas"):
        for k, (layer_x, layer_y) in enumerate(group.pairs):
            pair = _LayerPair(moments, k, group, engine, source)
            for measure in measures:
                score = measure.score(pair)
                scores.append(replace(score, layer_x=layer_x, layer_y=layer_y, provenance=about))
    return scores


def ordered(scores: Sequence[Score], pairs: Sequence[tuple[str, str]], measures: Sequence[Measure]) -> list[Score]:
    """Scores in the order the pairs, and for each the measures, were asked for."""
    place = {pair: index for index, pair in enumerate(pairs)}
    rank = {str(measure): index for index, measure in enumerate(measures)}
    return sorted(scores, key=lambda s: (place[s.layer_x, s.layer_y], rank[s.measure]))  # type: ignore[index]
