"""One label for a whole sequence, or one number."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn import functional

from .base import Batch, Head, linear

__all__ = ["SequenceHead"]


class SequenceHead(Head):
    """tanh(W h + b) of a pooled state h, dropout, and a linear layer to the labels (Devlin et al. 2019, section 4.1).

    Parameters
    ----------
    labels : int
        Classes; 1 for regression by squared error.
    pooling : {"cls", "mean"}
        The first token's state, or the mean over all tokens: what encoders trained for sentence vectors learnt.
    dropout : float
        Before each linear layer but the first.

    Outputs ``"logits"`` (batch, labels). Target: ``"label"`` (batch,), class indices or numbers.
    """

    def __init__(self, width: int, *, labels: int, pooling: Literal["cls", "mean"] = "cls", dropout: float = 0.1):
        super().__init__()
        self.pooling = pooling
        self.pooler = linear(width, width)
        self.dropout = torch.nn.Dropout(dropout)
        self.classifier = linear(width, labels)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        if self.pooling == "cls":
            pooled = hidden[:, 0]
        else:
            mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
        return {"logits": self.classifier(self.dropout(torch.tanh(self.pooler(pooled))))}

    def loss(self, outputs: Batch, batch: Batch) -> torch.Tensor:
        logits, label = outputs["logits"].float(), batch["label"]
        if logits.shape[1] == 1:
            return functional.mse_loss(logits[:, 0], label.float())
        return functional.cross_entropy(logits, label)
