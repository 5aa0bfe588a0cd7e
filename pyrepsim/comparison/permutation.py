"""Chance agreement: what measures give when the rows of one side are matched with others at random."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..core.errors import DegenerateError, OptionError
from ..core.progress import progress_bar
from ..inference import max_statistic_p, permutation_p
from ..measures import Measure
from ..pairwise import PairwiseEngine
from ..results import Score, Scores
from .options import Engine, as_measures, ordered
from .passes import kind_of, open_sides, scores_of
from .sources import LayerGroup, Layers, Source, layer_groups

__all__ = ["permutation_test"]

_ROWS = 8192


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
    tokens: str = "content",
    backend: str = "auto",
    n_threads: int | None = None,
    precision: str = "auto",
    progress: bool | None = None,
) -> Scores:
    """Test each pair of layers against rows matched at random, and the best pair against the best of all pairs.

    The rows of Y are permuted, each permutation the same for all layers and measures: the largest value over the pairs
    of layers then has the null distribution that the largest observed value is to be held against, so that a layer
    picked because it scored highest is tested honestly.

    Costs ``n_resamples`` + 1 comparisons: moments of permuted pairs do not follow from sums. The compared layers, all
    pairs' under layers="all" and one pair's at a time otherwise, are held in memory in the type they are stored in.

    Parameters
    ----------
    X, Y, measures, layers, tokens, backend, n_threads, precision, progress : as in `compare`.
    n_resamples : number of permutations; the smallest possible p-value is 1 / (n_resamples + 1).
    unit : what is exchangeable if X and Y are unrelated. ``"documents"``: whole documents change places, rows keep
        their order within; ``"rows"``; ``"auto"``: documents where they are known. Rows of one document resemble each
        other, which permuted rows do not show: p-values by rows are then too small.
    alternative : ``"greater"``, for similarities, or ``"less"``, for distances.

    Returns
    -------
    Scores of the rows as they are. ``details["permutation"]``: p (one-sided, of this pair of layers), p_best (against
    the most extreme of all pairs of layers in each permutation: family-wise, Westfall & Young 1993), null_mean,
    null_sd, null_95 (the 95th percentile; of "less" the 5th), n_resamples, seed, unit, alternative.

    Raises
    ------
    As `compare`, and OptionError for options outside their domain, DegenerateError for a single document.

    References: Mantel (1967), Cancer Research 27; Phipson & Smyth (2010), SAGMB 9(1):39.
    """
    wanted = as_measures(measures)
    _check_options(n_resamples, seed, unit, alternative)
    engine = Engine(backend=backend, n_threads=n_threads, precision=precision)
    source, pairs = open_sides(X, Y, layers=layers, tokens=tokens, backend=backend)
    documents = None if unit == "rows" else source.documents
    if unit == "documents" and documents is None:
        raise OptionError("unit='documents' needs to know each row's document: arrays do not say. Compare stores.")
    groups = layer_groups(pairs)
    shown = progress if kind_of(X) != "array" or progress else False
    observed: list[Score] = []
    null: list[list[float]] = [[] for _ in range(n_resamples)]
    with progress_bar(len(groups) * (1 + n_resamples), shown, desc="permutations", unit=" comparisons") as bar:
        for group in groups:
            gathered = _InMemory(source, group, engine.pairwise(False))
            observed += scores_of(gathered, group.pairs, wanted, engine, progress=False)
            bar.update(1)
            for index in range(n_resamples):
                gathered.order = permuted_rows(source.n_rows, documents, seed=seed, index=index)
                found = scores_of(gathered, group.pairs, wanted, engine, progress=False)
                null[index] += [score.value for score in found]
                bar.update(1)
    about = {"n_resamples": n_resamples, "seed": seed, "unit": "rows" if documents is None else "documents"}
    tested = _tested(observed, np.array(null), wanted, {**about, "alternative": alternative})
    if kind_of(X) == "array":
        return Scores([replace(score, layer_x=None, layer_y=None) for score in tested])
    return Scores(ordered(tested, pairs, wanted))


def permuted_rows(n_rows: int, documents: np.ndarray | None, *, seed: int, index: int) -> np.ndarray:
    """For each row the row that takes its place, in permutation ``index`` of a seed.

    Documents are laid end to end in a random order, over the rows in document order: rows stay beside their neighbours.
    """
    rng = np.random.default_rng([seed, index])
    if documents is None:
        return rng.permutation(n_rows)
    _, of_row = np.unique(documents, return_inverse=True)
    n_documents = int(of_row.max()) + 1
    if n_documents < 2:
        raise DegenerateError("a permutation test of documents needs at least two: got 1. Use unit='rows'.")
    natural = np.argsort(of_row, kind="stable")
    order = np.empty(n_rows, np.int64)
    order[natural] = np.argsort(rng.permutation(n_documents)[of_row], kind="stable")
    return order


class _InMemory:
    """The rows of a group of layers, held here; those of the second side in any order."""

    def __init__(self, source: Source, group: LayerGroup, pairwise: PairwiseEngine) -> None:
        widths = source.widths(group)
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

    def widths(self, group: LayerGroup) -> list[int]:
        return [self._rows[side][name].shape[1] for side, name in _places(group)]

    def gather(self, side: int, layer: str, chosen: np.ndarray | None) -> np.ndarray:
        rows = self._rows[side][layer]
        if side == 0 or self.order is None:
            return rows if chosen is None else rows[chosen]
        return rows[self.order if chosen is None else self.order[chosen]]

    def chunks(self, group: LayerGroup, start: int = 0) -> Iterator[list[np.ndarray]]:
        for begin in range(start, self.n_rows, _ROWS):
            part = np.arange(begin, min(begin + _ROWS, self.n_rows))
            yield [self.gather(side, name, part) for side, name in _places(group)]


def _places(group: LayerGroup) -> list[tuple[int, str]]:
    return [*((0, name) for name in group.layers_x), *((1, name) for name in group.layers_y)]


def _tested(
    observed: Sequence[Score], null: np.ndarray, measures: Sequence[Measure], about: dict[str, Any]
) -> list[Score]:
    """Scores with their p-values; ``null`` has shape (n_resamples, n_scores)."""
    sign = 1.0 if about["alternative"] == "greater" else -1.0
    tested = list(observed)
    for measure in measures:
        mine = [index for index, score in enumerate(observed) if score.measure == str(measure)]
        values, chance = np.array([observed[index].value for index in mine]), null[:, mine]
        best = max_statistic_p(sign * values, sign * chance)
        for column, index in enumerate(mine):
            draws = chance[:, column]
            found = {
                "p": permutation_p(sign * float(values[column]), sign * draws),
                "p_best": float(best[column]),
                "null_mean": float(draws.mean()),
                "null_sd": float(draws.std(ddof=1)),
                "null_95": sign * float(np.quantile(sign * draws, 0.95)),
            }
            details = {**observed[index].details, "permutation": {**found, **about}}
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
