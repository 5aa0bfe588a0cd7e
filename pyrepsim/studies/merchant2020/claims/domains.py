"""C6: whether text outside a task's domain keeps more of its representation than text inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....inference import holm
from ...runner import select
from .claim import Claim, TaskVerdict
from .curves import thirds
from .estimates import HOLDS, NOT_TESTED, UNDECIDED, Estimate, above, joint_verdict, mean, over_seeds
from .rows import Row, by_seed, estimate_of, measures_of, plain_name, tasks_of

__all__ = ["SIGNIFICANCE", "judge_domains"]

SIGNIFICANCE = 0.05
"""Significance level of the tests of single layers, after Holm's adjustment over all layers."""

_C6 = Claim(
    "C6",
    "Fine-tuning has a weaker effect on the representations of out-of-domain sentences.",
    "similarity, out of domain - in domain",
    "The similarity (RSA) to the base of out-of-domain text minus that of in-domain text, both as single sentences "
    "where available, is above 0 in the top third of the blocks: the interval of its mean lies above 0, and no layer "
    f"there is significantly below 0 ({SIGNIFICANCE:g}, after Holm's adjustment over all layers). If there are several "
    "out-of-domain texts, all must show it.",
    "domains_by_layer",
)


def judge_domains(rows: Sequence[Row]) -> dict[str, Any]:
    """C6."""
    gaps = [row for row in select(rows, experiment="domains", kind="difference") if row.get("layer") is not None]
    measures = measures_of(gaps)
    mine = select(gaps, metric=measures[0]) if measures else []
    verdicts = []
    for task in tasks_of(mine):
        of_task = select(mine, task=task)
        if any(row.get("form") == "sentences" for row in of_task):  # pairs against sentences differ in format too
            of_task = select(of_task, form="sentences")
        texts = dict.fromkeys((row.get("corpus"), row.get("form")) for row in of_task)
        of_texts = [
            _judge_text(task, select(of_task, corpus=corpus, form=form), corpus, plain_name(measures[0]))
            for corpus, form in texts
        ]
        verdicts.append(_join(task, of_texts))
    return _C6.judge(verdicts)


def _judge_text(task: str, rows: Sequence[Row], corpus: str | None, measure: str) -> TaskVerdict:
    layers = sorted({row["layer"] for row in rows})
    top = thirds(layers[-1]).top
    seeds = {seed: {row["layer"]: row for row in of_seed} for seed, of_seed in by_seed(rows).items()}
    if len(seeds) > 1:
        seeds.pop(None, None)  # the mean over seeds
    complete = [of_layer for of_layer in seeds.values() if all(layer in of_layer for layer in top)]
    if not top or not complete:
        return TaskVerdict(task, NOT_TESTED, f"no layer of the top third was compared on {corpus}.")
    gap = over_seeds([mean([estimate_of(of_layer[layer]) for layer in top]) for of_layer in complete])
    signs = [_significant_signs(of_layer) for of_layer in complete]
    up, down = (sum(one.get(layer, 0) == sign for one in signs for layer in top) for sign in (1, -1))
    verdict = above(gap, 0.0)
    if verdict == HOLDS and down:
        verdict = UNDECIDED
    n_layers = f"{len(top) * len(complete)} layers{f' of {len(complete)} seeds' if len(complete) > 1 else ''}"
    why = (
        f"{measure} is {gap.text(3)} higher on {corpus or 'the text out of domain'}; after Holm's adjustment {up} of "
        f"{n_layers} are significantly above 0"
    )
    return TaskVerdict(task, verdict, f"{why}{f', {down} below' if down else ''}.", gap)


def _significant_signs(of_layer: dict[int, Row]) -> dict[int, int]:
    """+1 or -1 for each layer that differs significantly from 0, after Holm's adjustment over all layers."""
    adjusted = {layer: row.get("p_holm") for layer, row in of_layer.items()}
    if any(p is None for p in adjusted.values()):
        p_values = {layer: row["p"] for layer, row in of_layer.items() if row.get("p") is not None}
        adjusted = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    return {
        layer: 1 if of_layer[layer]["value"] > 0 else -1
        for layer, p in adjusted.items()
        if p is not None and p < SIGNIFICANCE
    }


def _join(task: str, texts: Sequence[TaskVerdict]) -> TaskVerdict:
    """The verdict on several out-of-domain texts."""
    if len(texts) == 1:
        return texts[0]
    verdict = joint_verdict(one.verdict for one in texts)
    effects = [one.effect for one in texts if one.effect is not None and one.verdict == verdict]
    effect: Estimate | None = min(effects, key=lambda one: one.value, default=None)
    return TaskVerdict(task, verdict, " ".join(one.why for one in texts), effect)
