"""Options of the computation, and what scores record of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ..backends import get_backend
from ..core.errors import OptionError
from ..measures import Measure, MomentMeasure, parse_measure
from ..moments import MomentsSet, Pair
from ..pairwise import PairwiseEngine
from ..results import Score
from ..version import __version__
from .layers import LayerGroup

__all__ = ["ExecutionOptions", "as_measures", "ordered", "provenance"]


@dataclass(frozen=True)
class ExecutionOptions:
    """Options of `compare` that choose how sums are computed: backend, number of threads, precision and memory.

    ``precision="auto"`` means float64 for moments and float32 for tiles of pairs of rows.
    """

    backend: str = "auto"
    n_threads: int | None = None
    precision: str = "auto"
    memory: int | str | None = None

    @property
    def moments_precision(self) -> str:
        """Precision of moments: fp64 or fp32."""
        return "fp64" if self.precision == "auto" else self.precision

    def pairwise(self, progress: bool | None, blocks: Any = None) -> PairwiseEngine:
        """Return the engine for measures of rows; with `blocks`, its sums are kept for each pair of blocks of rows."""
        return PairwiseEngine(
            backend=self.backend,
            n_threads=self.n_threads,
            precision=self.precision,
            memory=self.memory,
            progress=progress,
            blocks=blocks,
        )

    def moments(
        self, group: LayerGroup, widths: Sequence[int], measures: Sequence[MomentMeasure], *, saved: bool = True
    ) -> MomentsSet:
        """Return an empty accumulator for the layers of `group` and the row transforms of `measures`.

        Unless its sums are `saved` or merged, it leaves out those that no measure reads.
        """
        # whitened rows are summed in a second pass, from the raw moments of the first
        transforms = {"raw" if measure.needs_second_pass else measure.transform for measure in measures}
        labels = [*group.layers_x, *group.layers_y]
        scatters = saved or any(measure.reads == "scatter" for measure in measures)
        scatters = scatters or any(i == j for i, j in group.index_pairs) or get_backend(self.backend).name != "cpu"
        return self._moments(widths, group.crossed, tuple(transforms), labels, diagonals=not scatters)

    def whitened(self, pair: Pair) -> MomentsSet:
        """Return an empty accumulator for the whitened rows of a pair of layers."""
        labels = [f"whitened {side.label}" for side in (pair.x, pair.y)]
        return self._moments((pair.x.rank, pair.y.rank), ((0, 1),), ("raw",), labels)

    def _moments(self, widths: Any, pairs: Any, transforms: Any, labels: Any, *, diagonals: bool = False) -> MomentsSet:
        return MomentsSet(
            widths,
            pairs,
            transforms=transforms,
            labels=labels,
            precision=self.moments_precision,
            backend=self.backend,
            n_threads=self.n_threads,
            memory=self.memory,
            diagonals=diagonals,
        )


def provenance(sides: Mapping[str, Any], *, backend: str, n_threads: int, precision: str) -> Mapping[str, Any]:
    """Return what scores record, read-only: the two sides, and how they were computed."""
    computed = {"backend": backend, "precision": precision, "n_threads": n_threads, "version": __version__}
    return MappingProxyType({**sides, **computed})


def as_measures(measures: Measure | str | Sequence[Measure | str]) -> list[Measure]:
    """Return a list of measures, without duplicates, of a measure or several, given as objects or as text.

    Examples
    --------
    >>> from pyrepsim.comparison import as_measures
    >>> as_measures(["CCA", "SVCCA(variance=0.9)"])
    [CCA(ridge=0.0), SVCCA(variance=0.9, components=None)]
    """
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
    """Return scores sorted by the order of `pairs`, then by the order of `measures`."""
    position = {pair: index for index, pair in enumerate(pairs)}
    rank = {str(measure): index for index, measure in enumerate(measures)}
    return sorted(scores, key=lambda s: (position[s.layer_x, s.layer_y], rank[s.measure]))  # type: ignore[index]
