"""What is found once for each layer, however many pairs the layer is in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

__all__ = ["per_layer"]

Found = TypeVar("Found")


def per_layer(
    layers: Sequence[np.ndarray], pairs: Sequence[tuple[int, int]], find: Callable[[np.ndarray, str], Found]
) -> dict[int, Found]:
    """``find(rows, label)`` of every layer that is in a pair; each is read once and let go."""
    labels = getattr(layers, "labels", None) or ["X", "Y", *(f"layer {i}" for i in range(2, len(layers)))]
    return {i: find(layers[i], labels[i]) for i in sorted({i for pair in pairs for i in pair})}
