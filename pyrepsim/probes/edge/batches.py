"""Batches of sentences: the rows that their spans need, read once for all probes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from .rows import RowSource
from .targets import Targets, ranges


@dataclass(frozen=True, eq=False)
class SpanIndex:
    """Where the tokens of one span of every target stand.

    `rows` picks, from the rows of the batch, those that are in some span; `entry` (one per token of each span) points
    into that pick, `owner` to the target. `single`: every span is one token, so that entry i belongs to target i.
    """

    rows: torch.Tensor
    entry: torch.Tensor
    owner: torch.Tensor
    single: bool


@dataclass(frozen=True, eq=False)
class Batch:
    """`x` (sources, rows, width), float32; `y` (targets, labels), 1 where a label holds; `sentence` (targets,)."""

    x: torch.Tensor
    y: torch.Tensor
    spans: tuple[SpanIndex, ...]
    targets: np.ndarray
    sentence: np.ndarray

    @property
    def n_targets(self) -> int:
        return len(self.y)


def make_batch(targets: Targets, sentences: np.ndarray, source: RowSource, device: torch.device) -> Batch:
    """The batch of these sentences, each row read once whatever the number of spans it is in."""
    counts = np.diff(targets.ptr)[sentences]
    chosen = ranges(targets.ptr[sentences], counts)
    spans = targets.spans[chosen]
    lengths = spans[:, :, 1] - spans[:, :, 0]
    entries = [ranges(spans[:, k, 0], lengths[:, k]) for k in range(targets.n_spans)]
    rows = np.unique(np.concatenate(entries))
    index = []
    for k, rows_k in enumerate(entries):
        picked, entry = np.unique(np.searchsorted(rows, rows_k), return_inverse=True)
        owner = np.repeat(np.arange(len(chosen)), lengths[:, k])
        arrays = (torch.from_numpy(array.astype(np.int64)).to(device) for array in (picked, entry, owner))
        index.append(SpanIndex(*arrays, single=bool((lengths[:, k] == 1).all())))
    return Batch(
        x=torch.from_numpy(source.read(rows)).to(device),
        y=torch.from_numpy(targets.multi_hot(chosen)).to(device),
        spans=tuple(index),
        targets=chosen,
        sentence=np.repeat(sentences, counts),
    )


class Order:
    """Which sentences stand in which step: every epoch a new permutation, known from its number alone."""

    def __init__(self, n_sentences: int, batch: int, seed: int) -> None:
        self._n, self._batch, self._seed = n_sentences, batch, seed
        self.steps_per_epoch = -(-n_sentences // batch)
        self._kept: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))

    def sentences(self, step: int) -> np.ndarray:
        """Sentences of step 0, 1, ...; the last batch of an epoch may be smaller."""
        epoch, at = divmod(step, self.steps_per_epoch)
        if self._kept[0] != epoch:
            self._kept = (epoch, np.random.default_rng([self._seed, epoch]).permutation(self._n))
        return self._kept[1][at * self._batch : (at + 1) * self._batch]


def in_order(targets: Targets, source: RowSource, batch: int, device: torch.device) -> Iterator[Batch]:
    """All sentences once, as they come."""
    for start in range(0, targets.n_sentences, batch):
        yield make_batch(targets, np.arange(start, min(start + batch, targets.n_sentences)), source, device)
