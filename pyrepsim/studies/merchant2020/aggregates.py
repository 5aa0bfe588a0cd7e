"""Means of rows over fine-tuning seeds, with t intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...inference.resampling import spread_interval
from ..runner import Cell, read_rows
from .claims.exits import EXIT_DEPTH

__all__ = ["aggregate", "aggregate_cell"]

_NOT_SHARED = ("cell", "seed", "value", "low", "high", "band", "confidence", "n", "kind", "p", "p_holm")


def aggregate(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Average the rows that agree in everything except the seed and the measured values.

    The interval is the t interval of the mean over seeds, cut to the range of the score; one seed has none. `n` is the
    number of seeds.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple((k, v) for k, v in row.items() if k not in _NOT_SHARED), []).append(row)
    aggregates = []
    for shared, members in groups.items():
        values = np.array([row["value"] for row in members])
        mean: dict[str, Any] = {**dict(shared), "kind": "aggregate", "value": float(values.mean()), "n": len(values)}
        if len(values) > 1:
            lowest, highest = _range(mean)
            mean["low"], mean["high"] = (min(max(end, lowest), highest) for end in spread_interval(values))
            mean |= {"band": "t of seeds", "confidence": 0.95}
        aggregates.append(mean)
    return aggregates


def _range(row: Mapping[str, Any]) -> tuple[float, float]:
    """The range of this score."""
    if str(row.get("metric")).startswith(EXIT_DEPTH):
        return -math.inf, math.inf
    if row.get("experiment") in ("finetuning", "freezing", "longer", "truncation", "exit"):
        return (-1.0 if row["metric"] == "mcc" else 0.0), 1.0
    if row.get("experiment") == "similarity" and row["layer"] is not None:
        return -1.0, 1.0
    return (0.0 if row.get("experiment") in ("weights", "profiles") else -math.inf), math.inf


def aggregate_cell(
    experiment: str, name: str, needs: Sequence[str], *, kind: str = "value", variant: str | None = None
) -> Cell:
    """A cell that aggregates the rows of other cells: those of one kind and, if it is given, of one variant."""

    def run(_folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        rows = [row for need in needs for row in read_rows(needed[need])]
        return aggregate(row for row in rows if row["kind"] == kind and variant in (None, row["variant"]))

    request = {"kind": kind, "variant": variant}
    return Cell(experiment=experiment, name=name, request=request, run=run, needs=tuple(needs), format=1)
