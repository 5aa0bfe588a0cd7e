"""From a source, pairs of layers and measures to scores: one pass for moments, gathered rows for the others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from ..backends import get_backend
from ..errors import OptionError
from ..measures import Measure
from ..progress import progress_bar
from ..results import Score
from ..stats import MomentsSet
from ..store import ActivationStore, Representation
from .checkpoint import Checkpoint
from .finishing import score_group
from .pairing import LayerGroup, Layers, layer_groups, layer_pairs
from .parts import Executor, add_parts, check_executor, part_rows
from .rows import score_rows
from .scoring import Engine, ordered
from .sources import ArraySource, Source, StoreSource

__all__ = ["kind_of", "open_sides", "scores_of"]

Pairs = Sequence[tuple[str, str]]


def open_sides(X: Any, Y: Any, *, layers: Layers, tokens: str, backend: str) -> tuple[Source, list[tuple[str, str]]]:
    """What `compare` was given, as a source of rows and the pairs of layers that are asked for."""
    kinds = {kind_of(side) for side in (X, Y)}
    if kinds == {"array"} and (layers, tokens) != ("same", "content"):
        raise OptionError("layers and tokens choose from stores: two arrays are compared as they are. Leave both out.")
    if kinds == {"layer"} and layers != "same":
        raise OptionError("layers chooses from stores: two layers are compared with each other. Leave it out.")
    if kinds == {"store"}:
        source = StoreSource(X, Y, tokens=tokens)
        return source, layer_pairs(source.layers_x, source.layers_y, layers)
    if kinds == {"layer"}:
        return StoreSource(X.store, Y.store, tokens=tokens), [(X.name, Y.name)]
    if kinds == {"array"}:
        return ArraySource(X, Y, get_backend(backend).rows_view), [("X", "Y")]
    raise OptionError(
        f"compare takes two arrays, two layers of stores or two stores: got {' and '.join(sorted(kinds))}. "
        "For the rows of one layer as an array pass np.asarray(store['layer.3'])."
    )


def kind_of(side: Any) -> str:
    if isinstance(side, ActivationStore):
        return "store"
    return "layer" if isinstance(side, Representation) else "array"


def scores_of(
    source: Source,
    pairs: Pairs,
    measures: Sequence[Measure],
    engine: Engine,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> list[Score]:
    """Every measure on every pair, in the order that they were asked for."""
    from_moments = [measure for measure in measures if measure.reads == "moments"]
    from_rows = [measure for measure in measures if measure.reads == "rows"]
    if checkpoint is not None and not from_moments:
        raise OptionError(
            f"checkpoint keeps sums of moments: {', '.join(map(str, from_rows))} reads rows. Leave it out."
        )
    if executor is not None:
        check_executor(executor, source)
    scores = _stream(source, pairs, from_moments, engine, checkpoint, executor, progress) if from_moments else []
    if from_rows:
        scores += score_rows(source, _groups(source, pairs), from_rows, engine, progress)
    return ordered(scores, pairs, measures)


def _groups(source: Source, pairs: Pairs) -> list[LayerGroup]:
    """Each layer once, if the store is compared with itself."""
    groups = layer_groups(pairs)
    if isinstance(source, StoreSource) and source.one_store:
        return [group.of_one_store() for group in groups]
    return groups


def _stream(
    source: Source,
    pairs: Pairs,
    measures: Sequence[Measure],
    engine: Engine,
    checkpoint: str | os.PathLike[str] | None,
    executor: Executor | None,
    progress: bool | None,
) -> list[Score]:
    """One pass over the rows of each group of connected layers, then its scores; sums kept on disk if asked for."""
    saved = None
    if checkpoint is not None:
        if not isinstance(source, StoreSource):
            raise OptionError(
                "checkpoint is for stores: arrays are gone when the process is. Write them with rs.write_store first."
            )
        rows = None if executor is None else part_rows(source.n_rows)
        saved = Checkpoint(checkpoint, source, engine, measures, pairs, part_rows=rows)
    groups = _groups(source, pairs)
    scores: list[Score] = []
    with progress_bar(len(groups) * source.n_rows, progress, desc="compare") as bar:
        for index, group in enumerate(groups):
            moments = engine.moments(group, source.widths(group), measures)
            if saved is not None:
                saved.restore(index, moments)
            bar.update(int(moments.n_samples))
            for n_rows in _added(moments, source, group, executor):
                bar.update(n_rows)
                if saved is not None:
                    saved.save(index, moments)
            if saved is not None:
                saved.save(index, moments, finished=True)
            scores += score_group(group, moments, measures, engine, source.provenance, source)
    return scores


def _added(moments: MomentsSet, source: Source, group: LayerGroup, executor: Executor | None) -> Iterator[int]:
    """Add the rows after those that ``moments`` has, here or by an executor; gives how many at a time."""
    if executor is not None and isinstance(source, StoreSource):
        yield from add_parts(moments, source, group, executor)
        return
    for chunk in source.chunks(group, start=int(moments.n_samples)):
        moments.update(chunk)
        yield len(chunk[0])
