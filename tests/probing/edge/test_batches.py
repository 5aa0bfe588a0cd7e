"""Batches: spans that targets share are indexed once, and each target has its own tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyrepsim.probing.edge.batches import Order, make_batch
from pyrepsim.probing.edge.targets import Targets, pointers

CPU = torch.device("cpu")


class Numbers:
    """A source whose vector of a row is the number of the row."""

    names, width = ("one",), 1

    def read(self, rows):
        return rows.astype(np.float32)[None, :, None]


def targets_of(spans, counts):
    n = len(spans)
    return Targets(
        ("A",), pointers(counts), np.arange(len(counts)), np.arange(len(counts)), np.array(spans), np.arange(n + 1),
        np.zeros(n, int), {},
    )  # fmt: skip


def tokens_of(batch, k):
    """Rows of span k of each target, found through the index."""
    span = batch.spans[k]
    rows = batch.x[0, :, 0] if span.rows is None else batch.x[0, span.rows, 0]
    entries = rows if span.entry is None else rows[span.entry]
    place = range(batch.n_targets) if span.place is None else span.place.tolist()
    return [sorted(entries[span.owner == one].int().tolist()) for one in place]


@pytest.mark.parametrize("sentences", [[0, 1, 2, 3], [3, 1], [2]])
def test_each_target_finds_its_tokens(rng, sentences):
    spans, counts = [], [5, 1, 7, 4]
    for sentence, count in enumerate(counts):
        starts = 10 * sentence + rng.integers(0, 4, (count, 2))
        spans += [[[s, s + rng.integers(1, 4)] for s in pair] for pair in starts]
    targets = targets_of(spans, counts)
    batch = make_batch(targets, np.array(sentences), Numbers(), CPU)
    for k in range(2):
        assert tokens_of(batch, k) == [list(range(*targets.spans[t, k])) for t in batch.targets]
        different = {tuple(targets.spans[t, k]) for t in batch.targets}
        assert batch.spans[k].n_different == len(different)
        assert batch.spans[k].single == all(end - start == 1 for start, end in different)


def test_words_with_one_head_share_it_and_copy_nothing():
    spans = [[[i, i + 1], [4 if i < 3 else 6, 5 if i < 3 else 8]] for i in range(8)]
    words, heads = make_batch(targets_of(spans, [8]), np.array([0]), Numbers(), CPU).spans
    assert words.rows is words.entry is words.place is None
    assert words.single
    assert heads.rows.tolist() == [4, 6, 7]
    assert heads.entry is None
    assert heads.owner.tolist() == [0, 1, 1]
    assert heads.place.tolist() == [0, 0, 0, 1, 1, 1, 1, 1]


def test_an_epoch_has_every_sentence_once_in_ascending_batches():
    order = Order(23, 5, 0)
    for epoch in range(2):
        batches = [order.sentences(epoch * order.steps_per_epoch + step) for step in range(order.steps_per_epoch)]
        assert sorted(np.concatenate(batches)) == list(range(23))
        assert all((np.diff(batch) > 0).all() for batch in batches)
    assert order.sentences(0).tolist() != order.sentences(5).tolist()
