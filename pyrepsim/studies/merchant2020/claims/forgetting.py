"""C3: scores of probes after fine-tuning, relative to the middle between the base and its baselines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ....inference.p_values import holm
from ....inference.resampling import t_quantile
from ...report.text import joined
from ...runner import select
from ..probe_baselines import LEXICAL_BASELINE, RANDOM_BASELINE
from .claim import Claim, TaskVerdict
from .estimates import DOES_NOT_HOLD, HOLDS, NOT_TESTED, UNDECIDED, Estimate, above, joint_verdict, needed, over_seeds
from .rows import Row, by_seed, estimate_of, tasks_of

__all__ = ["LITTLE_CONTEXT", "judge_forgetting"]

LITTLE_CONTEXT = 0.05
"""A probe that context adds less to, if anything, cannot show forgetting: the middle is within half of this of both
ends."""

_CONFIDENCE = 0.95

_C3 = Claim(
    "C3",
    "Fine-tuning leads to no catastrophic forgetting of linguistic phenomena.",
    "score above the middle between base and baseline",
    "The score after fine-tuning minus the mean of the base's score and a baseline's, of the edge probe on the mix of "
    "all layers and of the structural probe at the layer that is best in the base. Above 0, less than half of what "
    "context adds is lost, and the tuned model is nearer to the base. The baselines are a probe without context and, "
    "if there is one, a probe of random weights; the effect must be above 0 for both. All scores are of the same "
    "documents. The claim holds if the interval lies above 0 for every probe, and every base is surely above its "
    f"baselines. It does not hold if an effect is below 0 at the level {1 - _CONFIDENCE:.2g}, after Holm's adjustment "
    "for all probes, baselines and tasks. A probe is not counted if its base may be at the baseline and is less than "
    f"{100 * LITTLE_CONTEXT:g} points above it. The top layer alone is shown but not counted: what it loses may remain "
    "in the layers below.",
    "edge_table",
    in_points=True,
)


def judge_forgetting(rows: Sequence[Row]) -> dict[str, Any]:
    """C3."""
    of_probes = select(rows, experiment=("edge", "structural"), variant="tuned")
    probes = {task: list(_probes(select(of_probes, task=task))) for task in tasks_of(of_probes)}
    counted = [baseline for own in probes.values() for probe in own if not probe.flat for baseline in probe.baselines]
    adjusted = holm([one.p for one in counted])
    lost = {id(one) for one, p in zip(counted, adjusted, strict=True) if one.margin.value < 0 and p < 1 - _CONFIDENCE}
    return _C3.judge([_judge_task(task, own, lost) for task, own in probes.items()])


@dataclass(frozen=True)
class _Baseline:
    """One probe against one baseline: the columns of `kept_columns` over the seeds, and p of the margin 0."""

    name: str
    context: Estimate
    margin: Estimate
    share: Estimate | None
    p: float
    n_documents: int
    n_seeds: int

    def text(self) -> str:
        sentence = (
            f"{self.margin.percent(1)} points above the middle between the base and the {self.name} baseline "
            f"({self.n_documents:,} documents, {self.n_seeds} seed{'s' * (self.n_seeds > 1)})"
        )
        return sentence if self.share is None else f"{sentence}, a change of {self.share.text()} of what context adds"

    def needed(self) -> str:
        """What would decide: ``about 240 documents``."""
        n = needed(self.margin, 0.0, self.n_documents)
        if n is None or n <= self.n_documents:
            return ""
        seeds = math.ceil(self.n_seeds * n / self.n_documents)
        return f"about {n:,} documents" + (f" and {seeds} seeds" if self.n_seeds > 1 else "")


@dataclass(frozen=True)
class _Probe:
    """One probe before and after fine-tuning, against each baseline."""

    name: str
    baselines: tuple[_Baseline, ...]
    at_top: Estimate | None

    @property
    def above_baselines(self) -> bool:
        """Whether context surely adds something before."""
        return all(above(one.context, 0.0) == HOLDS for one in self.baselines)

    @property
    def flat(self) -> bool:
        """Whether context adds nothing or little before: the probe cannot show forgetting."""
        ends = [one.context.ends for one in self.baselines]
        return any(pair is not None and pair[0] <= 0 and pair[1] < LITTLE_CONTEXT for pair in ends)

    @property
    def lowest(self) -> _Baseline:
        return min(self.baselines, key=lambda one: one.margin.value)

    def verdict(self, lost: set[int]) -> str:
        if any(id(one) in lost for one in self.baselines):
            return DOES_NOT_HOLD
        kept = self.above_baselines and all(above(one.margin, 0.0) == HOLDS for one in self.baselines)
        return HOLDS if kept else UNDECIDED


def _judge_task(task: str, probes: Sequence[_Probe], lost: set[int]) -> TaskVerdict:
    if not probes:
        why = "the rows of probes have no comparison with a baseline on the same documents; run their cells again."
        return TaskVerdict(task, NOT_TESTED, why)
    counted = [probe for probe in probes if not probe.flat]
    flat = [probe.name for probe in probes if probe.flat]
    if not counted:
        return TaskVerdict(task, UNDECIDED, f"before fine-tuning no probe is above its baselines: {joined(flat)}.")
    verdicts = [probe.verdict(lost) for probe in counted]
    verdict = joint_verdict(verdicts)
    worst = min(
        (probe for probe, own in zip(counted, verdicts, strict=True) if own == verdict),
        key=lambda probe: probe.lowest.margin.value,
    )
    why = f"{worst.name} scores {worst.lowest.text()}"
    if not worst.above_baselines:
        why += ", and the base itself may be at the baseline"
    if len(counted) > 1:
        why += f"; {verdicts.count(HOLDS)} of {len(counted)} probes are surely above 0"
    if flat:
        why += f"; not counted, because no better than the baseline before: {joined(flat)}"
    at_top = [(probe.at_top.value, probe.name) for probe in counted if probe.at_top is not None]
    if at_top:
        lowest, name = min(at_top)
        why += f"; at the top layer alone {name} changes by {100 * lowest:+.1f} points"
    what = worst.lowest.needed() if verdict == UNDECIDED else ""
    return TaskVerdict(task, verdict, f"{why}.", worst.lowest.margin, needed=what)


def _probes(rows: Sequence[Row]) -> Iterator[_Probe]:
    """The probes of a task's tuned models that were compared with a baseline."""
    for experiment, score in (("edge", "f1"), ("structural", "uuas")):
        own = select(rows, experiment=experiment, kind="difference")
        for name in dict.fromkeys(row.get("probe_task") for row in own):
            of_probe = select(own, probe_task=name)
            found = (_baseline(of_probe, score, baseline) for baseline in (LEXICAL_BASELINE, RANDOM_BASELINE))
            if baselines := tuple(one for one in found if one is not None):
                title = f"the edge probe of {name}" if experiment == "edge" else "the structural probe (UUAS)"
                yield _Probe(title, baselines, _at_top(select(of_probe, metric=score)))


def _baseline(rows: Sequence[Row], score: str, baseline: str) -> _Baseline | None:
    context, margin, share = (
        [_highest_rank(of_seed) for of_seed in by_seed(select(rows, metric=f"{score}_{part}_{baseline}")).values()]
        for part in ("context", "margin", "share")
    )
    if not margin or not context:
        return None
    margins = [estimate_of(row) for row in margin]
    n_documents = min(row.get("n") or 0 for row in margin)
    return _Baseline(
        baseline,
        estimate_of(context[0]),  # the same for all seeds
        over_seeds(margins),
        over_seeds([estimate_of(row) for row in share]) if len(share) == len(margin) else None,
        _p(margin, margins, n_documents),
        n_documents,
        len(margins),
    )


def _p(rows: Sequence[Row], seeds: Sequence[Estimate], n_documents: int) -> float:
    """Two-sided p-value of the effect 0: of one seed that of its row; 1 without an interval.

    Of several seeds 1 - the confidence of the interval of `over_seeds` that ends at 0, where at other confidences than
    95 % the intervals over documents are taken to have n_documents - 1 degrees of freedom.
    """
    ends = [one.ends for one in seeds if one.ends is not None]
    if len(ends) < len(seeds):
        return 1.0
    if len(seeds) == 1:
        return rows[0]["p"]
    value = sum(one.value for one in seeds) / len(seeds)
    half = sum(high - low for low, high in ends) / (2 * len(seeds))
    spread = sum((one.value - value) ** 2 for one in seeds) / (len(seeds) - 1)
    errors = [
        (half / t_quantile(_CONFIDENCE, n_documents - 1), n_documents - 1),
        (math.sqrt(spread / len(seeds)), len(seeds) - 1),
    ]
    low, high = 0.0, 1.0
    for _ in range(30):
        confidence = (low + high) / 2
        reach = math.hypot(*(error * t_quantile(confidence, dof) for error, dof in errors))
        low, high = (confidence, high) if reach < abs(value) else (low, confidence)
    return 1 - low


def _at_top(rows: Sequence[Row]) -> Estimate | None:
    """The change at the top layer alone, over the seeds."""
    top = select(rows, member="top")
    if not top and (layers := [row["layer"] for row in rows if row.get("layer") is not None]):
        top = select(rows, layer=max(layers))
    return over_seeds([estimate_of(_highest_rank(one)) for one in by_seed(top).values()]) if top else None


def _highest_rank(rows: Sequence[Row]) -> Row:
    """Structural probes may have several ranks: the row of the largest one."""
    return max(rows, key=lambda row: row.get("rank") or 0)
