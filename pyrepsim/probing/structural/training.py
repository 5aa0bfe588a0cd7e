"""Joint training of structural probes: all layers, all ranks, distances and depths together.

The matrices B of all probes on a layer are the columns of one matrix, so one product per layer projects a batch for
all of them. Each probe has its own learning rate, plateau and end of training, as if it were alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..adam import adam_step
from .data import SentenceReader
from .trees import GoldTree

__all__ = [
    "Block",
    "GoldBatch",
    "StructuralProbeRecipe",
    "TrainingState",
    "blocks_of",
    "depth_loss",
    "distance_loss",
    "project",
    "train",
]

_FACTOR, _RELATIVE, _MIN_CHANGE = 0.1, 1e-4, 1e-8  # factor, threshold and eps of ReduceLROnPlateau; its patience is 0
_IMPROVEMENT, _PATIENCE = 1e-4, 5


@dataclass(frozen=True)
class StructuralProbeRecipe:
    """Settings of the training. Hewitt and Manning (2019), with the learning rate, batches and epochs of their code.

    Attributes
    ----------
    epochs : largest number of epochs.
    batch_size : sentences in a batch.
    learning_rate : learning rate at the start.
    """

    epochs: int = 40
    batch_size: int = 20
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Block:
    """The columns of one probe in the joint matrix of a layer; `kind` is "distance" or "depth"."""

    kind: str
    rank: int
    columns: slice


def blocks_of(ranks: tuple[int, ...]) -> tuple[Block, ...]:
    """Return a distance and a depth probe of each rank, side by side."""
    blocks, start = [], 0
    for rank in ranks:
        for kind in _LOSSES:
            blocks.append(Block(kind, rank, slice(start, start + rank)))
            start += rank
    return tuple(blocks)


@dataclass
class TrainingState:
    """The state that training can be continued from, for L layers of width d and N blocks of K columns in total.

    Attributes
    ----------
    weights, best, first, second : (L, d, K) B now, B at the lowest dev loss, and Adam's moments.
    rate, plateau, loss : (L, N) learning rate, best dev loss for the plateau, and dev loss of `best`.
    best_epoch, n_epochs : (L, N) the epoch of `best`, counted from 0, and the number of epochs trained.
    running : (L, N) False if the training of a probe has ended.
    epoch, steps : epochs and steps so far.
    """

    weights: torch.Tensor
    best: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor
    rate: np.ndarray
    plateau: np.ndarray
    loss: np.ndarray
    best_epoch: np.ndarray
    n_epochs: np.ndarray
    running: np.ndarray
    epoch: int = 0
    steps: int = 0

    @classmethod
    def begin(
        cls, n_layers: int, width: int, blocks: tuple[Block, ...], recipe: StructuralProbeRecipe, seed: int
    ) -> TrainingState:
        """Return the state before training.

        B is uniform in (-0.05, 0.05) and drawn for each block from seed, kind and rank; it is equal in all layers.
        """
        drawn = []
        for block in blocks:
            rng = np.random.default_rng([seed, list(_LOSSES).index(block.kind), block.rank])
            drawn.append(rng.uniform(-0.05, 0.05, (width, block.rank)).astype(np.float32))
        weights = torch.from_numpy(np.concatenate(drawn, axis=1)).repeat(n_layers, 1, 1)
        shape = n_layers, len(blocks)
        return cls(
            weights,
            weights.clone(),
            torch.zeros_like(weights),
            torch.zeros_like(weights),
            rate=np.full(shape, recipe.learning_rate),
            plateau=np.full(shape, math.inf),
            loss=np.full(shape, math.inf),
            best_epoch=np.full(shape, -1),
            n_epochs=np.zeros(shape, np.int64),
            running=np.ones(shape, dtype=bool),
        )

    def record(self) -> dict[str, Any]:
        """Return the state as tensors and whole numbers."""
        return {
            name: torch.as_tensor(value).cpu() if isinstance(value, np.ndarray | torch.Tensor) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def restored(cls, record: dict[str, Any]) -> TrainingState:
        """Return the state of a `record`."""
        values = dict(record)
        for name in ("rate", "plateau", "loss", "best_epoch", "n_epochs", "running"):
            values[name] = values[name].numpy()
        return cls(**values)

    def to(self, device: torch.device) -> None:
        """Move the tensors to a device."""
        for name in ("weights", "best", "first", "second"):
            setattr(self, name, getattr(self, name).to(device))


def train(
    state: TrainingState,
    blocks: tuple[Block, ...],
    recipe: StructuralProbeRecipe,
    seed: int,
    reader: SentenceReader,
    dev_reader: SentenceReader,
    *,
    device: torch.device,
    after_epoch: Callable[[TrainingState], None],
) -> None:
    """Train `state` in place until no probe improves; `after_epoch` is called after each epoch.

    The order of sentences follows from seed and epoch, so probes see the same batches trained alone or together.
    """
    while state.running.any():
        active = np.flatnonzero(state.running.any(axis=1))  # layers whose training has ended are not read
        index = torch.from_numpy(active).to(device)
        weights, first, second = (tensor[index] for tensor in (state.weights, state.first, state.second))
        rates = _by_column(np.where(state.running, state.rate, 0)[active], blocks).to(device)
        order = np.random.default_rng([seed, state.epoch]).permutation(len(reader.stored))
        for hidden, gold in _batches(reader, order, active, recipe.batch_size, device):
            state.steps += 1
            gradient = _gradient(hidden, weights, blocks, gold)
            adam_step(weights, first, second, gradient / gold.shape[0], rates, state.steps)
        losses = torch.zeros(len(active), len(blocks), dtype=torch.float64, device=device)
        dev_order = np.arange(len(dev_reader.stored))
        for hidden, gold in _batches(dev_reader, dev_order, active, recipe.batch_size, device):
            losses += _losses(hidden, weights, blocks, gold)
        for tensor, trained in ((state.weights, weights), (state.first, first), (state.second, second)):
            tensor[index] = trained
        _finish_epoch(state, active, losses.cpu().numpy() / len(dev_order), blocks, recipe)
        after_epoch(state)


def project(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the words (layers, words, d) projected by the matrices (layers, d, K) of all probes."""
    return torch.bmm(hidden, weights)


@dataclass(frozen=True, eq=False)
class GoldBatch:
    """The trees of b sentences, padded to the n words of the longest.

    Attributes
    ----------
    places : (t,) for each of the t words of the batch, its place among the b n padded words.
    shape : (b, n).
    words : (b, n, 1) 1 for a word, 0 for padding.
    mean_weights : (b, 1, n) 1 / length for a word, 0 for padding: a product with it is the mean over the words.
    distances, pair_weights : (b, n, n) gold distances; 1 / length^2 for two different words of a sentence, else 0.
    depths, word_weights : (b, n) gold depths; 1 / length for a word, 0 for padding.
    """

    places: torch.Tensor
    shape: tuple[int, int]
    words: torch.Tensor
    mean_weights: torch.Tensor
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
            np.fill_diagonal(pair_weights[i], 0)  # the distance of a word from itself is always 0

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
        """Return (layers, t, k) as (layers, b, n, k), with zeros for padding."""
        n_sentences, n_words = self.shape
        padded = x.new_zeros(x.shape[0], n_sentences * n_words, x.shape[2])
        return padded.index_copy_(1, self.places, x).unflatten(1, self.shape)

    def unpad(self, padded: torch.Tensor) -> torch.Tensor:
        """Return (layers, b, n, k) as (layers, t, k)."""
        return padded.flatten(1, 2).index_select(1, self.places)


def distance_loss(x: torch.Tensor, gold: GoldBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the distance loss of each layer, and the gradient of their sum with respect to x.

    The loss is the sum over sentences of sum_ij |d(i, j) - d_gold(i, j)| / n^2, with d(i, j) = |x_i - x_j|^2 for
    projected words x of shape (layers, b, n, k). The gradient is 4 sum_j s_ij (x_i - x_j), where
    s_ij = sign(d - d_gold) / n^2.
    """
    # Distances do not change if all words of a sentence are shifted. Centred words lose less precision below.
    x = (x - gold.mean_weights @ x) * gold.words
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
    """Return the depth loss of each layer, and the gradient of their sum; shapes as in `distance_loss`.

    The loss is the sum over sentences of sum_i ||x_i|^2 - depth_i| / n.
    """
    gaps = (x * x).sum(dim=-1) - gold.depths
    loss = (gaps.abs() * gold.word_weights).sum(dim=(1, 2))
    signs = gaps.sign_().mul_(gold.word_weights)
    return loss, x * signs.mul_(2).unsqueeze(-1)


_LOSSES = {"distance": distance_loss, "depth": depth_loss}


def _batches(
    reader: SentenceReader, order: np.ndarray, layers: np.ndarray, size: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, GoldBatch]]:
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        hidden = torch.from_numpy(reader.read(chosen, layers)).to(device)
        yield hidden, GoldBatch.of([reader.stored.trees[i] for i in chosen], device)


def _gradient(hidden: torch.Tensor, weights: torch.Tensor, blocks: tuple[Block, ...], gold: GoldBatch) -> torch.Tensor:
    """Return the gradient of all losses, summed over the batch, with respect to the weights."""
    projected = project(hidden, weights)
    for block in blocks:
        _, gradient = _LOSSES[block.kind](gold.pad(projected[..., block.columns]), gold)
        projected[..., block.columns] = gold.unpad(gradient)
    return torch.bmm(hidden.transpose(1, 2), projected)


def _losses(hidden: torch.Tensor, weights: torch.Tensor, blocks: tuple[Block, ...], gold: GoldBatch) -> torch.Tensor:
    """Return all losses, summed over the batch: (layers, blocks)."""
    projected = project(hidden, weights)
    losses = [_LOSSES[block.kind](gold.pad(projected[..., block.columns]), gold)[0] for block in blocks]
    return torch.stack(losses, dim=1).double()


def _by_column(values: np.ndarray, blocks: tuple[Block, ...]) -> torch.Tensor:
    """Return values of blocks, (layers, N), repeated over the columns of the blocks: (layers, 1, K)."""
    columns = np.repeat(values, [block.rank for block in blocks], axis=1)
    return torch.from_numpy(columns.astype(np.float32)[:, None])


def _finish_epoch(
    state: TrainingState,
    active: np.ndarray,
    losses: np.ndarray,
    blocks: tuple[Block, ...],
    recipe: StructuralProbeRecipe,
) -> None:
    """Use the dev losses of the active layers: lower rates, keep the best weights, end probes that do not improve."""
    running = np.zeros_like(state.running)
    running[active] = state.running[active]
    dev_loss = np.full(state.loss.shape, math.inf)
    dev_loss[active] = losses

    on_plateau = running & ~(dev_loss < state.plateau * (1 - _RELATIVE))
    state.plateau = np.where(running & ~on_plateau, dev_loss, state.plateau)
    lowered = state.rate * _FACTOR
    state.rate = np.where(on_plateau & (state.rate - lowered > _MIN_CHANGE), lowered, state.rate)

    better = running & (dev_loss < state.loss - _IMPROVEMENT)
    for layer, block in np.argwhere(better):
        columns = blocks[block].columns
        state.best[layer, :, columns] = state.weights[layer, :, columns]
    state.loss = np.where(better, dev_loss, state.loss)
    state.best_epoch = np.where(better, state.epoch, state.best_epoch)
    state.n_epochs = state.n_epochs + running
    state.epoch += 1
    out_of_patience = ~better & (state.epoch - 1 - state.best_epoch >= _PATIENCE)
    state.running = running & ~out_of_patience & (state.epoch < recipe.epochs)
