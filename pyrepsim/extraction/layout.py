"""The layout of one shard: its rows, the sequences that the model reads, and where each row comes from.

A *row* is a token, or a word made of its subwords. A *sequence* is what the model reads at once: a whole document, or
one window of a long one. Rows are in document order; batches hold sequences of similar length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import TextError
from ..data.documents import Corpus
from ..store.columns import TokenFlag, token_mask, word_hashes
from .documents import Pieces, document_columns, find_pieces
from .options import ReadingPolicy
from .sequences import Sequences, batch_sequences, choose_windows, cut_sequences, is_long, window_starts
from .tokens import TokenTable


@dataclass(frozen=True, eq=False)
class Units:
    """One entry per row: tokens first..last of a `document`, read at `position` of a `sequence`."""

    first: np.ndarray
    last: np.ndarray
    document: np.ndarray
    sequence: np.ndarray
    position: np.ndarray

    def select(self, keep: np.ndarray) -> Units:
        """Return the units where the mask `keep` is true."""
        return Units(*(column[keep] for column in (self.first, self.last, self.document, self.sequence, self.position)))


def find_units(corpus: Corpus, table: TokenTable, policy: ReadingPolicy, low: int, high: int, ptr: np.ndarray) -> Units:
    """Units (tokens or words) of documents low..high-1, in order; `ptr` is the first sequence of each document.

    Raises
    ------
    TextError
        If a word of a long document fits into no window.
    """
    first, last = _token_units(table, low, high) if policy.words is None else _word_units(table, low, high)
    document = np.searchsorted(table.ptr, first, side="right") - 1
    sequence = ptr[document - low]
    position = first - table.ptr[document]
    keep = np.ones(len(first), bool)
    for long in np.flatnonzero(is_long(policy, table.lengths[low:high])) + low:
        units = slice(*np.searchsorted(document, [long, long + 1]))
        window, position[units] = _place_in_windows(corpus, table, policy, long, first[units], last[units])
        sequence[units] += np.maximum(window, 0)
        keep[units] = window >= 0
    return Units(first, last, document, sequence, position).select(keep)


def _token_units(table: TokenTable, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.arange(table.ptr[low], table.ptr[high])
    return tokens, tokens.copy()


def _word_units(table: TokenTable, low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """First and last token of every word that has tokens. The tokens of a word are adjacent."""
    begin, end = int(table.ptr[low]), int(table.ptr[high])
    word = table.word[begin:end].astype(np.int64)
    key = word + table.word_ptr[np.repeat(np.arange(low, high), table.lengths[low:high])]
    inside = np.flatnonzero(word >= 0)
    starts = np.ones(len(inside), bool)
    starts[1:] = np.diff(key[inside]) != 0
    first = inside[starts]
    last = inside[np.append(np.flatnonzero(starts)[1:], len(inside)) - 1] if len(inside) else first
    return first + begin, last + begin


def _place_in_windows(
    corpus: Corpus, table: TokenTable, policy: ReadingPolicy, document: int, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Window (-1: cut off) of each unit of a long document, and its position in that window's sequence."""
    length = int(table.lengths[document]) - table.prefix - table.suffix
    capacity = policy.max_length - table.prefix - table.suffix  # type: ignore[operator]
    starts = window_starts(length, capacity) if policy.long == "window" else np.zeros(1, np.int64)
    first, last = first - table.ptr[document] - table.prefix, last - table.ptr[document] - table.prefix
    window = choose_windows(first, last, starts, capacity)
    window[first < 0] = 0
    window[first >= length] = len(starts) - 1
    if policy.long == "window" and (window < 0).any():
        size = int((last - first)[window < 0].max()) + 1
        raise TextError(
            f"A word must fit into the overlap of two windows: document {corpus[document].key!r} has a word of "
            f"{size} tokens for windows of {capacity}. Raise max_length, or extract tokens (words=None)."
        )
    position = table.prefix + first - starts[np.maximum(window, 0)]
    suffix = first >= length
    position[suffix] = table.prefix + capacity + first[suffix] - length
    return window, position


def row_columns(
    corpus: Corpus, table: TokenTable, policy: ReadingPolicy, units: Units, window: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns of the rows, by the names that the store uses.

    A token is identified by its id and its position among all tokens of the document, special tokens included. A word
    is identified by its index in the document and a hash of its characters (column ``token_id``). The hash is the same
    for every tokenizer, so the words of two stores match across tokenizers.
    """
    first, last, document = units.first, units.last, units.document
    word = table.word[first]
    flags = np.zeros(len(first), np.uint8)
    flags[is_long(policy, table.lengths[document]) | table.cut[document]] |= np.uint8(TokenFlag.TRUNCATED_CONTEXT)
    flags[table.assistant[first]] |= np.uint8(TokenFlag.ASSISTANT)
    if len(first):
        unknown = table.ids[first[0] : last[-1] + 1] == table.unknown_id
        before = np.concatenate([[0], np.cumsum(unknown)])
        flags[before[last + 1 - first[0]] > before[first - first[0]]] |= np.uint8(TokenFlag.UNKNOWN)
    columns = {"doc_id": document, "word_id": word, "window_id": window, "flags": flags}
    if table.segment is not None:
        columns["sent_id"] = table.segment[first]
    if policy.words is not None:
        flags |= np.uint8(TokenFlag.FIRST_SUBWORD | TokenFlag.LAST_SUBWORD)
        index = table.word_ptr[document] + word
        start, end = table.word_start[index], table.word_end[index]
        spans = zip(document.tolist(), start.tolist(), end.tolist(), strict=True)
        hashes = word_hashes(corpus[d].text[first:stop] for d, first, stop in spans)
        return columns | {"position": word, "token_id": hashes, "char_start": start, "char_end": end}
    flags[table.special[first]] |= np.uint8(TokenFlag.SPECIAL)
    edge = np.ones(len(first) + 1, bool)
    edge[1:-1] = (np.diff(word) != 0) | (np.diff(document) != 0)
    flags[(word >= 0) & edge[:-1]] |= np.uint8(TokenFlag.FIRST_SUBWORD)
    flags[(word >= 0) & edge[1:]] |= np.uint8(TokenFlag.LAST_SUBWORD)
    return columns | {
        "position": first - table.ptr[document],
        "token_id": table.ids[first],
        "char_start": table.char_start[first],
        "char_end": table.char_end[first],
    }


@dataclass(frozen=True, eq=False)
class Batch:
    """Sequences that enter the model together, and the rows that are computed from them.

    `ids` (sequences, tokens) is padded with -1 at the end. Row ``rows[i]`` of the shard (with a row per document: piece
    ``rows[i]`` of `Pieces`) is made of ``counts[i]`` tokens. `picks` are the places of all these tokens on the
    flattened (sequences * tokens) axis, row after row. `types` are the token types of `ids`, if they matter.
    """

    ids: np.ndarray
    picks: np.ndarray
    counts: np.ndarray
    rows: np.ndarray
    types: np.ndarray | None = None

    @property
    def n_tokens(self) -> int:
        """Tokens that are not padding."""
        return int((self.ids >= 0).sum())

    def select(self, keep: np.ndarray) -> Batch:
        """The same sequences with the rows where `keep`, a mask over all rows of the shard, is true."""
        kept = keep[self.rows]
        picks = self.picks[np.repeat(kept, self.counts)]
        return replace(self, picks=picks, counts=self.counts[kept], rows=self.rows[kept])

    def first(self, n_sequences: int) -> Batch:
        """The first sequences, padded as they are, with their rows."""
        ids = self.ids[:n_sequences]
        n_picks = int(np.count_nonzero(self.picks < ids.size))
        n_rows = int(np.searchsorted(np.cumsum(self.counts), n_picks, side="right"))
        types = None if self.types is None else self.types[:n_sequences]
        return Batch(ids, self.picks[:n_picks], self.counts[:n_rows], self.rows[:n_rows], types)


@dataclass(frozen=True, eq=False)
class ShardLayout:
    """The rows of one shard (`columns`, by the store's names) and the batches that compute them (`batches`)."""

    columns: dict[str, np.ndarray]
    sequences: Sequences
    units: Units
    batch_ptr: np.ndarray
    order: np.ndarray
    table: TokenTable
    pieces: Pieces | None = None

    @property
    def n_rows(self) -> int:
        return len(self.columns["doc_id"])

    def rows_of(self, batch: Batch) -> np.ndarray:
        """The rows of the shard that those of a batch are, or are parts of."""
        return batch.rows if self.pieces is None else self.pieces.row[batch.rows]

    @property
    def n_tokens(self) -> int:
        """Number of tokens that the model reads, without padding."""
        return int(self.sequences.length[self.order].sum())

    @property
    def n_padded(self) -> int:
        """Number of tokens that the model reads, padding included."""
        longest = self.sequences.length[self.order[self.batch_ptr[:-1]]]
        return int((longest * np.diff(self.batch_ptr)).sum())

    def fingerprint(self) -> bytes:
        """Bytes that identify the batches. Together with the token ids they decide the model's output."""
        columns = (self.sequences.document, self.sequences.start, self.sequences.stop)
        return b"".join(column[self.order].astype("<i8").tobytes() for column in columns) + self.batch_ptr.tobytes()

    def batches(self) -> Iterator[Batch]:
        by_sequence = np.argsort(self.units.sequence, kind="stable")
        ptr = np.searchsorted(self.units.sequence[by_sequence], np.arange(len(self.sequences.length) + 1))
        for begin, end in zip(self.batch_ptr[:-1], self.batch_ptr[1:], strict=True):
            members = self.order[begin:end]
            width = int(self.sequences.length[members[0]])
            ids = np.full((len(members), width), -1, np.int64)
            types = None if self.table.types is None else np.zeros_like(ids)
            own = [by_sequence[ptr[member] : ptr[member + 1]] for member in members]
            for index, member in enumerate(members):
                sequence = self.sequences.ids(self.table, member)
                ids[index, : len(sequence)] = sequence
                if types is not None:
                    types[index, : len(sequence)] = self.sequences.types(self.table, member)
            unit = np.concatenate(own)
            offset = np.repeat(np.arange(len(members)) * width, [len(units) for units in own])
            counts = self.units.last[unit] - self.units.first[unit] + 1
            ends = np.cumsum(counts)
            within = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
            picks = np.repeat(offset + self.units.position[unit], counts) + within
            if self.pieces is None:
                yield Batch(ids, picks, counts, unit, types)
            else:
                rows = np.searchsorted(self.pieces.sequence, members)
                yield Batch(ids, picks, np.array([len(units) for units in own]), rows, types)


def lay_out(corpus: Corpus, table: TokenTable, policy: ReadingPolicy, low: int, high: int) -> ShardLayout:
    """Lay out documents low..high-1 as one shard."""
    sequences, ptr = cut_sequences(table, policy, low, high)
    units = find_units(corpus, table, policy, low, high, ptr)
    columns = row_columns(corpus, table, policy, units, sequences.window[units.sequence])
    if policy.tokens != "all":
        keep = token_mask(columns, policy.tokens, len(units.first))
        units, columns = units.select(keep), {name: column[keep] for name, column in columns.items()}
    pieces = None
    if policy.by_document:
        pieces, columns = find_pieces(units.document, units.sequence), document_columns(corpus, columns)
    order, batch_ptr = batch_sequences(sequences.length, units.sequence, policy.batch_tokens)
    return ShardLayout(columns, sequences, units, batch_ptr, order, table, pieces)
