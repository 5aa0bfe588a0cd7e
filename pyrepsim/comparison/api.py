"""`compare`: the verb of the package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import OptionError
from ..measures import Measure
from ..progress import progress_bar
from ..results import Score, Scores
from ..store import ActivationStore
from .checkpoint import Checkpoint
from .pairing import Layers, layer_groups, layer_pairs
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
    precision: str = "fp64",
    checkpoint: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Score | Scores:
    """Compare two representations, or every layer of two activation stores, by any number of measures in one pass.

    Parameters
    ----------
    X, Y : arrays of shape (n_samples, n_features_x) and (n_samples, n_features_y), rows matched by position; or two
        activation stores, rows matched by document, position and token.
    measures : a measure or several; names such as ``"SVCCA(variance=0.9)"`` do too.
    layers : for stores. ``"same"`` pairs layers of equal name, ``"all"`` every layer with every layer; or a list of
        (layer_x, layer_y).
    tokens : for stores. ``"content"`` leaves special tokens out; ``"all"``, ``"special"`` or ``"cls"``.
    backend, n_threads, precision : see `MomentsSet`. The choice is recorded in ``Score.provenance``.
    checkpoint : a folder where the sums are kept while they grow; an interrupted call with the same arguments goes on
        from there and ends with the same bits. For stores.
    progress : show a progress bar; None shows it on a terminal only.

    Returns
    -------
    A `Score` for two arrays and one measure, otherwise `Scores`, one for each measure and pair of layers.

    Raises
    ------
    ShapeError, DTypeError, NonFiniteError, DegenerateError, LayerError, RowMismatchError or OptionError, each with the
    rule, the fact and the remedy.
    """
    wanted = as_measures(measures)
    engine = Engine(backend=backend, n_threads=n_threads, precision=precision)
    stores = isinstance(X, ActivationStore)
    if stores != isinstance(Y, ActivationStore):
        raise OptionError(
            "compare takes two arrays or two stores: got one of each. For one layer pass np.asarray(store['layer.3'])."
        )
    if checkpoint is not None and not stores:
        raise OptionError(
            "checkpoint is for stores: arrays are gone when the process is. Write them with rs.write_store first."
        )
    source = StoreSource(X, Y, tokens=tokens) if stores else ArraySource(X, Y)
    pairs = layer_pairs(source.layers_x, source.layers_y, layers if stores else "all")
    saved = None
    if checkpoint is not None and isinstance(source, StoreSource):
        saved = Checkpoint(checkpoint, source, engine, wanted, pairs)
    groups = layer_groups(pairs)
    scores: list[Score] = []
    with progress_bar(len(groups) * source.n_rows, progress if stores or progress else False, desc="compare") as bar:
        for index, group in enumerate(groups):
            moments = engine.moments(group, source.widths(group), wanted)
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
            scores += score_group(group, moments, wanted, engine, source.provenance, source)
    scores = ordered(scores, pairs)
    if not stores:
        scores = [replace(score, layer_x=None, layer_y=None) for score in scores]
        if isinstance(measures, Measure | str):
            return scores[0]
    return Scores(scores)
