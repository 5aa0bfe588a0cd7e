"""`compare`: the verb of the package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..core.errors import OptionError
from ..inference import Bootstrap, Jackknife
from ..measures import Measure
from ..results import Score, Scores
from .intervals import scores_with_intervals
from .options import Engine, as_measures
from .parts import Executor
from .passes import kind_of, open_sides, scores_of
from .sources import Layers

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
    interval: Bootstrap | Jackknife | str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
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
        (layer_x, layer_y). Of a store compared with itself each layer is read, and each pair summed, once.
    tokens : for stores. ``"content"`` leaves special tokens out; ``"all"``, ``"special"`` or ``"cls"``.
    backend, n_threads : see `MomentsSet`. The choice is recorded in ``Score.provenance``.
    precision : ``"auto"``: float64 for moments, float32 for tiles of pairs of rows; or ``"fp64"`` or ``"fp32"`` for
        both; on a GPU also ``"fast"`` for measures that read rows: tiles of rows rounded to half precision. Sums are
        float64.
    interval : `Bootstrap` or `Jackknife`, or its text such as ``"Jackknife(blocks=16)"``: how to find an interval for
        each value by resampling blocks of documents (of arrays: of consecutive rows). Measures of moments, and RDMs on
        tiles under Pearson, cosine or Euclidean comparison, need no second pass; memory is that of S + 8 times the
        d x d sums for S blocks. Any other measure is evaluated again without each block, S times, for the jackknife.
        ``details["interval"]`` says which kind, ``"confidence"``, ``"blocks"``, ``"n_resamples"`` and
        ``"standard_error"``, and rows of the long table say the same. The value
        itself is that of the blocks' sums together: equal to the one without an interval up to rounding.
    checkpoint : a folder where the sums of moments are kept while they grow; an interrupted call with the same
        arguments goes on from there and ends with the same bits. For stores.
    executor : who sums moments of stores: anything with ``submit()`` whose workers see the stores' paths, such as
        `concurrent.futures.ProcessPoolExecutor`, `dask.distributed.Client` or submitit's. Each takes parts of 65,536
        rows (of more, so that there are no more than 64 parts) with n_threads threads; with ``backend="cuda"``
        successive parts go to the machine's GPUs in turn, so that a `ThreadPoolExecutor` of as many threads keeps all
        of them busy. The bits are the same for any executor and any number of workers, and differ from those without
        one by rounding. Measures that read rows, and the scores, are computed here.
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
    source, pairs = open_sides(X, Y, layers=layers, tokens=tokens, backend=backend)
    kind = kind_of(X)
    shown = progress if kind != "array" or progress else False
    if interval is None:
        scores = scores_of(source, pairs, wanted, engine, checkpoint=checkpoint, executor=executor, progress=shown)
    elif checkpoint is not None or executor is not None:
        given = "checkpoint" if checkpoint is not None else "executor"
        raise OptionError(f"{given} keeps the sums of all rows, and interval needs those of blocks. Leave out one.")
    else:
        scores = scores_with_intervals(source, pairs, wanted, engine, interval, progress=shown)
    if kind == "array":
        scores = [replace(score, layer_x=None, layer_y=None) for score in scores]
    one = kind != "store" and isinstance(measures, Measure | str)
    return scores[0] if one else Scores(scores)
