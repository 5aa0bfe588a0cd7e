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

    Targets may share a span, as the dependents of one word share their head: what is computed of a span is computed
    once. `rows` picks, from the rows of the batch, those that are in some span (None: all of them); `entry` (one per
    token of each span) points into that pick (None: each row once, in order), `owner` to the span. `place` has the
    span of each target (None: target i has span i). `single`: every span is one token, so that entry i is span i.
    """

    rows: torch.Tensor | None
    entry: torch.Tensor | None
    owner: torch.Tensor
    place: torch.Tensor | None
    n_different: int
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
    different = [_different(spans[:, k]) for k in range(targets.n_spans)]
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


def _different(spans: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The different spans (n, 2), in order of their rows, and which of them each target has; or, where no two targets
    share one, all as they are, and None.
    """
    key = spans[:, 0] * (int(spans.max(initial=0)) + 1) + spans[:, 1]
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    return (spans, None) if len(first) == len(spans) else (spans[first], place)


def _span_index(
    spans: np.ndarray, place: np.ndarray | None, at: np.ndarray, n_rows: int, device: torch.device
) -> SpanIndex:
    """Index of the different spans whose tokens stand `at` these of the batch's rows."""

    def tensor(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array.astype(np.int64, copy=False)).to(device)

    picked, entry = np.unique(at, return_inverse=True)
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
    """Which sentences stand in which step: every epoch a new permutation, known from its number alone."""

    def __init__(self, n_sentences: int, batch: int, seed: int) -> None:
        self._n, self._batch, self._seed = n_sentences, batch, seed
        self.steps_per_epoch = -(-n_sentences // batch)
        self._kept: tuple[int, np.ndarray] = (-1, np.zeros(0, np.int64))

    def sentences(self, step: int) -> np.ndarray:
        """Sentences of step 0, 1, ..., ascending, as they are read; the last batch of an epoch may be smaller."""
        epoch, at = divmod(step, self.steps_per_epoch)
        if self._kept[0] != epoch:
            self._kept = (epoch, np.random.default_rng([self._seed, epoch]).permutation(self._n))
        return np.sort(self._kept[1][at * self._batch : (at + 1) * self._batch])


def in_order(targets: Targets, source: RowSource, batch: int, device: torch.device) -> Iterator[Batch]:
    """All sentences once, as they come."""
    for start in range(0, targets.n_sentences, batch):
        yield make_batch(targets, np.arange(start, min(start + batch, targets.n_sentences)), source, device)
