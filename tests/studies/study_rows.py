"""Made-up rows of a study: plausible values of every experiment, in the columns of rows.jsonl."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyrepsim.studies.runner import COLUMNS
from tests.studies.study_probes import edge, structural

__all__ = ["COLUMNS", "claims", "study", "study_rows", "write_study"]

METRICS = {"mnli": ("accuracy",), "squad": ("f1", "exact_match"), "dependency": ("las", "uas")}
TOP = {"mnli": 0.844, "squad": 0.884, "dependency": 0.901}
DEPTH = {"mnli": 0.72, "squad": 0.62, "dependency": 0.25}  # where a task begins to change the encoder
DROP = {"mnli": 0.35, "squad": 0.45, "dependency": 0.75}
MEASURES = ("RSA", "LinearCKA(debiased=True)", "SVCCA", "PWCCA", "Procrustes", "RSA without rogue dimensions")
DOCUMENTS = {"band": "bootstrap of documents", "n": 24310}


def study_rows(
    tasks: Sequence[str] = ("mnli", "squad", "dependency"), *, layers: int = 12, seeds: int = 2
) -> list[dict[str, Any]]:
    """All rows, with every column."""
    rng = random.Random(0)
    rows: list[dict[str, Any]] = []
    for task in tasks:
        rows += _finetuning(task, seeds, rng)
        rows += _similarity(task, layers, seeds, rng)
        rows += _pairs(task, layers)
        rows += _ablations(task, layers, seeds, rng)
        rows += _curves(task, layers, seeds)
    rows += _baselines(layers) + _profiles(tasks, layers)
    rows += edge(tasks, layers, rng) + structural(tasks, layers)
    return [dict.fromkeys(COLUMNS) | {"model": "bert-base-uncased", "kind": "value"} | row for row in rows]


def write_study(folder: Path, rows: Sequence[Mapping[str, Any]], **files: Any) -> Path:
    """Write study.json, rows.jsonl and claims.jsonl; `study=None` or `claims=None` leaves one out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    if (study_json := files.get("study", study())) is not None:
        (folder / "study.json").write_text(json.dumps(study_json), encoding="utf-8")
    if (claims_list := files.get("claims", claims())) is not None:
        (folder / "claims.jsonl").write_text("".join(json.dumps(c) + "\n" for c in claims_list), encoding="utf-8")
    return folder


def study() -> dict[str, Any]:
    """study.json with one cell that failed and one cell that needs it."""
    cells = [
        {"experiment": e, "name": n, "key": f"{hash_of(e + n):08x}", "state": "done", "seconds": s, "bytes": 12_345}
        for e, n, s in (
            ("finetuning", "mnli-seed0", 3131.5),
            ("finetuning", "mnli-seed1", 3098.2),
            ("similarity", "mnli-seed0", 95.0),
            ("edge", "base-pos", 41.2),
        )
    ]
    error = "CUDA out of memory: tried to allocate 2.00 GiB. Lower the batch."
    cells[2] |= {"state": "failed", "error": error}
    cells[3] |= {"state": "blocked", "seconds": None}
    return {
        "study": "merchant2020",
        "model": "bert-base-uncased",
        "scale": "paper",
        "layers": 12,
        "seeds": [0, 1],
        "arguments": {"model": "bert-base-uncased", "scale": "paper", "device": "cuda"},
        "versions": {"pyrepsim": "0.5.0", "torch": "2.13.0", "transformers": "4.57.1", "python": "3.11.9"},
        "digests": {"mnli-dev": "9f0c2b7d11aa45e0", "wikitext": "77be0a1290cc1f52"},
        "cells": cells,
    }


def hash_of(text: str) -> int:
    """A number in the form of a cell's key."""
    return sum((place + 1) * ord(letter) * 7919 for place, letter in enumerate(text))


def claims() -> list[dict[str, Any]]:
    """One of each verdict."""

    def task(name: str, verdict: str, effect: float) -> dict[str, Any]:
        ends = {"low": effect - 0.03, "high": effect + 0.03}
        return {"task": name, "verdict": verdict, "effect": effect, **ends, "why": f"the top drops by {effect}"}

    def claim(
        name: str, statement: str, verdict: str, figure: str, effect: float | None, **more: Any
    ) -> dict[str, Any]:
        scale = 0.01 if more.get("in_points") else 1.0
        ends = dict.fromkeys(("low", "high"))
        if effect is not None:
            ends = {"low": effect - 0.04 * scale, "high": effect + 0.05 * scale}
        record = {"claim": name, "statement": statement, "verdict": verdict, "effect": effect, **ends, "figure": figure}
        rule = "Holds if the interval of the effect lies above 0 in every task; does not hold if below 0 in one."
        why = "The top third changes by 0.31 in RSA, the bottom third by 0.02; the interval leaves out 0."
        return record | {"unit": "RSA", "why": why, "rule": rule, "tasks": []} | more

    each = [task("mnli", "holds", 0.31), task("squad", "undecided", 0.02), task("dependency", "does not hold", -0.11)]
    return [
        claim("C3", "There is no catastrophic forgetting of linguistic phenomena.", "holds", "edge_table", -0.0062,
              unit="F1", in_points=True, tasks=each),
        claim("C4", "Fine-tuning primarily affects the top layers.", "holds", "similarity_by_layer", 0.312, tasks=each),
        claim("C5", "Parsing reconfigures most of the model; SQuAD and MNLI are shallower.", "undecided",
              "similarity_by_layer", 0.118),
        claim("C6", "The effect is weaker on out-of-domain sentences.", "does not hold", "domains_by_layer", -0.01),
        claim("C7", "MNLI and SQuAD keep their score with two thirds of the layers frozen.", "holds", "freezing",
              -0.004, unit="score lost", in_points=True),
        claim("C8", "The depth of the change varies with the task.", "not tested", "similarity_by_layer", None),
    ]  # fmt: skip


def curve(task: str, layer: int, layers: int) -> float:
    """Similarity to the base model: flat, then falling."""
    at = layer / layers
    return 1 - 0.01 * at - DROP[task] * max(0.0, (at - DEPTH[task]) / (1 - DEPTH[task])) ** 1.4


def _finetuning(task: str, seeds: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    for place, metric in enumerate(METRICS[task]):
        values = [TOP[task] + 0.04 * place * (1 if metric == "uas" else -2) + rng.gauss(0, 0.003) for _ in range(seeds)]
        shared = {"experiment": "finetuning", "variant": "tuned", "task": task, "metric": metric, "domain": "in"}
        for seed, value in enumerate(values):
            yield shared | {"seed": seed, "value": value, "cell": f"{task}-seed{seed}"}
        if seeds > 1:
            yield shared | spread(values)


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean and t interval over seeds."""
    mean = sum(values) / len(values)
    half = 3.0 * math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values))
    ends = {"low": mean - half, "high": mean + half}
    return {"value": mean, **ends, "band": "t of seeds", "confidence": 0.95, "n": len(values), "kind": "aggregate"}


def _similarity(task: str, layers: int, seeds: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    texts = (("in", f"{task}-dev", "training", 0.0), ("in", f"{task}-dev", "sentences", 0.03),
             ("out", "wikitext", "sentences", 0.3))  # fmt: skip
    for domain, corpus, form, saved in texts:
        for place, metric in enumerate(MEASURES):
            for layer in range(layers + 1):
                value = 1 - (1 - curve(task, layer, layers)) * (1 - saved) * (1 + 0.12 * place)
                shared = {"experiment": "similarity", "variant": "tuned", "task": task, "corpus": corpus}
                shared |= {"domain": domain, "form": form, "layer": layer, "layer_name": name(layer), "metric": metric}
                values = [value + rng.gauss(0, 0.02) * (layer / layers) for _ in range(seeds)]
                for seed, one in enumerate(values):
                    yield shared | {"seed": seed, "value": one, "low": one - 0.01, "high": one + 0.01, **DOCUMENTS}
                if seeds > 1:
                    yield shared | spread(values)
                if domain == "out" and metric != MEASURES[-1]:
                    gap = 0.3 * (1 - curve(task, layer, layers))
                    ends = {"low": gap - 0.012, "high": gap + 0.014, "band": "jackknife of differences", "n": 512}
                    columns = {"experiment": "domains", "kind": "difference", "domain": None, "value": gap, **ends}
                    yield shared | columns | {"p": 0.001, "p_holm": 0.01 if layer > layers / 2 else 0.4}
    for layer in range(layers + 1):
        value = 1 - 0.4 * (1 - curve(task, layer, layers))
        columns = {"experiment": "similarity", "variant": "seeds", "task": task, "seed": 1, "corpus": f"{task}-dev"}
        columns |= {"domain": "in", "form": "sentences", "layer": layer, "metric": "RSA", "value": value}
        yield columns | {"low": value - 0.01, "high": value + 0.01, **DOCUMENTS}


def _baselines(layers: int) -> list[dict[str, Any]]:
    return [
        {"experiment": "similarity", "variant": variant, "corpus": corpus, "form": "sentences", "layer": layer,
         "metric": metric, "value": baseline + 0.02 * math.sin(layer), **DOCUMENTS}
        for variant, baseline in (("random", 0.12), ("unrelated", 0.38))
        for corpus in ("wikitext", "mnli-dev", "squad-dev", "dependency-dev")
        for metric in MEASURES[:-1]
        for layer in range(layers + 1)
    ]  # fmt: skip


def _pairs(task: str, layers: int) -> Iterator[dict[str, Any]]:
    for x in range(layers + 1):
        for y in range(layers + 1):
            value = curve(task, y, layers) * math.exp(-abs(x - y) / 6)
            shared = {"experiment": "similarity", "kind": "pair", "variant": "tuned", "task": task, "seed": 0}
            yield shared | {"corpus": f"{task}-dev", "layer": x, "k": y, "metric": MEASURES[1], "value": value}


def _ablations(task: str, layers: int, seeds: int, rng: random.Random) -> Iterator[dict[str, Any]]:
    metric = METRICS[task][0]
    shapes = {"freezing": lambda k: 0.30 * (k / layers) ** 6, "truncation": lambda k: 0.35 * (1 - k / layers) ** 2,
              "exit": lambda k: 0.60 * (1 - k / layers) ** 0.7}  # fmt: skip
    for experiment, lost in shapes.items():
        for k in range(0 if experiment == "freezing" else 1, layers + 1):
            values = [TOP[task] - lost(k) + rng.gauss(0, 0.004) for _ in range(seeds)]
            shared = {"experiment": experiment, "variant": "tuned", "task": task, "metric": metric, "k": k}
            for seed, value in enumerate(values):
                yield shared | {"seed": seed, "value": value}
            if seeds > 1:
                yield shared | spread(values)


def _curves(task: str, layers: int, seeds: int) -> Iterator[dict[str, Any]]:
    for layer in range(layers + 1):
        changed = 1 - curve(task, layer, layers)
        shared = {"variant": "tuned", "task": task, "layer": layer, "layer_name": name(layer)}
        for seed in range(seeds):
            columns = {"experiment": "weights", "metric": "weight_distance", "seed": seed}
            yield shared | columns | {"value": 0.02 + 0.05 * changed + 0.001 * seed}
        for member, size in ((None, 0.2), *((f"head.{head}", 0.05 + 0.08 * head) for head in range(4))):
            if layer:
                value = 0.01 + size * changed
                columns = {"experiment": "attention", "metric": "attention_js", "seed": 0, "value": value}
                yield shared | columns | {"low": value * 0.93, "high": value * 1.06, "member": member, **DOCUMENTS}
        for step in (10, 20, 50, 100):
            columns = {"experiment": "trajectories", "k": step, "seed": 0}
            for metric, left in (("to base", 1 - math.exp(-step / 30)), ("to final", math.exp(-step / 30))):
                yield shared | columns | {"metric": f"LinearCKA(debiased=True) {metric}", "value": 1 - changed * left}


def _profiles(tasks: Sequence[str], layers: int) -> list[dict[str, Any]]:
    shapes = {"anisotropy": lambda at: 0.2 + 0.3 * at, "mean_norm": lambda at: 14 + 6 * math.sin(3 * at),
              "effective_rank": lambda at: 500 - 250 * at, "rogue_contribution": lambda at: 0.6 - 0.3 * at}  # fmt: skip
    return [
        {"experiment": "profiles", "variant": variant, "task": task, "seed": None if task is None else 0,
         "corpus": "wikitext", "domain": "out", "layer": layer, "layer_name": name(layer), "metric": metric,
         "value": shape(layer / layers) * (1 + (0.1 * place + 0.1) * (layer / layers) ** 3), "n": 24310}
        for metric, shape in shapes.items()
        for place, (variant, task) in enumerate([("base", None), ("random", None), *(("tuned", t) for t in tasks)])
        for layer in range(layers + 1)
    ]  # fmt: skip


def name(layer: int) -> str:
    """As encoders name their layers."""
    return "embeddings" if layer == 0 else f"layer.{layer - 1}"
