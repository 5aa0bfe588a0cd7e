"""C3: scores of probes before and after fine-tuning, relative to what context adds above a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...report.text import joined
from ...runner import select
from .claim import Claim, TaskVerdict
from .estimates import HOLDS, UNDECIDED, Estimate, above, joint_verdict, over_seeds, ratio
from .rows import Row, by_seed, estimate_of, tasks_of

__all__ = ["CATASTROPHIC", "judge_forgetting"]

CATASTROPHIC = 0.5
"""Losing this fraction of what context adds is called catastrophic: the tuned model is then nearer to the baseline than
to the base encoder."""

_C3 = Claim(
    "C3",
    "Fine-tuning leads to no catastrophic forgetting of linguistic phenomena.",
    "fraction of what context adds to the baseline",
    "The score after fine-tuning minus that before, of the edge probe on a mix of all layers and of the structural "
    "probe's best layer, as a fraction of what the base scores above the baseline. The baseline is the higher of the "
    "lexical and the random-encoder baseline. The interval lies above "
    f"-{CATASTROPHIC:g} for every probe that scores above the baseline before. The top layer alone is shown but not "
    "counted: what it loses may remain in the layers below.",
    "edge_table",
)


def judge_forgetting(rows: Sequence[Row]) -> dict[str, Any]:
    """C3."""
    edge, structural = (select(rows, experiment=name) for name in ("edge", "structural"))
    verdicts = []
    for task in tasks_of([row for row in [*edge, *structural] if row.get("variant") == "tuned"]):
        probes = [_edge_probe(edge, task, name) for name in dict.fromkeys(row.get("probe_task") for row in edge)]
        probes.append(_structural_probe(structural, task))
        available = [probe for probe in probes if probe is not None]
        if available:
            verdicts.append(_judge_task(task, available))
    return _C3.judge(verdicts)


class _Probe:
    """One probe before and after fine-tuning, by its main score and at the top layer alone."""

    def __init__(self, name: str, context: Estimate, change: Estimate, at_top: Estimate | None) -> None:
        self.name, self.context = name, context
        self.share = ratio(change, context)
        self.at_top = at_top
        # A probe that scores no more than the baseline cannot show forgetting.
        self.informative = above(context, 0.0) == HOLDS
        self.verdict = above(self.share, -CATASTROPHIC) if self.informative else UNDECIDED


def _judge_task(task: str, probes: Sequence[_Probe]) -> TaskVerdict:
    informative = [probe for probe in probes if probe.informative]
    if not informative:
        best = max(probes, key=lambda probe: probe.context.value)
        why = f"{best.name} scores {best.context.percent(1)} points above the baseline before, too little to judge"
        return TaskVerdict(task, UNDECIDED, f"{why}.")
    verdict = joint_verdict(probe.verdict for probe in informative)
    worst = min((probe for probe in informative if probe.verdict == verdict), key=lambda probe: probe.share.value)
    why = f"{worst.name} changes by {worst.share.text()} of what context adds ({worst.context.percent(1)} points)"
    if len(informative) > 1:
        why += f", the lowest of {len(informative)} probes"
    if uninformative := [probe.name for probe in probes if not probe.informative]:
        why += f"; not counted, because no better than the baseline before: {joined(uninformative)}"
    at_top = [(probe.at_top.value, probe.name) for probe in informative if probe.at_top is not None]
    if at_top:
        lowest, name = min(at_top)
        why += f"; at the top layer alone {name} changes by {100 * lowest:+.1f} points"
    return TaskVerdict(task, verdict, f"{why}.", worst.share)


def _edge_probe(rows: Sequence[Row], task: str, probe: str | None) -> _Probe | None:
    mine = [row for row in select(rows, probe_task=probe) if row.get("metric") in (None, "f1")]
    mixes = sorted({str(row.get("member")) for row in mine if str(row.get("member")).startswith("mix.")}, key=_depth)
    base = select(mine, variant="base", kind="value")
    if not mixes or not (before := _score(base, mixes[-1])):
        return None
    random = select(mine, variant="random", kind="value")
    baseline = _higher(_score(base, "lex"), _score(random, mixes[-1]))
    after = select(mine, task=task, variant="tuned")
    change = _change(after, mixes[-1], before)
    if baseline is None or change is None:
        return None
    top = max((row["layer"] for row in base if row.get("layer") is not None and _is_layer(row)), default=None)
    at_top = None
    if top is not None:
        name = str(next(row["member"] for row in base if row.get("layer") == top and _is_layer(row)))
        before_top = _score(base, name)
        at_top = None if before_top is None else _change(after, name, before_top)
    return _Probe(f"the edge probe of {probe}", before - baseline, change, at_top)


def _structural_probe(rows: Sequence[Row], task: str) -> _Probe | None:
    mine = select(rows, metric="uuas")
    base = select(mine, variant="base", kind="value")
    before = _score(base, "best")
    baseline = _score(select(mine, variant="random", kind="value"), "best")
    if baseline is None:  # the embeddings depend on the word and its position, not on context
        baseline = _mean_of(select(base, layer=0))
    after = select(mine, task=task, variant="tuned")
    if before is None or baseline is None or (change := _change(after, "best", before)) is None:
        return None
    before_top = _score(base, "top")
    at_top = None if before_top is None else _change(after, "top", before_top)
    return _Probe("the structural probe (UUAS)", before - baseline, change, at_top)


def _change(rows: Sequence[Row], member: str, before: Estimate) -> Estimate | None:
    """After minus before over the seeds: from rows of paired differences, or else from both intervals."""
    differences = by_seed(select(rows, member=member, kind="difference"))
    values = by_seed(select(rows, member=member, kind="value"))
    changes = []
    for seed in [seed for seed in dict.fromkeys([*values, *differences]) if seed is not None] or [None]:
        if seed in differences:
            changes.append(_highest_rank(differences[seed]))
        elif seed in values:
            changes.append(_highest_rank(values[seed]) - before)
    return over_seeds(changes) if changes else None


def _score(rows: Iterable[Row], member: str) -> Estimate | None:
    return _mean_of([row for row in rows if row.get("member") == member])


def _mean_of(rows: Sequence[Row]) -> Estimate | None:
    return over_seeds([_highest_rank(of_seed) for of_seed in by_seed(rows).values()]) if rows else None


def _highest_rank(rows: Sequence[Row]) -> Estimate:
    """Structural probes may have several ranks: the largest one."""
    return estimate_of(max(rows, key=lambda row: row.get("rank") or 0))


def _higher(*scores: Estimate | None) -> Estimate | None:
    return max((one for one in scores if one is not None), key=lambda one: one.value, default=None)


def _is_layer(row: Row) -> bool:
    member = str(row.get("member"))
    return member != "lex" and not member.startswith("mix.")


def _depth(mix: str) -> int:
    return int(mix.removeprefix("mix."))
