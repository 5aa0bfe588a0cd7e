"""Losses of distance and depth probes, with their gradients, for all layers at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from .trees import GoldTree

__all__ = ["GoldBatch", "depth_loss", "distance_loss"]


@dataclass(frozen=True, eq=False)
class GoldBatch:
    """The trees of b sentences, padded to the n words of the longest.

    Attributes
    ----------
    places : (t,) of each of the t words of the batch, its place among the b n padded ones.
    shape : (b, n).
    words : (b, n, 1) 1 where there is a word, else 0.
    mean_of : (b, 1, n) 1 / length where there is a word: a product with it is the mean over the words.
    distances : (b, n, n), and pair_weights: 1 / length^2 between different words of a sentence, else 0.
    depths : (b, n), and word_weights: 1 / length where there is a word, else 0.
    """

    places: torch.Tensor
    shape: tuple[int, int]
    words: torch.Tensor
    mean_of: torch.Tensor
    distances: torch.Tensor
    pair_weights: torch.Tensor
    depths: torch.Tensor
    word_weights: torch.Tensor

    @classmethod
    def of(cls, trees: Sequence[GoldTree], device: torch.device) -> GoldBatch:
        n_words = max(map(len, trees))
        shape = len(trees), n_words
        words, depths, word_weights = (np.zeros(shape, np.float32) for _ in range(3))
        distances, pair_weights = (np.zeros((*shape, n_words), np.float32) for _ in range(2))
        for i, tree in enumerate(trees):
            n = len(tree)
            words[i, :n], word_weights[i, :n], depths[i, :n] = 1, 1 / n, tree.depths
            distances[i, :n, :n], pair_weights[i, :n, :n] = tree.distances, 1 / n**2
            np.fill_diagonal(pair_weights[i], 0)  # a word is no distance from itself, whatever the probe

        def put(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(device)

        return cls(
            put(np.flatnonzero(words)),
            shape,
            put(words[:, :, None]),
            put(word_weights[:, None]),
            put(distances),
            put(pair_weights),
            put(depths),
            put(word_weights),
        )

    def pad(self, x: torch.Tensor) -> torch.Tensor:
        """(layers, t, k) -> (layers, b, n, k), with zeros where there is no word."""
        n_sentences, n_words = self.shape
        padded = x.new_zeros(x.shape[0], n_sentences * n_words, x.shape[2])
        return padded.index_copy_(1, self.places, x).unflatten(1, self.shape)

    def unpad(self, padded: torch.Tensor) -> torch.Tensor:
        return padded.flatten(1, 2).index_select(1, self.places)


def distance_loss(x: torch.Tensor, gold: GoldBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over sentences of sum_ij |d(i, j) - d_gold(i, j)| / n^2, with d(i, j) = |x_i - x_j|^2.

    x : (layers, b, n, k), projected words. Returns the loss of each layer and the gradient of their sum by x:
    4 sum_j s_ij (x_i - x_j), where s_ij = sign(d - d_gold) / n^2.
    """
    # Distances do not change when all words of a sentence move: around their mean, the products below cancel less.
    x = (x - gold.mean_of @ x) * gold.words
    norms = (x * x).sum(dim=-1)
    gaps = torch.matmul(x, x.transpose(-1, -2)).mul_(-2)
    gaps += norms.unsqueeze(-1)
    gaps += norms.unsqueeze(-2)
    gaps -= gold.distances
    loss = (gaps.abs() * gold.pair_weights).sum(dim=(1, 2, 3))
    signs = gaps.sign_().mul_(gold.pair_weights)
    gradient = signs.sum(dim=-1, keepdim=True) * x - signs @ x
    return loss, gradient.mul_(4)


def depth_loss(x: torch.Tensor, gold: GoldBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over sentences of sum_i ||x_i|^2 - depth_i| / n, and its gradient by x; shapes as in `distance_loss`."""
    gaps = (x * x).sum(dim=-1) - gold.depths
    loss = (gaps.abs() * gold.word_weights).sum(dim=(1, 2))
    signs = gaps.sign_().mul_(gold.word_weights)
    return loss, x * signs.mul_(2).unsqueeze(-1)
