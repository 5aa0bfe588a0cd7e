"""How much a probe still scores above its baselines after fine-tuning, on the same documents: the evidence for C3."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ...probing.documents import ROUNDING, Jackknifed, fieller_interval

__all__ = ["LEXICAL_BASELINE", "RANDOM_BASELINE", "difference_columns", "interval_columns", "kept_columns"]

LEXICAL_BASELINE, RANDOM_BASELINE = "lexical", "random"
"""The baselines: a probe without context, and a probe of random weights."""


def kept_columns(
    score: str, before: Jackknifed, after: Jackknifed, baselines: Mapping[str, Jackknifed]
) -> Iterator[dict[str, Any]]:
    """Compare a probe before and after fine-tuning with its baselines, all on the same documents.

    Yields the columns of three rows for each baseline: ``<score>_context_<baseline>``, before - baseline, what context
    adds; ``<score>_margin_<baseline>``, after - (before + baseline) / 2, above 0 if less than half of it is lost; and
    ``<score>_share_<baseline>``, (after - before) / (before - baseline). Intervals are those of the jackknife over
    documents; that of the share is Fieller's, which does not exist where `before` is not surely above the baseline.
    """
    change = after - before
    for name, baseline in baselines.items():
        context = before - baseline
        yield {"metric": f"{score}_context_{name}", **difference_columns(context)}
        yield {"metric": f"{score}_margin_{name}", **difference_columns(change + context.times(0.5))}
        if context.value > ROUNDING:
            ends = fieller_interval(change, context)
            share = {"kind": "difference", "value": change.value / context.value, "n": change.n_documents}
            yield {"metric": f"{score}_share_{name}", **share, **interval_columns(*ends, "Fieller, by documents")}


def difference_columns(one: Jackknifed) -> dict[str, Any]:
    """The columns of a difference between scores on the same documents."""
    columns = {"kind": "difference", "value": one.value, "n": one.n_documents}
    columns |= interval_columns(*one.interval(), "jackknife of documents")
    return columns if math.isnan(one.p) else {**columns, "p": one.p}


def interval_columns(low: float, high: float, band: str) -> dict[str, Any]:
    """The columns of a 95 % interval; none if there is no interval."""
    return {} if math.isnan(low) else {"low": low, "high": high, "band": band, "confidence": 0.95}
