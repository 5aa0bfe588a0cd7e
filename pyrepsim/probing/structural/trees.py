"""Dependency trees: depths, distances between words, and minimum spanning trees of distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...core.errors import ShapeError, TextError

__all__ = ["PUNCTUATION", "GoldTree", "spanning_trees"]

PUNCTUATION = frozenset({"''", ",", ".", ":", "``", "-LRB-", "-RRB-"})
"""Penn tags of the words that are not scored. Other tags that UD counts as punctuation (HYPH, NFP) are scored."""


@dataclass(frozen=True, eq=False)
class GoldTree:
    """The tree of one sentence of n words.

    Attributes
    ----------
    heads : (n,) the head of each word, counted from 0; the root is its own head.
    content : (n,) boolean, whether the XPOS of a word is not in `PUNCTUATION`.
    """

    heads: np.ndarray
    content: np.ndarray

    @classmethod
    def of(cls, heads: Sequence[int], xpos: Sequence[str], where: str) -> GoldTree:
        """Make a tree from heads counted from 1, where 0 marks the root.

        Raises ShapeError or TextError if the heads do not form a tree; `where` names the sentence in the message.
        """
        array = np.asarray(heads)
        n_words = len(array) if array.ndim else 0
        if array.shape != (n_words,) or n_words == 0 or len(xpos) != n_words:
            raise ShapeError(
                f"A sentence has at least one word, and a head and an XPOS for each: {where} has heads of shape "
                f"{array.shape} and {len(xpos)} XPOS."
            )
        if array.dtype.kind not in "iu" or array.min() < 0 or array.max() > n_words:
            raise TextError(f"A head is 0 or a word, 1 to {n_words}: {where} has {list(heads)}.")
        roots = np.flatnonzero(array == 0)
        if len(roots) != 1:
            raise TextError(f"A tree has one root, with head 0: {where} has {len(roots)}. Its heads are {list(heads)}.")
        array = array.astype(np.int64) - 1
        array[roots] = roots
        tree = cls(array, np.array([tag not in PUNCTUATION for tag in xpos]))
        if not tree.ancestors[:, roots[0]].all():
            raise TextError(f"A tree has no cycle: {where} has one. Its heads are {list(heads)}.")
        return tree

    def __len__(self) -> int:
        return len(self.heads)

    @property
    def root(self) -> int:
        return int(np.flatnonzero(self.heads == np.arange(len(self)))[0])

    @cached_property
    def ancestors(self) -> np.ndarray:
        """(n, n) boolean: [i, a] is True if a is on the path from word i to the root, both ends included."""
        words = np.arange(len(self))
        on_path = np.eye(len(self), dtype=bool)
        ancestor = self.heads
        while not on_path[words, ancestor].all():
            on_path[words, ancestor] = True
            ancestor = self.heads[ancestor]
        return on_path

    @cached_property
    def depths(self) -> np.ndarray:
        """(n,) float32: number of arcs between each word and the root."""
        return self.ancestors.sum(axis=1, dtype=np.float32) - 1

    @cached_property
    def distances(self) -> np.ndarray:
        """(n, n) float32: number of arcs on the path between two words."""
        paths = self.ancestors.astype(np.float32)
        lengths = self.depths + 1
        return lengths[:, None] + lengths[None, :] - 2 * (paths @ paths.T)  # the product counts common ancestors

    @cached_property
    def edges(self) -> np.ndarray:
        """(m - 1, 2): the minimum spanning tree of `distances` over the m content words; empty for m < 2.

        These are the arcs between content words, and replacements for the arcs to punctuation.
        """
        return content_trees(self.distances[None], self.content)[0]


def content_trees(distances: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Return `spanning_trees` over the m words marked in `content`: (p, n, n) -> (p, m - 1, 2)."""
    words = np.flatnonzero(content)
    return words[spanning_trees(distances[:, words[:, None], words])]


def spanning_trees(distances: np.ndarray) -> np.ndarray:
    """Return the minimum spanning trees of p matrices: (p, n, n) -> (p, n - 1, 2), words i < j of each edge.

    The cost of an edge is the smaller of its two entries; of equal entries the first in row-major order counts as
    smaller. So the tree is unique, and equal to that of Kruskal's algorithm on the entries in row-major order. This is
    Prim's algorithm over the ranks of the entries, O(n^2 log n).
    """
    n_trees, n_words, _ = distances.shape
    edges = np.empty((n_trees, max(n_words - 1, 0), 2), np.int64)
    if n_words < 2:
        return edges
    order = np.argsort(distances.reshape(n_trees, -1), axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(n_words**2)[None], axis=1)
    cost = ranks.reshape(distances.shape)
    cost = np.minimum(cost, cost.transpose(0, 2, 1))
    never = n_words**2

    trees = np.arange(n_trees)
    outside = np.ones((n_trees, n_words), dtype=bool)
    outside[:, 0] = False
    cheapest = cost[:, 0].copy()  # from each word to the tree so far, which has only word 0
    partner = np.zeros((n_trees, n_words), np.int64)
    for step in range(n_words - 1):
        word = np.argmin(np.where(outside, cheapest, never), axis=1)
        edges[:, step, 0], edges[:, step, 1] = partner[trees, word], word
        outside[trees, word] = False
        offered = cost[trees, word]
        nearer = offered < cheapest
        cheapest = np.where(nearer, offered, cheapest)
        partner = np.where(nearer, word[:, None], partner)
    edges.sort(axis=2)
    return edges
