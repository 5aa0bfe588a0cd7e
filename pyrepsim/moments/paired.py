"""Moments of two representations: the accumulator that most callers use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..core.arrays import check_paired
from ..core.errors import ShapeError, StoreError
from ..core.states import open_sealed
from .accumulators import MomentsSet
from .pair import Pair
from .saving import opened_moments
from .state import State

__all__ = ["PairedMoments"]


class PairedMoments(MomentsSet):
    """Moments of two representations over the same rows: can be updated, merged, saved and restored.

    Parameters
    ----------
    width_x, width_y : int
        Numbers of features.
    transforms, precision, backend, n_threads, memory
        As in `MomentsSet`.

    Raises
    ------
    OptionError
        If an option is outside its domain.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> moments = rs.PairedMoments(8, 4)
    >>> for _ in range(3):
    ...     X = rng.standard_normal((1000, 8))
    ...     moments.update(X, X[:, :4])
    >>> round(rs.LinearCKA().score(moments).value, 2)
    0.7
    """

    def __init__(
        self,
        width_x: int,
        width_y: int,
        *,
        transforms: Sequence[str] = ("raw",),
        precision: str = "fp64",
        backend: str = "auto",
        n_threads: int | None = None,
        memory: int | str | None = None,
    ) -> None:
        super().__init__(
            (width_x, width_y),
            ((0, 1),),
            transforms=transforms,
            precision=precision,
            backend=backend,
            n_threads=n_threads,
            labels=("X", "Y"),
            memory=memory,
        )

    @classmethod
    def _of_layout(cls, state: State, options: dict[str, Any]) -> PairedMoments:
        if len(state.widths) != 2 or state.pairs != ((0, 1),):
            raise ShapeError(
                f"PairedMoments are those of one pair: got widths {state.widths} with pairs {state.pairs}. "
                "Use MomentsSet.from_arrays."
            )
        return cls(*state.widths, **options)

    def update(self, x: Any, y: Any) -> None:  # type: ignore[override]
        """Add rows of shape (n, width_x) and (n, width_y), matched by position. See `MomentsSet.update`."""
        super().update(check_paired(x, y, self._backend.rows_view))

    def pair(self, transform: str = "raw") -> Pair:
        """The centred moments of the two representations, which measures read."""
        return self.pair_at(0, transform)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, backend: str = "auto", n_threads: int | None = None
    ) -> PairedMoments:
        """Read what `save` wrote; more rows can be added."""
        with open_sealed(path) as (_, file), opened_moments(file, path) as (header, _):
            pass
        if len(header["widths"]) != 2 or header["pairs"] != ((0, 1),):
            raise StoreError(
                f"{path} must hold the moments of one pair: got {len(header['widths'])} representations. "
                "Use MomentsSet(...).restore(path)."
            )
        options = {"transforms": header["transforms"], "precision": header["precision"]}
        moments = cls(*header["widths"], **options, backend=backend, n_threads=n_threads)
        moments.restore(path)
        return moments
