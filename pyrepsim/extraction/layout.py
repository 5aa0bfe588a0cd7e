"""One shard of a plan laid out: its rows, the sequences the model reads, and where each row comes from.

A *row* is a token, or a word made of its subwords. A *sequence* is what the model reads at once: a whole
document or one window of a long one. Rows stand in the order of the documents; sequences are batched by
length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .columns import row_columns
from .documents import Corpus
from .policy import Policy
from .sequences import Sequences, batch_sequences, cut_sequences
from .tokens import TokenTable
from .units import Units, find_units


@dataclass(frozen=True, eq=False)
class Batch:
    """Sequences that enter the model together, and the rows that leave it.

    `ids` (sequences, tokens) is padded with -1 at the end; row ``rows[i]`` of the shard is made of
    ``counts[i]`` tokens from ``picks[i]`` on, an index into the flattened (sequences * tokens) axis.
    """

    ids: np.ndarray
    picks: np.ndarray
    counts: np.ndarray
    rows: np.ndarray

    @property
    def n_tokens(self) -> int:
        """Tokens that are not padding."""
        return int((self.ids >= 0).sum())

    def select(self, keep: np.ndarray) -> Batch:
        """The same sequences with the rows that the mask over all rows of the shard keeps."""
        kept = keep[self.rows]
        return Batch(self.ids, self.picks[kept], self.counts[kept], self.rows[kept])


@dataclass(frozen=True, eq=False)
class ShardLayout:
    """The rows of one shard (`columns`, as the store names them) and how to compute them (`batches`)."""

    columns: dict[str, np.ndarray]
    sequences: Sequences
    units: Units
    batch_ptr: np.ndarray
    order: np.ndarray
    table: TokenTable

    @property
    def n_rows(self) -> int:
        return len(self.units.first)

    @property
    def n_tokens(self) -> int:
        """Tokens that the model reads, without padding."""
        return int(self.sequences.length[self.order].sum())

    @property
    def n_padded(self) -> int:
        """Tokens that the model reads, with padding."""
        longest = self.sequences.length[self.order[self.batch_ptr[:-1]]]
        return int((longest * np.diff(self.batch_ptr)).sum())

    def fingerprint(self) -> bytes:
        """Which sequences share a batch: with the token ids, all that decides the numbers a model gives."""
        chosen = self.sequences
        columns = (chosen.document, chosen.start, chosen.stop)
        return b"".join(column[self.order].astype("<i8").tobytes() for column in columns) + self.batch_ptr.tobytes()

    def batches(self) -> Iterator[Batch]:
        by_sequence = np.argsort(self.units.sequence, kind="stable")
        ptr = np.searchsorted(self.units.sequence[by_sequence], np.arange(len(self.sequences.length) + 1))
        for begin, end in zip(self.batch_ptr[:-1], self.batch_ptr[1:], strict=True):
            members = self.order[begin:end]
            width = int(self.sequences.length[members[0]])
            ids = np.full((len(members), width), -1, np.int64)
            rows, lines = [], []
            for line, member in enumerate(members):
                sequence = self.sequences.ids(self.table, member)
                ids[line, : len(sequence)] = sequence
                rows.append(by_sequence[ptr[member] : ptr[member + 1]])
                lines.append(np.full(len(rows[-1]), line * width))
            row = np.concatenate(rows)
            picks = np.concatenate(lines) + self.units.position[row]
            yield Batch(ids, picks, self.units.last[row] - self.units.first[row] + 1, row)


def lay_out(corpus: Corpus, table: TokenTable, policy: Policy, low: int, high: int) -> ShardLayout:
    """Lay out documents low..high-1 as one shard."""
    sequences, ptr = cut_sequences(table, policy, low, high)
    units = find_units(corpus, table, policy, low, high, ptr)
    order, batch_ptr = batch_sequences(sequences.length, units.sequence, policy.batch_tokens)
    columns = row_columns(corpus, table, policy, units, sequences.window[units.sequence])
    return ShardLayout(columns, sequences, units, batch_ptr, order, table)
