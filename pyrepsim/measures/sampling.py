"""Which rows a sample takes: the same for every model and layer."""

from __future__ import annotations

import numpy as np

from ..errors import OptionError

__all__ = ["draw_rows"]


def draw_rows(
    n_rows: int, documents: np.ndarray | None, *, sample: int, draws: int, seed: int, per_document: int | None
) -> list[np.ndarray]:
    """``draws`` samples of row numbers, ascending, uniform without replacement.

    per_document : the most rows of one document; ``documents`` names each row's. Draw k of a seed is the same whatever
    the number of draws.
    """
    if per_document is not None and documents is None:
        raise OptionError("per_document needs to know each row's document: arrays do not say. Compare stores.")
    found = []
    for draw in range(draws):
        order = np.random.default_rng([seed, draw]).permutation(n_rows)
        if per_document is not None and documents is not None:
            order = order[_place_in_group(documents[order]) < per_document]
        if len(order) < sample:
            cap = "" if per_document is None else f" of which at most {per_document} a document make {len(order)}"
            raise OptionError(
                f"a sample must be at most the rows there are: sample={sample}, got {n_rows} rows{cap}. "
                "Take a smaller one, or sample=None for all rows."
            )
        found.append(np.sort(order[:sample]))
    return found


def _place_in_group(groups: np.ndarray) -> np.ndarray:
    """How many earlier entries have the same value, for each."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    place = np.empty(len(groups), np.int64)
    place[order] = np.arange(len(groups)) - np.searchsorted(ordered, ordered, side="left")
    return place
