"""Scoring rules of the edge-probing tasks, and the F1 score with its band."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_Z = 1.959963984540054  # 97.5 % quantile of the normal distribution
_CORE = re.compile(r"A(RG)?[0-5A]($|-)")
_NON_CORE = re.compile(r"A(RG)?M($|-)")


class F1(NamedTuple):
    """Micro-averaged F1, all in [0, 1], with the ends of its 95 % band."""

    f1: float
    low: float
    high: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Rule:
    """Which labels of a task count, and which parts of them are scored on their own."""

    keep: Callable[[str], bool]
    parts: Mapping[str, Callable[[str], bool]] = field(default_factory=dict)
    seeds: int = 1
    """Seeds that a result of this task should be the mean of."""


def _every(_: str) -> bool:
    return True


def _not_continued(label: str) -> bool:
    return not label.startswith(("R-", "C-"))


_RULES = {
    "coref": Rule(lambda label: label == "1"),
    "srl": Rule(
        _not_continued,
        {
            "core": lambda label: bool(_CORE.match(label)),
            "non-core": lambda label: bool(_NON_CORE.match(label)),
        },
    ),
    "relations": Rule(lambda label: label not in ("Other", "no_relation")),
    "dpr": Rule(_every, seeds=5),
}


def rule_of(task: str) -> Rule:
    """The rule of a task: coreference counts label "1" only; SRL neither R- nor C- labels, with core and non-core
    arguments apart; relations neither "Other" nor "no_relation"; DPR is the mean of five seeds; all else counts
    every label.
    """
    return _RULES.get(task.lower(), Rule(_every))


def f1_score(true_positives: float, predicted: float, gold: float) -> F1:
    """Micro-averaged F1 from counts of (target, label) cells, with a 95 % band.

    F1 = 2PR / (P + R), P = true_positives / predicted, R = true_positives / gold; 0 where undefined. The band takes
    P and R as normal, P ± 1.96 sqrt(P(1 - P) / predicted) and R likewise (cut to [0, 1]), and joins the lower and
    the upper ends by the same harmonic mean (Tenney et al., 2019, section 4).
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
