"""Trees from arc scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["decode"]


def decode(arc_scores: Any, lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Each word's best head; one root at most, the word that loses least by it."""
    heads = np.full(arc_scores.shape[:2], -1, dtype=np.int64)
    for sentence, (scores, n) in enumerate(zip(arc_scores, lengths, strict=True)):
        scores = np.array(scores[:n, : n + 1], dtype=np.float64)
        scores[np.arange(n), np.arange(1, n + 1)] = -np.inf
        inner = 1 + scores[:, 1:].argmax(axis=1) if n > 1 else np.zeros(n, dtype=np.int64)
        root = np.argmax(scores[:, 0] - scores[np.arange(n), inner]) if n > 1 else 0
        heads[sentence, :n] = inner
        heads[sentence, root] = 0
    return heads
