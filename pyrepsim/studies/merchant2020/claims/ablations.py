"""C7: the cost of freezing two thirds of the blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ....inference.resampling import t_quantile
from ...runner import select
from .claim import Claim, TaskVerdict
from .curves import thirds
from .estimates import HOLDS, UNDECIDED, Estimate, above, below, difference, for_verdict, mean, needed, over_seeds
from .rows import GAIN, LAST_EPOCH, LONGER, Row, by_seed, estimate_of, tasks_of

__all__ = ["NOTABLE_DROP", "judge_freezing"]

NOTABLE_DROP = 0.01
"""A "notable drop" of a score, as a fraction. The paper finds that with 8 of 12 blocks frozen, MNLI and SQuAD lose no
more than about one point. A training that more updates would improve by more than this is not trained out."""

_TRAININGS = ("freezing", "longer")
_TASKS = ("mnli", "squad")
_MOST_SEEDS = 1000

_C7 = Claim(
    "C7",
    "MNLI and SQuAD lose little when the bottom two thirds of the blocks are frozen.",
    "score lost",
    "The score with nothing frozen minus that with two thirds of the blocks frozen is below "
    f"{100 * NOTABLE_DROP:g} point for MNLI and SQuAD. Scores of a seed are paired by dev items; the interval is the "
    "jackknife's over groups of items (pairs with one premise, questions about one article). With several seeds, the t "
    "interval over seeds and that over items, of the mean over seeds, are added in squares. With one seed the verdict "
    "is about these two models only, and does not say what freezing costs in other trainings. Only models that are "
    "trained out decide: twice the updates raise neither score by more than "
    f"{100 * NOTABLE_DROP:g} point (the whole interval above it), or, if there is no such training, the last epoch did "
    "not. The shortest training that more updates surely improve by less is judged, otherwise the longest. Undecided "
    "if freezing all blocks costs no more than the threshold either: then the task does not depend on the blocks.",
    "freezing",
    weakest="high",
    in_points=True,
)


@dataclass(frozen=True)
class _Loss:
    """What freezing k blocks costs, over seeds."""

    value: Estimate
    items: Estimate
    """The mean over seeds, with the interval over items alone."""
    seeds: int
    n_items: int | None
    paired: bool
    """Whether items are paired."""


@dataclass(frozen=True)
class _Training:
    """One training of a task: its models with 0, k and all blocks frozen."""

    task: str
    metric: str
    k: int
    depth: int
    lost: _Loss
    all_lost: _Loss | None
    not_out: str
    """Why it is not trained out; "" if nothing says so."""
    surely_out: bool
    """Whether more updates, or the last epoch, surely gain no more than the threshold."""

    def verdict(self) -> TaskVerdict:
        lost = self.lost.value
        verdict = below(for_verdict(lost, self.lost.seeds), NOTABLE_DROP)
        why, remedy = self._sentence(), ""
        if verdict == UNDECIDED:
            remedy = _what_would_decide(self.lost)
        elif self.not_out:
            verdict, remedy = UNDECIDED, "a training with more updates"
        elif verdict == HOLDS and self.all_lost is not None and above(self.all_lost.value, NOTABLE_DROP) != HOLDS:
            verdict, remedy = UNDECIDED, "a task that the blocks matter for"
        return TaskVerdict(self.task, verdict, why, lost, needed=remedy)

    def _sentence(self) -> str:
        lost, n = self.lost.value, self.lost.seeds
        blocks, points = f"{self.k} of {self.depth} blocks", f"{lost.percent()} points of {self.metric}"
        what = f"freezing {blocks} costs {points}, {n} seeds"
        if n == 1:
            what = f"the model with {blocks} frozen is {points} below that with none: these two models, one seed"
        what += (
            ", paired by items" if self.lost.paired else ", items not paired" if lost.ends else ", no interval known"
        )
        if self.all_lost is not None:
            all_lost = self.all_lost.value
            what += f"; freezing all costs {all_lost.percent()}"
            if all_lost.value > 0:
                what += f", so that {100 * (1 - lost.value / all_lost.value):.0f} % of what the blocks add is kept"
        return f"{what}. {self.not_out}" if self.not_out else f"{what}."


def judge_freezing(rows: Sequence[Row]) -> dict[str, Any]:
    """C7."""
    own = select(rows, experiment=("freezing", "longer", "finetuning"))
    verdicts = []
    for task in tasks_of(select(own, experiment=_TRAININGS)):
        trainings = [_training(select(own, task=task), experiment) for experiment in _TRAININGS]
        found = [training for training in trainings if training is not None]
        if found:
            verdict = next((one for one in found if one.surely_out), found[-1]).verdict()
            verdicts.append(verdict if task in _TASKS else verdict.not_counted())
    return _C7.judge(verdicts)


def _training(rows: Sequence[Row], experiment: str) -> _Training | None:
    """One training of a task, from the rows of all its trainings."""
    depth = max((row["k"] for row in select(rows, experiment=_TRAININGS) if row.get("k") is not None), default=0)
    own = select(rows, experiment=experiment)
    metric = next((row["metric"] for row in select(own, kind=("value", "difference"))), None)  # the main score is first
    chosen = select(own, metric=metric)
    least = max(thirds(depth).top.start - 1, 1)
    k = min((row["k"] for row in chosen if (row.get("k") or 0) >= least), default=None)
    if metric is None or k is None:
        return None
    unfrozen = select(chosen, k=0, kind="value") or select(rows, experiment="finetuning", metric=metric, kind="value")
    lost = _lost(chosen, unfrozen, k)
    if lost is None:
        return None
    all_lost = _lost(chosen, unfrozen, depth) if k < depth else None
    gains = select(rows, metric=metric, kind=GAIN, experiment=(experiment, "longer"))
    return _Training(str(rows[0]["task"]), metric, k, depth, lost, all_lost, *_trained_out(gains, experiment, k))


def _lost(rows: Sequence[Row], unfrozen: Sequence[Row], k: int) -> _Loss | None:
    """The score lost over seeds: from differences paired by items or, without any, from the scores of each seed."""
    paired = {seed: of_seed[0] for seed, of_seed in by_seed(select(rows, kind="difference", k=k)).items()}
    items = None
    if paired:
        joint = paired.pop(None, None) if len(paired) > 1 else None  # the mean over seeds, from the means of each item
        seeds, sizes = [estimate_of(row) for row in paired.values()], [row.get("n") for row in paired.values()]
        items = None if joint is None else estimate_of(joint)
    else:
        before, after = (
            {seed: of_seed[0] for seed, of_seed in by_seed(part).items()}
            for part in (unfrozen, select(rows, kind="value", k=k))
        )
        shared = [seed for seed in before if seed in after]
        seeds = [difference(estimate_of(before[seed]), estimate_of(after[seed])) for seed in shared]
        sizes = [after[seed].get("n") for seed in shared]
    if not seeds:
        return None
    if items is not None and items.ends is not None:
        below, above = items.value - items.ends[0], items.ends[1] - items.value
        seeds = [Estimate(seed.value, seed.value - below, seed.value + above) for seed in seeds]
    of_items = mean(seeds)
    value = of_items if of_items.ends is None else over_seeds(seeds)  # the spread of seeds alone is too little
    return _Loss(value, of_items, len(seeds), sizes[0], bool(paired))


def _trained_out(gains: Sequence[Row], experiment: str, k: int) -> tuple[str, bool]:
    """Why the models with 0 or k blocks frozen are not trained out, or ""; and whether both surely are."""
    surely = True
    for blocks in (0, k):
        own = select(gains, k=blocks)
        more = [estimate_of(row) for row in select(own, experiment="longer", member=LONGER)]
        last = [row["value"] for row in select(own, experiment=experiment, member=LAST_EPOCH)]
        name = f"with {blocks} blocks frozen"
        if more and experiment == "freezing":
            gained = over_seeds(more)
            if above(gained, NOTABLE_DROP) == HOLDS:
                return f"Not trained out: more updates raise the score {name} by {gained.percent()} points.", False
            surely = surely and below(gained, NOTABLE_DROP) == HOLDS
        elif last:
            gained = Estimate(sum(last) / len(last))
            if gained.value > NOTABLE_DROP:
                return f"Not trained out: the last epoch raised the score {name} by {gained.percent()} points.", False
        else:
            return (
                f"Not known to be trained out: {name}, neither a longer training nor the epoch before is scored.",
                False,
            )
    return "", surely


def _what_would_decide(lost: _Loss) -> str:
    """How many seeds and dev examples would decide, if the value and the spreads stayed; "" if unknown."""
    if lost.value.ends is None or lost.items.ends is None or lost.n_items is None or lost.value.value == NOTABLE_DROP:
        return ""
    if lost.seeds == 1:
        return f"about {needed(for_verdict(lost.value, 1), NOTABLE_DROP, lost.n_items):,} dev examples"
    distance = abs(NOTABLE_DROP - lost.value.value)
    low, high = lost.value.ends
    of_items = (lost.items.ends[1] - lost.items.ends[0]) / 2
    of_seeds = math.sqrt(max(((high - low) / 2) ** 2 - of_items**2, 0.0))
    sd = of_seeds * math.sqrt(lost.seeds) / t_quantile(0.95, lost.seeds - 1)
    for n in range(lost.seeds, _MOST_SEEDS + 1):
        if math.hypot(t_quantile(0.95, n - 1) * sd / math.sqrt(n), of_items) < distance:
            return f"about {n} seeds"
    if of_items < distance:
        return f"more than {_MOST_SEEDS:,} seeds"
    return f"more seeds and about {math.ceil(lost.n_items * 2 * (of_items / distance) ** 2):,} dev examples"
