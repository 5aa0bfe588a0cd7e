"""Rows cut into blocks of whole documents: the units that are resampled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import xxhash

from ..errors import DegenerateError, ShapeError

__all__ = ["RowBlocks", "row_blocks"]


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
