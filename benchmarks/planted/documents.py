"""Made-up documents: skewed effects of documents on curves of similarity, and rows of a study made from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pyrepsim.studies.merchant2020.claims.curves import STATISTICS
from pyrepsim.studies.merchant2020.claims.location import PARSING
from pyrepsim.studies.merchant2020.claims.replicates import Replicates
from pyrepsim.studies.merchant2020.contrasts import contrast_rows

__all__ = ["MEASURE", "curve_rows", "skewed", "tuned_rows"]

MEASURE = "DocumentRSA"


def skewed(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Effects of documents with mean 0, variance 1 and skewness 2 (exponential)."""
    return rng.exponential(size=shape) - 1.0


def curve_rows(
    variant: str, task: str | None, seed: int | None, curve: Replicates, n: int, **columns: Any
) -> Iterator[dict[str, Any]]:
    """Rows of one model on the shared text: its layers, and the statistics of its curve over n documents."""
    shared = {"experiment": "similarity", "variant": variant, "task": task, "seed": seed, "corpus": "gum"}
    shared |= {"form": "sentences", "domain": "out", **columns}
    for layer in range(len(curve.values)):
        yield shared | {"layer": layer, "metric": MEASURE, "value": float(curve.values[layer])}
    for name, statistic in STATISTICS.items():
        number = curve.map(statistic)
        if number.finite:
            yield shared | {"metric": f"{name}: {MEASURE}", "n": n} | ends(number)


def tuned_rows(
    curves: Mapping[str, Sequence[Replicates]], n: int, variant: str = "tuned", baseline: Replicates | None = None
) -> list[dict[str, Any]]:
    """Rows of the models of each task, one for each seed, and of their differences from parsing and the baseline."""
    rows: list[dict[str, Any]] = []
    parsing = curves.get(PARSING, ())
    for task, own in curves.items():
        rows += [row for seed, curve in enumerate(own) for row in curve_rows(variant, task, seed, curve, n)]
        shared = {"experiment": "similarity", "kind": "difference", "variant": variant, "task": task, "n": n}
        shared |= {"corpus": "gum", "form": "sentences", "domain": "out"}
        found = contrast_rows(MEASURE, own, () if task == PARSING else parsing, baseline)
        rows += [shared | columns for columns in found]
    return rows


def ends(numbers: Replicates) -> dict[str, Any]:
    estimate = numbers.estimate()
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}
