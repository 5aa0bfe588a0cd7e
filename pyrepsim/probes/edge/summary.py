"""A probing as text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from .depth import CAVEAT, relative_gains
from .members import LEXICAL

if TYPE_CHECKING:
    from .result import EdgeResult


def listing(result: EdgeResult, split: str) -> str:
    """Scores of every member, then mixing weights with norms, expected layer, and what was left out."""
    names = list(dict.fromkeys(member.name for member in result.members))
    n_targets = result.select(split=split)[0]["n_targets"]
    seeds = len({member.seed for member in result.members})
    lines = [f"{result.task}: F1 in percent on {split}, {n_targets:,} targets, mean of {seeds} seeds, 95 % band"]
    width = max(map(len, names))
    for name in names:
        rows = result.select(member=name, split=split)
        f1, low, high = (100 * float(np.mean([row[key] for row in rows])) for key in ("f1", "low", "high"))
        spread = f"  ±{100 * float(np.std([row['f1'] for row in rows], ddof=1)):.2f} sd" if len(rows) > 1 else ""
        lines.append(f"{name:<{width}}  {f1:6.2f} [{low:.2f}, {high:.2f}]{spread}")
    lines += _parts(result, split, names, width) + _depth(result, split, names) + _weights(result)
    for name, findings in result.findings.items():
        for (reason, kept), count in Counter((found.reason, found.kept) for found in findings).items():
            lines.append(f"{name}: {count:,} {'kept' if kept else 'left out'}: {reason}")
    return "\n".join(lines)


def _parts(result: EdgeResult, split: str, names: list[str], width: int) -> list[str]:
    parts = dict.fromkeys(row["part"] for row in result.rows if row["part"] != "all")
    return [
        f"{name:<{width}}  {100 * result.f1(name, split=split, part=part):6.2f} {part}"
        for part in parts
        for name in names
    ]


def _depth(result: EdgeResult, split: str, names: list[str]) -> list[str]:
    if any(f"mix.{last}" not in names for last in range(len(result.layers))):
        return []
    lines = [
        f"expected layer {result.expected_layer(split=split):.2f}, "
        f"divergence of gains {result.gain_divergence(split=split):.2f} bits"
    ]
    if LEXICAL in names:
        gains = relative_gains(result.cumulative(split=split), result.f1(LEXICAL, split=split))
        lines.append("gain by layer, part of what context adds: " + " ".join(f"{gain:.2f}" for gain in gains))
    return lines


def _weights(result: EdgeResult) -> list[str]:
    last = f"mix.{len(result.layers) - 1}"
    rows = [row for row in result.weights if row["member"] == last]
    if not rows:
        return []
    lines = ["mix of all layers  " + "  ".join(f"{layer:>8}" for layer in result.layers)]
    for row in rows:
        lines.append("weight             " + "  ".join(f"{weight:8.3f}" for weight in row["weights"]))
        lines.append(
            f"  seed {row['seed']}: centre of gravity {row['centre_of_gravity']:.2f}, divergence "
            f"{row['divergence']:.2f} bits, gamma {row['gamma']:.2f}"
        )
    lines.append("mean norm          " + "  ".join(f"{result.norms[layer]:8.3f}" for layer in result.layers))
    return [*lines, CAVEAT]
