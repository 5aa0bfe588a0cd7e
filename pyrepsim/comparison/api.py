"""`compare`: the verb of the package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..backends import get_backend
from ..errors import OptionError
from ..measures import Measure
from ..progress import progress_bar
from ..results import Score, Scores
from ..store import ActivationStore, Representation
from .checkpoint import Checkpoint
from .pairing import Layers, layer_groups, layer_pairs
from .rows import score_rows
from .scoring import Engine, as_measures, ordered, score_group
from .sources import ArraySource, StoreSource

__all__ = ["compare"]


def compare(
    X: Any,
    Y: Any,
    measures: Measure | str | Sequence[Measure | str],
    *,
    layers: Layers = "same",
    tokens: str = "content",
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Score | Scores:
    """Compare two representations, or every layer of two activation stores, by any number of measures.

    Measures of moments share one pass over the rows, in memory that does not grow with them. Measures that read rows
    (``measure.reads``) have a layer's selected rows in memory and take time n^2.

    Parameters
    ----------
    X, Y : arrays of shape (n_samples, n_features_x) and (n_samples, n_features_y), rows matched by position; or two
        activation stores, or one layer of each (``store["layer.3"]``), rows matched by document, position and token.
    measures : a measure or several; names such as ``"SVCCA(variance=0.9)"`` do too.
    layers : for stores. ``"same"`` pairs layers of equal name, ``"all"`` every layer with every layer; or a list of
        (layer_x, layer_y).
    tokens : for stores. ``"content"`` leaves special tokens out; ``"all"``, ``"special"`` or ``"cls"``.
    backend, n_threads : see `MomentsSet`. The choice is recorded in ``Score.provenance``.
    precision : ``"auto"``: float64 for moments, float32 for tiles of pairs of rows; or ``"fp64"`` or ``"fp32"`` for
        both; on a GPU also ``"fast"`` for measures that read rows: tiles of rows rounded to half precision. Sums are
        float64.
    checkpoint : a folder where the sums of moments are kept while they grow; an interrupted call with the same
        arguments goes on from there and ends with the same bits. For stores.
    progress : show a progress bar; None shows it on a terminal only.

    Returns
    -------
    A `Score` for one measure of two arrays or two layers, otherwise `Scores`, one for each measure and pair of layers.

    Raises
    ------
    ShapeError, DTypeError, NonFiniteError, DegenerateError, LayerError, RowMismatchError or OptionError, each with the
    rule, the fact and the remedy.
    """
    wanted = as_measures(measures)
    engine = Engine(backend=backend, n_threads=n_threads, precision=precision)
    kinds = {_kind(side) for side in (X, Y)}
    if kinds == {"array"} and (layers, tokens) != ("same", "content"):
        raise OptionError("layers and tokens choose from stores: two arrays are compared as they are. Leave both out.")
    if kinds == {"layer"} and layers != "same":
        raise OptionError("layers chooses from stores: two layers are compared with each other. Leave it out.")
    if kinds == {"store"}:
        source: ArraySource | StoreSource = StoreSource(X, Y, tokens=tokens)
        pairs = layer_pairs(source.layers_x, source.layers_y, layers)
    elif kinds == {"layer"}:
        source, pairs = StoreSource(X.store, Y.store, tokens=tokens), [(X.name, Y.name)]
    elif kinds == {"array"}:
        source, pairs = ArraySource(X, Y, get_backend(backend).rows_view), [("X", "Y")]
    else:
        raise OptionError(
            f"compare takes two arrays, two layers of stores or two stores: got {' and '.join(sorted(kinds))}. "
            "For the rows of one layer as an array pass np.asarray(store['layer.3'])."
        )
    shown = progress if kinds != {"array"} or progress else False
    from_moments = [measure for measure in wanted if measure.reads == "moments"]
    from_rows = [measure for measure in wanted if measure.reads == "rows"]
    if checkpoint is not None and not from_moments:
        raise OptionError(
            f"checkpoint keeps sums of moments: {', '.join(map(str, from_rows))} reads rows. Leave it out."
        )
    scores = _stream(source, pairs, from_moments, engine, checkpoint, shown) if from_moments else []
    if from_rows:
        scores += score_rows(source, layer_groups(pairs), from_rows, engine, shown)
    scores = ordered(scores, pairs, wanted)
    if kinds == {"array"}:
        scores = [replace(score, layer_x=None, layer_y=None) for score in scores]
    one = kinds != {"store"} and isinstance(measures, Measure | str)
    return scores[0] if one else Scores(scores)


def _kind(side: Any) -> str:
    if isinstance(side, ActivationStore):
        return "store"
    return "layer" if isinstance(side, Representation) else "array"


def _stream(
    source: ArraySource | StoreSource,
    pairs: Sequence[tuple[str, str]],
    measures: Sequence[Measure],
    engine: Engine,
    checkpoint: str | os.PathLike[str] | None,
    progress: bool | None,
) -> list[Score]:
    """One pass over the rows of each group of connected layers, then its scores; sums kept on disk if asked for."""
    saved = None
    if checkpoint is not None:
        if isinstance(source, ArraySource):
            raise OptionError(
                "checkpoint is for stores: arrays are gone when the process is. Write them with rs.write_store first."
            )
        saved = Checkpoint(checkpoint, source, engine, measures, pairs)
    groups = layer_groups(pairs)
    scores: list[Score] = []
    with progress_bar(len(groups) * source.n_rows, progress, desc="compare") as bar:
        for index, group in enumerate(groups):
            moments = engine.moments(group, source.widths(group), measures)
            if saved is not None:
                saved.restore(index, moments)
            bar.update(int(moments.n_samples))
            for chunk in source.chunks(group, start=int(moments.n_samples)):
                moments.update(chunk)
                bar.update(len(chunk[0]))
                if saved is not None:
                    saved.save(index, moments)
            if saved is not None:
                saved.save(index, moments, finished=True)
            scores += score_group(group, moments, measures, engine, source.provenance, source)
    return scores
