"""Dependency trees from arc scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...backends import get_backend
from ...backends.checks import checked_threads
from ...core.arrays import as_numpy
from ...core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError

__all__ = ["decode"]


def decode(
    arc_scores: Any, lengths: Sequence[int] | np.ndarray, *, backend: str = "auto", n_threads: int | None = None
) -> np.ndarray:
    """Return the best tree of each sentence: the maximum spanning arborescence whose root has exactly one child.

    The tree maximises the sum of ``arc_scores[b, i - 1, head_i]`` over the words i. The solution is exact (algorithm in
    csrc/trees/README.md), and the same for every batch and number of threads.

    Parameters
    ----------
    arc_scores : array of shape (batch, words, 1 + words), NumPy or torch
        Score of each head (column 0: the root, column j: word j) of each word. float16, bfloat16, float32, float64 or
        integers. -inf forbids an arc. Entries for a word as its own head and after a sentence's length are ignored.
    lengths : array of int of shape (batch,)
        Number of words of each sentence, from 0 to `words`.
    backend : {"auto", "cpu", "reference"}, default "auto"
        The compiled engine or plain NumPy.
    n_threads : int, optional
        By default the number of cores that this process may use.

    Returns
    -------
    ndarray of int64 of shape (batch, words)
        The head of each word, counted from 1; 0 for the root, -1 in the padding.

    Raises
    ------
    ShapeError
        If a shape is wrong, or a length exceeds `words`.
    NonFiniteError
        If a score is NaN, +inf, or finite but beyond 1e300.
    DegenerateError
        If a sentence has no tree because too many arcs are forbidden.

    Examples
    --------
    >>> import numpy as np
    >>> scores = np.array([[[0.0, 0.0, 9.0, 1.0], [8.0, 1.0, 0.0, 2.0], [7.0, 1.0, 6.0, 0.0]]])
    >>> decode(scores, [3])
    array([[2, 0, 2]])
    """
    if backend not in ("auto", "cpu", "reference"):
        raise OptionError(f"backend must be 'auto', 'cpu' or 'reference': got {backend!r}.")
    n_threads = checked_threads(n_threads)
    scores, counts = _scores(arc_scores), _lengths(lengths)
    batch, words, columns = scores.shape
    if columns != words + 1:
        raise ShapeError(
            f"arc_scores must have shape (batch, words, 1 + words): got {scores.shape}. Column 0 is the root's."
        )
    if len(counts) != batch:
        raise ShapeError(f"There must be one length per sentence: got {len(counts)} for {batch} sentences.")
    if batch and not 0 <= counts.min() <= counts.max() <= words:
        wrong = int(np.flatnonzero((counts < 0) | (counts > words))[0])
        raise ShapeError(
            f"A length must be from 0 to {words}, the number of words: sentence {wrong} has {counts[wrong]}."
        )
    heads, fault = get_backend(backend).arborescences(scores, counts, n_threads)
    if fault is None:
        return heads
    kind, sentence, word, head = fault
    if kind == "score":
        raise NonFiniteError(
            f"Arc scores must be numbers, or -inf where an arc is forbidden: sentence {sentence} has "
            f"{scores[sentence, word - 1, head]} for word {word} with head {head}. Check the model."
        )
    raise DegenerateError(
        f"Each sentence must have a tree whose root has one child: the allowed arcs of sentence {sentence}, those "
        "above -inf, hold none. Allow more arcs."
    )


def _scores(arc_scores: Any) -> np.ndarray:
    scores = as_numpy(arc_scores, "arc_scores")
    if scores.ndim != 3:
        raise ShapeError(f"arc_scores must have shape (batch, words, 1 + words): got {scores.shape}.")
    if scores.dtype in (np.float32, np.float64) and scores.dtype.isnative:
        return scores
    name = scores.dtype.name
    if name not in ("float16", "bfloat16") and scores.dtype.kind not in "iuf":
        raise DTypeError(f"arc_scores must be real numbers: got {scores.dtype}. Convert them first.")
    return scores.astype(np.float32 if name in ("float16", "bfloat16") else np.float64)


def _lengths(lengths: Any) -> np.ndarray:
    counts = as_numpy(lengths, "lengths")
    if counts.ndim != 1 or (counts.size and counts.dtype.kind not in "iu"):
        raise ShapeError(
            f"lengths must be whole numbers, one per sentence: got shape {counts.shape} of {counts.dtype}."
        )
    return counts.astype(np.int64)
