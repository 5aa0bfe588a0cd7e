"""One edge probe, written from the paper alone: plain modules, a loop over targets, torch's own Adam."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

Sentence = tuple[np.ndarray, list[tuple[list[tuple[int, int]], list[float]]]]
"""States (layers, tokens, width) and targets: token spans (first, one past last), and 0/1 for each label."""


class ReferenceProbe(nn.Module):
    """Weights are drawn from `generator` in the order projection, attention (for each span), hidden, output."""

    def __init__(
        self,
        width: int,
        n_spans: int,
        n_labels: int,
        *,
        projection: int,
        hidden: int,
        dropout: float,
        generator: torch.Generator,
        n_mixed: int | None = None,
    ) -> None:
        super().__init__()
        self.project = nn.ModuleList([nn.Linear(width, projection) for _ in range(n_spans)])
        self.attend = nn.ModuleList([nn.Linear(projection, 1, bias=False) for _ in range(n_spans)])
        self.hidden, self.norm = nn.Linear(n_spans * projection, hidden), nn.LayerNorm(hidden)
        self.out = nn.Linear(hidden, n_labels)
        self.scalars = nn.Parameter(torch.zeros(n_mixed)) if n_mixed else None
        self.gamma = nn.Parameter(torch.ones(()))
        self.dropout, self.generator = dropout, generator
        for k in range(n_spans):
            self._draw(self.project[k])
            self._draw(self.attend[k])
        self._draw(self.hidden)
        self._draw(self.out)

    def _draw(self, linear: nn.Module) -> None:
        bound = linear.in_features**-0.5
        weight = torch.empty(linear.in_features, linear.out_features).uniform_(-bound, bound, generator=self.generator)
        linear.weight.data = weight.T.contiguous()
        if linear.bias is not None:
            linear.bias.data = torch.empty(linear.out_features).uniform_(-bound, bound, generator=self.generator)

    def forward(self, batch: Sequence[Sentence], layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        pooled, gold = [], []
        for states, targets in batch:
            x = torch.tensor(states, dtype=torch.float32)
            if self.scalars is None:
                x = x[layer]
            else:
                weights = torch.softmax(self.scalars, 0)
                x = self.gamma * sum(weights[i] * x[i] for i in range(len(weights)))
            for spans, labels in targets:
                parts = []
                for k, (start, end) in enumerate(spans):
                    z = self.project[k](x[start:end])
                    parts.append((torch.softmax(self.attend[k](z), 0) * z).sum(0))
                pooled.append(torch.cat(parts))
                gold.append(torch.tensor(labels, dtype=torch.float32))
        hidden = self.norm(torch.tanh(self.hidden(torch.stack(pooled))))
        if self.training and self.dropout:
            kept = torch.rand(hidden.shape, generator=self.generator) >= self.dropout
            hidden = torch.where(kept, hidden / (1 - self.dropout), torch.zeros(()))
        return self.out(hidden), torch.stack(gold)


def train_reference(
    probe: ReferenceProbe, batches: Sequence[Sequence[Sentence]], layer: int, *, learning_rate: float, clip: float
) -> list[float]:
    """The loss of each batch, before its step."""
    used = [p for name, p in probe.named_parameters() if probe.scalars is not None or name != "gamma"]
    adam = torch.optim.Adam(used, lr=learning_rate, amsgrad=True)
    losses = []
    for batch in batches:
        logits, gold = probe(batch, layer)
        loss = nn.functional.binary_cross_entropy_with_logits(logits, gold)
        adam.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(used, clip)
        adam.step()
        losses.append(loss.item())
    return losses


def f1_from_counts(gold: np.ndarray, predicted: np.ndarray) -> tuple[float, float, float]:
    """Micro F1 by scikit-learn, and the ends of its 95 % band: P and R moved by 1.96 standard errors, then joined."""
    from sklearn.metrics import precision_recall_fscore_support

    p, r, f1, _ = precision_recall_fscore_support(gold.ravel(), predicted.ravel(), average="binary", zero_division=0)
    error_p, error_r = (1.959964 * np.sqrt(v * (1 - v) / n) for v, n in ((p, predicted.sum()), (r, gold.sum())))
    ends = [2 / (1 / (p + side * error_p) + 1 / (r + side * error_r)) for side in (-1, 1)]
    return float(f1), float(ends[0]), float(ends[1])
