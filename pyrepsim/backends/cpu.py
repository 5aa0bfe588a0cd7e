"""The compiled engine (csrc/)."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from .. import _core  # pyright: ignore[reportAttributeAccessIssue] - compiled
from ..core.arrays import rows_view
from ..core.errors import OptionError

__all__ = [
    "DistanceSweep",
    "HistogramSweep",
    "JointHistogramSweep",
    "Moments",
    "NeighbourSweep",
    "Panels",
    "SmallSets",
    "SumSweep",
    "arborescences",
    "centre",
    "centre_on_grid",
    "dot",
    "dot_rows",
    "first_directionless_row",
    "first_nonfinite",
    "kendall_counts",
    "kendall_of_rows",
    "mean_row",
    "midranks",
    "moment_precisions",
    "most_rows_of_small_sets",
    "name",
    "narrow",
    "on_device",
    "ranks_of_rows",
    "round_entries",
    "rows_view",
    "spearman_sums",
    "stage",
    "sums_of",
    "tile_precisions",
    "vector_matrix",
    "writable_on_device",
]

name = "cpu"
moment_precisions = ("fp64", "fp32", "int24")
tile_precisions = ("fp32", "fp64", "bf16")

stage = list  # rows stay in host memory


def on_device(_index: int) -> AbstractContextManager[None]:
    """Nothing to choose: there is one device, the CPU."""
    return nullcontext()


def writable_on_device(_array: Any, _name: str) -> None:
    """None: results are in host memory."""


first_nonfinite = _core.first_nonfinite
first_directionless_row = _core.first_directionless_row
centre = _core.centre
dot = _core.dot
vector_matrix = _core.vector_matrix

SumSweep = _core.SumSweep
DistanceSweep = _core.DistanceSweep
HistogramSweep = _core.HistogramSweep
JointHistogramSweep = _core.JointHistogramSweep
NeighbourSweep = _core.NeighbourSweep
round_entries = _core.round_entries
midranks = _core.midranks
spearman_sums = _core.spearman_sums
kendall_counts = _core.kendall_counts
arborescences = _core.arborescences
most_rows_of_small_sets = _core.MOST_ROWS_OF_SMALL_SETS


def narrow(rows: np.ndarray, out: np.ndarray | None, sums: np.ndarray, n_summed: int) -> tuple[float, float]:
    """Convert rows to the element type of a store; reference.py has the same in NumPy."""
    return _core.narrow(rows, out, sums, n_summed, isa=_isa())


def Moments(
    widths: Sequence[int],
    pairs: Sequence[tuple[int, int]],
    *,
    transform: str,
    precision: str,
    diagonals: bool = False,
) -> _core.Moments:
    """The engine's accumulator of moments; with `diagonals`, the products of a side are those of equal features."""
    options = {"transform": transform, "precision": precision, "diagonals": diagonals, "isa": _isa()}
    return _core.Moments(widths, pairs, **options)


def sums_of(rows: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], **options: Any) -> dict[str, Any]:
    """The sums of `Moments` for rows in memory: backends/sums.py has the same in Python."""
    return _core.sums_of(rows, pairs, **options, isa=_isa())


def Panels(
    rows: np.ndarray,
    *,
    transform: str,
    shift: np.ndarray | None,
    precision: str,
    blocks: Sequence[int] | np.ndarray,
    n_threads: int,
) -> _core.Panels:
    """Rows of one layer, packed for sweeps over their pairs."""
    return _core.Panels(
        rows, transform=transform, shift=shift, precision=precision, blocks=blocks, n_threads=n_threads, isa=_isa()
    )


def SmallSets(rows: np.ndarray, features: Any, ends: Any, **options: Any) -> _core.SmallSets:
    """Distances within each of many small sets of rows: see pairwise/small_sets.py."""
    return _core.SmallSets(rows, features, ends, **options, isa=_isa())


def centre_on_grid(few: np.ndarray) -> np.ndarray:
    """The median of each feature, rounded: reference_pairwise.py has the same in NumPy."""
    return _core.centre_on_grid(few, isa=_isa())


def mean_row(rows: np.ndarray, transform: str, n_threads: int) -> np.ndarray:
    """Mean of the transformed rows, float64 (d,)."""
    return _core.mean_row(rows, transform, n_threads, isa=_isa())


def dot_rows(rows: np.ndarray, towards: np.ndarray, n_threads: int) -> tuple[np.ndarray, np.ndarray]:
    """The products of each row with a row (d,) and with itself, float64 (n,) each."""
    return _core.dot_rows(rows, towards, n_threads, isa=_isa())


def _isa() -> str:
    """The fastest instruction set of this processor, or the one that PYREPSIM_ISA names."""
    return _checked_isa(os.environ.get("PYREPSIM_ISA", "auto"))


@functools.cache
def _checked_isa(isa: str) -> str:
    known = _core.available_isas()
    if isa not in ("auto", *known):
        raise OptionError(
            f"PYREPSIM_ISA must be auto or one that this processor supports ({', '.join(known)}): got {isa!r}."
        )
    return isa


def ranks_of_rows(rows: np.ndarray, n_threads: int = 1) -> np.ndarray:
    """Twice the mid-ranks of each row, uint32."""
    return _core.ranks_of_rows(rows, n_threads)


def kendall_of_rows(x: np.ndarray, y: np.ndarray, n_threads: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(concordant - discordant (a, b), ties in x (a,), ties in y (b,)) of ranks (a, p) and (b, p)."""
    return _core.kendall_of_rows(x, y, n_threads)
