"""Reading .npz files of unknown origin: the sizes that they state are checked before anything is unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from .memory import format_bytes, memory_budget

__all__ = ["opened_npz"]


@contextmanager
def opened_npz(file: BinaryIO, *, memory: int | None = None) -> Iterator[Any]:
    """Open the arrays of a file for the length of a with-block.

    Parameters
    ----------
    file : binary file
        An open file.
    memory : int, optional
        Bytes that all arrays together may take; by default half of `memory_budget`.

    Raises
    ------
    ValueError
        If it is no such file, or its arrays are larger. Reading a damaged array raises many other types.
    """
    most = memory_budget() // 2 if memory is None else memory
    arrays = np.load(file, allow_pickle=False)
    if not isinstance(arrays, np.lib.npyio.NpzFile):
        raise ValueError("it is a single array")
    with arrays:
        n_bytes = sum(member.file_size for member in arrays.zip.infolist()) if arrays.zip is not None else 0
        if n_bytes > most:
            raise ValueError(f"its arrays take {format_bytes(n_bytes)}, and {format_bytes(most)} may be used")
        yield arrays
