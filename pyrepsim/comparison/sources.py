"""Where rows come from: two arrays, or two stores. Rows can be read again, from any row on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..backends import get_backend
from ..core.arrays import Gate, check_paired, dtype_name
from ..core.errors import OptionError, RowMismatchError, ShapeError
from ..core.memory import allocating
from ..core.sparse import is_sparse
from ..results import Score
from ..store import ActivationStore, Representation, check_same_rows, paired_layer_chunks
from ..store.columns import Tokens, tokens_name, tokens_record
from .layers import LayerGroup, Layers, layer_groups, layer_pairs, unmatched_layers
from .sparse_source import SparseSource

__all__ = [
    "ArraySource",
    "Sides",
    "Source",
    "StoreSource",
    "named_documents",
    "open_sides",
    "selected_rows",
    "stored_rows",
    "widths_of",
]

_CHUNK_ROWS = 8192
_GATHERED_ROWS = 1 << 24
_SETTINGS = ("model_dtype", "device_map", "attention", "quantization", "adapter")
"""What the plan of a store records of a model that was not in float32 on one device; see `models.Encoder.settings`."""


class Source(Protocol):
    """Matched rows of two sides, layer by layer; they can be read any number of times."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        ...

    @property
    def documents(self) -> np.ndarray | None:
        """Document of each row, (n_rows,); None if unknown."""
        ...

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What scores record of the two sides."""
        ...

    def width(self, side: int, layer: str, /) -> int:
        """Return the number of features of one layer of side 0 (X) or 1 (Y)."""
        ...

    def groups(self, pairs: Sequence[tuple[str, str]], /) -> list[LayerGroup]:
        """Return the groups of layers whose rows are read together for these pairs."""
        ...

    def gather(self, side: int, layer: str, chosen: np.ndarray | None, /) -> np.ndarray:
        """Return all rows, or the chosen rows, of one layer of side 0 (X) or 1 (Y)."""
        ...

    def reader(self, side: int, layer: str, /) -> Callable[[int, int], Iterator[np.ndarray]]:
        """Return a function of two row numbers that yields the rows from one to the other, in one or more arrays."""
        ...

    def chunks(self, group: LayerGroup, /, start: int = 0) -> Iterator[list[Any]]:
        """Yield the rows from `start` on, in chunks: one array for each layer of the group."""
        ...


_BOTH = LayerGroup(("X",), ("Y",), (("X", "Y"),))


class ArraySource:
    """Two arrays whose rows are matched by position. Each side has one layer, called X or Y."""

    layers_x, layers_y = ("X",), ("Y",)

    def __init__(self, X: Any, Y: Any, gate: Gate, documents: Any = None) -> None:
        self.arrays = check_paired(X, Y, gate)
        self.n_rows = len(self.arrays[0])
        self.documents = None if documents is None else named_documents(documents, self.n_rows)
        self.provenance = {f"dtype_{side}": dtype_name(a.dtype) for side, a in zip("xy", self.arrays, strict=True)}

    def width(self, side: int, _layer: str) -> int:
        return self.arrays[side].shape[1]

    def groups(self, _pairs: Sequence[tuple[str, str]]) -> list[LayerGroup]:
        return [_BOTH]

    def gather(self, side: int, _layer: str, chosen: np.ndarray | None) -> np.ndarray:
        """Return all rows of a side, or the chosen ones, in the memory of the CPU."""
        rows = np.asarray(self.arrays[side])
        return rows if chosen is None else rows[chosen]

    def reader(self, side: int, _layer: str) -> Callable[[int, int], Iterator[np.ndarray]]:
        rows = np.asarray(self.arrays[side])
        return lambda start, stop: iter([rows[start:stop]])

    def chunks(self, _group: LayerGroup, start: int = 0) -> Iterator[list[Any]]:
        for begin in range(start, self.n_rows, _CHUNK_ROWS):
            yield [array[begin : begin + _CHUNK_ROWS] for array in self.arrays]


class StoreSource:
    """Two stores over the same rows, restricted to a selection of tokens.

    `documents` names the document of each text of the stores; by default each text is a document.
    """

    def __init__(self, X: ActivationStore, Y: ActivationStore, *, tokens: Tokens, documents: Any = None) -> None:
        check_same_rows(X, Y)
        self._of_text = None if documents is None else named_documents(documents, _n_texts(X), "texts")
        self._stores = (X, Y)
        self.tokens = X.columns.mask(tokens) if callable(tokens) else tokens
        self.n_rows = int(np.count_nonzero(selected_rows(X, tokens)))
        self.layers_x, self.layers_y = X.layers, Y.layers
        self.one_store = X.path == Y.path and X.digest == Y.digest
        self.addresses = (str(X.path.resolve()), X.digest), (str(Y.path.resolve()), Y.digest)
        self.provenance = {
            "tokens": tokens_record(tokens, X.columns.mask(tokens)),
            "store_x": str(X.path),
            "store_y": str(Y.path),
            "digest_x": X.digest,
            "digest_y": Y.digest,
            "dtype_x": X.dtype,
            "dtype_y": Y.dtype,
            "model_x": _model(X),
            "model_y": _model(Y),
        }
        if X.columns.held != "all":
            self.provenance["stored_rows"] = X.columns.held
        for side, store in zip("xy", (X, Y), strict=True):
            settings = {f"{name}_{side}": store.planned("model", name) for name in _SETTINGS}
            self.provenance |= {name: value for name, value in settings.items() if value is not None}

    def width(self, side: int, layer: str) -> int:
        return self._stores[side][layer].shape[1]

    def groups(self, pairs: Sequence[tuple[str, str]]) -> list[LayerGroup]:
        """Return the groups of layers; a store that is compared with itself has each layer once."""
        groups = layer_groups(pairs)
        return [group.of_one_store() for group in groups] if self.one_store else groups

    @property
    def documents(self) -> np.ndarray:
        """Document of each selected row."""
        x = self._stores[0]
        text = x.columns["doc_id"][x.columns.mask(self.tokens)]
        return text if self._of_text is None else self._of_text[text]

    def gather(self, side: int, layer: str, chosen: np.ndarray | None) -> np.ndarray:
        """Return the selected rows of a layer, or the chosen ones among them; a view of the file if possible."""
        paired_layer_chunks(*self._stores, [], [], tokens=self.tokens)  # raises if the selections differ
        mask = self._stores[0].columns.mask(self.tokens)
        if chosen is not None:
            mask = np.zeros(len(mask), bool)
            mask[np.flatnonzero(self._stores[0].columns.mask(self.tokens))[chosen]] = True
        n_rows, representation = int(np.count_nonzero(mask)), self._stores[side][layer]
        out, done = np.empty((0, 0)), 0
        for chunk in representation.chunks(_GATHERED_ROWS, mask=mask):
            if done == 0:
                if len(chunk) == n_rows:
                    return chunk
                n_bytes = n_rows * chunk.shape[1] * representation.dtype.itemsize
                with allocating(n_bytes, f"{n_rows:,} rows of {layer}", "Use a measure of moments, or fewer tokens."):
                    out = np.empty((n_rows, chunk.shape[1]), representation.dtype)
            out[done : done + len(chunk)] = chunk
            done += len(chunk)
        return out

    def reader(self, side: int, layer: str) -> Callable[[int, int], Iterator[np.ndarray]]:
        paired_layer_chunks(*self._stores, [], [], tokens=self.tokens)  # raises if the selections differ
        return stored_rows(self._stores[side][layer], self._stores[0].columns.mask(self.tokens))

    def chunks(self, group: LayerGroup, start: int = 0) -> Iterator[list[np.ndarray]]:
        pairs = paired_layer_chunks(
            *self._stores, group.layers_x, group.layers_y, _CHUNK_ROWS, start=start, tokens=self.tokens
        )
        return ([*x.values(), *y.values()] for x, y in pairs)


def stored_rows(layer: Representation, mask: np.ndarray) -> Callable[[int, int], Iterator[np.ndarray]]:
    """Return the `Source.reader` of one layer of a store, for the rows that a mask selects."""

    def read(start: int, stop: int) -> Iterator[np.ndarray]:
        for chunk in layer.chunks(stop - start, start=start, mask=mask):
            yield chunk[: stop - start]
            start += len(chunk)
            if start >= stop:
                return

    return read


def selected_rows(store: ActivationStore, tokens: Tokens) -> np.ndarray:
    """Return the mask of the rows of a store to compare, (n_rows,), bool; at least one."""
    mask = store.columns.mask(tokens)
    if not mask.any():
        raise RowMismatchError(
            f"tokens={tokens_record(tokens, mask)!r} must select at least one row: got none of {store.n_rows}. "
            "Try tokens='all'."
        )
    return mask


def _model(store: ActivationStore) -> Any:
    """Return the model's id in the plan, which any tool may have written, or the name of the store's folder."""
    model = store.plan.get("model")
    return model if isinstance(model, str) else store.planned("model", "id") or store.path.name


def widths_of(source: Source, group: LayerGroup) -> list[int]:
    """Return the number of features of each layer of a group."""
    return [source.width(side, layer) for side, layer in group.members]


@dataclass(frozen=True)
class Sides:
    """What `compare` was given: a source of rows, and the pairs of layers to compare."""

    source: Source
    pairs: list[tuple[str, str]]
    kind: str
    """"array", "layer" or "store"."""

    def progress(self, progress: bool | None) -> bool | None:
        """Return whether to show a progress bar; for arrays only if the caller asks for it."""
        return progress if self.kind != "array" or progress else False

    def named(self, scores: Sequence[Score]) -> list[Score]:
        """Return the scores; those of arrays have no layers."""
        if self.kind != "array":
            return list(scores)
        return [score.named(None, None) for score in scores]


def _n_texts(store: ActivationStore) -> int:
    """Return the number of texts, with those without rows if the plan states it."""
    planned, least = store.planned("rows", "documents"), int(store.columns["doc_id"].max(initial=-1)) + 1
    return planned if type(planned) is int and planned >= least else least


def named_documents(documents: Any, n: int, of: str = "rows") -> np.ndarray:
    """Return the document of each of `n` rows or texts as a checked array of numbers or names, (n,)."""
    of_row = np.asarray(documents)
    if of_row.dtype == object and all(isinstance(name, str) for name in of_row.flat):  # a column of pandas
        of_row = of_row.astype(str)
    if of_row.dtype.kind not in "biufUS":
        raise OptionError(f"documents must be numbers or names: got {of_row.dtype}. Give one for each of the {of}.")
    if of_row.shape != (n,):
        raise ShapeError(f"documents must name the document of each of the {n} {of}: got shape {of_row.shape}.")
    return of_row


def open_sides(
    X: Any, Y: Any, *, layers: Layers, tokens: Tokens, backend: str, documents: Any = None, sparse: bool = False
) -> Sides:
    """Check the two sides of a comparison and return their source and pairs of layers.

    `documents` is the document of each row of arrays, or of each text of stores. `sparse`: whether the caller takes a
    `SparseSource`.
    """
    kinds = {_kind(side) for side in (X, Y)}
    if len(kinds) > 1:
        raise OptionError(
            f"compare takes two arrays, two layers of stores or two stores: got {' and '.join(sorted(kinds))}. "
            "For the rows of one layer as an array pass np.asarray(store['layer.3'])."
        )
    (kind,) = kinds
    if kind == "array" and (layers != "same" or tokens_name(tokens) != "content"):
        raise OptionError("layers and tokens choose from stores: two arrays are compared as they are. Leave both out.")
    if kind == "layer" and layers != "same":
        raise OptionError("layers chooses from stores: two layers are compared with each other. Leave it out.")
    if is_sparse(X) or is_sparse(Y):
        if not sparse:
            raise OptionError(
                "sparse rows are compared by rs.compare alone, without interval= and documents=. Use it, or pass "
                "X.toarray()."
            )
        return Sides(SparseSource(X, Y, get_backend("cpu").rows_view), [("X", "Y")], kind)
    if kind == "array":
        return Sides(ArraySource(X, Y, get_backend(backend).rows_view, documents), [("X", "Y")], kind)
    if kind == "layer":
        return Sides(StoreSource(X.store, Y.store, tokens=tokens, documents=documents), [(X.name, Y.name)], kind)
    source = StoreSource(X, Y, tokens=tokens, documents=documents)
    if left_out := unmatched_layers(source.layers_x, source.layers_y, layers):
        source.provenance = {**source.provenance, **left_out}
    return Sides(source, layer_pairs(source.layers_x, source.layers_y, layers), kind)


def _kind(side: Any) -> str:
    if isinstance(side, ActivationStore):
        return "store"
    return "layer" if isinstance(side, Representation) else "array"
