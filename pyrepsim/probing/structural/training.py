"""Training of structural probes: every layer, every rank, distances and depths together.

The matrices B of all probes on a layer stand side by side in one, so that a batch is projected for all of them by one
product per layer. Each probe has its own learning rate, plateau and end of training, as if it were alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from .data import SentenceReader
from .losses import GoldBatch, depth_loss, distance_loss

__all__ = ["Block", "Recipe", "TrainingState", "blocks_of", "project", "train"]

_LOSSES = {"distance": distance_loss, "depth": depth_loss}
_BETAS, _EPS = (0.9, 0.999), 1e-8  # Adam's, as everywhere
_FACTOR, _RELATIVE, _LEAST_CHANGE = 0.1, 1e-4, 1e-8  # ReduceLROnPlateau's factor, threshold and eps; patience 0
_IMPROVEMENT, _PATIENCE = 1e-4, 5


@dataclass(frozen=True)
class Recipe:
    """How a probe is trained. Hewitt and Manning (2019), with their code's learning rate, batches and epochs."""

    epochs: int = 40
    batch_size: int = 20
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Block:
    """The columns that one probe has in the joint matrix of a layer."""

    kind: str
    rank: int
    columns: slice


def blocks_of(ranks: tuple[int, ...]) -> tuple[Block, ...]:
    """A distance and a depth probe of each rank, side by side."""
    blocks, at = [], 0
    for rank in ranks:
        for kind in _LOSSES:
            blocks.append(Block(kind, rank, slice(at, at + rank)))
            at += rank
    return tuple(blocks)


@dataclass
class TrainingState:
    """All that the next epoch depends on, for L layers of width d and N blocks of K columns in all.

    Attributes
    ----------
    weights, best, first, second : (L, d, K) B now, B at the lowest dev loss, and Adam's moments.
    rate, plateau, loss : (L, N) learning rate, best dev loss for the plateau, and dev loss of `best`.
    best_epoch, n_epochs : (L, N) when `best` was found, counted from 0, and epochs trained.
    running : (L, N) False once a probe's training has ended.
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
    def begin(cls, n_layers: int, width: int, blocks: tuple[Block, ...], recipe: Recipe, seed: int) -> TrainingState:
        """B uniform in (-0.05, 0.05), drawn for each block by itself: from seed, kind and rank; equal in all layers."""
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

    def to(self, device: torch.device) -> None:
        for name in ("weights", "best", "first", "second"):
            setattr(self, name, getattr(self, name).to(device))


def train(
    state: TrainingState,
    blocks: tuple[Block, ...],
    recipe: Recipe,
    seed: int,
    reader: SentenceReader,
    dev_reader: SentenceReader,
    *,
    device: torch.device,
    after_epoch: Callable[[TrainingState], None],
) -> None:
    """Train from `state` on, in place, until no probe improves; `after_epoch` is called between epochs.

    The order of sentences follows from seed and epoch alone: probes trained apart or together see the same batches.
    """
    while state.running.any():
        active = np.flatnonzero(state.running.any(axis=1))  # layers that are done are not even read
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
        for whole, part in ((state.weights, weights), (state.first, first), (state.second, second)):
            whole[index] = part
        _finish_epoch(state, active, losses.cpu().numpy() / len(dev_order), blocks, recipe)
        after_epoch(state)


def project(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """(layers, words, d) by (layers, d, K): the words as all probes see them."""
    return torch.bmm(hidden, weights)


def adam_step(
    weights: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    gradient: torch.Tensor,
    rates: torch.Tensor,
    step: int,
) -> None:
    """One step of Adam (Kingma and Ba 2015, algorithm 1), with a learning rate for each column of each layer."""
    first.lerp_(gradient, 1 - _BETAS[0])
    second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
    scale = (second / (1 - _BETAS[1] ** step)).sqrt_().add_(_EPS)
    weights.sub_(first / scale * (rates / (1 - _BETAS[0] ** step)))


def _batches(
    reader: SentenceReader, order: np.ndarray, layers: np.ndarray, size: int, device: torch.device
) -> Iterator[tuple[torch.Tensor, GoldBatch]]:
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        hidden = torch.from_numpy(reader.read(chosen, layers)).to(device)
        yield hidden, GoldBatch.of([reader.stored.trees[i] for i in chosen], device)


def _gradient(hidden: torch.Tensor, weights: torch.Tensor, blocks: tuple[Block, ...], gold: GoldBatch) -> torch.Tensor:
    """The gradient of all losses, summed over the batch, by the weights."""
    projected = project(hidden, weights)
    for block in blocks:
        _, gradient = _LOSSES[block.kind](gold.pad(projected[..., block.columns]), gold)
        projected[..., block.columns] = gold.unpad(gradient)
    return torch.bmm(hidden.transpose(1, 2), projected)


def _losses(hidden: torch.Tensor, weights: torch.Tensor, blocks: tuple[Block, ...], gold: GoldBatch) -> torch.Tensor:
    """All losses, summed over the batch: (layers, blocks)."""
    projected = project(hidden, weights)
    losses = [_LOSSES[block.kind](gold.pad(projected[..., block.columns]), gold)[0] for block in blocks]
    return torch.stack(losses, dim=1).double()


def _by_column(values: np.ndarray, blocks: tuple[Block, ...]) -> torch.Tensor:
    """Values of blocks, (layers, N), repeated over the blocks' columns: (layers, 1, K)."""
    columns = np.repeat(values, [block.rank for block in blocks], axis=1)
    return torch.from_numpy(columns.astype(np.float32)[:, None])


def _finish_epoch(
    state: TrainingState, active: np.ndarray, losses: np.ndarray, blocks: tuple[Block, ...], recipe: Recipe
) -> None:
    """Dev losses of the active layers: lower rates, keep the best weights, end what no longer improves."""
    running = np.zeros_like(state.running)
    running[active] = state.running[active]
    found = np.full(state.loss.shape, math.inf)
    found[active] = losses

    on_plateau = running & ~(found < state.plateau * (1 - _RELATIVE))
    state.plateau = np.where(running & ~on_plateau, found, state.plateau)
    lowered = state.rate * _FACTOR
    state.rate = np.where(on_plateau & (state.rate - lowered > _LEAST_CHANGE), lowered, state.rate)

    better = running & (found < state.loss - _IMPROVEMENT)
    for layer, block in np.argwhere(better):
        columns = blocks[block].columns
        state.best[layer, :, columns] = state.weights[layer, :, columns]
    state.loss = np.where(better, found, state.loss)
    state.best_epoch = np.where(better, state.epoch, state.best_epoch)
    state.n_epochs = state.n_epochs + running
    state.epoch += 1
    tired = ~better & (state.epoch - 1 - state.best_epoch >= _PATIENCE)
    state.running = running & ~tired & (state.epoch < recipe.epochs)
