"""Where rows come from: two arrays, or two stores. Each can be read again from any row on.

FOLDED: Which layers meet which: the pairs asked for, cut into groups that can be streamed one after the other.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from ..core.arrays import Gate, check_paired
from ..core.errors import LayerError, OptionError, RowMismatchError
from ..store import ActivationStore, check_same_rows, paired_layer_chunks

__all__ = ["ArraySource", "LayerGroup", "Layers", "Source", "StoreSource", "layer_groups", "layer_pairs"]

Layers = str | Iterable[str | int | tuple[str | int, str | int]]


@dataclass(frozen=True)
class LayerGroup:
    """Layers connected by pairs: their rows are read together, and no other layer's are needed."""

    layers_x: tuple[str, ...]
    layers_y: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    @property
    def index_pairs(self) -> list[tuple[int, int]]:
        """The pairs as indices into layers_x followed by layers_y."""
        offset, columns = (len(self.layers_x), self.layers_y) if self.layers_y else (0, self.layers_x)
        return [(self.layers_x.index(a), offset + columns.index(b)) for a, b in self.pairs]

    @property
    def crossed(self) -> list[tuple[int, int]]:
        """The pairs (i, j), i < j, whose cross moments all `index_pairs` are made of."""
        return list(dict.fromkeys((min(pair), max(pair)) for pair in self.index_pairs if pair[0] != pair[1]))

    def of_one_store(self) -> LayerGroup:
        """The group of a store that is compared with itself: each layer is there once, in layers_x."""
        return replace(self, layers_x=_unique([*self.layers_x, *self.layers_y]), layers_y=())


def layer_pairs(layers_x: Sequence[str], layers_y: Sequence[str], layers: Layers = "same") -> list[tuple[str, str]]:
    """``"same"``: the layers both have, each with its namesake; ``"all"``: every layer with every layer; or a list of
    pairs (or of single names, each paired with its namesake).
    """
    if layers == "same":
        pairs = [(name, name) for name in layers_x if name in set(layers_y)]
        if not pairs:
            raise LayerError(
                f"layers='same' needs layers of equal names: got {_listed(layers_x)} and {_listed(layers_y)}. "
                "Pass layers='all' or a list of pairs."
            )
        return pairs
    if layers == "all":
        return [(a, b) for a in layers_x for b in layers_y]
    if isinstance(layers, str):
        raise OptionError(f"layers must be 'same', 'all' or a list of (layer_x, layer_y): got {layers!r}.")
    if isinstance(layers, Mapping) or not isinstance(layers, Iterable):
        raise OptionError(f"layers must be 'same', 'all' or a list of (layer_x, layer_y): got {layers!r}.")
    pairs = [(item, item) if isinstance(item, str | int) else tuple(item) for item in layers]
    if all(len(pair) == 2 for pair in pairs):
        pairs = [(_name(a, layers_x), _name(b, layers_y)) for a, b in pairs]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise OptionError(f"layers must be 'same', 'all' or a list of (layer_x, layer_y): got {pairs!r}.")
    for a, b in pairs:
        for name, known in ((a, layers_x), (b, layers_y)):
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise LayerError(f"a layer must be one of {_listed(known)}: got {name!r}.{hint}")
    return list(dict.fromkeys(pairs))  # type: ignore[arg-type]


def _name(layer: str | int, known: Sequence[str]) -> str:
    """A layer by its place, as in store[-1]; names as they are."""
    inside = isinstance(layer, int) and -len(known) <= layer < len(known)
    return known[int(layer)] if inside else layer  # type: ignore[return-value]


def layer_groups(pairs: Sequence[tuple[str, str]]) -> list[LayerGroup]:
    """Connected components of the graph of pairs, in order of first appearance: one for each pair under ``"same"``
    (each layer's files are read once and only two are open), a single one under ``"all"``.
    """
    groups: list[list[tuple[str, str]]] = []
    for pair in pairs:
        touching = [g for g in groups if any(a == pair[0] or b == pair[1] for a, b in g)]
        merged = [p for g in touching for p in g] + [pair]
        if touching:
            groups[groups.index(touching[0])] = merged
            groups = [g for g in groups if g not in touching[1:]]
        else:
            groups.append(merged)
    return [LayerGroup(_unique(a for a, _ in g), _unique(b for _, b in g), tuple(g)) for g in groups]


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{names[0]}, ..., {names[-1]} ({len(names)} layers)"


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
        self.n_rows = int(np.count_nonzero(X.columns.mask(tokens)))
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
        return x.columns["doc_id"][x.columns.mask(self._tokens)]

    def gather(self, side: int, layer: str, chosen: np.ndarray | None) -> np.ndarray:
        """The selected rows of a layer, or those numbered among them, in memory; a view of the file where they lie in
        one piece.
        """
        paired_layer_chunks(*self._stores, [], [], tokens=self._tokens)  # refuses selections that differ
        mask = self._stores[0].columns.mask(self._tokens)
        if chosen is not None:
            mask = np.zeros(len(mask), bool)
            mask[np.flatnonzero(self._stores[0].columns.mask(self._tokens))[chosen]] = True
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
