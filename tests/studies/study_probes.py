"""Made-up rows of edge and structural probes, for `study_rows`."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["edge", "structural"]

EDGE = {"pos": (0.884, 0.965), "dependencies": (0.802, 0.954), "spr2": (0.805, 0.828), "semeval": (0.575, 0.832)}
CHANGE = {"mnli": -0.008, "squad": -0.003, "dependency": 0.006}


def edge(tasks: Sequence[str], layers: int, rng: random.Random) -> list[dict[str, Any]]:
    """Every probe before and after, with its baselines, and the difference of the two."""
    rows: list[dict[str, Any]] = []
    for probe_task, (low, high) in EDGE.items():
        for variant, task in [("base", None), ("random", None), *(("tuned", task) for task in tasks)]:
            rows += _edge(probe_task, low, high, variant, task, layers, rng)
    return rows


def _edge(
    probe_task: str, low: float, high: float, variant: str, task: str | None, layers: int, rng: random.Random
) -> Iterator[dict[str, Any]]:
    shared = {"experiment": "edge", "probe": "edge", "probe_task": probe_task, "variant": variant, "task": task}
    shared |= {"seed": None if task is None else 0, "corpus": f"{probe_task}-test", "metric": "f1"}
    change = CHANGE.get(task or "", 0.0)
    half = 0.003 if probe_task == "pos" else 0.011
    band = {"band": "normal approximation", "confidence": 0.95, "n": 25_049}

    def with_interval(value: float) -> dict[str, Any]:
        return {"value": value, "low": value - half, "high": value + half, **band}

    if variant == "base":
        yield shared | {"member": "lex"} | with_interval(low)
    for layer in range(layers + 1):
        reach = min(1.0, (layer / layers) * 2.2) * (0.45 if variant == "random" else 1.0)
        for member, extra in ((f"layer.{layer - 1}" if layer else "embeddings", -0.01), (f"mix.{layer}", 0.0)):
            value = low + (high - low) * reach + extra + change * (layer / layers) ** 2 + rng.gauss(0, 0.0015)
            place = {"k": layer} if member.startswith("mix") else {"layer": layer}
            yield shared | {"member": member} | place | with_interval(value)
    if task is not None:
        for member, place in ((f"mix.{layers}", {"k": layers}), (f"layer.{layers - 1}", {"layer": layers})):
            difference = {"value": change, "low": change - half / 2, "high": change + half / 2, "kind": "difference"}
            yield shared | {"member": member, **place} | difference | {"band": "bootstrap of sentences", "n": 2075}


def structural(tasks: Sequence[str], layers: int) -> list[dict[str, Any]]:
    """The scores of structural probes by layer, and at the best layer."""
    rows: list[dict[str, Any]] = []
    for variant, task in [("base", None), ("random", None), *(("tuned", task) for task in tasks)]:
        top = {"mnli": -0.08, "squad": -0.06, "dependency": 0.13}.get(task or "", 0.0)
        shared = {"experiment": "structural", "probe": "structural", "variant": variant, "task": task, "rank": 64}
        shared |= {"corpus": "ewt-dev", "band": "bootstrap of sentences", "confidence": 0.95, "n": 2001}
        shared |= {"seed": None if task is None else 0}
        for metric, scale, low in (
            ("uuas", 1.0, 0.35),
            ("dspr", 1.0, 0.30),
            ("root", 1.05, 0.30),
            ("nspr", 1.05, 0.35),
        ):
            values = []
            for layer in range(layers + 1):
                at = layer / layers
                hump = 0.2 * low if variant == "random" else 0.45 * (1 - (at - 0.55) ** 2 * 3)
                value = scale * (low + hump + top * at**3)
                values.append(value)
                ends = {"low": value - 0.01 * scale, "high": value + 0.01 * scale}
                columns = {"metric": metric, "layer": layer, "member": f"layer.{layer - 1}", "value": value, **ends}
                rows.append(shared | columns)
            best = max(range(layers + 1), key=values.__getitem__)
            ends = {"low": values[best] - 0.01 * scale, "high": values[best] + 0.01 * scale}
            rows.append(shared | {"metric": metric, "layer": best, "member": "best", "value": values[best], **ends})
    return rows
