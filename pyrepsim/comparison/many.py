"""`compare_all`: every representation of a list with every other one, the moments of each computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

from ..backends import get_backend
from ..core.arrays import Gate
from ..core.errors import OptionError, ShapeError
from ..measures import Measure
from ..results import ComparisonMatrix, Score
from ..store import ActivationStore, Representation, paired_layer_chunks
from ..store.columns import Tokens, tokens_record
from .comparing import check_scores, scores_of
from .layers import LayerGroup, layer_groups
from .options import ExecutionOptions, as_measures
from .sources import selected_rows, stored_rows

__all__ = ["compare_all"]

_CHUNK_ROWS = 8192


def compare_all(
    representations: Any,
    measures: Measure | str | Sequence[Measure | str],
    *,
    value: str | None = None,
    tokens: Tokens = "content",
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    memory: int | str | None = None,
    progress: bool | None = None,
) -> ComparisonMatrix | dict[str, ComparisonMatrix]:
    """Compare every representation of a list with every other one and with itself.

    Each representation is read once, and what a measure computes for one of them serves all its pairs.

    Parameters
    ----------
    representations : sequence or mapping of array-like or Representation, or ActivationStore
        k arrays of shape (n_samples, n_features), whose rows are matched by position; or k layers of stores
        (``store["layer.3"]``), whose rows are matched by document, position and token; or a store, for all of its
        layers. The keys of a mapping are their names; otherwise "0", "1", ..., and layers have their own names if
        these differ.
    measures : Measure, str, or a sequence of these
        Such as ``rs.Procrustes()`` or ``["LinearCKA", "SVCCA(variance=0.9)"]``.
    value : str, optional
        A number that the measure computes beside its value, by its name in ``Score.details``: "angle" or "distance"
        of `Procrustes`, `ShapeMetric`, `LinearCKA`, `RV2` and `KernelCKA`; or "squared", the square of "distance".
    tokens : default "content"
        For stores: the tokens to compare, as in `compare`.
    backend, n_threads, precision, memory, progress
        As in `compare`.

    Returns
    -------
    ComparisonMatrix, or dict of str to ComparisonMatrix
        For one measure a matrix of shape (k, k); for a sequence of measures one matrix for each, by its name.

    Raises
    ------
    ShapeError
        If the representations have different numbers of rows, or there are none.
    OptionError
        If names are not unique, or the measure has no such `value`.
    PyrepsimError
        As in `compare`.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> matrix = rs.compare_all([X, 2 * X, X[:, :4]], rs.LinearCKA())
    >>> matrix.values.round(2)
    array([[1.  , 1.  , 0.68],
           [1.  , 1.  , 0.68],
           [0.68, 0.68, 1.  ]])
    >>> matrix.names
    ('0', '1', '2')
    """
    parsed = as_measures(measures)
    options = ExecutionOptions(backend=backend, n_threads=n_threads, precision=precision, memory=memory)
    source = _source(representations, tokens, get_backend(backend).rows_view)
    shown = progress if source.stored or progress else False
    scores: list[Score] = []
    for symmetric in (True, False):
        chosen = [measure for measure in parsed if measure.symmetric == symmetric]
        if chosen:
            scores += scores_of(source, _pairs(source.names, symmetric), chosen, options, progress=shown)
    check_scores(scores)
    matrices = {str(measure): _matrix(measure, scores, source.names, value) for measure in parsed}
    single = isinstance(measures, Measure | str)
    return matrices[str(parsed[0])] if single else matrices


def _pairs(names: Sequence[str], symmetric: bool) -> list[tuple[str, str]]:
    """Return the pairs of a list and of each name with itself, each once for a symmetric measure."""
    pairs = list(combinations_with_replacement(names, 2))
    return pairs if symmetric else list(dict.fromkeys([*pairs, *((y, x) for x, y in pairs)]))


def _matrix(measure: Measure, scores: Sequence[Score], names: tuple[str, ...], value: str | None) -> ComparisonMatrix:
    place = {name: index for index, name in enumerate(names)}
    mine = [score for score in scores if score.measure == str(measure)]
    values = np.empty((len(names), len(names)))
    for score in mine:
        i, j = place[str(score.layer_x)], place[str(score.layer_y)]
        values[i, j] = score.quantity(value)
        if measure.symmetric:
            values[j, i] = values[i, j]
    return ComparisonMatrix(names, values, str(measure), mine[0].n_samples, value, mine[0].provenance)


def _source(representations: Any, tokens: Tokens, gate: Gate) -> _ManySource:
    if isinstance(representations, ActivationStore):
        representations = {name: representations[name] for name in representations.layers}
    if isinstance(representations, Mapping):
        names, items = [str(name) for name in representations], list(representations.values())
    elif isinstance(representations, Sequence) and not isinstance(representations, str):
        items = list(representations)
        names = [str(index) for index in range(len(items))]
        layers = [item.name for item in items if isinstance(item, Representation)]
        names = layers if len(set(layers)) == len(items) else names
    else:
        raise OptionError(
            f"compare_all takes a list or a mapping of arrays or of layers of stores: got "
            f"{type(representations).__name__}. For two arrays use rs.compare."
        )
    if len(set(names)) < len(names):
        raise OptionError(f"names of representations must differ: got {', '.join(names)}.")
    if not items:
        raise ShapeError("compare_all needs at least one representation: got none.")
    layers = [item for item in items if isinstance(item, Representation)]
    if not layers:
        return _ManySource(tuple(names), [gate(item, name) for item, name in zip(items, names, strict=True)])
    if len(layers) < len(items):
        raise OptionError("compare_all takes arrays or layers of stores: got both. Pass np.asarray(layer).")
    for layer in layers[1:]:  # an error unless both stores select the same rows
        paired_layer_chunks(layers[0].store, layer.store, [], [], tokens=tokens)
    return _ManySource(tuple(names), layers, selected_rows(layers[0].store, tokens), tokens)


class _ManySource:
    """Several representations over the same rows, which pairs name by their names."""

    def __init__(
        self, names: tuple[str, ...], items: Sequence[Any], mask: np.ndarray | None = None, tokens: Tokens | None = None
    ) -> None:
        self.names, self.stored, self._mask = names, mask is not None, mask
        self._items = dict(zip(names, items, strict=True))
        rows = {name: len(item) for name, item in self._items.items()}
        if len(set(rows.values())) > 1:
            listed = ", ".join(f"{name}: {n}" for name, n in list(rows.items())[:6])
            raise ShapeError(f"representations must have the same number of rows: got {listed}. Match their rows.")
        self.n_rows = int(np.count_nonzero(mask)) if mask is not None else rows[names[0]]
        self.documents = None if mask is None else items[0].store.columns["doc_id"][mask]
        self.provenance: dict[str, Any] = (
            {} if tokens is None or mask is None else {"tokens": tokens_record(tokens, mask)}
        )

    def width(self, _side: int, layer: str) -> int:
        return self._items[layer].shape[1]

    def groups(self, pairs: Sequence[tuple[str, str]]) -> list[LayerGroup]:
        """Return the groups of layers; a representation is the same layer as X and as Y."""
        return [group.of_one_store() for group in layer_groups(pairs)]

    def gather(self, _side: int, layer: str, chosen: np.ndarray | None) -> np.ndarray:
        item = self._items[layer]
        if self._mask is None:
            rows = np.asarray(item)
            return rows if chosen is None else rows[chosen]
        mask = self._mask
        if chosen is not None:
            mask = np.zeros(len(mask), bool)
            mask[np.flatnonzero(self._mask)[chosen]] = True
        return np.concatenate(list(item.chunks(mask=mask)))

    def reader(self, _side: int, layer: str) -> Callable[[int, int], Iterator[np.ndarray]]:
        item = self._items[layer]
        if self._mask is not None:
            return stored_rows(item, self._mask)
        return lambda start, stop: iter([np.asarray(item[start:stop])])

    def chunks(self, group: LayerGroup, start: int = 0) -> Iterator[list[Any]]:
        items = [self._items[name] for _, name in group.members]
        if self._mask is None:
            for begin in range(start, self.n_rows, _CHUNK_ROWS):
                yield [item[begin : begin + _CHUNK_ROWS] for item in items]
            return
        readers = [item.chunks(_CHUNK_ROWS, start=start, mask=self._mask) for item in items]
        parts = [next(reader) for reader in readers]
        done = start
        while done < self.n_rows:  # chunks end where the shards of a store do
            n = min(map(len, parts))
            yield [part[:n] for part in parts]
            done += n
            if done < self.n_rows:
                parts = [
                    part[n:] if len(part) > n else next(reader) for part, reader in zip(parts, readers, strict=True)
                ]
