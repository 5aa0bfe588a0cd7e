"""Moments for each block of documents: all bootstrap and jackknife resamples from one pass over the rows.

Blocks are the units that are resampled. They consist of whole documents, because rows of one document depend on each
other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
import xxhash

from ..backends import get_backend
from ..backends.directions import both_directions
from ..core.errors import DegenerateError, ShapeError
from ..core.memory import format_bytes, memory_budget
from .accumulators import MomentsSet
from .centred import Centred
from .pair import Pair, Side
from .state import State

__all__ = ["BlockMoments", "Replicate", "RowBlocks", "row_blocks"]


@dataclass(frozen=True, eq=False)
class RowBlocks:
    """The block of each row; made by `row_blocks`."""

    of_row: np.ndarray
    """ndarray of shape (n_samples,), int64, counted from 0; every block has at least one row."""
    unit: str
    """``"documents"``, or ``"rows"`` if the documents are unknown and blocks hold consecutive rows."""

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of rows of each block, (n_blocks,)."""
        return np.bincount(self.of_row)

    @property
    def n_blocks(self) -> int:
        return len(self.counts)

    @cached_property
    def bounds(self) -> np.ndarray:
        """Boundaries of the blocks in the rows sorted by ``order``, (n_blocks + 1,)."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def order(self) -> np.ndarray | None:
        """Row numbers sorted by block; None if the rows are already sorted."""
        return None if (np.diff(self.of_row) >= 0).all() else np.argsort(self.of_row, kind="stable")

    @cached_property
    def digest(self) -> str:
        """Hash of the blocks: equal only for the same blocks of the same number of rows."""
        return xxhash.xxh3_64_hexdigest(np.ascontiguousarray(self.of_row, dtype="<i8").tobytes())


def row_blocks(n_rows: int, blocks: int, documents: np.ndarray | None = None) -> RowBlocks:
    """Cut rows into blocks of about equally many rows; documents are not divided.

    Parameters
    ----------
    n_rows : int
        Number of rows.
    blocks : int
        Largest number of blocks.
    documents : ndarray of shape (n_rows,), optional
        The document of each row. Documents are taken in the order of their first row. By default every row is a
        document of its own, and blocks hold consecutive rows.

    Returns
    -------
    RowBlocks

    Raises
    ------
    ShapeError
        If ``documents`` has another length.
    DegenerateError
        If there are fewer than two blocks.

    Examples
    --------
    >>> from pyrepsim.moments import row_blocks
    >>> row_blocks(6, 2).of_row
    array([0, 0, 0, 1, 1, 1])
    >>> row_blocks(6, 2, [7, 7, 7, 7, 3, 3]).counts
    array([4, 2])
    """
    if documents is None:
        size, document_of_row, unit = np.ones(n_rows, np.int64), np.arange(n_rows), "rows"
    else:
        if np.shape(documents) != (n_rows,):
            raise ShapeError(f"documents must name the document of each of {n_rows} rows: got {np.shape(documents)}.")
        _, first, inverse, count = np.unique(documents, return_index=True, return_inverse=True, return_counts=True)
        appearance = np.argsort(first)
        place = np.empty(len(first), np.int64)
        place[appearance] = np.arange(len(first))
        size, document_of_row, unit = count[appearance], place[inverse], "documents"
    if len(size) < 2:
        raise DegenerateError(
            f"Resampling needs at least two {unit}: got {len(size)}. Pass rows of more documents, or no interval."
        )
    if len(size) <= blocks:
        block = np.arange(len(size))
    else:
        # by the middle of each document; a document longer than a block skips block numbers, hence np.unique
        middle = 2 * np.cumsum(size) - size
        block = np.unique(middle * blocks // (2 * n_rows), return_inverse=True)[1]
    if block[-1] == 0:
        raise DegenerateError(
            f"Resampling needs at least two blocks: one of the {unit} holds nearly all of the {n_rows} rows. "
            "Pass rows of more documents, or no interval."
        )
    return RowBlocks(block[document_of_row].astype(np.int64), unit)


AT_ONCE = 8
"""Number of resamples whose sums are made by one matrix product, so that the blocks are read once for all of them."""


class BlockMoments:
    """The sums of a `MomentsSet` for each block of rows.

    Needs n_blocks + 8 times the memory of the sums without blocks, and about the same time. Resamples have the same
    bits for any chunking of the rows, any number of threads and any memory layout.

    Parameters
    ----------
    widths, pairs, transforms, precision, backend, n_threads, labels, memory
        As in `MomentsSet`.
    blocks : RowBlocks
        The block of each row.

    Raises
    ------
    ShapeError
        If the sums do not fit in memory; the message has the number of blocks that would fit.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> from pyrepsim.moments import BlockMoments, row_blocks
    >>> X = np.arange(12.0).reshape(6, 2)
    >>> moments = BlockMoments([2], [], row_blocks(6, 2))
    >>> moments.update([X])
    >>> (resample,) = moments.replicates(np.array([[2, 0]]))
    >>> resample.n_samples, resample.side(0).mean
    (6.0, array([2., 3.]))
    """

    def __init__(
        self,
        widths: Sequence[int],
        pairs: Sequence[tuple[int, int]],
        blocks: RowBlocks,
        *,
        transforms: Sequence[str] = ("raw",),
        precision: str = "fp64",
        backend: str = "auto",
        n_threads: int | None = None,
        labels: Sequence[str] | None = None,
        memory: int | str | None = None,
    ) -> None:
        self._options = {"transforms": transforms, "precision": precision, "backend": backend, "n_threads": n_threads}
        self._options |= {"labels": labels, "memory": memory}
        self._set = self._new(widths, pairs)
        self._blocks = blocks
        self._check_memory()
        self._open: dict[int, MomentsSet] = {}
        self._stacks: dict[str, _Stack] = {}
        self.n_samples = 0

    @property
    def backend(self) -> str:
        return self._set.backend

    @property
    def n_threads(self) -> int:
        return self._set.n_threads

    @property
    def n_scored_at_once(self) -> int:
        """How many resamples may be scored at the same time, each with decompositions of its own, in this memory."""
        one, available = self._bytes_of_one()
        spare = available - (self._blocks.n_blocks + AT_ONCE + 2) * one
        return max(1, min(self.n_threads, AT_ONCE, spare // (3 * one)))

    def update(self, chunk: Sequence[Any]) -> None:
        """Add the next rows, in their order: one array of shape (n_rows, width) for each representation.

        Raises the errors of `MomentsSet.update`, before anything is added.
        """
        views = self._set.checked(chunk, first_row=self.n_samples)
        stop = self.n_samples + len(views[0])
        if stop > len(self._blocks.of_row):
            raise ShapeError(
                f"the rows must be those of the blocks: got {stop} rows, blocks of {len(self._blocks.of_row)}."
            )
        of_row = self._blocks.of_row[self.n_samples : stop]
        for block in np.unique(of_row):
            mine = np.flatnonzero(of_row == block)
            consecutive = mine[-1] - mine[0] == len(mine) - 1
            part = slice(int(mine[0]), int(mine[-1]) + 1) if consecutive else mine
            self._add(int(block), [view[part] for view in views])
        self.n_samples = stop

    def replicates(self, weights: np.ndarray) -> Iterator[Replicate]:
        """For each row of ``weights`` (n_resamples, n_blocks): the moments with block s counted weights[s] times."""
        if self.n_samples != len(self._blocks.of_row):
            raise ShapeError(
                f"resampling needs all rows of the blocks: got {self.n_samples} of {len(self._blocks.of_row)} so far. "
                "Call update(...) with the rest first."
            )
        if np.ndim(weights) != 2 or np.shape(weights)[1] != self._blocks.n_blocks:
            raise ShapeError(
                f"weights must have shape (n_resamples, {self._blocks.n_blocks}): got {np.shape(weights)}."
            )
        options, counts = {"labels": self._set.labels, "n_threads": self.n_threads}, self._blocks.counts
        for start in range(0, len(weights), AT_ONCE):
            part = np.asarray(weights[start : start + AT_ONCE], dtype=np.float64)
            states = {kind: stack.combined(part) for kind, stack in self._stacks.items()}
            for r, drawn in enumerate(part):
                copies = float(np.sum(counts * drawn * (drawn - 1))) / 2
                yield Replicate({kind: states[kind][r] for kind in states}, copies=copies, **options)

    def _add(self, block: int, views: list[Any]) -> None:
        if block not in self._open:
            self._open[block] = self._new(self._set.widths, self._set.pairs)
        self._open[block].add(views)
        if self._open[block].n_samples == self._blocks.counts[block]:
            done = self._open.pop(block)
            for kind in done.transforms:
                state = done.state(kind)
                if kind not in self._stacks:
                    self._stacks[kind] = _Stack(state, self._blocks.n_blocks)
                self._stacks[kind].put(block, state)

    def _new(self, widths: Sequence[int], pairs: Sequence[tuple[int, int]]) -> MomentsSet:
        return MomentsSet(widths, pairs, **self._options)

    def _bytes_of_one(self) -> tuple[int, int]:
        """Bytes of the sums of one block or resample, and of the memory for all of them."""
        widths, pairs = self._set.widths, self._set.pairs
        n_products = sum(d * d for d in widths) + sum(widths[i] * widths[j] for i, j in pairs)
        return 8 * len(self._set.transforms) * n_products, memory_budget(self._options["memory"]) // 2

    def _check_memory(self) -> None:
        one, available = self._bytes_of_one()
        wanted, widths, pairs = self._blocks.n_blocks, self._set.widths, self._set.pairs
        # in addition to the blocks: the resamples made at once, and the block that is being summed
        if (wanted + AT_ONCE + 2) * one > available:
            most = available // one - AT_ONCE - 2
            remedy = f"Use blocks={most}, or compare" if most >= 2 else "Compare"
            raise ShapeError(
                f"the sums of {wanted} blocks must fit into half of memory: widths {widths} with {len(pairs)} pairs "
                f"need {format_bytes((wanted + AT_ONCE + 2) * one)} of {format_bytes(available)}. "
                f"{remedy} fewer layers at once."
            )


class Replicate:
    """Moments of one resample of blocks; sides are centred once for all pairs and measures."""

    def __init__(self, states: dict[str, State], **options: Any) -> None:
        self._centred = {kind: Centred(state, **options) for kind, state in states.items()}

    @property
    def n_samples(self) -> float:
        return next(iter(self._centred.values())).n_samples

    def side(self, index: int, transform: str = "raw") -> Side:
        """Centred moments of one representation."""
        return self._centred[transform].side(index)

    def pair_at(self, k: int, transform: str = "raw") -> Pair:
        """Centred moments of the k-th pair."""
        return self._centred[transform].pair_at(k)


class _Stack:
    """The states of all blocks, stacked array by array, and moved to a common shift when all blocks are complete."""

    def __init__(self, like: State, n_blocks: int) -> None:
        self._like = like
        self._n = np.zeros(n_blocks)
        self._shifts = [np.zeros((n_blocks, width)) for width in like.widths]
        self._directions: list[tuple[np.ndarray | None, ...]] = [()] * n_blocks
        self._arrays = [np.zeros((n_blocks, *array.shape)) for array in _arrays(like)]
        self._shift: tuple[np.ndarray, ...] | None = None

    def put(self, block: int, state: State) -> None:
        self._n[block], self._directions[block] = state.n_samples, state.directions
        for stack, array in zip([*self._shifts, *self._arrays], [*state.shift, *_arrays(state)], strict=True):
            stack[block] = array

    def combined(self, weights: np.ndarray) -> list[State]:
        """The state of each row of weights."""
        shift = self._move_to_common_shift()
        n_squares = len(self._like.products) + len(self._like.cross)
        sums = [_combined(weights, stack, k < n_squares) for k, stack in enumerate(self._arrays)]
        return [
            replace(
                _with_arrays(self._like, float(n), shift, [array[r] for array in sums]),
                directions=self._directions_of(weights[r]),
            )
            for r, n in enumerate(weights @ self._n)
        ]

    def _directions_of(self, weights: np.ndarray) -> tuple[np.ndarray | None, ...]:
        """For each side the directions with which the rows of all blocks that are drawn agree."""
        drawn = [self._directions[block] for block in np.flatnonzero(weights)]
        return tuple(reduce(both_directions, of_side) for of_side in zip(*drawn, strict=True))

    def _move_to_common_shift(self) -> tuple[np.ndarray, ...]:
        if self._shift is None:
            # the median: a feature that is constant in most blocks keeps sums of exactly 0 in them
            self._shift = tuple(np.median(shifts, axis=0) for shifts in self._shifts)
            for block, n in enumerate(self._n):
                own = tuple(shifts[block] for shifts in self._shifts)
                state = _with_arrays(self._like, float(n), own, [stack[block] for stack in self._arrays])
                for stack, array in zip(self._arrays, _arrays(state.around(self._shift)), strict=True):
                    stack[block] = array
        return self._shift


def _combined(weights: np.ndarray, stack: np.ndarray, square: bool) -> np.ndarray:
    """The sum of the blocks for each row of weights.

    BLAS may add in another order near the end of a line. Products of two layers have the same place in their matrices.
    Sums with the norms of different layers are in different lines, and must be equal where the layers are: so they are
    added in one order.
    """
    lines = stack.reshape(len(stack), -1)
    vector_matrix = get_backend().vector_matrix
    sums = weights @ lines if square else np.stack([vector_matrix(weight, lines) for weight in weights])
    return sums.reshape(-1, *stack.shape[1:])


def _arrays(state: State) -> list[np.ndarray]:
    return [*state.products, *state.cross, *state.weighted, *state.rounding, state.norms]


def _with_arrays(like: State, n: float, shift: tuple[np.ndarray, ...], arrays: list[np.ndarray]) -> State:
    rest = iter(arrays)

    def taken(like: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        return tuple(next(rest) for _ in like)

    return State(
        transform=like.transform,
        precision=like.precision,
        pairs=like.pairs,
        n_samples=n,
        shift=shift,
        products=taken(like.products),
        cross=taken(like.cross),
        weighted=taken(like.weighted),
        rounding=taken(like.rounding),
        norms=next(rest),
    )
