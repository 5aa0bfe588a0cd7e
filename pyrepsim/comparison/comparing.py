"""`compare`: the value of each measure for each pair of layers."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from ..core.errors import OptionError
from ..core.ownership import owning
from ..core.paths import as_path
from ..inference import Bootstrap, Jackknife
from ..measures import Measure, MomentMeasure, RowMeasure
from ..results import Score, Scores
from ..store.columns import Tokens
from .best import best_matches
from .executors import Executor, check_executor
from .gram_scores import gram_pairs, gram_scores, tile_pairs, tile_scores
from .intervals import scores_with_intervals
from .layers import Layers
from .moment_scores import moment_scores
from .options import ExecutionOptions, as_measures, ordered
from .row_scores import row_scores
from .sources import ArraySource, Sides, Source, open_sides
from .sparse_source import SparseSource
from .undefined import check_defined

__all__ = ["check_interval", "check_scores", "compare", "scores_of", "scores_of_sides"]

log = logging.getLogger("pyrepsim.comparison")


def compare(
    X: Any,
    Y: Any,
    measures: Measure | str | Sequence[Measure | str],
    *,
    documents: Any = None,
    layers: Layers = "same",
    tokens: Tokens = "content",
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    memory: int | str | None = None,
    interval: Bootstrap | Jackknife | str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    wait: float | None = None,
    progress: bool | None = None,
) -> Score | Scores:
    """Compare two representations, or the layers of two activation stores, by any number of measures.

    Measures of moments (`MomentMeasure`) share one pass over the rows; memory does not depend on the number of rows.
    Measures of rows (`RowMeasure`) have the selected rows of a layer in memory and take time n^2.

    Parameters
    ----------
    X, Y : array-like of shape (n_samples, n_features_x) and (n_samples, n_features_y), or ActivationStore
        Two arrays, whose rows are matched by position; either may be sparse, see Notes. Or two activation stores, or
        one layer of each (``store["layer.3"]``), whose rows are matched by document, position and token.
    measures : Measure, str, or a sequence of these
        Such as ``rs.LinearCKA()`` or ``"SVCCA(variance=0.9)"``.
    documents : array-like of shape (n_samples,) or (n_texts,), optional
        The document of each row of arrays, or of each text of stores (in the order of ``doc_id``): a number or a name.
        Rows of one document depend on each other, so intervals resample whole documents. Each text of a store is a
        document by default; name them where several are of one document, such as the sentences of an article.
    layers : {"same", "all", "best", "relative"} or list of (layer_x, layer_y), default "same"
        For stores. "same" pairs layers of equal name; those of one side only are logged, and in
        ``Score.provenance["left_out_x"]`` and ``"left_out_y"``. "all" pairs every layer with every layer. "best"
        does the same, and keeps for each layer of X the best layer of Y: the highest value, of a distance the lowest.
        The best of many is high by chance too: `permutation_test` has its null. "relative"
        pairs each layer of the shallower model with that of the other at the nearest relative depth. If a store is
        compared with itself, each layer is read once and each pair is summed once.
    tokens : str, slice, range, boolean array or callable, default "content"
        For stores: the tokens to compare. "content" leaves out special tokens; ``"last"``, ``"0:5"``,
        ``"first_subword"``, ``"assistant"`` or a function of the columns choose positions: see `TokenColumns.mask`.
    backend : {"auto", "cpu", "cuda", "reference"}, default "auto"
        See `MomentsSet`. The choice is recorded in ``Score.provenance``.
    n_threads : int, optional
        By default one thread for each core.
    precision : {"auto", "fp64", "fp32", "int24", "fast"}, default "auto"
        Precision of the products; sums are float64. "auto" is fp64 for moments and fp32 for tiles of pairs of rows.
        "int24", for moments on the CPU, has the same bits on every processor, see docs/precision.md;
        ``details["largest_error"]`` then bounds the error of the sums. "fast", for measures of rows on a GPU, rounds
        rows to half precision.
    memory : int or str, optional
        Memory that may be used: bytes, or an amount such as ``"8GB"``. By default that of the machine, or of the
        control group (container, job) if that is less. Where the sums of all pairs of layers of stores do not fit into
        half of it, they are made in several passes over the rows; what needs more nevertheless raises ShapeError.
    interval : Bootstrap, Jackknife or str, optional
        How to find an interval for each value: by resampling blocks of documents (of consecutive rows if they are not
        known). A
        text such as ``"Jackknife(blocks=16)"`` works too. See Notes.
    checkpoint : path-like, optional
        For stores: a folder that keeps the sums of moments. Run the same call again to resume it after an interruption;
        the result has the same bits.
    executor : object with ``submit``, optional
        For stores: workers that sum the moments, such as `concurrent.futures.ProcessPoolExecutor`,
        `dask.distributed.Client` or submitit's; they must be able to open the stores' paths. See Notes.
    wait : float, optional
        Seconds to wait for another process that uses the folder `checkpoint`. By default it is refused at once.
    progress : bool, optional
        Whether to show a progress bar. None: on a terminal and in a notebook; lines in a log.

    Returns
    -------
    Score or Scores
        A `Score` for one measure of two arrays or of two layers; otherwise `Scores`, one for each measure and pair of
        layers.

    Raises
    ------
    ShapeError, DTypeError
        If the arrays are not two matrices of numbers with the same number of rows.
    NonFiniteError
        If a value is NaN or infinite.
    DegenerateError
        If a measure is defined for no pair of layers, such as constant features. See Notes.
    RowMismatchError
        If the stores do not hold the same tokens in the same order.
    LayerError, OptionError
        If a layer or an option does not exist.
    LockedError
        If another process uses the folder `checkpoint`.

    Notes
    -----
    Few rows: measures that do not depend on rotations of the features are computed from n x n matrices where these take
    fewer products than the d x d sums. `LinearCKA`, `RV2` and `RSA` in closed form add up tiles of these matrices, for
    all layers that are compared together, in memory that grows with neither n^2 nor d^2: for every layer with every
    layer, L in all, this is the case for n below about L d / 2, and for two arrays for n below the mean of d_x and d_y.
    With that many rows, `Procrustes`, `ShapeMetric`, `SVCCA`, ridge `CCA` and `GULP` take the n x n matrices of the two
    layers, with their rows in memory. The values are the same within about 1e-12; ``Score.provenance`` then has
    ``products``: "n x n". Sums for an interval, a checkpoint, an executor, a GPU or int24 are always d x d. In
    precision fp32, an entry of a tile has an error of at most 1.6e-5 |x_i - m| |x_j - m|.

    Fewer rows than features: CCA, biased CKA and others are then high for unrelated representations too. One warning is
    logged for such measures (``biased_by_few_rows``), and their ``details`` have ``fewer_rows_than_features``.

    Scores that are not defined: where a measure is not defined for some pairs of layers, such as those of the
    embeddings with ``tokens="cls"``, whose rows are all equal, these scores are NaN with the reason in
    ``details["undefined"]``, and one warning is logged. A score whose interval is not defined keeps its value. With a
    checkpoint or an executor, and in streams, a row of zeros is an error for measures of directions.

    Sparse rows, such as features of sparse autoencoders, are scipy sparse matrices, torch sparse tensors, or mappings
    ``{"locations": (k, 2), "activations": (k,), "shape": (n_samples, n_features)}``. `LinearCKA`, `RV2`, and `RSA` in
    closed form with the metrics cosine, dot and sqeuclidean are computed from products of sparse rows, in time n^2;
    other measures are refused.

    Intervals: measures of moments, and RSA by tiles with Pearson, cosine or Euclidean comparison, need no second pass;
    for S blocks, memory is that of S + 8 times the d x d sums. Any other measure is evaluated again without each block,
    S times, for a jackknife. ``Score.details["interval"]`` has its ``kind``, ``confidence``, ``blocks``,
    ``n_resamples`` and ``standard_error``. The value is the one without an interval up to rounding, since sums are
    added block by block.

    Executors: each task sums 65,536 rows (more if there would be more than 64 tasks) with `n_threads` threads. With
    ``backend="cuda"`` successive tasks go to the GPUs of the machine in turn, so a `ThreadPoolExecutor` with as many
    threads uses them all. The bits are the same for any executor and number of workers; they differ from those without
    an executor by rounding. Measures of rows, and the scores, are computed in the calling process.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((500, 8))
    >>> Y = X[:, :6] + rng.standard_normal((500, 6))
    >>> rs.compare(X, Y, rs.LinearCKA())
    Score(0.410621, LinearCKA, n=500)
    >>> scores = rs.compare(X, Y, ["CCA", "RSA(metric='euclidean')"], interval="Jackknife(blocks=10)")
    >>> print(scores.table())
    X ~ Y, n = 500
    measure                                    value
    -----------------------  -----------------------
    CCA                      0.6938 [0.6802, 0.7069]
    RSA(metric='euclidean')  0.4203 [0.3778, 0.4610]
    """
    parsed = as_measures(measures)
    options = ExecutionOptions(backend=backend, n_threads=n_threads, precision=precision, memory=memory)
    whole = interval is None and documents is None
    sides = open_sides(X, Y, layers=layers, tokens=tokens, backend=backend, documents=documents, sparse=whole)
    if interval is not None:
        check_interval(layers)
    scores = sides.named(
        scores_of_sides(
            sides, parsed, options, interval=interval, checkpoint=checkpoint, executor=executor, wait=wait,
            progress=sides.progress(progress),
        )
    )  # fmt: skip
    check_scores(scores)
    if layers == "best":
        scores = best_matches(scores, parsed)
    single = sides.kind != "store" and isinstance(measures, Measure | str)
    return scores[0] if single else Scores(scores)


def check_interval(layers: Layers) -> None:
    """Raise OptionError for layers that scores with intervals do not have."""
    if layers == "best":
        raise OptionError(
            "An interval of the best of several layers would leave out that it was chosen: got interval and "
            "layers='best'. Use layers='all' for intervals, or permutation_test for the best layer."
        )


def scores_of_sides(
    sides: Sides,
    measures: Sequence[Measure],
    options: ExecutionOptions,
    *,
    interval: Bootstrap | Jackknife | str | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    wait: float | None = None,
    progress: bool | None = None,
) -> list[Score]:
    """Return the scores of every pair of layers; those that are not defined are NaN, and no warning is logged."""
    if interval is not None:
        if checkpoint is not None or executor is not None:
            name = "checkpoint" if checkpoint is not None else "executor"
            raise OptionError(f"{name} keeps the sums of all rows, and interval needs those of blocks. Leave out one.")
        return scores_with_intervals(sides.source, sides.pairs, measures, options, interval, progress=progress)
    with nullcontext() if checkpoint is None else owning(as_path(checkpoint, "checkpoint"), wait=wait):
        return scores_of(
            sides.source, sides.pairs, measures, options, checkpoint=checkpoint, executor=executor, progress=progress
        )


def scores_of(
    source: Source,
    pairs: Sequence[tuple[str, str]],
    measures: Sequence[Measure],
    options: ExecutionOptions,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: bool | None = None,
) -> list[Score]:
    """Return the score of every measure for every pair, in the order of the pairs and measures."""
    if isinstance(source, SparseSource):
        source.check(measures, options)
        if checkpoint is not None or executor is not None:
            raise OptionError("checkpoint and executor are for stores: got sparse rows. Leave them out.")
        chosen_measures: Any = measures
        return ordered(tile_scores(source, pairs, chosen_measures, options, progress), pairs, measures)
    if isinstance(source, ArraySource) and options.precision != "int24":
        measures = [measure.array_form or measure for measure in measures]
    of_moments = [measure for measure in measures if isinstance(measure, MomentMeasure)]
    of_rows = [measure for measure in measures if isinstance(measure, RowMeasure)]
    if checkpoint is not None and not of_moments:
        raise OptionError(f"checkpoint keeps sums of moments: {', '.join(map(str, of_rows))} reads rows. Leave it out.")
    if executor is not None:
        check_executor(executor, source)
    scores: list[Score] = []
    summed: dict[tuple[tuple[str, str], ...], list[MomentMeasure]] = {}
    if checkpoint is None and executor is None and options.precision != "int24":
        for products, route, scored in ((True, tile_pairs, tile_scores), (False, gram_pairs, gram_scores)):
            mine = [m for m in of_moments if m.from_gram and (m.reads == "products") == products]
            if mine and (taken := route(source, pairs, options)):
                scores += scored(source, taken, mine, options, progress)
                chosen = set(taken)
                summed.setdefault(tuple(pair for pair in pairs if pair not in chosen), []).extend(mine)
                of_moments = [m for m in of_moments if m not in mine]
    summed.setdefault(tuple(pairs), []).extend(of_moments)
    for of_pairs, chosen_measures in summed.items():
        if chosen_measures and of_pairs:
            scores += moment_scores(
                source, of_pairs, chosen_measures, options, checkpoint=checkpoint, executor=executor, progress=progress
            )
    if of_rows:
        scores += row_scores(source, source.groups(pairs), of_rows, options, progress)
    return ordered(scores, pairs, measures)


def check_scores(scores: Sequence[Score]) -> None:
    """Raise the error of a measure that is defined for no pair of layers; warn of values that say nothing.

    One warning for scores that are not defined, and one for values that there are too few rows for: they are what they
    are whatever the data are, or high for unrelated representations too.
    """
    check_defined(scores)
    determined = [score for score in scores if score.details.get("determined")]
    biased = [
        score
        for score in scores
        if score.details.get("fewer_rows_than_features") and not score.details.get("determined")
    ]
    facts = []
    for found, fact in (
        (determined, "do not depend on the data, because the features span all dimensions of the centred rows"),
        (biased, "are of fewer rows than features, where unrelated representations look alike too"),
    ):
        if found:
            named = ", ".join(dict.fromkeys(score.measure for score in found))
            first = f"first: {found[0].n_samples} rows, layers {found[0].layer_x} and {found[0].layer_y}"
            facts.append(f"{named}: {len(found)} of {len(scores)} values {fact} ({first}).")
    if facts:
        log.warning(
            "%s Pass more rows than features plus one, or use SVCCA(components=...) or LinearCKA(debiased=True).",
            " ".join(facts),
        )
