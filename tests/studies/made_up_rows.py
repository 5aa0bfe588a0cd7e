"""Rows of a study of twelve blocks with the results of the paper; tests change some of them."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

TASKS = ("mnli", "squad", "dependency")
LAYERS = range(13)


def curve(start: int, end: float) -> list[float]:
    """1 up to block ``start``, then straight down to ``end`` at block 12."""
    return [1.0 - max(0, layer - start) / (12 - start) * (1 - end) for layer in LAYERS]


CURVES = {"mnli": curve(8, 0.6), "squad": curve(8, 0.5), "dependency": curve(3, 0.3)}


def similarity(
    task: str | None,
    values: list[float],
    *,
    variant: str = "tuned",
    seeds: tuple[int | None, ...] = (0, 1, 2),
    half: float | None = 0.01,
    metric: str = "RSA()",
    spread: float = 0.004,
    **columns: Any,
) -> list[Row]:
    """A curve for each seed, each a little lower than the last, with bands of ``half``."""
    rows = []
    for place, seed in enumerate(seeds):
        for layer, value in enumerate(values):
            shown = 1 - (1 - value) * (1 + spread * place)
            band = {} if half is None else {"low": shown - half * (1 - value), "high": shown + half * (1 - value)}
            row = {"experiment": "similarity", "variant": variant, "task": task, "seed": seed, "layer": layer}
            rows.append(row | {"corpus": "wikitext", "form": "sentences", "metric": metric, "value": shown} | band)
    return [row | columns for row in rows]


def random_baseline(value: float = 0.1) -> list[Row]:
    return similarity(None, [0.9] + [value] * 12, variant="random", seeds=(None,))


def similarities() -> list[Row]:
    return [row for task in TASKS for row in similarity(task, CURVES[task])] + random_baseline()


def domains(task: str, gap: float, *, half: float = 0.01, p: float = 1e-4, **columns: Any) -> list[Row]:
    row = {"experiment": "domains", "kind": "difference", "variant": "tuned", "task": task, "metric": "RSA()"}
    row |= {"corpus": "news", "form": "sentences", "p_holm": p, **columns}
    return [
        row
        | {"layer": layer, "value": gap * layer / 12, "low": gap * layer / 12 - half, "high": gap * layer / 12 + half}
        for layer in LAYERS
    ]


def freezing(task: str, lost: dict[int, float], *, seeds: tuple[int, ...] = (0, 1, 2), n: int = 9000) -> list[Row]:
    """Scores by the number of frozen blocks; seeds differ by about 0.001, differently for each number."""
    return [
        {
            "experiment": "freezing",
            "task": task,
            "seed": seed,
            "k": k,
            "metric": "accuracy",
            "value": 0.84 + 0.001 * seed - loss + 0.0005 * ((seed + k) % 3),
            "n": n,
        }
        for seed in seeds
        for k, loss in lost.items()
    ]


def edge(change: float, *, probe: str = "dependencies", task: str = "mnli", half: float = 0.005) -> list[Row]:
    """Lexical baseline 0.80, random encoder 0.85, base 0.95, a change of the full mix, three times that on top."""

    def row(value: float, **columns: Any) -> Row:
        ends = {"value": value, "low": value - half, "high": value + half}
        return {"experiment": "edge", "probe": "edge", "probe_task": probe, "metric": "f1"} | ends | columns

    changed = {"variant": "tuned", "task": task, "seed": 0}
    return [
        row(0.80, variant="base", member="lex"),
        row(0.93, variant="base", member="mix.3"),
        row(0.95, variant="base", member="mix.12"),
        row(0.90, variant="base", member="layer.11", layer=12),
        row(0.85, variant="random", member="mix.12"),
        row(0.95 + change, member="mix.12", **changed),
        row(0.90 + 3 * change, member="layer.11", layer=12, **changed),
        row(change, member="mix.12", kind="difference", **changed),
        row(3 * change, member="layer.11", layer=12, kind="difference", **changed),
    ]


def structural(change: float, *, task: str = "mnli", n: int = 20000) -> list[Row]:
    def row(value: float, **columns: Any) -> Row:
        return {"experiment": "structural", "metric": "uuas", "rank": 128, "value": value, "n": n} | columns

    return [
        row(0.80, variant="base", member="best", layer=8),
        row(0.72, variant="base", member="top", layer=12),
        row(0.60, variant="random", member="best", layer=1),
        row(0.80 + change, variant="tuned", task=task, seed=0, member="best", layer=8),
        row(0.72 + 2 * change, variant="tuned", task=task, seed=0, member="top", layer=12),
    ]


def whole_study() -> list[Row]:
    """The results of the paper."""
    rows = similarities()
    for task in TASKS:
        rows += domains(task, 0.1) + edge(-0.01, task=task) + structural(-0.01, task=task)
    cost = {"mnli": 0.003, "squad": 0.004, "dependency": 0.025}
    for task in TASKS:
        rows += freezing(task, {0: 0.0, 4: cost[task] / 2, 8: cost[task], 12: 0.25})
    return rows
