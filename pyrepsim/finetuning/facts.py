"""What is wrong with a training: a constant input of the head, a class never predicted, a model that is of no use."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from ..models.independence import PADDED
from ..models.restoring import undisturbed
from .batches import collate, token_batches
from .heads import SequenceHead
from .items import ItemScores, paired_difference
from .prediction import BATCH_TOKENS
from .tasks.base import Task
from .tasks.sequence import SequenceClassification

if TYPE_CHECKING:
    from .preparation import PreparedTraining

__all__ = ["CONSTANT", "CONSTANT_COSINE", "NEVER_PREDICTED", "NO_BETTER", "Fact", "facts_of_head", "facts_of_scores"]

log = logging.getLogger("pyrepsim.finetuning")

CONSTANT = "constant pooled vector"
NEVER_PREDICTED = "class never predicted"
NO_BETTER = "no better than a constant guess"

CONSTANT_COSINE = 0.9999
"""The mean cosine between the pooled vectors of examples from which they are called constant.

The first token of e5-small has 0.99998 and more after blocks 5 to 8, where a head that reads it stays at the majority.
The mean over its tokens has 0.63 to 0.76 after every block."""

_EXAMPLES = 64  # of the training data, at equal distances


class Fact(NamedTuple):
    """One fact about a training."""

    name: str
    value: float
    """The number that shows it: mean cosine; number of examples of the class; score minus that of the guess."""
    text: str
    """A sentence with rule, fact and remedy."""


def facts_of_head(ready: PreparedTraining) -> list[Fact]:
    """Whether the head's input is the same for all examples before training; a warning says so.

    The mean cosine of n unit vectors u_i is (|sum u_i|^2 - n) / (n (n - 1)).
    """
    head, features = ready.model.head, ready.data["train"].features
    if not isinstance(head, SequenceHead) or len(features) < 2:
        return []
    chosen = [features[i] for i in np.unique(np.linspace(0, len(features) - 1, _EXAMPLES).round().astype(int))]
    encoder = ready.encoder
    budget = BATCH_TOKENS if encoder.batching == PADDED else 1
    pooled = []
    with undisturbed(ready.model):
        for indices in token_batches([len(feature) for feature in chosen], budget):
            batch = collate([chosen[index] for index in indices], encoder.pad_id)
            batch = {name: tensor.to(encoder.device) for name, tensor in batch.items()}
            pooled.append(head.pooled(ready.model.hidden(batch), batch).double().cpu())
    vectors = torch.cat(pooled)
    norms = vectors.norm(dim=1, keepdim=True)
    if not (norms > 0).all():
        return []
    n = len(vectors)
    cosine = float(((vectors / norms).sum(0).square().sum() - n) / (n * (n - 1)))
    if cosine < CONSTANT_COSINE:
        return []
    other = "pooling='mean'" if head.pooling != "mean" else "another layer or model"
    return _warned([
        Fact(
            CONSTANT,
            cosine,
            f"The vector that the head reads must differ between examples: with pooling={head.pooling!r} its mean "
            f"cosine between {n} examples is {cosine:.6f} before training. Use {other}.",
        )
    ])  # fmt: skip


def facts_of_scores(
    task: Task, examples: Sequence[Any], predictions: Sequence[Any], items: ItemScores | None
) -> list[Fact]:
    """Classes that are never predicted, and scores that are not above those of a constant guess; warnings say so.

    The guess is the task's `constant_guess`, such as the most frequent label of the data. A model is no better if the
    95 % interval of its score minus that of the guess, paired by items, is not above 0.
    """
    facts = []
    if isinstance(task, SequenceClassification):
        predicted = set(predictions)
        for label, n in sorted(Counter(str(example.label) for example in examples).items()):
            if label not in predicted:
                facts.append(_never_predicted(label, n, len(examples)))
    guess = task.constant_guess(examples)
    guessed = None if guess is None else task.items(examples, guess[1])
    if items is not None and guess is not None and guessed is not None and task.metric in items.scores:
        gained = paired_difference(items, guessed, task.metric)
        if gained.low is not None and gained.low <= 0:
            facts.append(_no_better(task.metric, items, guessed, guess[0], gained.value))
    return _warned(facts)


def _never_predicted(label: str, n: int, n_all: int) -> Fact:
    text = (
        f"A classifier must predict each class: it never predicts {label!r}, the label of {n} of {n_all} examples. "
        "Train longer, with another learning rate, or with more examples of this class."
    )
    return Fact(NEVER_PREDICTED, float(n), text)


def _no_better(metric: str, items: ItemScores, guessed: ItemScores, guess: str, gained: float) -> Fact:
    text = (
        f"A trained model must be better than a constant guess: its {metric} is {items.score(metric):.3f}, and that of "
        f"{guess} {guessed.score(metric):.3f}. Train longer, or with another learning rate, pooling or seed."
    )
    return Fact(NO_BETTER, gained, text)


def _warned(facts: list[Fact]) -> list[Fact]:
    for fact in facts:
        log.warning("%s", fact.text)
    return facts
