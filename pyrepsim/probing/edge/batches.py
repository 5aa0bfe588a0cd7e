"""Batches of sentences: the rows that their spans need, read once for all probes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ..rows import RowSource
from .targets import Targets, ranges

__all__ = ["Batch", "Order", "SpanIndex", "batches_in_order", "make_batch"]


@dataclass(frozen=True, eq=False)
class SpanIndex:
    """The tokens of span k of every target in a batch.

    Targets may share a span, as the dependents of one word share their head. Each different span is computed once.

    Attributes
    ----------
    rows : the rows of the batch that are in some span; None: all of them.
    entry : one per token of each different span, an index into `rows`; None: each row once, in order.
    owner : the different span that each entry belongs to.
    place : the different span of each target; None: target i has span i.
    n_different : number of different spans.
    single : whether every span is one token, so that entry i is span i.
    """

    rows: torch.Tensor | None
    entry: torch.Tensor | None
    owner: torch.Tensor
    place: torch.Tensor | None
    n_different: int
    single: bool


@dataclass(frozen=True, eq=False)
class Batch:
    """The rows and targets of some sentences.

    Attributes
    ----------
    x : (sources, rows, width) float32.
    y : (targets, labels) 1 for each label of a target, otherwise 0.
    spans : one index for each span of a target.
    targets : (targets,) indices of the targets in the split.
    sentence : (targets,) the sentence of each target.
    """

    x: torch.Tensor
    y: torch.Tensor
    spans: tuple[SpanIndex, ...]
    targets: np.ndarray
    sentence: np.ndarray

    @property
    def n_targets(self) -> int:
        return len(self.y)


def make_batch(targets: Targets, sentences: np.ndarray, source: RowSource, device: torch.device) -> Batch:
    """Return the batch of these sentences; each row is read once, in however many spans it is."""
    counts = np.diff(targets.ptr)[sentences]
    chosen = ranges(targets.ptr[sentences], counts)
    spans = targets.spans[chosen]
    different = [_different_spans(spans[:, k]) for k in range(targets.n_spans)]
    entries = [ranges(span[:, 0], span[:, 1] - span[:, 0]) for span, _ in different]
    rows = np.unique(np.concatenate(entries))
    index = tuple(
        _span_index(span, place, np.searchsorted(rows, entry), len(rows), device)
        for (span, place), entry in zip(different, entries, strict=True)
    )
    return Batch(
        x=torch.from_numpy(source.read(rows)).to(device),
        y=torch.from_numpy(targets.multi_hot(chosen)).to(device),
        spans=index,
        targets=chosen,
        sentence=np.repeat(sentences, counts),
    )


def _different_spans(spans: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the different spans (n, 2) in the order of their rows, and the one that each target has.

    If no two targets share a span, return all spans as they are, and None.
    """
    key = spans[:, 0] * (int(spans.max(initial=0)) + 1) + spans[:, 1]
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    return (spans, None) if len(first) == len(spans) else (spans[first], place)


def _span_index(
    spans: np.ndarray, place: np.ndarray | None, rows: np.ndarray, n_rows: int, device: torch.device
) -> SpanIndex:
    """Return the index of the different spans; `rows` has the rows of the batch of all their tokens."""

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array.astype(np.int64, copy=False)).to(device)

    picked, entry = np.unique(rows, return_inverse=True)
    lengths = spans[:, 1] - spans[:, 0]
    return SpanIndex(
        rows=None if len(picked) == n_rows else tensor(picked),
        entry=None if np.array_equal(entry, np.arange(len(picked))) else tensor(entry),
        owner=tensor(np.repeat(np.arange(len(spans)), lengths)),
        place=None if place is None else tensor(place),
        n_different=len(spans),
        single=bool((lengths == 1).all()),
    )


class Order:
    """The sentences of each training step: a new permutation every epoch, which follows from the epoch's number."""

    def __init__(self, n_sentences: int, batch_size: int, seed: int) -> None:
        self._n, self._batch_size, self._seed = n_sentences, batch_size, seed
        self.steps_per_epoch = -(-n_sentences // batch_size)
        self._cached: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))

    def sentences(self, step: int) -> np.ndarray:
        """Return the sentences of step 0, 1, ..., ascending. The last batch of an epoch may be smaller."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        if self._cached[0] != epoch:
            self._cached = (epoch, np.random.default_rng([self._seed, epoch]).permutation(self._n))
        return np.sort(self._cached[1][batch * self._batch_size : (batch + 1) * self._batch_size])


def batches_in_order(targets: Targets, source: RowSource, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """Yield all sentences once, in their order."""
    for start in range(0, targets.n_sentences, batch_size):
        sentences = np.arange(start, min(start + batch_size, targets.n_sentences))
        yield make_batch(targets, sentences, source, device)
