"""Stacks of RDMs as rows of entries: how they are read, which entries are used, and which RDMs have no value."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import as_numpy
from ..core.blas import one_blas_thread
from ..core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError
from .distances import n_rows_of
from .sums import cosine_from

__all__ = [
    "Stack",
    "Used",
    "by_blocks",
    "centred",
    "cosines",
    "cosines_of",
    "entries_of",
    "scaled",
    "used_entries",
]

_BLOCK = 1 << 21
"""Numbers in a block of rows: temporary arrays are a few times as large, however many the RDMs."""


@dataclass
class Stack:
    """RDMs of the same items, one a row, and which of them have no value.

    Attributes
    ----------
    name : str
        Of the argument, for messages.
    rows : ndarray of shape (n_rdms, n_entries)
        float64, without NaN.
    single : bool
        Whether the argument was one RDM, not a stack.
    raises : bool
        Whether `refuse` raises.
    places : ndarray of int, optional
        The row numbers that they have in the argument.
    bad : ndarray of bool, shape (n_rdms,), or None
        RDMs that were refused; None as long as there are none.
    """

    name: str
    rows: np.ndarray
    single: bool
    raises: bool = True
    places: np.ndarray | None = None
    bad: np.ndarray | None = None

    @property
    def good(self) -> np.ndarray:
        """The RDMs that were not refused."""
        return np.arange(len(self.rows)) if self.bad is None else np.flatnonzero(~self.bad)

    def part(self, places: np.ndarray | None, keep: np.ndarray | None) -> Stack:
        """Some of the RDMs, or all, and some of their entries, or all."""
        if places is None and keep is None:
            return self
        rows = self.rows if places is None else self.rows[places]
        rows = rows if keep is None else rows.take(np.flatnonzero(keep), axis=1)
        return Stack(self.name, rows, self.single, self.raises, places)

    def refuse(self, bad: np.ndarray, message: Callable[[str, int], str]) -> None:
        """Raise DegenerateError for the first RDM of `bad`, or remember them all; message(its name, its row)."""
        if not bad.any():
            return
        if self.raises:
            row = int(np.argmax(bad))
            place = row if self.places is None else int(self.places[row])
            raise DegenerateError(message(self.name if self.single else f"{self.name}[{place}]", row))
        self.bad = bad if self.bad is None else self.bad | bad

    def or_one(self, values: np.ndarray) -> np.ndarray:
        """One value an RDM, 1 for those that were refused: a number to divide by."""
        return values if self.bad is None else np.where(self.bad, 1.0, values)


@dataclass(frozen=True)
class Used:
    """Which entries of a block are used: `keep` (all entries,), or None for all, of RDMs of `n_items` items."""

    keep: np.ndarray | None
    n_items: int

    def refuse_gaps(self, compare: str) -> None:
        """Raise OptionError if entries are left out."""
        if self.keep is not None:
            raise OptionError(
                f"compare={compare!r} needs all entries of the RDMs: {np.count_nonzero(~self.keep)} are NaN or left "
                "out by mask. Leave whole items out of both RDMs, or use another comparator."
            )


def by_blocks(function: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, width: int | None = None) -> np.ndarray:
    """function(rows) computed for blocks of rows; `width` is the largest number of values a row has on the way."""
    step = max(1, _BLOCK // max(1, width or rows.shape[1]))
    if len(rows) <= step:
        return function(rows)
    first = function(rows[:step])
    out = np.empty((len(rows), *first.shape[1:]), first.dtype)
    out[:step] = first
    for start in range(step, len(rows), step):
        out[start : start + step] = function(rows[start : start + step])
    return out


def cosines(xy: np.ndarray, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
    """xy / sqrt(xx yy) for sums (a, b), (a,) and (b,); exactly 1 where all three are equal; in [-1, 1]."""
    apart = xy / np.sqrt(xx)[:, None] / np.sqrt(yy)
    return np.clip(np.where(xx[:, None] == yy, xy / xx[:, None], apart), -1.0, 1.0)


def cosines_of(x: Stack, y: Stack, of_x: np.ndarray, of_y: np.ndarray) -> np.ndarray:
    """Cosines of prepared vectors; NaN, not an error, where one is 0 because its RDM was refused."""
    if len(of_x) == len(of_y) == 1 and x.bad is None and y.bad is None:
        a, b = of_x[0], of_y[0]
        return np.array([[cosine_from(float(np.sum(a * b)), float(np.sum(a * a)), float(np.sum(b * b)))]])
    xx, yy = (by_blocks(lambda block: np.sum(block * block, axis=1), side) for side in (of_x, of_y))
    with one_blas_thread():
        xy = of_x @ of_y.T
    return cosines(xy, x.or_one(xx), y.or_one(yy))


def scaled(stack: Stack) -> np.ndarray:
    """Divided by the largest magnitude, so that squares do not over- or underflow."""
    largest = by_blocks(lambda block: np.abs(block).max(axis=1), stack.rows)
    stack.refuse(
        largest == 0,
        lambda who, _: f"an RDM must have entries other than zero: all entries of {who} are 0. Pass other rows.",
    )
    return stack.rows / stack.or_one(largest)[:, None]


def centred(stack: Stack) -> np.ndarray:
    """Scaled, minus the mean entry."""
    rows = scaled(stack)
    rows -= rows.mean(axis=1, keepdims=True)
    # the mean of P numbers of at most 1 is known up to (log2 P + 9) U by pairwise summation, and so is each difference
    bound = (math.log2(rows.shape[1]) + 10) * 2.0**-53
    stack.refuse(
        ~(by_blocks(lambda block: np.abs(block).max(axis=1), rows) > bound),
        lambda who, _: (
            f"the entries of an RDM must differ: those of {who} are all equal up to rounding. Pass other rows."
        ),
    )
    return rows


def entries_of(rdms: Any, name: str, *, raises: bool = True) -> Stack:
    """Read one RDM, square or condensed, or a stack of them.

    Parameters
    ----------
    rdms : array of shape (n, n), (p,), (n_rdms, n, n) or (n_rdms, p)
        With p = n (n - 1) / 2. Two equal dimensions are one square RDM.
    name : str
        For messages.
    raises : bool
        Whether the stack raises for RDMs without a value.
    """
    given = as_numpy(rdms, name)
    if given.dtype.kind not in "fiub" and given.dtype.name != "bfloat16":
        raise DTypeError(f"{name} must hold real numbers: got {given.dtype}.")
    single = given.ndim == 1 or (given.ndim == 2 and given.shape[0] == given.shape[1] >= 2)
    if given.ndim in (2, 3) and 2 <= given.shape[-1] == given.shape[-2]:
        squares = given[None] if given.ndim == 2 else given
        rows = by_blocks(lambda block: _condensed(block, name, single), squares, squares.shape[-1] ** 2)
    else:
        rows = given[None] if given.ndim == 1 else given
    if rows.ndim != 2 or 0 in rows.shape or math.comb(n_rows_of(rows[0]), 2) != rows.shape[1]:
        raise ShapeError(
            f"{name} must be an RDM, square (n, n) or condensed with n (n - 1) / 2 entries, or a stack of them, "
            f"(n_rdms, n, n) or (n_rdms, n (n - 1) / 2): got shape {given.shape}."
        )
    return Stack(name, np.ascontiguousarray(rows, np.float64), single, raises)


def _condensed(squares: np.ndarray, name: str, single: bool) -> np.ndarray:
    """The entries i < j of symmetric matrices, (m, n, n) to (m, n (n - 1) / 2)."""
    values = squares.astype(np.float64)
    turned = values.transpose(0, 2, 1)
    with np.errstate(invalid="ignore"):  # infinity minus infinity; NumPy's comparison of equal infinities is True
        size = np.max(np.abs(values), axis=(1, 2), where=np.isfinite(values), initial=0.0)[:, None, None]
        near = (np.abs(values - turned) <= 1e-6 * size + 1e-5 * np.minimum(np.abs(turned), size)) | (values == turned)
    near |= np.isnan(values) & np.isnan(turned)
    if not near.all():
        one = name if single else f"{name}[{int(np.argmin(near.all(axis=(1, 2))))}]"
        stack = f" Pass a stack of {len(values[0])} RDMs of {len(values[0])} entries as squares." if single else ""
        raise ShapeError(f"a square RDM must be symmetric: {one} is not. Pass its condensed form, i < j.{stack}")
    first, second = np.triu_indices(values.shape[1], 1)
    return values[:, first, second]


def used_entries(
    a: Stack, b: Stack, mask: Any, *, jointly: bool
) -> Iterator[tuple[np.ndarray | None, np.ndarray | None, Used]]:
    """Which RDMs of `a` are compared with which of `b`, over which entries.

    Parameters
    ----------
    a, b : Stack
        As read, so entries may be NaN.
    mask : None, "pairwise", or array of bool
        As in `compare_rdms`.
    jointly : bool
        Whether the RDMs of `b` are used together, so that an entry must be present in all of them.

    Yields
    ------
    (ndarray, ndarray, Used) or (None, None, Used)
        Rows of `a`, rows of `b`, or None for all, and their entries.
    """
    n_items, n_entries = n_rows_of(a.rows[0]), a.rows.shape[1]
    pairwise = isinstance(mask, str)
    if pairwise and mask != "pairwise":
        raise OptionError(f"mask must be an array of bool, 'pairwise' or None: got {mask!r}.")
    keep = None if mask is None or pairwise else _mask_of(mask, n_entries)
    if keep is None and np.isfinite(a.rows).all() and np.isfinite(b.rows).all():
        yield None, None, Used(None, n_items)
        return
    asked = np.ones(n_entries, bool) if keep is None else keep
    gaps = [_gaps(stack, keep) for stack in (a, b)]
    if not pairwise:
        lost = [gap.any(axis=0) for gap in gaps]
        for stack, own, other in zip((a, b), lost, reversed(lost), strict=True):
            if (own & ~other).any():
                raise NonFiniteError(
                    f"{stack.name} must be finite: it holds NaN at entry {int(np.argmax(own & ~other))}, which the "
                    "other RDM has. Leave those items out of both RDMs: set the entry to NaN in both, or pass mask=."
                )
        yield None, None, Used(_or_none(asked & ~lost[0]), n_items)
        return
    if jointly:
        gaps[1] = np.broadcast_to(gaps[1].any(axis=0), gaps[1].shape)
    for of_a, gap_a in _equal(gaps[0]):
        for of_b, gap_b in _equal(gaps[1]):
            yield of_a, of_b, Used(_or_none(~gap_a & ~gap_b), n_items)


def _mask_of(mask: Any, n_entries: int) -> np.ndarray:
    given = as_numpy(mask, "mask")
    if given.dtype.kind != "b":
        raise DTypeError(f"mask must hold bool, True for the entries to use: got {given.dtype}.")
    if given.ndim not in (1, 2):
        raise ShapeError(f"mask must be of one RDM, square or condensed, for all of them: got shape {given.shape}.")
    stack = entries_of(given, "mask")
    if not stack.single or stack.rows.shape[1] != n_entries:
        raise ShapeError(
            f"mask must have the {n_entries} entries of an RDM, or its square form: got shape {given.shape}."
        )
    return stack.rows[0] == 1


def _gaps(stack: Stack, keep: np.ndarray | None) -> np.ndarray:
    """Which of the entries to keep are NaN; infinity is refused."""
    gaps, infinite = np.isnan(stack.rows), np.isinf(stack.rows)
    if keep is not None:
        gaps &= keep
        infinite &= keep
    if infinite.any():
        raise NonFiniteError(f"{stack.name} must be finite: it holds infinity. Leave those items out of both RDMs.")
    return gaps


def _or_none(keep: np.ndarray) -> np.ndarray | None:
    return None if keep.all() else keep


def _equal(gaps: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows with the same gaps, and these."""
    _, first, group = np.unique(np.packbits(gaps, axis=1), axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    for number, row in enumerate(first):
        yield np.flatnonzero(group == number), gaps[row]
