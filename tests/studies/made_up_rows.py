"""Rows of a study of twelve blocks with the results of the paper; tests change some of them."""

from __future__ import annotations

from typing import Any

import scipy.stats

Row = dict[str, Any]

TASKS = ("mnli", "squad", "dependency")
LAYERS = range(13)


def curve(start: int, end: float) -> list[float]:
    """1 up to block ``start``, then straight down to ``end`` at block 12."""
    return [1.0 - max(0, layer - start) / (12 - start) * (1 - end) for layer in LAYERS]


EXITS = {"mnli": 10.5, "squad": 10.0, "dependency": 6.5}
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


def domains(
    task: str, gap: float, *, half: float = 0.01, spread: float = 0.005, seeds: int = 3, n: int = 48, **columns: Any
) -> list[Row]:
    """The gap over that of two other tasks, which have none, and its half width over documents; even seeds."""
    row = {"experiment": "domains", "kind": "difference", "variant": "tuned", "task": task, "n": n}
    row |= {"corpus": "news", "form": "sentences", **columns}
    rows = [
        row
        | {"metric": metric, "layer": layer, "value": gap * layer / 12, "low": gap * layer / 12 - half}
        | {"high": gap * layer / 12 + half}
        for metric in ("RSA()", "RSA() minus other tasks")
        for layer in LAYERS
    ]
    top = {"metric": "out - in, top third minus other tasks: RSA()", "value": gap}
    rows.append(row | top | {"low": gap - half, "high": gap + half})
    others = [other for other in TASKS if other != task]
    for member, value in ((task, gap), (others[0], 0.0), (others[1], 0.0)):
        read = {"metric": "out - in, top third: RSA()", "member": member}
        rows += [
            row | read | {"seed": seed, "value": value + spread * (seed - (seeds - 1) / 2)} for seed in range(seeds)
        ]
    return rows


def exits(task: str, depth: float, *, half: float = 0.1, seeds: tuple[int, ...] = (0, 1, 2)) -> list[Row]:
    """The depth at which the score arises, for seeds that differ by 0.1."""
    row = {"experiment": "exit", "task": task, "variant": "tuned", "metric": "depth of the score: accuracy"}
    values = [(seed, depth + 0.1 * (place - (len(seeds) - 1) / 2)) for place, seed in enumerate(seeds)]
    return [row | {"seed": seed, "value": value, "low": value - half, "high": value + half} for seed, value in values]


def depths(task: str, values: list[float], exit_depth: float, **columns: Any) -> list[Row]:
    """Curves after full training and after equal numbers of updates, and the depth of early exits."""
    curves = similarity(task, values, **columns) + similarity(task, values, variant="equal", **columns)
    return curves + exits(task, exit_depth)


def freezing(
    task: str,
    lost: dict[int, float],
    *,
    seeds: tuple[int, ...] = (0, 1, 2),
    half: float = 0.002,
    gain: float | None = 0.0,
    experiment: str = "freezing",
) -> list[Row]:
    """Scores by the number of frozen blocks, their differences, and what the last epoch gained.

    Seeds differ by about 0.001, differently for each number.
    """
    shared = {"experiment": experiment, "task": task, "metric": "accuracy", "n": 9000}
    rows = []
    for seed in seeds:
        score = {k: 0.84 + 0.001 * seed - loss + 0.0005 * ((seed + k) % 3) for k, loss in lost.items()}
        for k, value in score.items():
            row = shared | {"seed": seed, "k": k}
            rows.append(row | {"value": value})
            if k:
                change = score[0] - value
                ends = {"low": change - half, "high": change + half}
                rows.append(row | {"kind": "difference", "value": change} | ends)
            if gain is not None:
                rows.append(row | {"kind": "gain", "member": "last epoch", "value": gain})
    return rows


def kept(
    score: str, before: float, after: float, baselines: dict[str, float], *, half: float, n: int, **columns: Any
) -> list[Row]:
    """Comparisons with each baseline on n documents: context, margin and share, each with this half width."""

    def row(metric: str, value: float) -> Row:
        t = abs(value) / half * scipy.stats.t.ppf(0.975, n - 1)
        ends = {"value": value, "low": value - half, "high": value + half, "p": 2 * scipy.stats.t.sf(t, n - 1), "n": n}
        return {"variant": "tuned", "kind": "difference", "metric": f"{score}_{metric}"} | ends | columns

    rows = []
    for name, baseline in baselines.items():
        rows += [
            row(f"context_{name}", before - baseline),
            row(f"margin_{name}", after - (before + baseline) / 2),
            row(f"share_{name}", (after - before) / (before - baseline)),
        ]
    return rows


def edge(
    change: float,
    *,
    probe: str = "dependencies",
    task: str = "mnli",
    half: float = 0.005,
    n: int = 100,
    baselines: dict[str, float] | None = None,
    seeds: tuple[int, ...] = (0,),
) -> list[Row]:
    """Base 0.95, lexical baseline 0.80, random encoder 0.85, a change of the full mix, three times that on top."""
    baselines = {"lexical": 0.80, "random": 0.85} if baselines is None else baselines
    shared = {"experiment": "edge", "probe": "edge", "probe_task": probe, "task": task}
    rows = []
    for seed in seeds:
        own = shared | {"seed": seed, "variant": "tuned"}
        for value, place in ((change, {"member": "mix.12"}), (3 * change, {"member": "layer.11", "layer": 12})):
            ends = {"value": value, "low": value - half, "high": value + half}
            rows.append({**own, **place, **ends, "kind": "difference", "metric": "f1", "n": n})
        rows += kept("f1", 0.95, 0.95 + change, baselines, half=half, n=n, **own, member="mix.12")
    return rows


def structural(change: float, *, task: str = "mnli", half: float = 0.01, n: int = 300) -> list[Row]:
    """Base 0.80 at the best layer, layer 0 0.55, random weights 0.50, twice the change at the top layer."""
    shared = {"experiment": "structural", "probe": "structural", "probe_task": "dependencies", "rank": 128}
    shared |= {"task": task, "seed": 0, "variant": "tuned"}
    ends = {"value": 2 * change, "low": 2 * change - half, "high": 2 * change + half}
    top = {**shared, **ends, "kind": "difference", "metric": "uuas", "member": "top", "n": n}
    baselines = {"lexical": 0.55, "random": 0.50}
    return [top, *kept("uuas", 0.80, 0.80 + change, baselines, half=half, n=n, **shared, member="best")]


def whole_study() -> list[Row]:
    """The results of the paper."""
    rows = similarities()
    for task in TASKS:
        rows += similarity(task, CURVES[task], variant="equal") + exits(task, EXITS[task])
    for task in TASKS:
        rows += domains(task, 0.1) + edge(-0.01, task=task) + structural(-0.01, task=task)
    cost = {"mnli": 0.003, "squad": 0.004, "dependency": 0.025}
    for task in TASKS:
        rows += freezing(task, {0: 0.0, 4: cost[task] / 2, 8: cost[task], 12: 0.25})
    return rows
