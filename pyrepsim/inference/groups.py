"""Groups of items that depend on each other, such as the sentences of a document: the units of resampling."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np

__all__ = ["group_numbers"]


def group_numbers(names: Iterable[Hashable]) -> np.ndarray:
    """Number different names 0, 1, 2, ... in the order of their first appearance: (n_names,), int64.

    Examples
    --------
    >>> from pyrepsim.inference.groups import group_numbers
    >>> group_numbers(["b", "a", "b"])
    array([0, 1, 0])
    """
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
