"""The layout of one shard: its rows, the sequences that the model reads, and where each row comes from.

A *row* is a token, or a word made of its subwords. A *sequence* is what the model reads at once: a whole document, or
one window of a long one. Rows are in document order; batches hold sequences of similar length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..core.errors import TextError
from ..data.documents import Corpus
from ..store.columns import TokenFlag, word_hashes
from .options import ReadingPolicy
from .tokens import TokenTable


def is_long(policy: ReadingPolicy, lengths: np.ndarray) -> np.ndarray:
    """Mask of the documents that do not fit into one sequence."""
    return np.zeros(len(lengths), bool) if policy.max_length is None else lengths > policy.max_length


def window_starts(length: int, capacity: int) -> np.ndarray:
    """First content token of each window of `capacity` tokens over a document of `length` tokens.

    Windows are evenly spaced and neighbours share at least half a window. So every token, except near the ends of the
    document, is at least a quarter of a window away from both edges of some window.
    """
    if length <= capacity:
        return np.zeros(1, np.int64)
    overlap = capacity // 2
    count = -(-(length - overlap) // (capacity - overlap))
    return np.round(np.linspace(0, length - capacity, count)).astype(np.int64)


def choose_windows(first: np.ndarray, last: np.ndarray, starts: np.ndarray, capacity: int) -> np.ndarray:
    """For each run of tokens first..last, the window in which the run is farthest from the nearer edge.

    Ties go to the earlier window; -1 if no window holds the whole run. A single token is a run of length one.
    """
    best = np.full(len(first), -1, np.int64)
    distance = np.full(len(first), -1, np.int64)
    lowest = np.searchsorted(starts, last - capacity + 1)
    highest = np.searchsorted(starts, first, side="right") - 1
    for step in range(int((highest - lowest).max(initial=-1)) + 1):
        window = np.minimum(lowest + step, len(starts) - 1)
        start = starts[window]
        inside = lowest + step <= highest
        candidate = np.where(inside, np.minimum(first - start, start + capacity - 1 - last), -1)
        better = candidate > distance
        best[better], distance[better] = window[better], candidate[better]
    return best


_SIMILAR_FRAC = 0.75
_MIN_BATCH_FRAC = 1 / 8


@dataclass(frozen=True, eq=False)
class Sequences:
    """Document, window number, and content tokens start..stop (indices into the token table) of each sequence."""

    document: np.ndarray
    window: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    length: np.ndarray

    def ids(self, table: TokenTable, index: int) -> np.ndarray:
        low, high = table.ptr[self.document[index]], table.ptr[self.document[index] + 1]
        head, tail = table.ids[low : low + table.prefix], table.ids[high - table.suffix : high]
        if self.length[index] == high - low:
            return table.ids[low:high]
        return np.concatenate([head, table.ids[self.start[index] : self.stop[index]], tail])


def cut_sequences(table: TokenTable, policy: ReadingPolicy, low: int, high: int) -> tuple[Sequences, np.ndarray]:
    """Sequences of documents low..high-1, in document order, and the first sequence of each document."""
    lengths = table.lengths[low:high]
    special = table.prefix + table.suffix
    capacity = (policy.max_length or 0) - special
    cuts: list[np.ndarray] = [np.zeros(1, np.int64)] * (high - low)
    long = is_long(policy, lengths)
    if policy.long == "window":
        for index in np.flatnonzero(long):
            cuts[index] = window_starts(int(lengths[index]) - special, capacity)
    counts = np.array([len(cut) for cut in cuts], np.int64)
    ptr = np.concatenate([[0], np.cumsum(counts)])
    document = np.repeat(np.arange(low, high), counts)
    start = table.ptr[document] + table.prefix + np.concatenate(cuts)
    size = np.repeat(np.where(long, capacity, lengths - special), counts)
    window = np.arange(len(document)) - np.repeat(ptr[:-1], counts)
    return Sequences(document, window, start, start + size, size + special), ptr


def batch_sequences(length: np.ndarray, used: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences that hold rows, longest first (ties in document order), and the boundaries of the batches.

    A batch ends where its padded tokens would exceed `budget`. Once it has an eighth of the budget, it also ends before
    a sequence shorter than 3/4 of its longest: a third less padding on mixed text than with full batches.
    """
    members = np.unique(used)
    order = members[np.argsort(-length[members], kind="stable")]
    falling = -length[order]
    cuts = [0]
    while cuts[-1] < len(order):
        first, longest = cuts[-1], -int(falling[cuts[-1]])
        most = first + max(1, budget // longest)
        least = first + max(1, int(_MIN_BATCH_FRAC * budget) // longest)
        shorter = int(np.searchsorted(falling, -_SIMILAR_FRAC * longest, side="right"))
        cuts.append(min(len(order), most, max(least, shorter)))
    return order, np.array(cuts, np.int64)


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
    flags[is_long(policy, table.lengths[document])] |= np.uint8(TokenFlag.TRUNCATED_CONTEXT)
    if len(first):
        unknown = table.ids[first[0] : last[-1] + 1] == table.unknown_id
        before = np.concatenate([[0], np.cumsum(unknown)])
        flags[before[last + 1 - first[0]] > before[first - first[0]]] |= np.uint8(TokenFlag.UNKNOWN)
    columns = {"doc_id": document, "word_id": word, "window_id": window, "flags": flags}
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
class Units:
    """One entry per row: tokens first..last of a `document`, read at `position` of a `sequence`."""

    first: np.ndarray
    last: np.ndarray
    document: np.ndarray
    sequence: np.ndarray
    position: np.ndarray


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
    return Units(*(column[keep] for column in (first, last, document, sequence, position)))


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


@dataclass(frozen=True, eq=False)
class Batch:
    """Sequences that enter the model together, and the rows that are computed from them.

    `ids` (sequences, tokens) is padded with -1 at the end. Row ``rows[i]`` of the shard is made of ``counts[i]``
    consecutive tokens, the first of them at ``picks[i]`` of the flattened (sequences * tokens) axis.
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
        """The same sequences with the rows where `keep`, a mask over all rows of the shard, is true."""
        kept = keep[self.rows]
        return Batch(self.ids, self.picks[kept], self.counts[kept], self.rows[kept])


@dataclass(frozen=True, eq=False)
class ShardLayout:
    """The rows of one shard (`columns`, by the store's names) and the batches that compute them (`batches`)."""

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
            rows, offsets = [], []
            for index, member in enumerate(members):
                sequence = self.sequences.ids(self.table, member)
                ids[index, : len(sequence)] = sequence
                rows.append(by_sequence[ptr[member] : ptr[member + 1]])
                offsets.append(np.full(len(rows[-1]), index * width))
            row = np.concatenate(rows)
            picks = np.concatenate(offsets) + self.units.position[row]
            yield Batch(ids, picks, self.units.last[row] - self.units.first[row] + 1, row)


def lay_out(corpus: Corpus, table: TokenTable, policy: ReadingPolicy, low: int, high: int) -> ShardLayout:
    """Lay out documents low..high-1 as one shard."""
    sequences, ptr = cut_sequences(table, policy, low, high)
    units = find_units(corpus, table, policy, low, high, ptr)
    order, batch_ptr = batch_sequences(sequences.length, units.sequence, policy.batch_tokens)
    columns = row_columns(corpus, table, policy, units, sequences.window[units.sequence])
    return ShardLayout(columns, sequences, units, batch_ptr, order, table)
