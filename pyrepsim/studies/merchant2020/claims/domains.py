"""C6: whether text outside a task's domain keeps more of its representation than text inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ....inference import holm
from .depth import thirds
from .estimates import HOLDS, NOT_TESTED, UNDECIDED, Estimate, above, joint_verdict, mean, over_seeds
from .record import Claim, Finding
from .table import Row, by_seed, estimate_of, measures_of, pick, plain_name, tasks_of

__all__ = ["LEVEL", "out_of_domain_changes_less"]

LEVEL = 0.05
"""Of the tests layer by layer, adjusted by Holm's method over all layers."""

_C6 = Claim(
    "C6",
    "Fine-tuning has a weaker effect on the representations of out-of-domain sentences.",
    "similarity, out of domain - in domain",
    "The similarity (RSA) to the base of out-of-domain less that of in-domain text, both as single sentences where "
    "they are, is above 0 in the top third of the blocks: the interval of its mean lies above 0, and no layer there "
    f"is below 0 at {LEVEL:g} after Holm's adjustment over all layers. Of several such texts all must show it.",
    "domains_by_layer",
)


def out_of_domain_changes_less(rows: Sequence[Row]) -> dict[str, Any]:
    """C6."""
    gaps = [row for row in pick(rows, experiment="domains", kind="difference") if row.get("layer") is not None]
    measures = measures_of(gaps)
    mine = pick(gaps, metric=measures[0]) if measures else []
    findings = []
    for task in tasks_of(mine):
        of_task = pick(mine, task=task)
        forms = {row.get("form") for row in of_task}
        if "sentences" in forms:  # pairs against sentences would be a gap of format
            of_task = pick(of_task, form="sentences")
        texts = dict.fromkeys((row.get("corpus"), row.get("form")) for row in of_task)
        found = [
            _gap(task, pick(of_task, corpus=corpus, form=form), corpus, plain_name(measures[0]))
            for corpus, form in texts
        ]
        findings.append(_joined(task, found))
    return _C6.judged(findings)


def _gap(task: str, rows: Sequence[Row], corpus: str | None, measure: str) -> Finding:
    layers = sorted({row["layer"] for row in rows})
    top = thirds(layers[-1]).top
    seeds = {seed: {row["layer"]: row for row in of_seed} for seed, of_seed in by_seed(rows).items()}
    if len(seeds) > 1:
        seeds.pop(None, None)  # the aggregate of the others
    whole = [of_layer for of_layer in seeds.values() if all(layer in of_layer for layer in top)]
    if not top or not whole:
        return Finding(task, NOT_TESTED, f"the top third has no layer that was compared on {corpus}.")
    gap = over_seeds([mean([estimate_of(of_layer[layer]) for layer in top]) for of_layer in whole])
    found = [_significant(of_layer) for of_layer in whole]
    up, down = (sum(one.get(layer, 0) == sign for one in found for layer in top) for sign in (1, -1))
    verdict = above(gap, 0.0)
    if verdict == HOLDS and down:
        verdict = UNDECIDED
    of = (
        f"{len(top) * len(whole)} layers"
        if len(whole) == 1
        else f"{len(top) * len(whole)} layers of {len(whole)} seeds"
    )
    why = (
        f"{measure} is {gap.words(3)} higher on {corpus or 'the text out of domain'}; by Holm {up} of {of} are above 0"
    )
    return Finding(task, verdict, f"{why}{f', {down} below' if down else ''}.", gap)


def _significant(of_layer: dict[int, Row]) -> dict[int, int]:
    """+1 or -1 for layers that differ from 0 after Holm's adjustment, over all layers that were compared."""
    adjusted = {layer: row.get("p_holm") for layer, row in of_layer.items()}
    if any(p is None for p in adjusted.values()):
        known = {layer: row["p"] for layer, row in of_layer.items() if row.get("p") is not None}
        adjusted = dict(zip(known, holm(list(known.values())), strict=True))
    return {
        layer: 1 if of_layer[layer]["value"] > 0 else -1 for layer, p in adjusted.items() if p is not None and p < LEVEL
    }


def _joined(task: str, found: Sequence[Finding]) -> Finding:
    if len(found) == 1:
        return found[0]
    verdict = joint_verdict(one.verdict for one in found)
    shown = [one.effect for one in found if one.effect is not None and one.verdict == verdict]
    effect: Estimate | None = min(shown, key=lambda one: one.value, default=None)
    return Finding(task, verdict, " ".join(one.why for one in found), effect)
