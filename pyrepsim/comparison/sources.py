"""Where rows come from: two arrays, or two stores. Each can be read again from any row on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from ..arrays import Gate, check_paired
from ..errors import RowMismatchError
from ..store import ActivationStore, check_same_rows, paired_layer_chunks
from .pairing import LayerGroup

__all__ = ["ArraySource", "Source", "StoreSource"]

_ROWS = 8192
_GATHERED_ROWS = 1 << 24


class Source(Protocol):
    """Matched rows of two sides, layer by layer, as often as wanted."""

    @property
    def n_rows(self) -> int: ...

    @property
    def documents(self) -> np.ndarray | None: ...

    @property
    def provenance(self) -> Mapping[str, Any]: ...

    def widths(self, group: LayerGroup, /) -> list[int]: ...

    def gather(self, side: int, layer: str, chosen: np.ndarray | None, /) -> np.ndarray: ...

    def chunks(self, group: LayerGroup, /, start: int = 0) -> Iterator[list[Any]]: ...


class ArraySource:
    """Two arrays whose rows match by position: one layer a side, called X and Y."""

    layers_x, layers_y = ("X",), ("Y",)

    def __init__(self, X: Any, Y: Any, gate: Gate) -> None:
        self._arrays = check_paired(X, Y, gate)
        self.n_rows = len(self._arrays[0])
        self.provenance = {"dtype_x": self._arrays[0].dtype.name, "dtype_y": self._arrays[1].dtype.name}

    documents: np.ndarray | None = None
    """Arrays do not say whose tokens their rows are."""

    def widths(self, _group: LayerGroup) -> list[int]:
        return [array.shape[1] for array in self._arrays]

    def gather(self, side: int, _layer: str, chosen: np.ndarray | None) -> np.ndarray:
        """All rows of a side, or those numbered, in this machine's memory."""
        rows = np.asarray(self._arrays[side])
        return rows if chosen is None else rows[chosen]

    def chunks(self, _group: LayerGroup, start: int = 0) -> Iterator[list[Any]]:
        for begin in range(start, self.n_rows, _ROWS):
            yield [array[begin : begin + _ROWS] for array in self._arrays]


class StoreSource:
    """Two stores over the same rows, restricted to a selection of tokens."""

    def __init__(self, X: ActivationStore, Y: ActivationStore, *, tokens: str) -> None:
        check_same_rows(X, Y)
        self._stores = (X, Y)
        self._tokens = tokens
        self.n_rows = int(np.count_nonzero(X.rows.mask(tokens)))
        if self.n_rows == 0:
            raise RowMismatchError(
                f"tokens={tokens!r} must select at least one row: got none of {X.n_rows}. Try tokens='all'."
            )
        self.layers_x, self.layers_y = X.layers, Y.layers
        self.one_store = X.path == Y.path
        self.addresses = (str(X.path.resolve()), X.digest), (str(Y.path.resolve()), Y.digest)
        self.provenance = {
            "tokens": tokens,
            "store_x": str(X.path),
            "store_y": str(Y.path),
            "digest_x": X.digest,
            "digest_y": Y.digest,
            "dtype_x": X.dtype,
            "dtype_y": Y.dtype,
            "model_x": X.plan.get("model", {}).get("id", X.path.name),
            "model_y": Y.plan.get("model", {}).get("id", Y.path.name),
        }

    def widths(self, group: LayerGroup) -> list[int]:
        x, y = self._stores
        return [
            *(x[name].shape[1] for name in group.layers_x),
            *(y[name].shape[1] for name in group.layers_y),
        ]

    @property
    def documents(self) -> np.ndarray:
        """The document of each selected row."""
        x = self._stores[0]
        return x.rows["doc_id"][x.rows.mask(self._tokens)]

    def gather(self, side: int, layer: str, chosen: np.ndarray | None) -> np.ndarray:
        """The selected rows of a layer, or those numbered among them, in memory; a view of the file where they lie in
        one piece.
        """
        paired_layer_chunks(*self._stores, [], [], tokens=self._tokens)  # refuses selections that differ
        mask = self._stores[0].rows.mask(self._tokens)
        if chosen is not None:
            mask = np.zeros(len(mask), bool)
            mask[np.flatnonzero(self._stores[0].rows.mask(self._tokens))[chosen]] = True
        n_rows, representation = int(np.count_nonzero(mask)), self._stores[side][layer]
        out, done = np.empty((0, 0)), 0
        for chunk in representation.chunks(_GATHERED_ROWS, mask=mask):
            if done == 0:
                if len(chunk) == n_rows:
                    return chunk
                out = np.empty((n_rows, chunk.shape[1]), representation.dtype)
            out[done : done + len(chunk)] = chunk
            done += len(chunk)
        return out

    def chunks(self, group: LayerGroup, start: int = 0) -> Iterator[list[np.ndarray]]:
        pairs = paired_layer_chunks(
            *self._stores, group.layers_x, group.layers_y, _ROWS, start=start, tokens=self._tokens
        )
        return ([*x.values(), *y.values()] for x, y in pairs)
