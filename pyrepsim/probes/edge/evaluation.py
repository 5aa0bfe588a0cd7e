"""What trained probes say of a split: counts by label and by sentence, and the length of the code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from .batches import in_order
from .network import Network, Parameters, code_lengths, decisions
from .recipe import Recipe
from .rows import RowSource
from .targets import Targets


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Counts of (target, label) cells; M members, C labels, S sentences.

    Attributes
    ----------
    true_positives, predicted : (M, C) int64
    gold : (C,) int64
    unseen : how often each gold label that the probe does not know occurs; all of these are missed.
    sentences : (M, S, 2) int64, true positives and predictions of the labels that count, by sentence.
    sentence_gold : (S,) int64, gold cells of the labels that count, unseen ones included.
    nats : (M,) code length of all targets: sum of -log p.
    n_targets, n_coded : targets, and those that the code covers (with softmax, those with a known label).
    norm_sum, n_rows : (sources,) sum of the Euclidean norms of the rows read, and their number.
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
        """True positives (M,), predictions (M,) and gold cells of the labels that `keep` accepts."""
        kept = np.array([keep(label) for label in labels], bool)
        missed = sum(count for label, count in self.unseen.items() if keep(label))
        gold = int(self.gold[kept].sum()) + missed
        return self.true_positives[:, kept].sum(1), self.predicted[:, kept].sum(1), gold

    def f1(self) -> np.ndarray:
        """(M,) micro-averaged F1 of all labels."""
        gold = int(self.gold.sum()) + sum(self.unseen.values())
        whole = self.predicted.sum(1) + gold
        return 2 * self.true_positives.sum(1) / np.maximum(whole, 1)


def evaluate(
    network: Network,
    parameters: Parameters,
    targets: Targets,
    source: RowSource,
    recipe: Recipe,
    *,
    device: torch.device,
    keep: Callable[[str], bool] = lambda _: True,
) -> Evaluation:
    """Apply the probes, without dropout, to every target once."""
    n_members, n_labels = len(network.members), len(targets.labels)
    kept = torch.tensor([keep(label) for label in targets.labels], dtype=torch.bool, device=device)
    true_positives = torch.zeros(n_members, n_labels, dtype=torch.int64)
    predicted, gold = torch.zeros_like(true_positives), torch.zeros(n_labels, dtype=torch.int64)
    sentences = torch.zeros(n_members, targets.n_sentences, 2, dtype=torch.int64)
    sentence_gold = torch.zeros(targets.n_sentences, dtype=torch.int64)
    nats = torch.zeros(n_members, dtype=torch.float64)
    norms, n_rows, n_coded = torch.zeros(len(source.names), dtype=torch.float64), 0, 0
    with torch.no_grad():
        for batch in in_order(targets, source, recipe.batch, device):
            logits = network.logits(parameters, batch)
            said, holds = decisions(logits, recipe.loss), batch.y > 0
            right = said & holds
            true_positives += right.sum(1).cpu()
            predicted += said.sum(1).cpu()
            gold += holds.sum(0).cpu()
            place = torch.from_numpy(batch.sentence)
            counts = torch.stack([(right & kept).sum(2), (said & kept).sum(2)], 2)
            sentences.index_add_(1, place, counts.cpu())
            sentence_gold.index_add_(0, place, (holds & kept).sum(1).cpu())
            nats += code_lengths(logits, batch.y, recipe.loss).double().sum(1).cpu()
            n_coded += int(holds.any(1).sum()) if recipe.loss == "softmax" else batch.n_targets
            norms += batch.x.norm(dim=2).double().sum(1).cpu()
            n_rows += batch.x.shape[1]
    owner = np.repeat(np.arange(targets.n_sentences), np.diff(targets.ptr))
    for target, labels in targets.unseen.items():
        sentence_gold[owner[target]] += sum(map(keep, labels))
    return Evaluation(
        true_positives=true_positives.numpy(),
        predicted=predicted.numpy(),
        gold=gold.numpy(),
        unseen=Counter(label for labels in targets.unseen.values() for label in labels),
        sentences=sentences.numpy(),
        sentence_gold=sentence_gold.numpy(),
        nats=nats.numpy(),
        n_targets=targets.n_targets,
        n_coded=n_coded,
        norm_sum=norms.numpy(),
        n_rows=n_rows,
    )
