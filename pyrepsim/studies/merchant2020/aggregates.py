"""Rows over fine-tuning seeds: their mean, and how far they spread."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...inference.resampling import spread_interval
from ..runner import Cell, read_rows

__all__ = ["aggregate", "aggregate_cell"]

_OWN = ("cell", "seed", "value", "low", "high", "band", "confidence", "n", "kind", "p", "p_holm")


def aggregate(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each group of rows that agree in all but the seed and what it brings.

    The band is the t interval for the mean over seeds, cut to the score's range; one seed has none. `n` counts seeds.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple((k, v) for k, v in row.items() if k not in _OWN), []).append(row)
    found = []
    for shared, members in groups.items():
        values = np.array([row["value"] for row in members])
        mean: dict[str, Any] = {**dict(shared), "kind": "aggregate", "value": float(values.mean()), "n": len(values)}
        if len(values) > 1:
            ends, limits = spread_interval(values), _limits(mean)
            mean["low"], mean["high"] = (min(max(end, limits[0]), limits[1]) for end in ends)
            mean |= {"band": "t of seeds", "confidence": 0.95}
        found.append(mean)
    return found


def _limits(row: Mapping[str, Any]) -> tuple[float, float]:
    """Between which a mean of this score lies in any case."""
    if row.get("experiment") in ("finetuning", "freezing", "truncation", "exit"):
        return (-100.0 if row["metric"] == "mcc" else 0.0), 100.0
    if row.get("experiment") == "similarity" and row["layer"] is not None:
        return -1.0, 1.0
    return (0.0 if row.get("experiment") in ("weights", "profiles") else -math.inf), math.inf


def aggregate_cell(
    experiment: str, name: str, needs: Sequence[str], *, kind: str = "value", variant: str | None = None
) -> Cell:
    """A cell with the aggregates of the rows of others; of one kind, and of one variant if it is named."""

    def run(_folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        rows = [row for need in needs for row in read_rows(needed[need])]
        return aggregate(row for row in rows if row["kind"] == kind and variant in (None, row["variant"]))

    request = {"kind": kind, "variant": variant}
    return Cell(experiment=experiment, name=name, request=request, run=run, needs=tuple(needs), format=1)
