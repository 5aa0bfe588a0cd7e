"""Permutation tests: the values of measures when the rows of Y are matched with those of X at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..core.progress import progress_bar
from ..inference import max_statistic_p, permutation_p
from ..inference.p_values import value_rounding
from ..measures import Measure
from ..pairwise import PairwiseEngine
from ..results import Score, Scores
from ..store.columns import Tokens
from .best import best_with_null, check_direction
from .comparing import check_scores, scores_of
from .layers import LayerGroup, Layers, layer_groups
from .options import ExecutionOptions, as_measures, ordered
from .sources import Source, open_sides, widths_of
from .undefined import is_defined

__all__ = ["permutation_test"]

_CHUNK_ROWS = 8192


def permutation_test(
    X: Any,
    Y: Any,
    measures: Measure | str | Sequence[Measure | str],
    *,
    n_resamples: int = 199,
    seed: int = 0,
    unit: str = "auto",
    alternative: str = "greater",
    layers: Layers = "same",
    tokens: Tokens = "content",
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    memory: int | str | None = None,
    progress: bool | None = None,
) -> Scores:
    """Test whether X and Y are more similar than with rows matched at random, for each pair of layers and the best one.

    The rows of Y are permuted; all layers and measures get the same permutations. The p-value of the best layer
    therefore accounts for having chosen it among all layers. With ``layers="best"``, each layer of X is tested with the
    layer of Y that is most similar to it, against the best layer of Y in each permutation.

    Parameters
    ----------
    X, Y, measures, layers, tokens, backend, n_threads, precision, memory, progress
        See `compare`.
    n_resamples : int, default 199
        Number of permutations. The smallest possible p-value is 1 / (n_resamples + 1).
    seed : int, default 0
        Of the permutations.
    unit : {"auto", "documents", "rows"}, default "auto"
        What is exchangeable if X and Y are unrelated. "documents": whole documents are exchanged, and rows keep their
        order inside. "rows": single rows; rows of one document resemble each other, so that these p-values are too
        small. "auto": documents where they are known.
    alternative : {"greater", "less"}, default "greater"
        "greater" for similarities, "less" for distances.

    Returns
    -------
    Scores
        Scores of the rows as they are. ``details["permutation"]`` has ``p`` (one-sided, for this pair of layers; with
        ``layers="best"`` for the best of all layers of Y, whose number is ``details["best_of"]``),
        ``p_best`` (against the most extreme of all pairs of layers in each permutation: it controls the family-wise
        error, Westfall & Young 1993), ``null_mean``, ``null_sd``, ``null_95`` (95th percentile; with "less" the 5th),
        ``n_resamples``, ``seed``, ``unit`` and ``alternative``.

    Raises
    ------
    OptionError
        If an option is outside its domain, if ``layers="best"`` is to test similarities for "less" or distances for
        "greater", or if a measure does not depend on which rows belong together (`Magnitude`,
        `Concentricity`, `Uniformity`, `MetricSpaceMagnitude`).
    DegenerateError
        If there is a single document.
    PyrepsimError
        As in `compare`.

    Notes
    -----
    Scores that are not defined, as in `compare`, have no ``details["permutation"]``.

    Values that differ by no more than rounding count as equal: by 1e-10 of the largest value, or 1e-6 where they were
    computed in float32.

    Takes n_resamples + 1 comparisons. The compared layers are held in memory in their stored type: those of all pairs
    with ``layers="all"``, otherwise of one pair at a time.

    References
    ----------
    Mantel (1967), Cancer Research 27. Phipson & Smyth (2010), SAGMB 9(1):39.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((200, 8))
    >>> Y = X[:, :6] + 3 * rng.standard_normal((200, 6))
    >>> (score,) = rs.permutation_test(X, Y, rs.LinearCKA(), n_resamples=99)
    >>> round(score.value, 4), score.details["permutation"]["p"]
    (0.1078, 0.01)
    """
    parsed = as_measures(measures)
    for measure in parsed:
        if not measure.depends_on_matching:
            raise OptionError(
                f"a permutation test needs measures that depend on which row of X belongs to which row of Y: {measure} "
                "does not depend on the matching, so every permutation has the same value. Leave it out, or use "
                "rs.compare with an interval."
            )
    _check_options(n_resamples, seed, unit, alternative)
    best = layers == "best"
    if best:
        check_direction(parsed, alternative)
    options = ExecutionOptions(backend=backend, n_threads=n_threads, precision=precision, memory=memory)
    sides = open_sides(X, Y, layers=layers, tokens=tokens, backend=backend)
    source = sides.source
    documents = None if unit == "rows" else source.documents
    if unit == "documents" and documents is None:
        raise OptionError("unit='documents' needs to know each row's document: arrays have none. Compare stores.")
    groups = layer_groups(sides.pairs)
    observed: list[Score] = []
    null: list[list[float]] = [[] for _ in range(n_resamples)]
    work = len(groups) * (1 + n_resamples)
    with progress_bar(work, sides.progress(progress), desc="permutations", unit=" comparisons") as bar:
        for group in groups:
            in_memory = _InMemory(source, group, options.pairwise(False))
            observed += scores_of(in_memory, group.pairs, parsed, options, progress=False)
            bar.update(1)
            for index in range(n_resamples):
                in_memory.order = permuted_rows(source.n_rows, documents, seed=seed, index=index)
                permuted = scores_of(in_memory, group.pairs, parsed, options, progress=False)
                null[index] += [score.value for score in permuted]
                bar.update(1)
    recorded = {
        "n_resamples": n_resamples,
        "seed": seed,
        "unit": "rows" if documents is None else "documents",
        "alternative": alternative,
    }
    values = np.array(null)
    if best:
        observed, values = best_with_null(observed, values, parsed)
    tested = _tested(observed, values, parsed, recorded)
    scores = sides.named(ordered(tested, sides.pairs, parsed))
    check_scores(scores)
    return Scores(scores)


def permuted_rows(n_rows: int, documents: np.ndarray | None, *, seed: int, index: int) -> np.ndarray:
    """Return permutation number `index` of a seed: for each row, the row that takes its place.

    With `documents`, whole documents are put in random order, and their rows are assigned to the rows in document
    order: rows of one document stay together.
    """
    rng = np.random.default_rng([seed, index])
    if documents is None:
        return rng.permutation(n_rows)
    _, of_row = np.unique(documents, return_inverse=True)
    n_documents = int(of_row.max()) + 1
    if n_documents < 2:
        raise DegenerateError(
            "a permutation test of documents needs at least two: got 1. Use unit='rows', or no documents."
        )
    natural = np.argsort(of_row, kind="stable")
    order = np.empty(n_rows, np.int64)
    order[natural] = np.argsort(rng.permutation(n_documents)[of_row], kind="stable")
    return order


class _InMemory:
    """A source whose rows are in memory; those of Y come in the order `order`."""

    def __init__(self, source: Source, group: LayerGroup, pairwise: PairwiseEngine) -> None:
        widths = widths_of(source, group)
        pairwise.refuse_what_does_not_fit(
            4 * source.n_rows * sum(widths), f"the rows of {len(widths)} layers", "Compare fewer layers at once."
        )
        self.n_rows, self.documents, self.provenance = source.n_rows, source.documents, source.provenance
        self.layers_x, self.layers_y = group.layers_x, group.layers_y
        self.order: np.ndarray | None = None
        self._rows = [
            {name: source.gather(side, name, None) for name in names}
            for side, names in enumerate((group.layers_x, group.layers_y))
        ]

    def width(self, side: int, layer: str) -> int:
        return self._rows[side][layer].shape[1]

    def groups(self, pairs: Sequence[tuple[str, str]]) -> list[LayerGroup]:
        return layer_groups(pairs)

    def gather(self, side: int, layer: str, chosen: np.ndarray | None) -> np.ndarray:
        rows = self._rows[side][layer]
        if side == 0 or self.order is None:
            return rows if chosen is None else rows[chosen]
        return rows[self.order if chosen is None else self.order[chosen]]

    def reader(self, side: int, layer: str) -> Callable[[int, int], Iterator[np.ndarray]]:
        return lambda start, stop: iter([self.gather(side, layer, np.arange(start, stop))])

    def chunks(self, group: LayerGroup, start: int = 0) -> Iterator[list[np.ndarray]]:
        for begin in range(start, self.n_rows, _CHUNK_ROWS):
            part = np.arange(begin, min(begin + _CHUNK_ROWS, self.n_rows))
            yield [self.gather(side, name, part) for side, name in group.members]


def _tested(
    observed: Sequence[Score], null: np.ndarray, measures: Sequence[Measure], recorded: dict[str, Any]
) -> list[Score]:
    """Return the scores with their p-values. `null` has shape (n_resamples, n_scores)."""
    sign = 1.0 if recorded["alternative"] == "greater" else -1.0
    tested = list(observed)
    for measure in measures:
        mine = [index for index, score in enumerate(observed) if score.measure == str(measure) and is_defined(score)]
        for index in [index for index in mine if not np.isfinite(null[:, index]).all()]:
            mine.remove(index)
            reason = f"{measure} must be defined on permuted rows, and is not on some. Pass more rows."
            tested[index] = replace(observed[index], details={**observed[index].details, "undefined": reason})
        if not mine:
            continue
        values, chance = np.array([observed[index].value for index in mine]), null[:, mine]
        precision = observed[mine[0]].provenance["precision"]
        rounding = value_rounding(precision, *values.tolist(), float(np.abs(chance).max()))
        best = max_statistic_p(sign * values, sign * chance, rounding)
        for column, index in enumerate(mine):
            draws = chance[:, column]
            result = {
                "p": permutation_p(sign * float(values[column]), sign * draws, rounding),
                "p_best": float(best[column]),
                "null_mean": float(draws.mean()),
                "null_sd": float(draws.std(ddof=1)),
                "null_95": sign * float(np.quantile(sign * draws, 0.95)),
            }
            details = {**observed[index].details, "permutation": {**result, **recorded}}
            tested[index] = replace(observed[index], details=details)
    return tested


def _check_options(n_resamples: int, seed: int, unit: str, alternative: str) -> None:
    for name, value, least in (("n_resamples", n_resamples, 2), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise OptionError(f"{name} must be a whole number >= {least}: got {value!r}.")
    for name, value, known in (
        ("unit", unit, ("auto", "documents", "rows")),
        ("alternative", alternative, ("greater", "less")),
    ):
        if value not in known:
            raise OptionError(f"{name} must be one of {', '.join(known)}: got {value!r}.")
