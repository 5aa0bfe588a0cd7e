"""Moments of two arrays: a row transform is summed when a measure asks for it. Rows that stream need a `MomentsSet`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from ..backends.checks import check_directions, check_finite
from ..backends.directions import any_direction, shared_direction
from ..backends.sums import sums_of
from ..core.errors import check_choice
from .accumulators import MomentsSet
from .centred import Centred
from .pair import Pair
from .state import State, check_memory

__all__ = ["ArrayMoments", "whitened_moments"]

_PAIRS = ((0, 1),)
_WHITENED_ROWS = 8192


class ArrayMoments:
    """The moments of two arrays, which measures read by ``pair(transform)``.

    Parameters
    ----------
    arrays : sequence of two arrays of shape (n_samples, d_x) and (n_samples, d_y)
        Checked rows, as ``rows_view`` of the backend returns them.
    labels : sequence of str
        Their names in messages.
    transforms : sequence of str
        The row transforms that may be asked for; the sums of all of them must fit in memory.
    backend : module
    precision, n_threads, memory, diagonals
        As in `MomentsSet`.
    advance : callable, optional
        Called with the number of rows whenever rows have been summed.
    """

    def __init__(
        self,
        arrays: Sequence[Any],
        labels: Sequence[str],
        *,
        transforms: Sequence[str],
        backend: ModuleType,
        precision: str,
        n_threads: int,
        memory: int | str | None = None,
        diagonals: bool = False,
        advance: Callable[[int], object] | None = None,
    ) -> None:
        check_choice("precision", precision, backend.moment_precisions)
        check_memory([array.shape[1] for array in arrays], _PAIRS, len(transforms), memory)
        self._arrays, self._labels, self._backend = backend.stage(arrays), labels, backend
        self._precision, self._n_threads, self._memory, self._diagonals = precision, n_threads, memory, diagonals
        self._advance = advance
        for array, label in zip(self._arrays, labels, strict=True):
            check_finite(backend, array, label, n_threads, int)
        self._pairs: dict[str, Pair] = {}

    def pair(self, transform: str = "raw") -> Pair:
        """Return the centred moments of the rows after a row transform."""
        if transform not in self._pairs:
            self._pairs[transform] = self._whitened() if transform == "whitened" else self._summed(transform)
        return self._pairs[transform]

    def _summed(self, transform: str) -> Pair:
        directions = []
        if transform != "raw":
            for array, label in zip(self._arrays, self._labels, strict=True):
                check_directions(self._backend, array, transform, label, self._n_threads, int)
                directions.append(shared_direction(array, transform, any_direction(array.shape[1])))
        options = {"transform": transform, "precision": self._precision}
        sums = sums_of(
            self._backend,
            self._arrays,
            _PAIRS,
            **options,
            n_threads=self._n_threads,
            diagonals=self._diagonals,
            advance=self._advance,
        )
        state = State.of_sums(sums, pairs=_PAIRS, directions=directions, **options)
        return Centred(state, self._labels, n_threads=self._n_threads).pair_at(0)

    def _whitened(self) -> Pair:
        x, y = self._arrays
        starts = range(0, len(x), _WHITENED_ROWS)
        chunks = ((x[start : start + _WHITENED_ROWS], y[start : start + _WHITENED_ROWS]) for start in starts)
        return whitened_moments(
            self.pair("raw"),
            chunks,
            precision=self._precision,
            backend=self._backend.name,
            n_threads=self._n_threads,
            memory=self._memory,
        )


def whitened_moments(raw: Pair, chunks: Iterable[Sequence[Any]], **options: Any) -> Pair:
    """Return the moments of a second pass over the rows: centred and whitened by those of the first.

    Parameters
    ----------
    raw : Pair
        The moments of the first pass.
    chunks : iterable of (x, y)
        The same rows.
    **options
        Of the `MomentsSet`.
    """
    sides = (raw.x, raw.y)
    labels = [f"whitened {side.label}" for side in sides]
    moments = MomentsSet([side.rank for side in sides], _PAIRS, labels=labels, **options)
    for chunk in chunks:
        moments.update(
            [
                (np.asarray(rows, np.float64) - side.mean) @ side.whitening
                for rows, side in zip(chunk, sides, strict=True)
            ]
        )
    return moments.pair_at(0)
