"""Score trained edge probes on a split: counts by label and by sentence, code lengths, and F1 with its interval."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from ..rows import RowSource
from .batches import batches_in_order
from .network import Network, Parameters, code_lengths, decisions
from .recipe import EdgeProbeRecipe
from .targets import Targets

__all__ = ["F1", "Evaluation", "ScoringRule", "evaluate", "f1_score", "rule_of"]

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_CORE = re.compile(r"A(RG)?[0-5A]($|-)")
_NON_CORE = re.compile(r"A(RG)?M($|-)")


class F1(NamedTuple):
    """Micro-averaged F1 with the ends of its 95 % interval, precision and recall; all in [0, 1]."""

    f1: float
    low: float
    high: float
    precision: float
    recall: float


@dataclass(frozen=True)
class ScoringRule:
    """The labels of a task that are scored, and subsets of them that are also scored separately.

    Attributes
    ----------
    keep : whether a label is scored.
    parts : for each named subset, whether a label is in it.
    seeds : number of seeds that a published result of the task is the mean of.
    """

    keep: Callable[[str], bool]
    parts: Mapping[str, Callable[[str], bool]] = field(default_factory=dict)
    seeds: int = 1


def _every(_: str) -> bool:
    return True


def _not_continued(label: str) -> bool:
    return not label.startswith(("R-", "C-"))


_RULES = {
    "coref": ScoringRule(lambda label: label == "1"),
    "srl": ScoringRule(
        _not_continued,
        {
            "core": lambda label: bool(_CORE.match(label)),
            "non-core": lambda label: bool(_NON_CORE.match(label)),
        },
    ),
    "relations": ScoringRule(lambda label: label not in ("Other", "no_relation")),
    "dpr": ScoringRule(_every, seeds=5),
}


def rule_of(task: str) -> ScoringRule:
    """Return the scoring rule of a task.

    Coreference: only label "1" is scored. SRL: neither R- nor C- labels, and core and non-core arguments also
    separately. Relations: neither "Other" nor "no_relation". DPR: all labels, as the mean of five seeds. Any other
    task: all labels.

    Examples
    --------
    >>> from pyrepsim.probing.edge import rule_of
    >>> rule_of("coref").keep("0"), rule_of("pos").keep("NOUN")
    (False, True)
    """
    return _RULES.get(task.lower(), ScoringRule(_every))


def f1_score(true_positives: float, predicted: float, gold: float) -> F1:
    """Return micro-averaged F1 with a 95 % interval, from counts of (target, label) pairs.

    F1 = 2PR / (P + R), where P = true_positives / predicted and R = true_positives / gold; 0 where undefined. The
    interval takes P and R as normal, P ± 1.96 sqrt(P(1 - P) / predicted) and R likewise, cut to [0, 1], and combines
    the lower and the upper ends by the same harmonic mean (Tenney et al., 2019, section 4).

    Parameters
    ----------
    true_positives, predicted, gold : float
        Numbers of pairs that are predicted and gold, predicted, and gold.

    Returns
    -------
    F1

    Examples
    --------
    >>> from pyrepsim.probing.edge import f1_score
    >>> [round(value, 3) for value in f1_score(80, 100, 90)[:3]]
    [0.842, 0.769, 0.915]
    """
    precision = true_positives / predicted if predicted else 0.0
    recall = true_positives / gold if gold else 0.0
    reach_p = _Z * math.sqrt(precision * (1 - precision) / predicted) if predicted else 0.0
    reach_r = _Z * math.sqrt(recall * (1 - recall) / gold) if gold else 0.0
    low = _harmonic(max(precision - reach_p, 0.0), max(recall - reach_r, 0.0))
    high = _harmonic(min(precision + reach_p, 1.0), min(recall + reach_r, 1.0))
    return F1(_harmonic(precision, recall), low, high, precision, recall)


def _harmonic(a: float, b: float) -> float:
    return 2 * a * b / (a + b) if a + b > 0 else 0.0


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Counts of (target, label) pairs, for M members, C labels and S sentences.

    Attributes
    ----------
    true_positives, predicted : (M, C) int64
    gold : (C,) int64
    unseen : number of each gold label that is not among the probe's labels; all of these are missed.
    sentences : (M, S, 2) int64, true positives and predictions of the scored labels, by sentence.
    sentence_gold : (S,) int64, gold pairs of the scored labels, unseen labels included.
    nats : (M,) code length of all targets: sum of -log p.
    n_targets, n_coded : number of targets, and of those in the code (with softmax, those with a known label).
    norm_sum, n_rows : (sources,) sum of the Euclidean norms of the rows that were read, and their number.
    """

    true_positives: np.ndarray
    predicted: np.ndarray
    gold: np.ndarray
    unseen: Counter[str]
    sentences: np.ndarray
    sentence_gold: np.ndarray
    nats: np.ndarray
    n_targets: int
    n_coded: int
    norm_sum: np.ndarray
    n_rows: int

    def totals(self, labels: tuple[str, ...], keep: Callable[[str], bool]) -> tuple[np.ndarray, np.ndarray, int]:
        """Return true positives (M,), predictions (M,) and gold pairs of the labels that `keep` accepts."""
        kept = np.array([keep(label) for label in labels], bool)
        missed = sum(count for label, count in self.unseen.items() if keep(label))
        gold = int(self.gold[kept].sum()) + missed
        return self.true_positives[:, kept].sum(1), self.predicted[:, kept].sum(1), gold

    def f1(self) -> np.ndarray:
        """Return the micro-averaged F1 of all labels, (M,)."""
        gold = int(self.gold.sum()) + sum(self.unseen.values())
        return 2 * self.true_positives.sum(1) / np.maximum(self.predicted.sum(1) + gold, 1)


def evaluate(
    network: Network,
    parameters: Parameters,
    targets: Targets,
    source: RowSource,
    recipe: EdgeProbeRecipe,
    *,
    device: torch.device,
    keep: Callable[[str], bool] = lambda _: True,
) -> Evaluation:
    """Apply the probes, without dropout, to every target once; `keep` says which labels are counted by sentence."""
    n_members, n_labels = len(network.members), len(targets.labels)
    kept = torch.tensor([keep(label) for label in targets.labels], dtype=torch.bool, device=device)
    true_positives = torch.zeros(n_members, n_labels, dtype=torch.int64)
    predicted, gold = torch.zeros_like(true_positives), torch.zeros(n_labels, dtype=torch.int64)
    sentences = torch.zeros(n_members, targets.n_sentences, 2, dtype=torch.int64)
    sentence_gold = torch.zeros(targets.n_sentences, dtype=torch.int64)
    nats = torch.zeros(n_members, dtype=torch.float64)
    norms, n_rows, n_coded = torch.zeros(len(source.names), dtype=torch.float64), 0, 0
    with torch.no_grad():
        for batch in batches_in_order(targets, source, recipe.batch_size, device):
            logits = network.logits(parameters, batch)
            chosen, labels = decisions(logits, recipe.loss), batch.y > 0
            correct = chosen & labels
            true_positives += correct.sum(1).cpu()
            predicted += chosen.sum(1).cpu()
            gold += labels.sum(0).cpu()
            place = torch.from_numpy(batch.sentence)
            counts = torch.stack([(correct & kept).sum(2), (chosen & kept).sum(2)], 2)
            sentences.index_add_(1, place, counts.cpu())
            sentence_gold.index_add_(0, place, (labels & kept).sum(1).cpu())
            nats += code_lengths(logits, batch.y, recipe.loss).double().sum(1).cpu()
            n_coded += int(labels.any(1).sum()) if recipe.loss == "softmax" else batch.n_targets
            norms += batch.x.norm(dim=2).double().sum(1).cpu()
            n_rows += batch.x.shape[1]
    owner = np.repeat(np.arange(targets.n_sentences), np.diff(targets.ptr))
    for target, missing in targets.unseen.items():
        sentence_gold[owner[target]] += sum(map(keep, missing))
    return Evaluation(
        true_positives=true_positives.numpy(),
        predicted=predicted.numpy(),
        gold=gold.numpy(),
        unseen=Counter(label for missing in targets.unseen.values() for label in missing),
        sentences=sentences.numpy(),
        sentence_gold=sentence_gold.numpy(),
        nats=nats.numpy(),
        n_targets=targets.n_targets,
        n_coded=n_coded,
        norm_sum=norms.numpy(),
        n_rows=n_rows,
    )
