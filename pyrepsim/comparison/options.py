"""Options of the computation, and what scores record of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

from ..backends import get_backend
from ..core.errors import OptionError
from ..measures import Measure, MomentMeasure, parse_measure
from ..moments import MomentsSet
from ..pairwise import PairwiseEngine
from ..results import Score
from ..version import __version__
from .layers import LayerGroup

__all__ = ["ExecutionOptions", "as_measures", "diagonals_suffice", "ordered", "provenance", "transforms_of"]


@dataclass(frozen=True)
class ExecutionOptions:
    """Options of `compare` that choose how sums are computed: backend, number of threads, precision and memory.

    ``precision="auto"`` means float64 for moments and float32 for tiles of pairs of rows. "int24" is of moments: tiles
    are then as with "auto".
    """

    backend: str = "auto"
    n_threads: int | None = None
    precision: str = "auto"
    memory: int | str | None = None

    @property
    def moments_precision(self) -> str:
        """Precision of moments: fp64, fp32 or int24."""
        return "fp64" if self.precision == "auto" else self.precision

    def pairwise(self, progress: bool | None, blocks: Any = None) -> PairwiseEngine:
        """Return the engine for measures of rows; with `blocks`, its sums are kept for each pair of blocks of rows."""
        return PairwiseEngine(
            backend=self.backend,
            n_threads=self.n_threads,
            precision="auto" if self.precision == "int24" else self.precision,
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
        scatters = saved or any(i == j for i, j in group.index_pairs)
        return MomentsSet(
            widths,
            group.crossed,
            transforms=transforms_of(measures),
            labels=[*group.layers_x, *group.layers_y],
            diagonals=not scatters and diagonals_suffice(measures, get_backend(self.backend)),
            **self.of_moments,
        )

    @property
    def of_moments(self) -> dict[str, Any]:
        """The options by the names that `MomentsSet` has for them."""
        return {
            "precision": self.moments_precision,
            "backend": self.backend,
            "n_threads": self.n_threads,
            "memory": self.memory,
        }


def transforms_of(measures: Iterable[MomentMeasure]) -> tuple[str, ...]:
    """Return the row transforms of a first pass: whitened rows are summed in a second, from the raw moments."""
    return tuple({"raw" if measure.needs_second_pass else measure.transform for measure in measures})


def diagonals_suffice(measures: Iterable[MomentMeasure], backend: ModuleType) -> bool:
    """Return whether no measure reads more of a side than the variances of its features, and the backend has those."""
    return backend.name == "cpu" and all(measure.reads == "variances" for measure in measures)


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
    if len(scores) == 1:
        return list(scores)
    position = {pair: index for index, pair in enumerate(pairs)}
    rank = {str(measure): index for index, measure in enumerate(measures)}
    return sorted(scores, key=lambda s: (position[s.layer_x, s.layer_y], rank[s.measure]))  # type: ignore[index]
