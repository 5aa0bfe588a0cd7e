"""What measures need of the engine, and the order of their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import OptionError
from ..measures import Measure, parse_measure
from ..moments import MomentsSet, Pair
from ..pairwise import PairwiseEngine
from ..results import Score
from ..version import __version__
from .sources import LayerGroup

__all__ = ["Engine", "as_measures", "ordered"]


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
        transforms = {"raw" if measure.transform == "whitened" else measure.transform for measure in measures}
        return self._set(widths, group.crossed, tuple(transforms), [*group.layers_x, *group.layers_y])

    def whitened(self, pair: Pair) -> MomentsSet:
        """An empty accumulator for whitened rows of a pair."""
        return self._set(
            (pair.x.rank, pair.y.rank), ((0, 1),), ("raw",), [f"whitened {s.label}" for s in (pair.x, pair.y)]
        )

    def _set(self, widths: Any, pairs: Any, transforms: Any, labels: Any) -> MomentsSet:
        return MomentsSet(
            widths,
            pairs,
            transforms=transforms,
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


def ordered(scores: Sequence[Score], pairs: Sequence[tuple[str, str]], measures: Sequence[Measure]) -> list[Score]:
    """Scores in the order the pairs, and for each the measures, were asked for."""
    place = {pair: index for index, pair in enumerate(pairs)}
    rank = {str(measure): index for index, measure in enumerate(measures)}
    return sorted(scores, key=lambda s: (place[s.layer_x, s.layer_y], rank[s.measure]))  # type: ignore[index]
