"""Synthetic inference pairs: labels are correct in small models, and the hypothesis alone does not predict them."""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from typing import Any

import pytest

from pyrepsim.studies.synthetic import generate_pairs
from pyrepsim.studies.synthetic.lexicon import DOMAINS
from tests.helpers.model_checker import judged

LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture(params=("village", "laboratory"))
def domain(request: pytest.FixtureRequest) -> str:
    return request.param


def test_labels_hold_in_random_models(domain: str):
    required = {
        "entailment": {(True, True)},
        "neutral": {(True, True), (True, False)},
        "contradiction": {(True, False)},
    }
    never = {"entailment": {(True, False)}, "neutral": set(), "contradiction": {(True, True)}}
    rng = random.Random(0)
    for pair in generate_pairs(120, domain=domain, seed=7):
        expect = required[pair.label]
        premise, *filler = pair.premise_meaning
        observed = judged(premise, pair.hypothesis_meaning, DOMAINS[domain], rng, models=30, expect=expect)
        assert observed >= expect, pair
        assert not observed & never[pair.label], pair
        for statement in filler:  # it is unrelated to the pair
            assert statement.subject.noun not in f"{premise} {pair.hypothesis_meaning}"


def test_the_checker_finds_counterexamples():
    rng = random.Random(0)
    for pair in generate_pairs(24):
        premise, *_ = pair.premise_meaning
        if pair.label == "entailment" and premise != pair.hypothesis_meaning:
            expect = {(True, False), (True, True)}
            observed = judged(pair.hypothesis_meaning, premise, DOMAINS["village"], rng, models=30, expect=expect)
            assert observed >= expect, pair  # in the other direction the label is neutral


def test_the_hypothesis_does_not_predict_the_label(domain: str):
    pairs = generate_pairs(2400, domain=domain)
    assert Counter(pair.label for pair in pairs) == dict.fromkeys(LABELS, 800)
    triples = defaultdict(list)
    for pair in pairs:
        triples[pair.hypothesis].append(pair.label)
    assert all(sorted(labels) == sorted(LABELS) for labels in triples.values())
    assert len({pair.premise for pair in pairs}) > 0.98 * len(pairs)
    assert abs(_naive_bayes(pairs, "hypothesis") - 1 / 3) < 0.02
    assert _naive_bayes(pairs, "premise") < 0.6


def _naive_bayes(pairs: list[Any], side: str) -> float:
    """Accuracy of words counted on one half of the pairs, on the other half."""
    counts = {label: Counter() for label in LABELS}
    half = len(pairs) // 2
    for pair in pairs[:half]:
        counts[pair.label].update(set(_bag(pair, side)))
    right = 0
    for pair in pairs[half:]:
        score = {
            label: sum(math.log(counts[label][word] + 1) for word in sorted(set(_bag(pair, side)))) for label in LABELS
        }
        right += max(score, key=score.__getitem__) == pair.label
    return right / (len(pairs) - half)


def _bag(pair: Any, side: str) -> list[str]:
    text = getattr(pair, side)
    return [*re.findall(r"\w+", text.lower()), f"length {len(text.split())}"]
