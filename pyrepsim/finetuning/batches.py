"""Batches of sequences of similar length: the order of an epoch, batches for evaluation, and padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import Sampler

from .tasks.base import Feature

__all__ = ["LengthBuckets", "collate", "token_batches"]

_SORTED_BATCHES = 50  # enough that sequences of a batch have similar lengths, few enough that epochs differ


class LengthBuckets(Sampler[int]):
    """The order of examples in an epoch: shuffled, sorted by length within groups of 50 batches, batches shuffled.

    Each `batch_size` consecutive indices are one batch; an incomplete batch is the last. The order depends only on
    (seed, epoch), so a resumed epoch has the batches of the interrupted one.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int):
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.seed, self.epoch))
        order = generator.permutation(len(self.lengths))
        group = self.batch_size * _SORTED_BATCHES
        batches: list[np.ndarray] = []
        for begin in range(0, len(order), group):
            part = order[begin : begin + group]
            part = part[np.argsort(self.lengths[part], kind="stable")]
            batches += [part[i : i + self.batch_size] for i in range(0, len(part), self.batch_size)]
        short = [batch for batch in batches if len(batch) < self.batch_size]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        for index in generator.permutation(len(full)):
            yield from full[index].tolist()
        for batch in short:
            yield from batch.tolist()


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of at most `budget` padded tokens, longest sequences first."""
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    begin = 0
    while begin < len(order):
        size = max(1, budget // max(1, lengths[order[begin]]))
        yield order[begin : begin + size].tolist()
        begin += size


def collate(features: Sequence[Feature], pad_id: int) -> dict[str, torch.Tensor]:
    """Make a batch: lists are padded (token ids with `pad_id`, types with 0, targets with -100), numbers stacked."""
    fill = {"input_ids": pad_id, "token_type_ids": 0}
    batch: dict[str, torch.Tensor] = {}
    for name, first in features[0].inputs.items():
        values = [feature.inputs[name] for feature in features]
        if not isinstance(first, list):
            batch[name] = torch.tensor(values)
            continue
        width = max(map(len, values))
        table = np.full((len(values), width), fill.get(name, -100), dtype=np.int64)
        for row, value in zip(table, values, strict=True):
            row[: len(value)] = value
        batch[name] = torch.from_numpy(table)
    lengths = torch.tensor([len(feature) for feature in features])
    tokens = batch["input_ids"].shape[1]
    batch["attention_mask"] = (torch.arange(tokens) < lengths[:, None]).long()
    return batch
