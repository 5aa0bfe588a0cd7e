"""The compiled engine (csrc/): convert, shift and pack in cache, own micro-kernels, own threads."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from .. import _core
from ..arrays import rows_view
from ..errors import OptionError

__all__ = [
    "DistanceSweep",
    "Moments",
    "Panels",
    "SumSweep",
    "first_directionless_row",
    "first_nonfinite",
    "kendall_counts",
    "mean_row",
    "midranks",
    "name",
    "narrow",
    "rows_view",
    "spearman_sums",
    "stage",
]

name = "cpu"

stage = list  # rows stay where they are

first_nonfinite = _core.first_nonfinite
first_directionless_row = _core.first_directionless_row
mean_row, midranks = _core.mean_row, _core.midranks
spearman_sums, kendall_counts = _core.spearman_sums, _core.kendall_counts
Panels, SumSweep, DistanceSweep = _core.Panels, _core.SumSweep, _core.DistanceSweep


def narrow(rows: np.ndarray, out: np.ndarray | None, sums: np.ndarray, n_summed: int) -> tuple[float, float]:
    """Rows of a store's shard to the type of ``out``; see backends/narrowing.py, which says the same in NumPy."""
    return _core.narrow(rows, out, sums, n_summed, isa=_isa())


def Moments(widths: Sequence[int], pairs: Sequence[tuple[int, int]], *, rows: str, precision: str) -> _core.Moments:
    """The engine's accumulator, on the fastest instruction set here or the one named by PYREPSIM_ISA."""
    return _core.Moments(list(widths), list(pairs), rows=rows, precision=precision, isa=_isa())


def _isa() -> str:
    isa, known = os.environ.get("PYREPSIM_ISA", "auto"), _core.available_isas()
    if isa not in ("auto", *known):
        raise OptionError(f"PYREPSIM_ISA must be auto or what this processor runs ({', '.join(known)}): got {isa!r}.")
    return isa
