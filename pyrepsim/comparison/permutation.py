"""Permutation tests: the values of measures when the rows of Y are matched with those of X at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..core.progress import progress_bar
from ..inference import max_statistic_p, permutation_p
from ..inference.p_values import calibrated_value, critical_value, value_rounding
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
_LEAST_DOCUMENTS = 5
"""Of 4 documents there are 24 permutations, so that p could hardly be below 0.05."""
_LEAST_SHARE = 0.25
"""Fraction of the rows that must be tested, so that the result is one about these texts."""


def permutation_test(
    X: Any,
    Y: Any,
    measures: Measure | str | Sequence[Measure | str],
    *,
    n_resamples: int = 199,
    seed: int = 0,
    unit: str = "auto",
    documents: Any = None,
    alternative: str = "greater",
    alpha: float = 0.05,
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
    X, Y, measures, documents, layers, tokens, backend, n_threads, precision, memory, progress
        See `compare`.
    n_resamples : int, default 199
        Number of permutations. The smallest possible p-value is 1 / (n_resamples + 1).
    seed : int, default 0
        Of the permutations.
    unit : {"auto", "documents", "rows"}, default "auto"
        What is exchangeable if X and Y are unrelated. "documents": whole documents are exchanged, see Notes. "rows":
        single rows; rows of one document resemble each other, so that these p-values are too small. "auto": documents
        where they are known.
    alternative : {"greater", "less"}, default "greater"
        "greater" for similarities, "less" for distances.
    alpha : float, default 0.05
        Level of the thresholds.

    Returns
    -------
    Scores
        Scores of the rows as they are. ``details["permutation"]`` has ``p`` (one-sided, for this pair of layers; with
        ``layers="best"`` for the best of all layers of Y, whose number is ``details["best_of"]``),
        ``p_best`` (against the most extreme of all pairs of layers in each permutation: it controls the family-wise
        error, Westfall & Young 1993), ``null_mean``, ``null_sd``, ``null_95`` (95th percentile; with "less" the 5th),
        ``n_resamples``, ``seed``, ``unit``, ``alternative``, ``alpha``, and ``threshold`` and ``threshold_best``: what
        a value, or the most extreme one of all pairs, exceeds by chance with probability alpha. Of similarities,
        ``calibrated`` and ``calibrated_best`` are (value - threshold) / (largest possible value - threshold), from 0 to
        1. ``value`` is what was tested, and with documents ``n_documents``, ``rows_per_document`` and ``n_rows`` say of
        which rows.

    Raises
    ------
    OptionError
        If an option is outside its domain, if ``layers="best"`` is to test similarities for "less" or distances for
        "greater", or if a measure does not depend on which rows belong together (`Magnitude`,
        `Concentricity`, `Uniformity`, `MetricSpaceMagnitude`).
    DegenerateError
        If there are too few documents, or their lengths are too unequal. See Notes.
    PyrepsimError
        As in `compare`.

    Notes
    -----
    Scores that are not defined, as in `compare`, have no ``details["permutation"]``.

    Values that differ by no more than rounding count as equal: by 1e-10 of the largest value, or 1e-6 where they were
    computed in float32.

    Documents: the first m rows of each document with at least m rows are tested, for the m that keeps most rows
    and at least half of the documents. So any document can take the place of any other. Where all documents have the
    same length these are all rows; otherwise the tested value differs from that of all rows, which remains the value of
    the score. At least 5 documents and a quarter of the rows must be left.

    Thresholds: of the value and its n_resamples permutations in ascending order, number ceil((1 - alpha)
    (n_resamples + 1)) (Groeger et al. 2026, algorithms 1 and 2).

    Takes n_resamples + 1 comparisons, or one more. The compared layers are held in memory in their stored type: those
    of all pairs with ``layers="all"``, otherwise of one pair at a time.

    References
    ----------
    Mantel (1967), Cancer Research 27. Phipson & Smyth (2010), SAGMB 9(1):39. Groeger et al. (2026), arXiv:2602.14486.

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
    _check_options(n_resamples, seed, unit, alternative, alpha)
    best = layers == "best"
    if best:
        check_direction(parsed, alternative)
    options = ExecutionOptions(backend=backend, n_threads=n_threads, precision=precision, memory=memory)
    sides = open_sides(X, Y, layers=layers, tokens=tokens, backend=backend, documents=documents)
    source = sides.source
    known = source.documents
    if unit == "documents" and known is None:
        raise OptionError("unit='documents' needs to know the document of each row of the arrays. Pass documents=.")
    matched = None if known is None or unit == "rows" else rows_by_document(known)
    kept = None if matched is None or matched.size == source.n_rows else np.sort(matched, axis=None)
    groups = layer_groups(sides.pairs)
    scores: list[Score] = []
    observed: list[Score] = []
    null: list[list[float]] = [[] for _ in range(n_resamples)]
    work = len(groups) * (1 + (kept is not None) + n_resamples)
    with progress_bar(work, sides.progress(progress), desc="permutations", unit=" comparisons") as bar:

        def compared(rows: _InMemory) -> list[Score]:
            bar.update(1)
            return scores_of(rows, rows.pairs, parsed, options, progress=False)

        for group in groups:
            rows = _InMemory(source, group, options.pairwise(False))
            scores += compared(rows)
            if kept is not None:
                rows.keep(kept)
            observed += scores[-len(group.pairs) * len(parsed) :] if kept is None else compared(rows)
            for index in range(n_resamples):
                rows.order = permuted_rows(rows.n_rows, matched, seed=seed, index=index)
                null[index] += [score.value for score in compared(rows)]
    recorded: dict[str, Any] = {
        "n_resamples": n_resamples,
        "seed": seed,
        "unit": "rows" if matched is None else "documents",
        "alternative": alternative,
        "alpha": alpha,
    }
    if matched is not None:
        n_documents, per_document = matched.shape
        recorded |= {"n_documents": n_documents, "rows_per_document": per_document, "n_rows": matched.size}
    values = np.array(null)
    if best:
        observed, values = best_with_null(observed, values, parsed)
        of_pair = {(score.layer_x, score.layer_y, score.measure): score for score in scores}
        scores = [of_pair[score.layer_x, score.layer_y, score.measure] for score in observed]
        scores = [
            replace(score, details={**score.details, "best_of": of_rows.details["best_of"]})
            for score, of_rows in zip(scores, observed, strict=True)
        ]
    tested = _tested(scores, observed, values, parsed, recorded)
    named = sides.named(ordered(tested, sides.pairs, parsed))
    check_scores(named)
    return Scores(named)


def rows_by_document(documents: np.ndarray) -> np.ndarray:
    """Return the rows to test, (n_documents, rows_per_document): the first rows of each document that has as many.

    The number of rows per document is the one that keeps most rows and at least half of the documents; of several such
    numbers the smallest.
    """
    _, of_row, lengths = np.unique(documents, return_inverse=True, return_counts=True)
    sizes = np.unique(lengths)
    n_long = np.array([np.count_nonzero(lengths >= size) for size in sizes])
    n_tested = np.where(2 * n_long >= len(lengths), sizes * n_long, 0)
    best = int(np.argmax(n_tested))
    per_document, n_documents = int(sizes[best]), int(n_long[best])
    if n_documents < _LEAST_DOCUMENTS or n_tested[best] < _LEAST_SHARE * len(documents):
        raise DegenerateError(
            f"a permutation test of documents needs at least {_LEAST_DOCUMENTS} documents, and a quarter of the rows "
            f"in equal parts of half of them: {n_documents} of {len(lengths)} documents have {per_document} rows or "
            f"more, so {n_tested[best]} of {len(documents)} rows. Add documents, or cut long ones into parts; with "
            "unit='rows' p-values are too small."
        )
    starts = np.cumsum(lengths) - lengths
    by_document = np.argsort(of_row, kind="stable")
    return by_document[starts[lengths >= per_document, None] + np.arange(per_document)]


def permuted_rows(n_rows: int, matched: np.ndarray | None, *, seed: int, index: int) -> np.ndarray:
    """Return permutation number `index` of a seed: for each row, the row that takes its place.

    With `matched`, the rows of each document, whole documents change places. Its row numbers count all rows; the result
    counts those of `matched` alone, in ascending order.
    """
    rng = np.random.default_rng([seed, index])
    if matched is None:
        return rng.permutation(n_rows)
    place = np.argsort(np.argsort(matched, axis=None)).reshape(matched.shape)
    order = np.empty(matched.size, np.int64)
    order[place] = place[np.argsort(rng.permutation(len(matched)))]
    return order


class _InMemory:
    """A source whose rows are in memory; those of Y come in the order `order`."""

    def __init__(self, source: Source, group: LayerGroup, pairwise: PairwiseEngine) -> None:
        widths = widths_of(source, group)
        pairwise.refuse_what_does_not_fit(
            4 * source.n_rows * sum(widths), f"the rows of {len(widths)} layers", "Compare fewer layers at once."
        )
        self.n_rows, self.documents, self.provenance = source.n_rows, source.documents, source.provenance
        self.layers_x, self.layers_y, self.pairs = group.layers_x, group.layers_y, group.pairs
        self.order: np.ndarray | None = None
        self._rows = [
            {name: source.gather(side, name, None) for name in names}
            for side, names in enumerate((group.layers_x, group.layers_y))
        ]

    def keep(self, chosen: np.ndarray) -> None:
        """Leave out the rows that are not chosen."""
        self.n_rows = len(chosen)
        self.documents = None if self.documents is None else self.documents[chosen]
        self._rows = [{name: rows[chosen] for name, rows in side.items()} for side in self._rows]

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
    scores: Sequence[Score],
    observed: Sequence[Score],
    null: np.ndarray,
    measures: Sequence[Measure],
    recorded: dict[str, Any],
) -> list[Score]:
    """Return the scores of all rows with the p-values of the tested ones. `null` has shape (n_resamples, n_scores)."""
    sign = 1.0 if recorded["alternative"] == "greater" else -1.0
    tested = list(scores)
    for measure in measures:
        mine = []
        for index, score in enumerate(observed):
            if score.measure != str(measure):
                continue
            if is_defined(score) and np.isfinite(null[:, index]).all():
                mine.append(index)
                continue
            reason = score.details.get(
                "undefined", f"{measure} must be defined on permuted rows, and is not on some. Pass more rows."
            )
            tested[index] = replace(scores[index], details={**scores[index].details, "undefined": reason})
        if not mine:
            continue
        values, chance = np.array([observed[index].value for index in mine]), null[:, mine]
        precision = observed[mine[0]].provenance["precision"]
        rounding = value_rounding(precision, *values.tolist(), float(np.abs(chance).max()))
        best = max_statistic_p(sign * values, sign * chance, rounding)
        alpha = recorded["alpha"]
        of_best = sign * critical_value(float((sign * values).max()), (sign * chance).max(axis=1), alpha)
        for column, index in enumerate(mine):
            draws, value = chance[:, column], float(values[column])
            result = {
                "value": value,
                "p": permutation_p(sign * value, sign * draws, rounding),
                "p_best": float(best[column]),
                "null_mean": float(draws.mean()),
                "null_sd": float(draws.std(ddof=1)),
                "null_95": sign * float(np.quantile(sign * draws, 0.95)),
                "threshold": sign * critical_value(sign * value, sign * draws, alpha),
                "threshold_best": of_best,
            }
            if sign > 0 and np.isfinite(measure.range[1]):
                result["calibrated"] = calibrated_value(value, result["threshold"], measure.range[1])
                result["calibrated_best"] = calibrated_value(value, of_best, measure.range[1])
            details = {**scores[index].details, "permutation": {**result, **recorded}}
            tested[index] = replace(scores[index], details=details)
    return tested


def _check_options(n_resamples: int, seed: int, unit: str, alternative: str, alpha: float) -> None:
    for name, value, least in (("n_resamples", n_resamples, 2), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise OptionError(f"{name} must be a whole number >= {least}: got {value!r}.")
    for name, value, known in (
        ("unit", unit, ("auto", "documents", "rows")),
        ("alternative", alternative, ("greater", "less")),
    ):
        if value not in known:
            raise OptionError(f"{name} must be one of {', '.join(known)}: got {value!r}.")
    if isinstance(alpha, bool) or not isinstance(alpha, int | float | np.floating) or not 0 < alpha < 1:
        raise OptionError(f"alpha must be a fraction between 0 and 1, such as 0.05: got {alpha!r}.")
