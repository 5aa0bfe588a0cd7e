"""Scores of predicted trees: UUAS, root accuracy, DSpr and NSpr.

Hewitt and Manning (2019), "A Structural Probe for Finding Syntax in Word Representations", section 4.1, with the
details of the authors' code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...core.errors import NonFiniteError, ShapeError
from .trees import GoldTree, content_trees

__all__ = ["TreeScores", "evaluate", "predicted_roots"]

LENGTHS = range(5, 51)
"""Lengths of the sentences that the rank correlations are averaged over; punctuation counts as words."""


def evaluate(
    distances: Sequence[Any], depths: Sequence[Any], heads: Sequence[Sequence[int]], xpos: Sequence[Sequence[str]]
) -> dict[str, float]:
    """Score predicted distances and depths of a corpus against its dependency trees.

    Source: Hewitt and Manning (2019), section 4.1, with the details of the authors' code.

    Parameters
    ----------
    distances : sequence of ndarray of shape (n_words, n_words)
        For each sentence, squared distances between its words.
    depths : sequence of ndarray of shape (n_words,)
        For each sentence, squared norms of its words.
    heads : sequence of sequences of int
        For each sentence, the head of every word, counted from 1; 0 for the root.
    xpos : sequence of sequences of str
        For each sentence, the Penn tag of every word. Words with a tag in `PUNCTUATION` are not in the trees.

    Returns
    -------
    dict
        ``"uuas"``, in [0, 1]: the fraction of the edges of the gold trees that are in the minimum spanning trees of
        `distances`, over the corpus. Both trees span the words that are not punctuation (the gold tree is that of the
        gold distances; of equal distances the pair that comes first in row-major order counts as shorter).

        ``"root"``, in [0, 1]: the fraction of sentences whose root has the smallest depth of the words that are not
        punctuation (of all words, if all are punctuation).

        ``"dspr"``, in [-1, 1]: Spearman's correlation, with mid-ranks, of the predicted and gold distances of a word
        to all words, itself and punctuation included; averaged over the words of all sentences of a length, then over
        the lengths from 5 to 50 that occur.

        ``"nspr"``, in [-1, 1]: Spearman's correlation of the depths in a sentence, averaged over sentences of a
        length, then over lengths.

        If all predictions of a row are equal, Spearman's correlation is not defined. It counts as 0 here, because
        equal predictions order nothing (SciPy returns NaN). A score over nothing is NaN: "dspr" and "nspr" without a
        sentence of 5 to 50 words, "uuas" without a pair of words.

    Raises
    ------
    ShapeError
        If the lists or a sentence's arrays differ in length.
    NonFiniteError
        If distances or depths are NaN or infinite.
    TextError
        If heads do not form one tree.

    Examples
    --------
    "The cat sat .": the predicted tree has one of the two gold edges.

    >>> import numpy as np
    >>> from pyrepsim.probing.structural import evaluate
    >>> distances = np.array([[0, 5, 1, 9], [5, 0, 2, 9], [1, 2, 0, 9], [9, 9, 9, 0]])
    >>> scores = evaluate([distances], [[3, 2, 1, 0]], [[2, 3, 0, 3]], [["DT", "NN", "VBD", "."]])
    >>> scores["uuas"], scores["root"]
    (0.5, 1.0)
    """
    sizes = [len(part) for part in (distances, depths, heads, xpos)]
    if len(set(sizes)) > 1 or not sizes[0]:
        raise ShapeError(
            "Distances, depths, heads and XPOS are lists with an entry per sentence, for one or more sentences: got "
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
    """The scores of p probes on the same sentences, added up sentence by sentence."""

    def __init__(self, n_probes: int) -> None:
        self._n_probes = n_probes
        self._correct: list[np.ndarray] = []  # of each sentence
        self._roots = np.zeros(n_probes)
        self._n_edges = 0
        self._dspr, self._nspr = _MeanByLength(n_probes), _MeanByLength(n_probes)

    def add(self, distances: np.ndarray, depths: np.ndarray, tree: GoldTree) -> None:
        """Add a sentence of n words: predicted distances (p, n, n) and depths (p, n)."""
        n_words = len(tree)
        self._n_edges += len(tree.edges)
        self._correct.append(_count_correct(content_trees(distances, tree.content), tree))
        self._roots += predicted_roots(depths, tree.content) == tree.root
        if n_words in LENGTHS:
            self._dspr.add(n_words, _spearman(distances, tree.distances))
            self._nspr.add(n_words, _spearman(depths, tree.depths)[:, None])

    def correct_edges(self) -> np.ndarray:
        """Return how many edges of the gold tree of each sentence are predicted, (p, n_sentences)."""
        return np.stack(self._correct, axis=1)

    def result(self) -> dict[str, np.ndarray]:
        """Return the scores of `evaluate`, each as an array (p,)."""
        nothing = np.full(self._n_probes, math.nan)
        return {
            "uuas": self.correct_edges().sum(axis=1) / self._n_edges if self._n_edges else nothing,
            "dspr": self._dspr.mean(),
            "nspr": self._nspr.mean(),
            "root": self._roots / len(self._correct) if self._correct else nothing,
        }


class _MeanByLength:
    """Means over the values of one sentence length, then over lengths."""

    def __init__(self, n_probes: int) -> None:
        self._n_probes = n_probes
        self._sums: dict[int, np.ndarray] = {}
        self._counts: dict[int, int] = {}

    def add(self, length: int, values: np.ndarray) -> None:
        """Add values (p, m) of that length."""
        self._sums[length] = self._sums.get(length, 0) + values.sum(axis=1)
        self._counts[length] = self._counts.get(length, 0) + values.shape[1]

    def mean(self) -> np.ndarray:
        if not self._sums:
            return np.full(self._n_probes, math.nan)
        return np.mean([self._sums[length] / self._counts[length] for length in sorted(self._sums)], axis=0)


def _count_correct(edges: np.ndarray, tree: GoldTree) -> np.ndarray:
    """Return how many edges of each of p trees, (p, m - 1, 2), are in the gold tree: (p,)."""
    gold = np.zeros((len(tree), len(tree)), dtype=bool)
    gold[tree.edges[:, 0], tree.edges[:, 1]] = True
    return gold[edges[..., 0], edges[..., 1]].sum(axis=1)


def predicted_roots(depths: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Return the word of the smallest depth for each row of depths (p, n), the first of several: (p,)."""
    words = np.flatnonzero(content) if content.any() else np.arange(len(content))
    return words[np.argmin(depths[:, words], axis=1)]


def _spearman(predicted: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation over the last axis, with mid-ranks; 0 if one of the two is constant.

    `predicted` has shape (p, ..., n), `gold` (..., n), the result (p, ...).
    """
    x, y = _centred_ranks(predicted), _centred_ranks(gold)
    products = (x * y).sum(axis=-1)
    lengths = np.sqrt((x * x).sum(axis=-1) * (y * y).sum(axis=-1))
    return np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks over the last axis minus their mean; equal values share the mean of their ranks."""
    from scipy.stats import rankdata

    return rankdata(values, axis=-1) - (values.shape[-1] + 1) / 2
