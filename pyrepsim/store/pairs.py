"""Two stores, row by row: only if their rows are the same tokens in the same order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from ..core.errors import OptionError, RowMismatchError
from ..core.resume import first_difference
from .columns import IDENTITY
from .reader import ActivationStore
from .representation import LayerPass, Representation
from .selection import Selection, cuts

_REMEDY = "Extract both with one plan: extract(..., same_plan_as=<the other store>)."


def check_same_rows(x: ActivationStore, y: ActivationStore) -> None:
    """Raise RowMismatchError, with the first row that differs, unless two stores hold the same rows in the
    same way.

    Compared are ``plan["rows"]``, if both plans have it, and the document, position and token of each row.
    """
    if x.digest == y.digest:
        return
    rows_x, rows_y = x.plan.get("rows"), y.plan.get("rows")
    if x.rows_digest != y.rows_digest:
        raise RowMismatchError(
            f"Rows are matched by document, position and token: {x.path} and {y.path} "
            f"{_where_rows_differ(x, y)}. " + _REMEDY
        )
    if rows_x is not None and rows_y is not None and rows_x != rows_y:
        raise RowMismatchError(
            f"Stores to be compared must share plan['rows']: {x.path} and {y.path} differ in "
            f"{first_difference(rows_x, rows_y, 'rows', ('in the first', 'in the second'))}. {_REMEDY}"
        )


def _where_rows_differ(x: ActivationStore, y: ActivationStore) -> str:
    n_common = min(x.n_rows, y.n_rows)
    differs = np.zeros(n_common, dtype=bool)
    for name in IDENTITY:
        differs |= x.columns[name][:n_common] != y.columns[name][:n_common]
    if differs.any():
        row = int(np.argmax(differs))
        return f"first differ in row {row}: {x.columns.identity(row)} against {y.columns.identity(row)}"
    longer = x if x.n_rows > y.n_rows else y
    return (
        f"have {x.n_rows} and {y.n_rows} rows; the first row without a partner is {n_common}: "
        f"{longer.columns.identity(n_common)}"
    )


def _shared_mask(x: ActivationStore, y: ActivationStore, tokens: str) -> np.ndarray | None:
    if tokens == "all":
        return None
    mask, other = x.columns.mask(tokens), y.columns.mask(tokens)
    if x is not y and not np.array_equal(mask, other):
        row = int(np.argmax(mask != other))
        raise RowMismatchError(
            f"tokens={tokens!r} must select the same rows in both stores: row {row} ({x.columns.identity(row)}) "
            f"has flags {x.columns['flags'][row]} in {x.path} and {y.columns['flags'][row]} in {y.path}. {_REMEDY}"
        )
    return mask


def paired_chunks(
    x: Representation, y: Representation, chunk_size: int = 8192, *, start: int = 0, tokens: str = "content"
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Chunks (x, y) of the same rows of two representations, shapes (n, d_x) and (n, d_y), read-only.

    The rows are those that ``tokens`` names (see ``TokenColumns.mask``); ``start`` selected rows are skipped. The
    chunks are at most ``chunk_size`` rows long and cross no shard of either store, so that dense ones are views.

    Raises RowMismatchError, before the first chunk, if the two stores do not hold the same rows.
    """
    for layer in (x, y):
        if not isinstance(layer, Representation):
            raise OptionError(
                f"paired_chunks walks two layers: got {type(layer).__name__}. Name one of a store, as in "
                "store['layer.0']; pyrepsim.store.paired_layer_chunks walks two whole stores."
            )
    pairs = paired_layer_chunks(x.store, y.store, [x.name], [y.name], chunk_size, start=start, tokens=tokens)
    return ((chunk_x[x.name], chunk_y[y.name]) for chunk_x, chunk_y in pairs)


def paired_layer_chunks(
    x: ActivationStore,
    y: ActivationStore,
    layers_x: Sequence[str] | None = None,
    layers_y: Sequence[str] | None = None,
    chunk_size: int = 8192,
    *,
    start: int = 0,
    tokens: str = "content",
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """``paired_chunks`` of many layers (default: all) in one pass: pairs of dicts layer name -> chunk."""
    parts_x = [x[name] for name in (x.layers if layers_x is None else layers_x)]
    parts_y = [y[name] for name in (y.layers if layers_y is None else layers_y)]
    check_same_rows(x, y)
    mask = _shared_mask(x, y, tokens)
    selections = x.selection(mask), y.selection(mask)
    return _walk((parts_x, parts_y), selections, cuts(selections, chunk_size, start))


def _walk(
    sides: tuple[list[Representation], list[Representation]],
    selections: tuple[Selection, Selection],
    pieces: Iterator[tuple[int, int]],
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    with ExitStack() as stack:
        passes_x, passes_y = (
            {layer.name: stack.enter_context(LayerPass(layer, selection)) for layer in layers}
            for layers, selection in zip(sides, selections, strict=True)
        )
        for first, stop in pieces:
            yield (
                {name: layer.read(first, stop) for name, layer in passes_x.items()},
                {name: layer.read(first, stop) for name, layer in passes_y.items()},
            )
