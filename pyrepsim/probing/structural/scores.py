"""How well distances and depths recover trees: UUAS, DSpr, NSpr and root accuracy.

Hewitt and Manning (2019), A Structural Probe for Finding Syntax in Word Representations, section 4.1; details as in
the authors' code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.errors import NonFiniteError, ShapeError
from .trees import GoldTree, content_trees

__all__ = ["TreeScores", "evaluate"]

LENGTHS = range(5, 51)
"""Lengths of the sentences that the rank correlations are averaged over, punctuation counted."""


def evaluate(
    distances: Sequence[Any], depths: Sequence[Any], heads: Sequence[Sequence[int]], xpos: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Score predicted distances and depths of a corpus against its dependency trees.

    Parameters
    ----------
    distances : for each sentence of n words an array (n, n): squared distances between words
    depths : for each an array (n,): squared norms of words
    heads : for each the head of every word, counted from 1; 0 at the root
    xpos : for each the Penn tag of every word; those in `PUNCTUATION` mark words that no tree is scored on

    Returns
    -------
    dict
        ``"uuas"``: per cent of the edges of the gold trees that are in the minimum spanning trees of `distances`, over
        the corpus; both trees span the words that are no punctuation (the gold one is that of the gold distances; of
        equal distances the pair that comes first in reading order counts as shorter).
        ``"root"``: per cent of sentences whose root has the smallest depth of the words that are no punctuation (of
        all words, if all are).
        ``"dspr"``, in [-1, 1]: Spearman's correlation, with mid-ranks, of a word's predicted and gold distances to all
        words, itself and punctuation included; averaged over the words of all sentences of a length, then over the
        lengths from 5 to 50 that occur.
        ``"nspr"``, in [-1, 1]: the same of the depths in a sentence, averaged over sentences of a length, then over
        lengths.

        Where predictions of a row are all equal, Spearman's correlation is not defined: it counts as 0, since they
        order nothing (SciPy's NaN would take the mean with it). A score of nothing is NaN: ``"dspr"`` and ``"nspr"``
        without a sentence of 5 to 50 words, ``"uuas"`` without a pair of words to join.

    Raises
    ------
    ShapeError
        If the lists or a sentence's arrays differ in length.
    NonFiniteError
        For NaN or infinity in distances or depths.
    TextError
        If heads do not make one tree.
    """
    sizes = [len(part) for part in (distances, depths, heads, xpos)]
    if len(set(sizes)) > 1 or not sizes[0]:
        raise ShapeError(
            "Distances, depths, heads and XPOS are lists with an entry per sentence, of one or more sentences: got "
            f"{', '.join(map(str, sizes))} entries."
        )
    scores = TreeScores(1)
    for i, sentence in enumerate(zip(distances, depths, heads, xpos, strict=True)):
        where = f"sentence {i}"
        tree = GoldTree.of(sentence[2], sentence[3], where)
        n_words = len(tree)
        arrays = np.asarray(sentence[0], dtype=np.float64), np.asarray(sentence[1], dtype=np.float64)
        if arrays[0].shape != (n_words, n_words) or arrays[1].shape != (n_words,):
            raise ShapeError(
                f"Distances and depths of {n_words} words have shapes {(n_words, n_words)} and {(n_words,)}: got "
                f"{arrays[0].shape} and {arrays[1].shape} in {where}."
            )
        if not all(np.isfinite(array).all() for array in arrays):
            raise NonFiniteError(f"Distances and depths must be finite: those of {where} are not. Check the probe.")
        scores.add(arrays[0][None], arrays[1][None], tree)
    return {name: float(values[0]) for name, values in scores.result().items()}


class TreeScores:
    """The scores of p probes on the same sentences, fed sentence by sentence."""

    def __init__(self, n_probes: int) -> None:
        self._n_probes = n_probes
        self._correct, self._roots = np.zeros(n_probes), np.zeros(n_probes)
        self._n_edges = self._n_sentences = 0
        self._dspr, self._nspr = _MeanByLength(n_probes), _MeanByLength(n_probes)

    def add(self, distances: np.ndarray, depths: np.ndarray, tree: GoldTree) -> None:
        """One sentence of n words: predicted distances (p, n, n) and depths (p, n)."""
        n_words = len(tree)
        self._n_sentences += 1
        self._n_edges += len(tree.edges)
        self._correct += n_correct(content_trees(distances, tree.content), tree)
        self._roots += predicted_roots(depths, tree.content) == tree.root
        if n_words in LENGTHS:
            self._dspr.add(n_words, spearman(distances, tree.distances))
            self._nspr.add(n_words, spearman(depths, tree.depths)[:, None])

    def result(self) -> dict[str, np.ndarray]:
        """What `evaluate` returns, an array (p,) for each score."""
        nothing = np.full(self._n_probes, math.nan)
        return {
            "uuas": 100 * self._correct / self._n_edges if self._n_edges else nothing,
            "dspr": self._dspr.mean(),
            "nspr": self._nspr.mean(),
            "root": 100 * self._roots / self._n_sentences if self._n_sentences else nothing,
        }


class _MeanByLength:
    """Means over values of one length, then over lengths."""

    def __init__(self, n_probes: int) -> None:
        self._n_probes = n_probes
        self._sums: dict[int, np.ndarray] = {}
        self._counts: dict[int, int] = {}

    def add(self, length: int, values: np.ndarray) -> None:
        """Some values, (p, m), of that length."""
        self._sums[length] = self._sums.get(length, 0) + values.sum(axis=1)
        self._counts[length] = self._counts.get(length, 0) + values.shape[1]

    def mean(self) -> np.ndarray:
        if not self._sums:
            return np.full(self._n_probes, math.nan)
        return np.mean([self._sums[length] / self._counts[length] for length in sorted(self._sums)], axis=0)


def n_correct(edges: np.ndarray, tree: GoldTree) -> np.ndarray:
    """How many edges of each of p trees, (p, m - 1, 2), the gold tree has: (p,)."""
    gold = np.zeros((len(tree), len(tree)), dtype=bool)
    gold[tree.edges[:, 0], tree.edges[:, 1]] = True
    return gold[edges[..., 0], edges[..., 1]].sum(axis=1)


def predicted_roots(depths: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The shallowest word of each row of depths (p, n), the first of several: (p,)."""
    words = np.flatnonzero(content) if content.any() else np.arange(len(content))
    return words[np.argmin(depths[:, words], axis=1)]


def spearman(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Spearman's correlation over the last axis, with mid-ranks; 0 where a side is constant.

    predicted : (p, ..., n); gold : (..., n). Returns (p, ...).
    """
    x, y = _centred_ranks(predicted), _centred_ranks(gold)
    products = (x * y).sum(axis=-1)
    lengths = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks over the last axis less their mean; equal values share the mean of their ranks."""
    n = values.shape[-1]
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    new = np.ones(values.shape, dtype=bool)
    new[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    last_of_run = np.ones(values.shape, dtype=bool)
    last_of_run[..., :-1] = new[..., 1:]
    places = np.arange(n)
    first = np.maximum.accumulate(np.where(new, places, 0), axis=-1)
    last = np.minimum.accumulate(np.where(last_of_run, places, n)[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (first + last - (n - 1)) / 2, axis=-1)
    return ranks
