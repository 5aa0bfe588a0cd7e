"""The compiled engine (csrc/): convert, shift and pack in cache, own micro-kernels, own threads."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .. import _core
from ..arrays import rows_view
from ..errors import OptionError

__all__ = ["Moments", "first_directionless_row", "first_nonfinite", "name", "rows_view", "stage"]

name = "cpu"

stage = list  # rows stay where they are

first_nonfinite = _core.first_nonfinite
first_directionless_row = _core.first_directionless_row

if not hasattr(_core, "Panels"):
    from .reference_pairwise import *  # noqa: F403


def Moments(widths: Sequence[int], pairs: Sequence[tuple[int, int]], *, rows: str, precision: str) -> _core.Moments:
    """The engine's accumulator, on the fastest instruction set here or the one named by PYREPSIM_ISA."""
    isa, known = os.environ.get("PYREPSIM_ISA", "auto"), _core.available_isas()
    if isa not in ("auto", *known):
        raise OptionError(f"PYREPSIM_ISA must be auto or what this processor runs ({', '.join(known)}): got {isa!r}.")
    return _core.Moments(list(widths), list(pairs), rows=rows, precision=precision, isa=isa)
