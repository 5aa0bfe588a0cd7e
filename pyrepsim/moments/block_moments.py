"""Moments kept per block of documents: every bootstrap replicate and delete-one value from one pass over the rows.

FOLDED: Rows cut into blocks of whole documents: the units that are resampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xxhash

from ..core.errors import DegenerateError, ShapeError
from ..core.memory import format_bytes, total_memory
from .accumulators import MomentsSet
from .centred import Centred
from .pair import Pair, Side
from .state import State

__all__ = ["BlockMoments", "Replicate", "RowBlocks", "row_blocks"]


@dataclass(frozen=True, eq=False)
class RowBlocks:
    """Which block each row is in."""

    of_row: np.ndarray
    """(n,), int64, from 0; every block has rows."""
    unit: str
    """``"documents"``, or ``"rows"`` where documents are not known and blocks are of consecutive rows."""

    @cached_property
    def counts(self) -> np.ndarray:
        """Rows of each block, (S,)."""
        return np.bincount(self.of_row)

    @property
    def n_blocks(self) -> int:
        return len(self.counts)

    @cached_property
    def bounds(self) -> np.ndarray:
        """Boundaries of the blocks among the rows in ``order``, (S + 1,)."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def order(self) -> np.ndarray | None:
        """Row numbers, block after block; None where rows are in that order already."""
        return None if (np.diff(self.of_row) >= 0).all() else np.argsort(self.of_row, kind="stable")

    @cached_property
    def digest(self) -> str:
        """Equal for equal cuts of equally many rows."""
        return xxhash.xxh3_64_hexdigest(np.ascontiguousarray(self.of_row, dtype="<i8").tobytes())


def row_blocks(n_rows: int, blocks: int, documents: np.ndarray | None = None) -> RowBlocks:
    """At most ``blocks`` blocks of about equally many rows, of documents in their order of first appearance.

    documents : (n,), each row's document; None: every row is one, and blocks are of consecutive rows.

    Raises ShapeError for as many documents as there are not rows, DegenerateError for fewer than two blocks.
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
            f"Blocks are resampled: there must be at least two {unit}, got {len(size)}. "
            "Pass rows of more documents, or leave the interval out."
        )
    if len(size) <= blocks:
        block = np.arange(len(size))
    else:
        # by the middle of each document; one that is longer than a block leaves numbers out
        middle = 2 * np.cumsum(size) - size
        block = np.unique(middle * blocks // (2 * n_rows), return_inverse=True)[1]
    if block[-1] == 0:
        raise DegenerateError(f"Blocks are resampled: one of the {unit} must not hold nearly all of {n_rows} rows.")
    return RowBlocks(block[document_of_row].astype(np.int64), unit)


_AT_ONCE = 8
"""Replicates whose sums are made by one product: the blocks are read once for all, and the bits don't vary."""


class BlockMoments:
    """The sums of a `MomentsSet` for each block of rows, fed with the rows in their order, chunk by chunk.

    Takes S + 8 times the memory of the plain sums; in time, a pass is what it is without blocks. Replicates have the
    same bits for any chunking of the rows, any number of threads and any memory layout.

    Raises ShapeError at once where the sums would not fit into memory, with the number of blocks that would.
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
    ) -> None:
        self._options = {"transforms": transforms, "precision": precision, "backend": backend, "n_threads": n_threads}
        self._options["labels"] = labels
        self._set = self._new(widths, pairs)
        self._blocks = blocks
        self._refuse_what_does_not_fit()
        self._open: dict[int, MomentsSet] = {}
        self._stacks: dict[str, _Stack] = {}
        self.n_samples = 0

    @property
    def backend(self) -> str:
        return self._set.backend

    @property
    def n_threads(self) -> int:
        return self._set.n_threads

    def update(self, chunk: Sequence[Any]) -> None:
        """Add the next rows: an array (n, width) for each representation, rows matched by position.

        Raises as `MomentsSet.update` does, before anything is added.
        """
        views = self._set.checked(chunk, first_row=self.n_samples)
        stop = self.n_samples + len(views[0])
        if stop > len(self._blocks.of_row):
            raise ShapeError(
                f"there must be as many rows as blocks were cut from: got {stop}, want {len(self._blocks.of_row)}."
            )
        of_row = self._blocks.of_row[self.n_samples : stop]
        for block in np.unique(of_row):
            mine = np.flatnonzero(of_row == block)
            whole = mine[-1] - mine[0] == len(mine) - 1
            part = slice(int(mine[0]), int(mine[-1]) + 1) if whole else mine
            self._add(int(block), [view[part] for view in views])
        self.n_samples = stop

    def replicates(self, weights: np.ndarray) -> Iterator[Replicate]:
        """For each row of ``weights`` (R, S), whole numbers, the moments of every block taken so many times."""
        if self.n_samples != len(self._blocks.of_row):
            raise ShapeError(
                f"replicates are of all rows that blocks were cut from: got {self.n_samples} of "
                f"{len(self._blocks.of_row)} so far. Call update(...) with the rest first."
            )
        if np.ndim(weights) != 2 or np.shape(weights)[1] != self._blocks.n_blocks:
            raise ShapeError(f"weights must have shape (R, {self._blocks.n_blocks}): got {np.shape(weights)}.")
        how, counts = {"labels": self._set.labels, "n_threads": self.n_threads}, self._blocks.counts
        for start in range(0, len(weights), _AT_ONCE):
            part = np.asarray(weights[start : start + _AT_ONCE], dtype=np.float64)
            states = {kind: stack.combined(part) for kind, stack in self._stacks.items()}
            for r, drawn in enumerate(part):
                copies = float(np.sum(counts * drawn * (drawn - 1))) / 2
                yield Replicate({kind: states[kind][r] for kind in states}, copies=copies, **how)

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

    def _refuse_what_does_not_fit(self) -> None:
        widths, pairs = self._set.widths, self._set.pairs
        one = (
            8 * len(self._set.transforms) * (sum(d * d for d in widths) + sum(widths[i] * widths[j] for i, j in pairs))
        )
        memory = total_memory()
        room, wanted = memory // 2, self._blocks.n_blocks
        # beside the blocks: replicates made at once, and the block that is being summed
        if (wanted + _AT_ONCE + 2) * one > room:
            most = room // one - _AT_ONCE - 2
            remedy = f"Use blocks={most}, or compare" if most >= 2 else "Compare"
            raise ShapeError(
                f"the sums of {wanted} blocks must fit into half of memory: widths {widths} with {len(pairs)} pairs "
                f"need {format_bytes((wanted + _AT_ONCE + 2) * one)} of {format_bytes(room)}. "
                f"{remedy} fewer layers at once."
            )


class Replicate:
    """Moments of blocks taken several times each; sides are centred once for all pairs and measures."""

    def __init__(self, states: dict[str, State], **how: Any) -> None:
        self._centred = {kind: Centred(state, **how) for kind, state in states.items()}

    @property
    def n_samples(self) -> float:
        return next(iter(self._centred.values())).n_samples

    def side(self, index: int, transform: str = "raw") -> Side:
        """Moments of one representation."""
        return self._centred[transform].side(index)

    def pair_at(self, k: int, transform: str = "raw") -> Pair:
        """Moments of the k-th pair."""
        return self._centred[transform].pair_at(k)


class _Stack:
    """States of all blocks, array by array; around one shift once all are there."""

    def __init__(self, like: State, n_blocks: int) -> None:
        self._like = like
        self._n = np.zeros(n_blocks)
        self._shifts = [np.zeros((n_blocks, width)) for width in like.widths]
        self._arrays = [np.zeros((n_blocks, *array.shape)) for array in _arrays(like)]
        self._shift: tuple[np.ndarray, ...] | None = None

    def put(self, block: int, state: State) -> None:
        self._n[block] = state.n_samples
        for stack, array in zip([*self._shifts, *self._arrays], [*state.shift, *_arrays(state)], strict=True):
            stack[block] = array

    def combined(self, weights: np.ndarray) -> list[State]:
        """The state of each row of weights."""
        shift = self._around_one_shift()
        sums = [(weights @ stack.reshape(len(stack), -1)).reshape(-1, *stack.shape[1:]) for stack in self._arrays]
        return [
            _with_arrays(self._like, float(n), shift, [array[r] for array in sums])
            for r, n in enumerate(weights @ self._n)
        ]

    def _around_one_shift(self) -> tuple[np.ndarray, ...]:
        if self._shift is None:
            # the median: a feature that varies in few blocks keeps exact zeros in the others, where it is constant
            self._shift = tuple(np.median(shifts, axis=0) for shifts in self._shifts)
            for block, n in enumerate(self._n):
                own = tuple(shifts[block] for shifts in self._shifts)
                state = _with_arrays(self._like, float(n), own, [stack[block] for stack in self._arrays])
                for stack, array in zip(self._arrays, _arrays(state.around(self._shift)), strict=True):
                    stack[block] = array
        return self._shift


def _arrays(state: State) -> list[np.ndarray]:
    return [*state.products, *state.cross, *state.weighted, state.norms]


def _with_arrays(like: State, n: float, shift: tuple[np.ndarray, ...], arrays: list[np.ndarray]) -> State:
    sides, pairs = len(like.products), len(like.cross)
    return State(
        transform=like.transform,
        precision=like.precision,
        pairs=like.pairs,
        n_samples=n,
        shift=shift,
        products=tuple(arrays[:sides]),
        cross=tuple(arrays[sides : sides + pairs]),
        weighted=tuple(arrays[sides + pairs : -1]),
        norms=arrays[-1],
    )
