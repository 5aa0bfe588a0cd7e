"""C3: what probes read before and after fine-tuning, as a part of what context adds above a floor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .estimates import HOLDS, UNDECIDED, Estimate, above, joint_verdict, over_seeds, ratio
from .record import Claim, Finding
from .table import Row, by_seed, estimate_of, listed, pick, tasks_of

__all__ = ["CATASTROPHIC", "no_catastrophic_forgetting"]

CATASTROPHIC = 0.5
"""Part of what context adds whose loss is called catastrophic: the tuned model is then nearer to the floor than to the
base (PAPER section 11: "no core task closer to Lex than to Base")."""

_C3 = Claim(
    "C3",
    "Fine-tuning leads to no catastrophic forgetting of linguistic phenomena.",
    "share of what context adds above the floor",
    "After minus before, of the edge probe on a mix of all layers and of the structural probe's best layer, as a part "
    "of what the base has above the higher of the lexical and the random encoder's score: the interval lies above "
    f"-{CATASTROPHIC:g} for every probe that reads more than the floor before. The top layer alone stands beside it: "
    "what leaves it may live on below.",
    "edge_table",
)


def no_catastrophic_forgetting(rows: Sequence[Row]) -> dict[str, Any]:
    """C3."""
    edge, structural = (pick(rows, experiment=name) for name in ("edge", "structural"))
    findings = []
    for task in tasks_of([row for row in [*edge, *structural] if row.get("variant") == "tuned"]):
        probes = [_of_edge(edge, task, probe) for probe in dict.fromkeys(row.get("probe_task") for row in edge)]
        probes.append(_of_structural(structural, task))
        found = [probe for probe in probes if probe is not None]
        if found:
            findings.append(_finding(task, found))
    return _C3.judged(findings)


class _Probe:
    """One probe before and after, by its main score and at the top layer alone."""

    def __init__(self, name: str, context: Estimate, change: Estimate, at_top: Estimate | None) -> None:
        self.name, self.context = name, context
        self.share = ratio(change, context)
        self.at_top = at_top
        # A probe that reads no more than the floor can show no forgetting.
        self.told = above(context, 0.0) == HOLDS
        self.verdict = above(self.share, -CATASTROPHIC) if self.told else UNDECIDED


def _finding(task: str, probes: Sequence[_Probe]) -> Finding:
    told = [probe for probe in probes if probe.told]
    if not told:
        best = max(probes, key=lambda probe: probe.context.value)
        why = f"{best.name} reads {best.context.words(1)} points above the floor before, too little to be forgotten"
        return Finding(task, UNDECIDED, f"{why}.")
    verdict = joint_verdict(probe.verdict for probe in told)
    worst = min((probe for probe in told if probe.verdict == verdict), key=lambda probe: probe.share.value)
    why = f"{worst.name} changes by {worst.share.words()} of what context adds ({worst.context.words(1)} points)"
    if len(told) > 1:
        why += f", the least favourable of {len(told)} probes"
    if aside := [probe.name for probe in probes if not probe.told]:
        why += f"; at the floor already before, so set aside: {listed(aside)}"
    at_top = [(probe.at_top.value, probe.name) for probe in told if probe.at_top is not None]
    if at_top:
        lowest, name = min(at_top)
        why += f"; at the top layer alone {name} changes by {lowest:+.1f} points"
    return Finding(task, verdict, f"{why}.", worst.share)


def _of_edge(rows: Sequence[Row], task: str, probe: str | None) -> _Probe | None:
    mine = [row for row in pick(rows, probe_task=probe) if row.get("metric") in (None, "f1")]
    mixes = sorted({str(row.get("member")) for row in mine if str(row.get("member")).startswith("mix.")}, key=_depth)
    base = pick(mine, variant="base", kind="value")
    if not mixes or not (before := _score(base, mixes[-1])):
        return None
    floor = _higher(_score(base, "lex"), _score(pick(mine, variant="random", kind="value"), mixes[-1]))
    after = pick(mine, task=task, variant="tuned")
    change = _change(after, mixes[-1], before)
    if floor is None or change is None:
        return None
    top = max((row["layer"] for row in base if row.get("layer") is not None and _is_layer(row)), default=None)
    at_top = None
    if top is not None:
        name = str(next(row["member"] for row in base if row.get("layer") == top and _is_layer(row)))
        before_top = _score(base, name)
        at_top = None if before_top is None else _change(after, name, before_top)
    return _Probe(f"the edge probe of {probe}", before - floor, change, at_top)


def _of_structural(rows: Sequence[Row], task: str) -> _Probe | None:
    mine = pick(rows, metric="uuas")
    base = pick(mine, variant="base", kind="value")
    before = _score(base, "best")
    floor = _score(pick(mine, variant="random", kind="value"), "best")
    if floor is None:  # the embeddings know the word and its place, and no context
        floor = _mean_of(pick(base, layer=0))
    after = pick(mine, task=task, variant="tuned")
    if before is None or floor is None or (change := _change(after, "best", before)) is None:
        return None
    before_top = _score(base, "top")
    at_top = None if before_top is None else _change(after, "top", before_top)
    return _Probe("the structural probe (UUAS)", before - floor, change, at_top)


def _change(rows: Sequence[Row], member: str, before: Estimate) -> Estimate | None:
    """After - before over the seeds: by the paired rows of differences, or else from both sides' intervals."""
    differences = by_seed(pick(rows, member=member, kind="difference"))
    values = by_seed(pick(rows, member=member, kind="value"))
    seeds = [seed for seed in dict.fromkeys([*values, *differences]) if seed is not None] or [None]
    found = []
    for seed in seeds:
        if seed in differences:
            found.append(_rank(differences[seed]))
        elif seed in values:
            found.append(_rank(values[seed]) - before)
    return over_seeds(found) if found else None


def _score(rows: Iterable[Row], member: str) -> Estimate | None:
    return _mean_of([row for row in rows if row.get("member") == member])


def _mean_of(rows: Sequence[Row]) -> Estimate | None:
    return over_seeds([_rank(of_seed) for of_seed in by_seed(rows).values()]) if rows else None


def _rank(rows: Sequence[Row]) -> Estimate:
    """Of several ranks of a structural probe the largest."""
    return estimate_of(max(rows, key=lambda row: row.get("rank") or 0))


def _higher(*floors: Estimate | None) -> Estimate | None:
    return max((floor for floor in floors if floor is not None), key=lambda floor: floor.value, default=None)


def _is_layer(row: Row) -> bool:
    member = str(row.get("member"))
    return member != "lex" and not member.startswith("mix.")


def _depth(mix: str) -> int:
    return int(mix.removeprefix("mix."))
